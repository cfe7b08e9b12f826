"""Console: how long each page takes on a database of a million cases, next to the same page on an empty one."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from benchmarks import pages
from benchmarks.backtest import changed
from benchmarks.figures import Spread, percentile, spread
from benchmarks.lived import MAILBOX, live
from benchmarks.past import fill
from benchmarks.stage import (
    ROOT,
    Engines,
    at,
    free_port,
    plain,
    process,
    run,
    running_engines,
    scratch,
    wait_until,
)
from billingbot.core.policy import load_policy

# The default of --seconds, 4, is a million cases.
_CASES_PER_SECOND: Final = 250_000
_ROUNDS: Final = 15
# A page that takes seconds is asked for less often: three times at the least.
_LEAST_ROUNDS: Final = 3
_PAGE_SECONDS: Final = 6.0
# The first answers of a process read templates, open connections and prepare statements; a console that runs has
# done so long ago.
_WARM_UP: Final = 3
# A month's statement is drawn, and a month's cases are decided again, in seconds; on a busy machine it may be minutes.
_PATIENCE_SECONDS: Final = 600.0
_MONTHS_BACK: Final = timedelta(days=30)
_NEWEST: Final = {
    "case": "SELECT max(id) FROM cases WHERE state = 'review' AND reason <> 'could-not-assess'",
    "refunded": "SELECT case_id FROM refunds WHERE state = 'succeeded' ORDER BY id DESC LIMIT 1",
    "charge": "SELECT charge_id FROM cases ORDER BY id DESC LIMIT 1",
    "refund": "SELECT max(id) FROM refunds WHERE state = 'succeeded'",
    "month": "SELECT max(month) FROM months",
    "event": "SELECT event_id FROM inbox ORDER BY id DESC LIMIT 1",
    "dispute": "SELECT dispute_id FROM disputes WHERE outcome IS NULL ORDER BY created_at DESC LIMIT 1",
    "job": "SELECT max(id) FROM jobs WHERE state = 'failed'",
    "run": "SELECT name FROM replay_runs WHERE state = 'stopped'",
    "backfill": "SELECT max(id) FROM backfills",
    "backtest": "SELECT max(id) FROM backtests",
    "cancellation": "SELECT max(id) FROM cancellations",
    "person": "SELECT max(id) FROM people WHERE name <> 'benchmark'",
    "search": "SELECT max(id) FROM personal_data_searches",
    "seq": "SELECT max(seq) / 2 FROM ledger_entries",
    "view": "SELECT max(id) FROM queue_views",
    "mailbox": f"SELECT '{MAILBOX}'",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: seconds until its last byte (a file's first), many times, with a million cases and with none."""

    path: str
    status: int
    kilobytes: float
    full: list[float]
    empty: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All pages."""

    cases: int
    fill_seconds: float | None
    """None where the database was kept from an earlier run."""
    pages: list[Page]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A web process of its own over one database, with somebody who is signed in, and a key."""

    env: Mapping[str, str]
    client: httpx.Client
    log: Path

    def post(self, path: str, **fields: object) -> None:
        """Sends a form as the page would. RuntimeError where it is not taken."""
        mark = re.search(r'name="csrf" value="([^"]+)"', self.client.get("/account").text)
        assert mark is not None, "a page with a form"
        answer = self.client.post(path, data={"csrf": mark.group(1), **fields})
        if answer.status_code != 303:
            raise RuntimeError(f"POST {path}: {answer.status_code} {answer.text[:500]}")


def measure(*, seconds: float, keep: Path | None = None) -> Result:
    """Fills one database and leaves another empty, then asks both consoles for each page in turn.

    With `keep` the databases are left in that directory, and used again by the next run.
    """
    cases = int(seconds * _CASES_PER_SECOND)
    with ExitStack() as stack:
        here = keep or Path(stack.enter_context(scratch()))
        here.mkdir(mode=0o711, parents=True, exist_ok=True)
        engines = stack.enter_context(running_engines(here))
        with engines.superuser() as owner:
            if owner.execute("SELECT FROM pg_database WHERE datname = 'nothing'").fetchone() is None:
                owner.execute("CREATE DATABASE nothing TEMPLATE template0 OWNER billingbot_owner")
        full = stack.enter_context(_open(engines, here, "billingbot"))
        empty = stack.enter_context(_open(engines, here, "nothing"))
        filled = None
        with engines.superuser() as owner:
            found = owner.execute("SELECT count(*) FROM cases").fetchone()
        if found and found[0]:
            cases = int(str(found[0]))
        else:
            began = time.perf_counter()
            _fill(engines, cases, full)
            filled = time.perf_counter() - began
        with engines.superuser() as owner:
            names = {
                name: str((owner.execute(query.encode()).fetchone() or [None])[0]) for name, query in _NEWEST.items()
            }
        timed = [_page(path, names, full.client, empty.client) for path in pages.ALL]
        return Result(cases=cases, fill_seconds=filled, pages=timed)


def _fill(engines: Engines, cases: int, door: Door) -> None:
    url = plain(at(engines.superuser_url, "billingbot"))
    policy = load_policy((ROOT / "config" / "policy.toml").read_bytes(), filename="policy.toml")
    fill(url, cases, policy, processes=2, until=datetime.now(UTC))
    live(url)
    with psycopg.connect(url, autocommit=True) as owner:
        _use(owner, door)


def _use(owner: psycopg.Connection[Any], door: Door) -> None:
    """What a desk does through its doors: closes a month and signs it, tries another policy on the past and beside."""
    text = (ROOT / "config" / "policy.toml").read_text("utf-8")
    now = datetime.now(UTC)
    month = f"{now.replace(day=1) - timedelta(days=1):%Y-%m}"
    door.post("/months/close", account="default", month=month)
    # Everything that Stripe would tell of the month is there: what is left is to draw the statement.
    owner.execute("UPDATE months SET type = NULL")
    door.post("/policy/backtests", text=changed(text), since=(now - _MONTHS_BACK).isoformat())
    door.post("/policy/shadow", text=text.replace('version = "', 'version = "next-', 1), why="to be timed")
    with process("worker", "billingbot", "worker", env=door.env, log=door.log.with_name("worker.log"), ready=None):
        for table, state in (("months", "drawn"), ("backtests", "done")):
            wait_until(
                lambda table=table, state=state: (
                    owner.execute(f"SELECT FROM {table} WHERE state = '{state}'").fetchone() is not None
                ),
                table,
                seconds=_PATIENCE_SECONDS,
            )
    digest = str((owner.execute("SELECT digest FROM months").fetchone() or [""])[0])
    door.post(f"/months/{month}/sign", account="default", digest=digest, why="to be timed")
    owner.execute("UPDATE shadows SET started_at = now() - interval '30 days', followed_to = now()")
    owner.execute(
        """INSERT INTO shadow_verdicts (shadow_id, decision_id, outcome, rule, reason, recommendation, amount_minor,
                                        currency)
           SELECT s.id, d.id, CASE abs(hashtext(d.id)) % 50 WHEN 0 THEN 'review' ELSE outcome END, rule, reason,
                  recommendation, 4900, 'usd' FROM decisions d, shadows s WHERE d.decided_at > s.started_at"""
    )
    owner.execute("VACUUM (ANALYZE) shadow_verdicts, months, balance_transactions")
    owner.execute("CHECKPOINT")


@contextmanager
def _open(engines: Engines, here: Path, database: str) -> Iterator[Door]:
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
        if "benchmark" in run("billingbot", "users", "list", "--json", env=env):
            told = run("billingbot", "users", "link", "benchmark", "--json", env=env)
        else:
            told = run("billingbot", "users", "add", "benchmark", "--role", "admin", "--json", env=env)
        name = f"benchmark {time.time():.0f}"
        secret = re.search(
            r'"secret": "([^"]+)"', run("billingbot", "keys", "create", name, "--may", "all", "--json", env=env)
        )
        link = re.search(r"/sign-in/link/[\w-]+", told)
        assert link is not None, told
        assert secret is not None
        headers = {"Authorization": f"Bearer {secret.group(1)}"}
        with httpx.Client(base_url=base, timeout=60, trust_env=False, headers=headers) as client:
            assert client.post(link.group()).status_code == 303, "signed in"
            yield Door(env=env, client=client, log=log)


def _page(path: str, names: Mapping[str, str], full: httpx.Client, empty: httpx.Client) -> Page:
    address = path.format(**names)
    is_file = path in pages.FILES
    times: dict[str, list[float]] = {"full": [], "empty": []}
    status = size = 0
    since = time.perf_counter()
    for turn in range(-_WARM_UP, _ROUNDS):
        if turn >= _LEAST_ROUNDS and time.perf_counter() - since > _PAGE_SECONDS:
            break
        for name, client in (("full", full), ("empty", empty)):
            began = time.perf_counter()
            with client.stream("GET", address) as answer:
                status = answer.status_code if name == "full" else status
                for piece in answer.iter_bytes():
                    size += len(piece) if name == "full" and turn == -_WARM_UP else 0
                    if is_file:
                        break
            if turn >= 0:
                times[name].append(time.perf_counter() - began)
    return Page(path=path, status=status, kilobytes=size / 1024, **times)


def table(result: Result) -> Sequence[str]:
    """The result for people, in Markdown. The empty console answers 404 for what it does not have."""
    filled = "kept from an earlier run" if result.fill_seconds is None else f"filled in {result.fill_seconds:.0f} s"
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
