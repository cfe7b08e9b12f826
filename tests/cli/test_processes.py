"""Processes that stay: each alone on shared engines, and all of them under `up`, through every kind of death."""

import json
import os
import re
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import psycopg
import pytest
import sqlalchemy as sa

from billingbot.cli.serving import wait_for_postgres
from billingbot.engines.processes import started_at
from billingbot.sandbox.server import RunningSandbox
from billingbot.store.database import make_engine
from billingbot.store.migrate import MIGRATING, drift, is_current
from tests.calls import tls
from tests.cli.conftest import Start
from tests.cli.terminal import KEYS, run, typed
from tests.engines.shared import Database, SharedPostgres, plain

Settings = dict[str, str]

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


@pytest.fixture
def empty(postgres: SharedPostgres) -> Iterator[Database]:
    """A database without any table."""
    made = postgres.create_database()
    yield made
    postgres.drop_database(made)


@contextmanager
def cut_off_once(empty: Database) -> Iterator[None]:
    """Whoever migrates waits for another who does, and loses the connection meanwhile, as in a restart."""
    waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
    waiting += " (SELECT oid FROM pg_database WHERE datname = current_database())"

    def cut(other: psycopg.Connection[tuple[int]]) -> None:
        while not (found := other.execute(waiting).fetchall()):
            time.sleep(0.02)
        other.execute("SELECT pg_terminate_backend(%s)", found[0])
        other.close()

    other = psycopg.connect(plain(empty.superuser_url), autocommit=True)
    other.execute("SELECT pg_advisory_lock(%s)", (MIGRATING,))
    thread = threading.Thread(target=cut, args=(other,), daemon=True)
    thread.start()
    yield
    thread.join(10)
    assert other.closed


def test_a_process_refuses_a_database_that_is_not_migrated_and_db_migrate_mends_it(
    settings: Settings, empty: Database
) -> None:
    unmigrated = {**settings, "BILLINGBOT_DATABASE_URL": empty.app_url}
    said = run(unmigrated, "worker")
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("The database is not migrated to this release: run billingbot db")
    assert "is not migrated" in typed(unmigrated, "cases", "list").err
    with cut_off_once(empty):
        migrated = run({**unmigrated, "BILLINGBOT_DATABASE_OWNER_URL": empty.owner_url}, "db", "migrate")
    assert (migrated.code, migrated.out) == (0, "The database has this release's tables.\n")
    assert drift(empty.owner_url) == []
    assert typed(unmigrated, "cases", "list").code == 0


def test_the_check_of_migrations_needs_nothing_and_leaves_nothing(home: Path) -> None:
    said = run({"TMPDIR": str(home.parent)}, "db", "check")
    assert (said.code, said.out) == (0, "Migrations and code agree.\n")
    assert list(home.parent.iterdir()) == []


def test_the_check_tells_what_differs(database: Database) -> None:
    said = typed({"BILLINGBOT_DATABASE_URL": database.owner_url}, "db", "check")
    assert said.code == 0
    _execute(database, "ALTER TABLE notes ADD COLUMN surprise text")
    drifted = typed({"BILLINGBOT_DATABASE_URL": database.owner_url}, "db", "check")
    assert drifted.code == 1
    assert "surprise" in drifted.err


def test_a_worker_waits_for_postgres_and_ends_on_request(settings: Settings, start: Start, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    away = {**settings, "BILLINGBOT_DATABASE_URL": "postgresql+psycopg://nobody@/none?host=/nowhere"}
    worker = start(away, log, "worker")
    _eventually(lambda: log.read_text().count("postgres.waiting") >= 2)
    assert worker.poll() is None
    worker.terminate()
    assert worker.wait(15) == 0


def test_a_process_whose_first_connection_breaks_waits_for_the_next_one(database: Database) -> None:
    engine, looks = make_engine(database.app_url, pool_size=1), 0

    def look(connection: sa.Connection) -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            process = connection.scalar(sa.text("SELECT pg_backend_pid()"))
            with psycopg.connect(plain(database.superuser_url)) as superuser:
                superuser.execute("SELECT pg_terminate_backend(%s)", [process])
        return is_current(connection)

    try:
        assert wait_for_postgres(engine, threading.Event(), look=look)
    finally:
        engine.dispose()
    assert looks == 2


def test_worker_scheduler_and_web_work_together_and_end_on_request(
    settings: Settings, start: Start, tmp_path: Path
) -> None:
    port = _free_port()
    log = tmp_path / "all.log"
    # Nobody is asked about a case in mode off: the whole way of a request, without a Stripe.
    assert typed(settings, "mode", "off", "--why", "no Stripe here").code == 0
    told = {**settings, "BILLINGBOT_LOG_LEVEL": "debug"}
    running = [start(told, log, *words) for words in (["worker"], ["scheduler"], ["web", "--port", str(port)])]
    assert run(settings, "request", "--charge", "ch_1", "--wait").lines[1].split() == ["state", "review"]
    _eventually(lambda: _is_ready(port))
    _say_private_things(f"http://127.0.0.1:{port}")
    for process in running:
        process.terminate()
    assert [process.wait(40) for process in running] == [0, 0, 0]
    assert {"worker.ready", "worker.stopped", "scheduler.ready", "scheduler.stopped", "webhook.rejected"} <= _events(
        log
    )
    assert not [secret for secret in PRIVATE if secret in log.read_text()]


def test_the_local_stripe_runs_until_it_is_told_to_stop(start: Start, tmp_path: Path) -> None:
    port, log = _free_port(), tmp_path / "sandbox.log"
    stripe = start({}, log, "sandbox", "--port", str(port), "--start-at", "2026-03-01T00:00:00Z")
    _eventually(lambda: _answers(f"http://127.0.0.1:{port}/_sandbox/health"))
    clock = httpx.get(f"http://127.0.0.1:{port}/_sandbox/clock", verify=tls()).json()
    assert clock["iso"].startswith("2026-03-01T00:00:00")
    taken = run({}, "sandbox", "--port", str(port))
    assert taken.code == 1
    assert taken.err.startswith(f"Cannot listen on 127.0.0.1:{port}: ")
    assert taken.err.endswith("choose another port by --port.\n")
    stripe.terminate()
    assert stripe.wait(15) == 0
    assert f"BILLINGBOT_STRIPE_API_BASE=http://127.0.0.1:{port}" in log.read_text()


@on_linux
@pytest.mark.slow
def test_up_survives_every_death_and_leaves_nothing(stripe_here: RunningSandbox, start: Start, home: Path) -> None:
    port = _free_port()
    log = home.parent / "up.log"
    settings = {
        **KEYS,
        "BILLINGBOT_STRIPE_API_BASE": stripe_here.url,
        "BILLINGBOT_DATA_DIR": str(home),
        "BILLINGBOT_PORT": str(port),
        "BILLINGBOT_WORKERS": "1",
    }
    up = start(settings, log, "up")
    _eventually(lambda: "Ctrl-C stops everything." in log.read_text(), seconds=60)
    _what_it_says(log.read_text(), port)
    _eventually(lambda: re.search(r"^worker-1 +\| .*worker\.ready", log.read_text(), re.MULTILINE))
    assert _is_ready(port)
    family = _children(home)
    _no_secrets_in_sight(home, family)

    # Other commands find the same engines, with no more than the data directory.
    assert typed({"BILLINGBOT_DATA_DIR": str(home)}, "keys", "create", "helpdesk").out.startswith("bbk_")
    assert typed({"BILLINGBOT_DATA_DIR": str(home)}, "mode", "assist", "--why", "we look first").code == 0
    second = run({**settings, "BILLINGBOT_PORT": str(_free_port())}, "up")
    assert second.code == 1
    assert "billingbot up is in use by another billingbot" in second.err

    # A worker that is killed is back.
    os.kill(family["worker-1"], signal.SIGKILL)
    _eventually(lambda: _children(home).get("worker-1") not in {None, family["worker-1"]})

    # `up` itself is killed: its children end, nothing is found any more, and the next start mends all of it.
    family = _children(home)
    up.kill()
    up.wait()
    _eventually(lambda: not any(_is_alive(pid) for pid in family.values()), seconds=40)
    assert "Nothing runs on" in typed({"BILLINGBOT_DATA_DIR": str(home)}, "keys", "list").err
    log.write_text("")
    up = start(settings, log, "up")
    _eventually(lambda: "everything is running" in log.read_text(), seconds=60)
    assert "helpdesk" in typed({"BILLINGBOT_DATA_DIR": str(home)}, "keys", "list").out
    shown = typed({"BILLINGBOT_DATA_DIR": str(home)}, "mode", "--json").json["items"]
    assert [row["mode"] for row in shown] == ["assist"]

    # An orderly end leaves no process, and no address of one.
    family = _children(home)
    up.terminate()
    assert up.wait(60) == 0
    assert not any(_is_alive(pid) for pid in family.values())
    assert not (home / "connection.json").exists()
    assert not (home / "children.json").exists()


@on_linux
@pytest.mark.slow
def test_up_runs_on_engines_of_yours_and_only_warns_of_a_stripe_that_is_away(
    settings: Settings, database: Database, start: Start, home: Path
) -> None:
    log, port = home.parent / "up.log", _free_port()
    yours = {
        **settings,
        "BILLINGBOT_DATABASE_OWNER_URL": database.owner_url,
        "BILLINGBOT_DATA_DIR": str(home),
        "BILLINGBOT_PORT": str(port),
        "BILLINGBOT_WORKERS": "1",
    }
    up = start(yours, log, "up")
    _eventually(lambda: "Ctrl-C stops everything." in log.read_text(), seconds=60)
    assert "Warning: Stripe cannot be asked for default now" in log.read_text()
    family = _children(home)
    assert set(family) == {"web", "worker-1", "scheduler"}
    for pid in family.values():  # the owner may do what the application may not: only the migration sees its password
        assert database.owner_url.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    assert not any(_is_alive(pid) for pid in family.values())


def test_up_tells_that_its_port_is_taken_before_it_starts_anything(settings: Settings, home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = run({**settings, "BILLINGBOT_PORT": str(port), "BILLINGBOT_DATA_DIR": str(home)}, "up")
    assert said.code == 1
    assert said.err.startswith(f"Cannot listen on 127.0.0.1:{port}: ")
    assert said.err.endswith("choose another port by --port or BILLINGBOT_PORT.\n")
    assert not (home / "children.json").exists()


def _what_it_says(text: str, port: int) -> None:
    assert f"billingbot answers at http://127.0.0.1:{port}" in text
    assert f"http://127.0.0.1:{port}/webhooks/stripe" in text
    assert "Account default is in mode shadow: decides, and never pays" in text
    assert "billingbot keys create NAME" in text
    assert "Stripe's key for default works." in text


PRIVATE: Final = ("private.mail", "a private password", "bbk_private", "4242 4242", "private-link", "private-session")
"""What nobody finds in a log, however much is told."""


def _say_private_things(url: str) -> None:
    """Through every door of the web, as people and programs do by mistake."""
    mail, password, key, card, link, session = (PRIVATE[0] + "@example.org", *PRIVATE[1:])
    with httpx.Client(base_url=url, trust_env=False, verify=tls(), timeout=30) as client:
        client.cookies.set("billingbot_session", session)
        asked = {"email": mail, "claims": {"unused": True, "text": card}, "external_ref": mail}
        answers = (
            client.post("/sign-in", data={"who": mail, "password": password}),
            client.get(f"/sign-in/link/{link}"),
            client.get("/search", params={"q": f"{mail} {card}"}),
            client.post("/api/v1/refund-requests", json=asked, headers={"Authorization": f"Bearer {key}"}),
            client.post("/webhooks/stripe", json=asked, headers={"Stripe-Signature": "t=1,v1=0"}),
        )
    assert [answer.status_code for answer in answers] == [403, 403, 303, 401, 400]


def _no_secrets_in_sight(home: Path, family: dict[str, int]) -> None:
    """Not in any command line, which everybody on the machine may read, and the connection is ours alone."""
    connection = home / "connection.json"
    assert stat.S_IMODE(connection.stat().st_mode) == 0o600
    found = json.loads(connection.read_text())
    password = re.search(r":([^:@]+)@", found["database_url"])
    assert password is not None
    for pid in family.values():
        argv = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert not any(secret.encode() in argv for secret in (password[1], *KEYS.values()))


def _children(home: Path) -> dict[str, int]:
    """The processes that live, by name; a step that ran once is over."""
    record = json.loads((home / "children.json").read_text())
    return {name: entry["pid"] for name, entry in record["children"].items() if _is_alive(entry["pid"])}


def _is_alive(pid: int) -> bool:
    return started_at(pid) is not None


def _events(log: Path) -> set[str]:
    lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
    return {json.loads(line)["event"] for line in lines}


def _is_ready(port: int) -> bool:
    return _answers(f"http://127.0.0.1:{port}/readyz")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False, verify=tls()).is_success
    except httpx.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _eventually(true: Callable[[], object], *, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"did not happen within {seconds} s"
        time.sleep(0.05)


def _execute(database: Database, statement: str) -> None:
    engine = sa.create_engine(database.owner_url)
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()
