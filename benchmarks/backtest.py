"""Backtest: how long a million past cases take, next to the same expressions in plain Python; and its memory."""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import pair_by_pair, spread
from benchmarks.past import SPAN, UNTIL, fill
from benchmarks.stage import ROOT, at, outside, plain, run, scratch
from billingbot.core.policy import load_policy
from billingbot.engines.postgres import start_postgres

# A round over a million cases is some four minutes.
ROUNDS: Final = 2
# The default of --seconds, 4, is a million cases.
_CASES_PER_SECOND: Final = 250_000
# `decide` on each case would take a quarter of an hour: a sample of this many stretches says as much.
_DECIDE_STRETCHES: Final = 10
# What a finance person might try: two limits, and a rule that gives more away.
_CHANGES: Final = (
    ("usd = 20000 # 200.00", "usd = 15000"),
    ("gbp = 20000 # 200.00", "gbp = 30000"),
    ('no-trial = "!trial.exists"', 'no-trial = "!trial.exists && charge.amount_minor > 900"'),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Seconds of a whole run for each round, from the start of the process to its end."""

    cases: int
    flips: int
    fill_seconds: float
    stored: list[float]
    """Against what was decided then."""
    against: list[float]
    """Against another policy: two policies for each case."""
    plain: list[float]
    reading: list[float]
    stored_cpu: list[float]
    """Processor seconds of all its processes and of PostgreSQL: on a busy machine, the steadier figure."""
    plain_cpu: list[float]
    decide: list[float]
    """Extrapolated from the sample."""
    parent_mb: list[float]
    """Peak memory of the command itself, and of the largest of its processes."""
    process_mb: list[float]
    quarter_parent_mb: list[float]
    """The same over a quarter of the cases: flat memory is the same number."""
    quarter_process_mb: list[float]


def measure(*, seconds: float, rounds: int = ROUNDS) -> Result:
    """Fills a database, then runs each way in turn."""
    cases = int(seconds * _CASES_PER_SECOND)
    shipped = ROOT / "config" / "policy.toml"
    with scratch() as directory, start_postgres(directory) as postgres:
        settings = {"BILLINGBOT_DATABASE_URL": postgres.owner_url, "BILLINGBOT_DATA_DIR": str(directory)}
        run("billingbot", "db", "migrate", env=settings)
        settings["BILLINGBOT_DATABASE_URL"] = postgres.app_url
        policy = load_policy(shipped.read_bytes(), filename="policy.toml")
        began = time.perf_counter()
        fill(plain(at(postgres.superuser_url, "billingbot")), cases, policy, processes=os.cpu_count() or 1)
        result = Result(
            cases=cases,
            flips=0,
            fill_seconds=time.perf_counter() - began,
            **{name: [] for name in _LISTS},
        )
        new = directory / "new-policy.toml"
        new.write_text(changed(policy.source), "utf-8")
        return _rounds(result, str(new), settings, rounds)


def _rounds(result: Result, new: str, settings: Mapping[str, str], rounds: int) -> Result:
    command = ("billingbot", "policy", "backtest", new, "--json")
    shipped = str(ROOT / "config" / "policy.toml")
    quarter = (UNTIL - SPAN + SPAN / 4).isoformat()
    flips = 0
    for _ in range(rounds):
        ours = _watched(*command, env=settings)
        told = json.loads(ours.out)
        assert (told["cases"], told["unreadable"]) == (result.cases, 0)
        flips = told["flips"]
        result.stored.append(ours.seconds)
        result.stored_cpu.append(ours.cpu)
        result.parent_mb.append(ours.parent_mb)
        result.process_mb.append(ours.process_mb)
        by_hand = _watched("benchmarks.again", "plain", new, env=settings)
        assert sum(json.loads(by_hand.out).values()) == result.cases
        result.plain.append(by_hand.seconds)
        result.plain_cpu.append(by_hand.cpu)
        result.against.append(_watched(*command, "--against", shipped, env=settings).seconds)
        result.reading.append(_watched("benchmarks.again", "reading", new, env=settings).seconds)
        sample = _watched("benchmarks.again", "decide", new, str(_DECIDE_STRETCHES), env=settings)
        result.decide.append(sample.seconds * result.cases / sum(json.loads(sample.out).values()))
        part = _watched(*command, "--until", quarter, env=settings)
        result.quarter_parent_mb.append(part.parent_mb)
        result.quarter_process_mb.append(part.process_mb)
    return Result(**{**asdict(result), "flips": flips})


_LISTS: Final = tuple(
    name for name, kind in Result.__annotations__.items() if kind == list[float] or kind == "list[float]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What a process and its children came to."""

    out: str
    seconds: float
    cpu: float
    parent_mb: float
    process_mb: float


def _watched(*argv: str, env: Mapping[str, str]) -> _Run:
    began, cpu = time.perf_counter(), _processor_seconds(env)
    process = subprocess.Popen(
        [sys.executable, "-m", *argv], cwd=ROOT, env={**outside(), **env}, stdout=subprocess.PIPE, text=True
    )
    peaks: dict[int, float] = {}
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks), daemon=True)
    watcher.start()
    out, _ = process.communicate()
    seconds = time.perf_counter() - began
    watcher.join()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(argv[:3])} failed with {process.returncode}")
    parent = peaks.pop(process.pid, 0.0)
    cpu = _processor_seconds(env) - cpu
    return _Run(out=out, seconds=seconds, cpu=cpu, parent_mb=parent, process_mb=max(peaks.values(), default=0.0))


def _processor_seconds(env: Mapping[str, str]) -> float:
    """Of all that we have run and waited for so far, and of all connections that PostgreSQL has served and closed."""
    ours = resource.getrusage(resource.RUSAGE_CHILDREN)
    lock = Path(env["BILLINGBOT_DATA_DIR"]) / "postgres" / "cluster" / "postmaster.pid"
    postmaster = lock.read_text("utf-8").split()[0]
    # Fields 16 and 17: of its children that ended. The name before them may hold spaces.
    ended = Path(f"/proc/{postmaster}/stat").read_text("ascii").rpartition(")")[2].split()[13:15]
    return ours.ru_utime + ours.ru_stime + sum(map(int, ended)) / os.sysconf("SC_CLK_TCK")


def _watch(pid: int, peaks: dict[int, float]) -> None:
    """Notes the peak memory of a process and of each of its children until it ends; Linux tells the peak itself."""
    while True:
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
            for one in (pid, *map(int, children)):
                peaks[one] = max(peaks.get(one, 0.0), _peak_mb(one))
        except (OSError, ValueError):
            if not Path(f"/proc/{pid}/task").exists() or _ended(pid):
                return
        if _ended(pid):
            return
        time.sleep(0.05)


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0  # it has ended, and waits to be collected


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def changed(source: str) -> str:
    """The shipped policy with two other limits and one other condition, as another version."""
    for old, new in _CHANGES:
        assert source.count(old) >= 1, f"the shipped policy has no {old!r} any more"
        source = source.replace(old, new, 1)
    return source


def table(result: Result) -> list[str]:
    """The result for people, in Markdown."""
    rows = {
        "`billingbot policy backtest NEW`: against what was decided then": result.stored,
        "the same, `--against` another policy: two policies for each case": result.against,
        "the expressions in plain Python, the facts by `json.loads`": result.plain,
        "the rows read, nothing decided": result.reading,
        f"`decide` on each case (extrapolated from {_DECIDE_STRETCHES},000)": result.decide,
    }
    memory = (
        f"Peak memory, MB: the command {spread(result.parent_mb).text()}, the largest of its processes "
        f"{spread(result.process_mb).text()}; over a quarter of the cases {spread(result.quarter_parent_mb).text()} "
        f"and {spread(result.quarter_process_mb).text()}."
    )
    title = (
        f"Backtest of {result.cases:,} stored cases ({result.flips:,} flips), {len(result.stored)} rounds, "
        f"filled in {result.fill_seconds:,.0f} s:"
    )
    return [
        title,
        "",
        "| what, start of the process to its end | seconds | µs a case | the time of plain Python |",
        "|---|---|---|---|",
        *(
            f"| {what} | {spread(times).text(1)} | {spread(times).median * 1e6 / result.cases:,.0f} |"
            f" ×{pair_by_pair(times, result.plain).text(2)} |"
            for what, times in rows.items()
        ),
        "",
        (
            f"Processor seconds with PostgreSQL's: billingbot {spread(result.stored_cpu).text(1)}, plain Python "
            f"{spread(result.plain_cpu).text(1)}, ×{pair_by_pair(result.stored_cpu, result.plain_cpu).text(2)}."
        ),
        memory,
    ]


def as_json(result: Result) -> dict[str, Any]:
    """The result for programs."""
    return {**asdict(result), "stored_by_plain": asdict(pair_by_pair(result.stored, result.plain))}
