"""`python -m benchmarks [intake|latency|decide|backtest|console] [--seconds N] [--json]`: measures, and prints."""

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Final

from benchmarks.machine import describe

NAMES: Final = ("intake", "latency", "decide", "backtest", "console")
# Long enough for hundreds of batches, short enough for five rounds of everything in a few minutes.
_SECONDS: Final = 4.0


def main() -> None:
    """Runs the benchmarks that are named, all of them where none is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side by side, on this machine, now.")
    parser.add_argument("names", nargs="*", metavar="|".join(NAMES), help="which ones; all where none is named")
    parser.add_argument("--seconds", type=_seconds, default=_SECONDS, help="of one measured run (default: %(default)g)")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="console: leave the databases there, and use them again"
    )
    parser.add_argument("--json", action="store_true", help="every run, for programs")
    given = parser.parse_args()
    if strange := [name for name in given.names if name not in NAMES]:
        parser.error(f"{strange[0]}: expected one of {', '.join(NAMES)}")
    machine = describe()
    found: dict[str, object] = {"machine": machine}
    if not given.json:
        print(", ".join(f"{name} {value}" for name, value in machine.items() if name != "versions"))
    for name in given.names or NAMES:
        benchmark = import_module(f"benchmarks.{name}")
        more = {"keep": given.keep} if name == "console" else {}
        result = benchmark.measure(seconds=given.seconds, **more)
        found[name] = benchmark.as_json(result)
        if not given.json:
            # At once: what comes after may fail, and this one took its minutes.
            print("", *benchmark.table(result), sep="\n", flush=True)
    if given.json:
        print(json.dumps(found, indent=2))


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.5 <= seconds <= 60:
        raise argparse.ArgumentTypeError("expected 0.5 to 60 seconds")
    return seconds


if __name__ == "__main__":
    main()
