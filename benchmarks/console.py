"""Console: how long each page takes on a database of a million cases, next to the same page on an empty one."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from benchmarks.figures import Spread, percentile, spread
from benchmarks.past import fill
from benchmarks.stage import ROOT, Engines, at, free_port, plain, process, run, running_engines, scratch
from billingbot.core.policy import load_policy

# The default of --seconds, 4, is a million cases.
_CASES_PER_SECOND: Final = 250_000
_ROUNDS: Final = 15
# The first answers of a process read templates, open connections and prepare statements; a console that runs has
# done so long ago.
_WARM_UP: Final = 10
# Pages by their address; `{case}` and the like are filled with the newest of each.
PAGES: Final = (
    "/",
    "/queue",
    "/queue?priority=urgent",
    "/cases/{case}",
    "/charges/{charge}",
    "/search?q={charge}",
    "/refunds",
    "/refunds?month={month}",
    "/refunds?month=all",
    "/refunds/totals?month=all",
    "/refunds/plots",
    "/refunds/plots?month=all",
    "/refunds/plots/drawn?month={month}",
    "/refunds/{refund}",
    "/disputes",
    "/jobs",
    "/jobs?tab=failed",
    "/events",
    "/events?job_state=done",
    "/events/{event}",
    "/ledger",
    "/ledger?kind=case.decided",
    "/ledger?kind=case.denied",
    "/ledger?actor=benchmark",
    "/months",
    "/months/{month}",
    "/policy",
    "/sources",
    "/reconcile",
    "/notices",
    "/settings",
)
# What a desk has beside its cases: a job and an event for each, one failed job in ten thousand, letters of the ledger.
_REST: Final = (
    "UPDATE cases SET due_at = opened_at + interval '2 days' WHERE state = 'review'",
    (
        "UPDATE cases SET state = 'closed', outcome = 'denied', closed_at = opened_at + interval '1 day'"
        " WHERE state = 'review' AND opened_at < timestamptz '2026-10-25'"
    ),
    "UPDATE cases SET closed_at = coalesce(closed_at, opened_at + interval '1 hour') WHERE state = 'closed'",
    "UPDATE refunds SET settled_at = intended_at + interval '5 seconds'",
    """INSERT INTO jobs (id, actor, subject, state, attempts, run_at, created_at, finished_at, last_error)
       SELECT replace(id, 'case_', 'job_'), 'assess', id,
              CASE WHEN abs(hashtext(id)) % 10000 = 0 THEN 'failed' ELSE 'done' END, 1, opened_at, opened_at,
              opened_at + interval '1 second',
              CASE WHEN abs(hashtext(id)) % 10000 = 0 THEN 'StripeUnavailableError: no answer' END
       FROM cases""",
    """INSERT INTO job_failures (job_id, attempt, at, error_class, error, traceback)
       SELECT id, 1, finished_at, 'StripeUnavailableError', 'no answer', 'Traceback (most recent call last): ...'
       FROM jobs WHERE state = 'failed'""",
    """INSERT INTO inbox (id, account, event_id, type, thin, livemode, created, object_id, body, received_at)
       SELECT replace(id, 'case_', 'inb_'), account, replace(id, 'case_', 'evt_'), 'charge.succeeded', false, livemode,
              extract(epoch FROM opened_at)::bigint, charge_id, convert_to('{"id": "' || id || '"}', 'UTF8'), opened_at
       FROM cases""",
    """INSERT INTO requests (id, case_id, account, channel, named_by, named, claims_unused, claims_cancelled,
                             asked_by, input_digest, asked_at)
       SELECT replace(id, 'case_', 'req_'), id, account, 'api', 'charge', charge_id, true, false, 'key:desk', 'x',
              opened_at
       FROM cases""",
    """INSERT INTO ledger_entries (seq, at, kind, account, subject, actor, body, previous_hash, hash)
       SELECT row_number() OVER (ORDER BY id) + 1000, opened_at, 'case.decided', account, id, 'billingbot', '{}',
              md5(id), md5(id || 'next')
       FROM cases""",
    # As autovacuum leaves a database that has lived: fresh statistics, and pages known to hold no dead rows.
    "VACUUM (ANALYZE)",
)
_NEWEST: Final = {
    "case": "SELECT max(id) FROM cases WHERE state = 'review'",
    "charge": "SELECT charge_id FROM cases ORDER BY id DESC LIMIT 1",
    "refund": "SELECT max(id) FROM refunds",
    "month": "SELECT to_char(max(intended_at), 'YYYY-MM') FROM refunds",
    "event": "SELECT event_id FROM inbox ORDER BY id DESC LIMIT 1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: seconds until its last byte, many times, with a million cases and with none; and how it is answered."""

    path: str
    status: int
    kilobytes: float
    full: list[float]
    empty: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All pages."""

    cases: int
    fill_seconds: float
    pages: list[Page]


def measure(*, seconds: float) -> Result:
    """Fills one database and leaves another empty, then asks both consoles for each page in turn."""
    cases = int(seconds * _CASES_PER_SECOND)
    with ExitStack() as stack:
        here = Path(stack.enter_context(scratch()))
        engines = stack.enter_context(running_engines(here))
        with engines.superuser() as owner:
            owner.execute("CREATE DATABASE nothing TEMPLATE template0 OWNER billingbot_owner")
        full = stack.enter_context(_console(engines, here, "billingbot"))
        empty = stack.enter_context(_console(engines, here, "nothing"))
        began = time.perf_counter()
        policy = load_policy((ROOT / "config" / "policy.toml").read_bytes(), filename="policy.toml")
        fill(plain(at(engines.superuser_url, "billingbot")), cases, policy, processes=2)
        names = _fill_the_rest(engines)
        filled = time.perf_counter() - began
        return Result(cases=cases, fill_seconds=filled, pages=[_page(path, names, full, empty) for path in PAGES])


def _fill_the_rest(engines: Engines) -> Mapping[str, str]:
    url = plain(at(engines.superuser_url, "billingbot"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in _REST:
            connection.execute(statement.encode())
        connection.execute("CHECKPOINT")
        return {name: str(connection.execute(query.encode()).fetchone()[0]) for name, query in _NEWEST.items()}  # type: ignore[index]


@contextmanager
def _console(engines: Engines, here: Path, database: str) -> Iterator[httpx.Client]:
    """A signed-in client of a web process of its own over this database."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    env = {
        "BILLINGBOT_DATABASE_URL": at(engines.owner_url, database),
        "BILLINGBOT_REDIS_URL": engines.valkey_url,
        "BILLINGBOT_STRIPE_API_KEY": "rk_test_benchmark",
        "BILLINGBOT_STRIPE_WEBHOOK_SECRET": "whsec_benchmark",
        "BILLINGBOT_STRIPE_API_BASE": "http://127.0.0.1:9",
        "BILLINGBOT_DATA_DIR": str(here / database),
        "BILLINGBOT_PORT": str(port),
    }
    run("billingbot", "db", "migrate", env=env)
    log = here / f"{database}.log"
    with process(database, "billingbot", "web", env=env, log=log, ready=f"{base}/healthz"):
        told = run("billingbot", "users", "add", "benchmark", "--role", "admin", "--json", env=env)
        link = re.search(r"/sign-in/link/[\w-]+", told)
        assert link is not None, told
        with httpx.Client(base_url=base, timeout=60, trust_env=False) as client:
            assert client.post(link.group()).status_code == 303, "signed in"
            yield client


def _page(path: str, names: Mapping[str, str], full: httpx.Client, empty: httpx.Client) -> Page:
    address = path.format(**names)
    times: dict[str, list[float]] = {"full": [], "empty": []}
    answer = full.get(address)
    for turn in range(_ROUNDS + _WARM_UP):
        for name, client in (("full", full), ("empty", empty)):
            began = time.perf_counter()
            client.get(address)
            if turn >= _WARM_UP:
                times[name].append(time.perf_counter() - began)
    return Page(path=path, status=answer.status_code, kilobytes=len(answer.content) / 1024, **times)


def table(result: Result) -> Sequence[str]:
    """The result for people, in Markdown. The empty console answers 404 for what it does not have."""
    filled = f"filled in {result.fill_seconds:.0f} s"
    lines = [
        f"Console: each page {_ROUNDS} times, on {result.cases:,} cases ({filled}) and on none:",
        "",
        "| page | answer | KB | p50 ms | p95 ms | on an empty database p50 ms |",
        "|---|---|---|---|---|---|",
    ]
    for page in result.pages:
        p50, p95, empty = (
            1000 * percentile(values, share)
            for values, share in ((page.full, 0.5), (page.full, 0.95), (page.empty, 0.5))
        )
        lines.append(f"| {page.path} | {page.status} | {page.kilobytes:.0f} | {p50:.0f} | {p95:.0f} | {empty:.0f} |")
    return lines


def as_json(result: Result) -> dict[str, Any]:
    """The result for programs."""
    spreads: dict[str, Spread] = {page.path: spread(page.full) for page in result.pages}
    return {**asdict(result), "spreads": {path: asdict(one) for path, one in spreads.items()}}
