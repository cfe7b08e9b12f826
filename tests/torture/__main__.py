"""`python -m tests.torture`: the torture test, or the proof that it can fail (`--mutations`)."""

import argparse
import json
import random
import signal
import sys

from tests.torture import proof
from tests.torture.mutations import MUTATIONS
from tests.torture.report import report
from tests.torture.run import Plan, run


def main() -> int:
    """0 where everything held, 1 where anything did not."""
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="how long things break (default: 5)")
    parser.add_argument("--seed", type=int, help="repeat a run's draws (default: another one each time)")
    parser.add_argument("--pace", type=float, default=1, help="2 is about twice as many faults at a time (default: 1)")
    parser.add_argument("--wave", type=int, default=40, help="new customers every minute (default: 40)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default: 2)")
    parser.add_argument(
        "--mutations",
        nargs="*",
        choices=list(MUTATIONS),
        help="take out one safety at a time, all of them or those named; each has to turn it red",
    )
    parser.add_argument("--json", action="store_true", help="the result for programs, on stdout")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and everything is stopped and deleted
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(10**6)
    if asked.mutations is not None:
        return _prove(asked.mutations or list(MUTATIONS), seed, as_json=asked.json)
    plan = Plan(seed=seed, seconds=asked.minutes * 60, pace=asked.pace, wave=asked.wave, workers=asked.workers)
    result = run(plan)
    print(json.dumps(result.as_json(), default=str, indent=2) if asked.json else report(result))
    return 1 if result.violations else 0


def _prove(safeties: list[str], seed: int, *, as_json: bool) -> int:
    proofs = proof.prove_all(safeties, seed=seed)
    if as_json:
        print(json.dumps(proof.as_json(proofs), indent=2))
    return 0 if all(one.red for one in proofs) else 1


if __name__ == "__main__":
    sys.exit(main())
