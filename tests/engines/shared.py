"""The suite's shared engines as a test sees them: started by the first that asks, for all processes of the run."""

import fcntl
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import sqlalchemy as sa

RUN_DIR_VARIABLE = "BILLINGBOT_TEST_RUN_DIR"
TEMPLATE = "billingbot_template"
_ROOM_BYTES = 2_000_000_000  # what a whole run may need; less than that in memory, and it goes to the disk
_START_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One database of one test; all URLs are SQLAlchemy's."""

    name: str
    owner_url: str = field(repr=False)
    app_url: str = field(repr=False)
    superuser_url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPostgres:
    """The run's PostgreSQL. `owner_url`, `app_url` name the unmigrated database `billingbot`."""

    owner_url: str = field(repr=False)
    app_url: str = field(repr=False)
    superuser_url: str = field(repr=False)
    run_dir: Path = field(repr=False)

    def create_database(self, *, template: str | None = None) -> Database:
        """A new database of the owner role: empty, or a copy of `template`."""
        name = f"test_{secrets.token_hex(6)}"
        # FILE_COPY: 12 ms where the default takes 30, since nothing here waits for the disk.
        copied = f"TEMPLATE {template} STRATEGY file_copy" if template else ""
        with self._superuser() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER billingbot_owner {copied}")
            # The rights on a database are not copied with it: the same as on a private cluster's own.
            connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
            connection.execute(f"GRANT CONNECT ON DATABASE {name} TO billingbot_app, billingbot")
        return self.named(name)

    def named(self, name: str) -> Database:
        """The URLs of a database by its name."""
        roles = {role: getattr(self, role) for role in ("owner_url", "app_url", "superuser_url")}
        return Database(name=name, **{role: _at(url, name) for role, url in roles.items()})

    def drop_database(self, database: Database) -> None:
        """Drops it, whoever is still connected."""
        with self._superuser() as connection:
            # DROP ... FORCE alone polls for the cut-off clients every 100 ms.
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            for _ in range(20):
                if not connection.execute(ended, [database.name]).fetchall():
                    break
                time.sleep(0.002)
            connection.execute(f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)")

    def migrated_template(self) -> str:
        """The name of a migrated database to copy, made once per run."""
        with locked(self.run_dir / "template.lock"), self._superuser() as connection:
            # Closed to connections means finished: a client in the template would block every copy.
            done = "SELECT datallowconn FROM pg_database WHERE datname = %s"
            found = connection.execute(done, [TEMPLATE]).fetchone()
            if found is None or found[0]:
                connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
                connection.execute(f"CREATE DATABASE {TEMPLATE} OWNER billingbot_owner")
                self._migrate(self.named(TEMPLATE))
                connection.execute(f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [TEMPLATE]
                )
        return TEMPLATE

    def _migrate(self, database: Database) -> None:
        from billingbot.store.migrate import upgrade

        upgrade(database.owner_url)

    def _superuser(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(plain(self.superuser_url), autocommit=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedEngines:
    """What the keeper runs."""

    postgres: SharedPostgres
    valkey_url: str = field(repr=False)


def plain(url: str) -> str:
    """A SQLAlchemy URL as psycopg itself takes it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def new_run_dir() -> Path:
    """A directory for one run of the suite: in memory where there is room, passable for the engines' account."""
    memory = Path("/dev/shm")  # noqa: S108  # mkdtemp makes a private directory in it
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM_BYTES
    run_dir = Path(tempfile.mkdtemp(prefix="billingbot-tests-", dir=memory if roomy else None))
    run_dir.chmod(0o711)
    (run_dir / "users.lock").touch(0o600)
    return run_dir


@contextmanager
def locked(path: Path, operation: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Holds a lock between the processes of a run."""
    with path.open("ab") as stream:
        fcntl.flock(stream.fileno(), operation)
        yield


def shared_engines(run_dir: Path) -> SharedEngines:
    """The run's engines, started now if nobody has asked before."""
    with locked(run_dir / "start.lock"):
        if not (run_dir / "engines.json").exists():
            _start_keeper(run_dir)
    found = json.loads((run_dir / "engines.json").read_text())
    urls = {name: found[name] for name in ("owner_url", "app_url", "superuser_url")}
    return SharedEngines(postgres=SharedPostgres(**urls, run_dir=run_dir), valkey_url=found["valkey_url"])


def _start_keeper(run_dir: Path) -> None:
    log = run_dir / "keeper.log"
    with log.open("ab") as stream:
        keeper = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("keeper.py")), str(run_dir)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # neither Ctrl-C nor the end of this worker is meant for it
        )
    deadline = time.monotonic() + _START_SECONDS
    while not (run_dir / "engines.json").exists():
        # A keeper that failed waits for us, so that its log can be read: a traceback there means it is over.
        if keeper.poll() is not None or time.monotonic() > deadline or b"Traceback" in log.read_bytes():
            raise RuntimeError(f"the engines of the suite did not start:\n{log.read_text()}")
        time.sleep(0.02)
    keeper.returncode = 0  # it outlives us on purpose: no warning about that when this object goes


def _at(url: str, database: str) -> str:
    return sa.make_url(url).set(database=database).render_as_string(hide_password=False)
