"""Intake: deliveries per second and their latency, billingbot's webhook door next to the textbook way."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from benchmarks import stage
from benchmarks.figures import Spread, pair_by_pair, spread
from benchmarks.machine import cpu_seconds
from benchmarks.stage import WEBHOOK_SECRET, Engines
from billingbot.store.migrate import upgrade

CONNECTIONS: Final = (64, 8)
# Enough to see how far runs of the same thing lie apart.
ROUNDS: Final = 5
# Pools fill, caches warm, and the first checkpoint is behind: later seconds look like the second one.
_WARM_UP_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 0.5
_TEXTBOOK_DATABASE: Final = "textbook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One way to take deliveries, running."""

    name: str
    port: int
    path: str
    pid: int
    most_per_second: int
    """Deliveries to make beforehand, per second: more than it can take."""
    stored: Callable[[], int] | None = None
    """How many it has stored since the last reset; None where it stores nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contestant under one load. Latencies in milliseconds."""

    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    server_cpu_ms_per_event: float | None
    load_cpu_ms_per_event: float
    answered: int
    rung_at_end: int
    rung: int
    """Messages in Redis when the last answer was there, and when no more came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All runs by connections and contestant, in the order of the rounds."""

    seconds: float
    file_system: str
    runs: dict[int, dict[str, list[Run]]] = field(default_factory=dict)


OURS: Final = "billingbot"
BLOCKING: Final = "textbook"
THREADS: Final = "textbook, in threads"
NO_DATABASE: Final = "no database"
NOTHING: Final = "bare answer"


def measure(*, seconds: float, rounds: int = ROUNDS) -> Result:
    """Runs everything, about `2 * (3 * rounds + 4) * (seconds + 4)` seconds in all, and leaves nothing behind."""
    with stage.scratch() as directory, stage.running_engines(directory) as engines, ExitStack() as stack:
        result = Result(seconds=seconds, file_system=stage.file_system(directory))
        contestants = [
            stack.enter_context(_billingbot(engines, directory)),
            *stack.enter_context(_textbook(engines, directory)),
        ]
        ceilings = stack.enter_context(_ceilings(directory))
        for connections in CONNECTIONS:
            runs: dict[str, list[Run]] = {one.name: [] for one in (*contestants, *ceilings)}
            result.runs[connections] = runs
            for number in range(rounds):
                # The ceilings are context: two rounds of them show their order of size.
                for one in (*contestants, *(ceilings if number < 2 else ())):
                    _tell(f"{connections} connections, round {number + 1} of {rounds}: {one.name}")
                    runs[one.name].append(_run(one, engines, connections=connections, seconds=seconds))
    return result


def _run(one: Contestant, engines: Engines, *, connections: int, seconds: float) -> Run:
    _reset(engines)
    before = cpu_seconds(one.pid)
    said = json.loads(
        stage.run(
            "benchmarks.load",
            *("--port", str(one.port), "--path", one.path, "--secret", WEBHOOK_SECRET),
            *("--connections", str(connections), "--warm-up", str(_WARM_UP_SECONDS), "--seconds", str(seconds)),
            *("--most-per-second", str(one.most_per_second)),
            env={},
        )
    )
    after = cpu_seconds(one.pid)
    rung_at_end = _rung(engines)
    rung = _rung_when_quiet(engines)
    assert said["statuses"] == {"200": said["answered"]}, f"{one.name}: expected nothing but 200, got {said}"
    if one.stored is not None:
        # What was measured did what it claims: every delivery that got its 200 is a row.
        stored = one.stored()
        assert stored == said["answered"], f"{one.name}: {said['answered']} answers, but {stored} rows"
    return Run(
        **{name: said[name] for name in ("per_second", "p50_ms", "p95_ms", "p99_ms", "load_cpu_ms_per_event")},
        server_cpu_ms_per_event=None if before is None or after is None else (after - before) / said["answered"] * 1e3,
        answered=said["answered"],
        rung_at_end=rung_at_end,
        rung=rung,
    )


def _reset(engines: Engines) -> None:
    """Empty tables, an empty Redis and nothing left to write for anybody."""
    with engines.superuser() as connection:
        connection.execute("TRUNCATE inbox, jobs CASCADE")
    with engines.superuser(_TEXTBOOK_DATABASE) as connection:
        connection.execute("TRUNCATE stripe_events")
        connection.execute("CHECKPOINT")
    with engines.valkey() as valkey:
        valkey.flushall()


def _rung(engines: Engines) -> int:
    """Messages in all queues of all databases: nobody takes any."""
    queues = (("", "billingbot:jobs"), ("?db=1", "dramatiq:default"))
    total = 0
    for database, queue in queues:
        with stage.Engines(**{**asdict(engines), "valkey_url": engines.valkey_url + database}).valkey() as valkey:
            total += int(valkey.llen(queue))
    return total


def _rung_when_quiet(engines: Engines) -> int:
    """The same once no more come: what rings behind the answers must not ring into the next run."""
    seen = -1

    def quiet() -> bool:
        nonlocal seen
        before, seen = seen, _rung(engines)
        return before == seen

    stage.wait_until(quiet, "the bells to fall silent", every=_QUIET_SECONDS)
    return seen


def _counted(engines: Engines, database: str, query: str) -> Callable[[], int]:
    def count() -> int:
        with engines.superuser(database) as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(str(row[0]))

    return count


@contextmanager
def _billingbot(engines: Engines, directory: Path) -> Iterator[Contestant]:
    upgrade(engines.owner_url)
    port = stage.free_port()
    environment = {
        "BILLINGBOT_DATABASE_URL": engines.app_url,
        "BILLINGBOT_REDIS_URL": engines.valkey_url,
        "BILLINGBOT_STRIPE_API_KEY": "rk_test_benchmark",
        "BILLINGBOT_STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "BILLINGBOT_PORT": str(port),
        "BILLINGBOT_LOG_FORMAT": "json",
    }
    ready = f"http://127.0.0.1:{port}/healthz"
    log = directory / "web.log"
    with stage.process("web", "billingbot", "web", env=environment, log=log, ready=ready) as pid:
        # Events and jobs, joined: an event without its job would not count.
        stored = "SELECT count(*) FROM inbox JOIN jobs ON jobs.subject = inbox.id"
        yield Contestant(
            name=OURS,
            port=port,
            path="/webhooks/stripe",
            pid=pid,
            most_per_second=6000,
            stored=_counted(engines, "billingbot", stored),
        )


@contextmanager
def _textbook(engines: Engines, directory: Path) -> Iterator[list[Contestant]]:
    url = stage.at(engines.owner_url, _TEXTBOOK_DATABASE)
    with engines.superuser() as connection:
        connection.execute(f"CREATE DATABASE {_TEXTBOOK_DATABASE} OWNER billingbot_owner")
    environment = {
        "TEXTBOOK_DATABASE_URL": url,
        "TEXTBOOK_REDIS_URL": f"{engines.valkey_url}?db=1",
        "TEXTBOOK_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    with engines.superuser(_TEXTBOOK_DATABASE) as connection:
        connection.execute("GRANT ALL ON SCHEMA public TO billingbot_owner")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as owner:
        owner.execute(
            sa.text(
                "CREATE TABLE stripe_events (id text PRIMARY KEY, type text NOT NULL, payload text NOT NULL,"
                " received_at timestamptz NOT NULL DEFAULT now())"
            )
        )
    port = stage.free_port()
    # The log of requests is off here too: writing one line each would be a handicap.
    argv = ("uvicorn", "benchmarks.textbook:app", "--port", str(port), "--no-access-log", "--log-level", "warning")
    ready = f"http://127.0.0.1:{port}/openapi.json"
    with stage.process("textbook", *argv, env=environment, log=directory / "textbook.log", ready=ready) as pid:
        stored = _counted(engines, _TEXTBOOK_DATABASE, "SELECT count(*) FROM stripe_events")
        doors = {BLOCKING: "/blocking", THREADS: "/threads"}
        yield [
            Contestant(name=name, port=port, path=path, pid=pid, most_per_second=2000, stored=stored)
            for name, path in doors.items()
        ]


@contextmanager
def _ceilings(directory: Path) -> Iterator[list[Contestant]]:
    port = stage.free_port()
    with stage.process(
        "ceiling",
        *("benchmarks.ceiling", str(port)),
        env={"CEILING_WEBHOOK_SECRET": WEBHOOK_SECRET},
        log=directory / "ceiling.log",
        ready=f"http://127.0.0.1:{port}/",
    ) as pid:
        doors = {NO_DATABASE: "/door", NOTHING: "/nothing"}
        yield [
            Contestant(name=name, port=port, path=path, pid=pid, most_per_second=10_000) for name, path in doors.items()
        ]


def table(result: Result) -> list[str]:
    """The result for people, in Markdown."""
    lines = [
        f"Intake, {result.seconds:g} s a run, engines on {result.file_system}, fsync and synchronous_commit on:",
        "",
        "| connections | way | events/s | p50 ms | p95 ms | p99 ms | CPU ms/event | ours is |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for connections, runs in result.runs.items():
        for name, made in runs.items():
            cells = [str(connections), name, _of(made, "per_second").text()]
            cells += [_of(made, f"{which}_ms").text(1) for which in ("p50", "p95", "p99")]
            cpu = [run.server_cpu_ms_per_event for run in made if run.server_cpu_ms_per_event is not None]
            cells.append(spread(cpu).text(2) if cpu else "")
            cells.append(_ratio(runs, name))
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _ratio(runs: dict[str, list[Run]], name: str) -> str:
    if name not in (BLOCKING, THREADS):
        return ""
    ours, theirs = ([run.per_second for run in runs[who]] for who in (OURS, name))
    waits = pair_by_pair([run.p50_ms for run in runs[name]], [run.p50_ms for run in runs[OURS]])
    return f"×{pair_by_pair(ours, theirs).text(1)} the events, p50 ÷{waits.text(1)}"


def _of(runs: Sequence[Run], name: str) -> Spread:
    return spread([float(getattr(run, name)) for run in runs])


def as_json(result: Result) -> dict[str, Any]:
    """The result for programs: every run, and the ratios pair by pair."""
    ratios = {
        connections: {
            name: {
                measure: asdict(
                    pair_by_pair(
                        [getattr(run, measure) for run in runs[OURS]], [getattr(run, measure) for run in runs[name]]
                    )
                )
                for measure in ("per_second", "p50_ms", "p95_ms", "p99_ms")
            }
            for name in (BLOCKING, THREADS)
        }
        for connections, runs in result.runs.items()
    }
    return {**asdict(result), "ours_by_theirs": ratios}


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
