"""A private PostgreSQL: our own cluster, run in the foreground as our child, on a Unix socket alone."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import psycopg

from billingbot.engines.child import Child, Spawned, start, stop
from billingbot.engines.cluster import APPLICATION, DATABASE, ENVIRONMENT, OWNER, SUPERUSER, Cluster, open_cluster
from billingbot.engines.lock import DirectoryLock
from billingbot.engines.places import Home, open_data_dir, open_home
from billingbot.engines.processes import end_survivors

_READY_SECONDS: Final = 300  # recovery reads at most about 1 GB of WAL (twice max_wal_size) after a crash
_GRACE_SECONDS: Final = 60  # a fast shutdown writes one checkpoint
_ASYNC_IO_MAJOR: Final = 18

_SETTINGS: Final = {
    "listen_addresses": "",  # the socket alone: nothing to reach from another machine
    "port": "5432",  # names the socket's file
    "unix_socket_permissions": "0700",
    "max_connections": "100",  # web, workers and scheduler with pools of ten each, and people
    "shared_buffers": "64MB",  # a refund desk's working set; small beside the Python processes
    "max_wal_size": "512MB",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # all our statements are short
    "log_checkpoints": "off",
    # Logs must hold no e-mail addresses: an error's detail quotes the row, its statement the literals.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
_DURABLE: Final = {"fsync": "on", "full_page_writes": "on"}
# For tests alone: nothing waits for the disk, and a power loss may take the cluster.
_HASTY: Final = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A cluster that is ready to be run, locked for this process. URLs are SQLAlchemy's and hold passwords."""

    owner_url: str = field(repr=False)
    app_url: str = field(repr=False)
    superuser_url: str = field(repr=False)
    child: Child = field(repr=False)
    lock: DirectoryLock = field(repr=False)

    def close(self) -> None:
        """Lets another process have the data directory."""
        self.lock.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningPostgres:
    """A PostgreSQL that runs as our child; `with` stops it."""

    postgres: Postgres
    process: Spawned = field(repr=False)

    @property
    def owner_url(self) -> str:
        """As the owner of the database and its tables: for migrations."""
        return self.postgres.owner_url

    @property
    def app_url(self) -> str:
        """As the application: rows, not tables."""
        return self.postgres.app_url

    @property
    def superuser_url(self) -> str:
        """As the cluster's superuser, to the database `postgres`: for tests and repairs."""
        return self.postgres.superuser_url

    def stop(self) -> None:
        """A fast shutdown: clients are cut off, all is written, the lock is given back."""
        stop(self.postgres.child, self.process)
        self.postgres.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def prepare_postgres(data_dir: Path, *, fsync: bool = True) -> Postgres:
    """Makes the cluster under `data_dir/postgres` if there is none, repairs what a crash left, and says how to run it.

    Takes the directory's lock until `close`. Errors: DirectoryBusyError, EngineMissingError, WrongMajorError,
    EngineError.
    """
    home = open_home(open_data_dir(data_dir), "postgres")
    lock = DirectoryLock(home.path / "lock", whose="the private PostgreSQL")
    try:
        _end_survivors(home)  # first of all: an earlier server may still be writing here
        return _describe(home, open_cluster(home, fsync=fsync), lock, fsync=fsync)
    except BaseException:
        lock.release()
        raise


def start_postgres(data_dir: Path, *, fsync: bool = True) -> RunningPostgres:
    """Prepares the cluster (see `prepare_postgres`) and runs it; returns when it answers.

    Call it from a thread that outlives the server. Errors as there, and EngineError with the log's end where the
    server does not start.
    """
    postgres = prepare_postgres(data_dir, fsync=fsync)
    try:
        return RunningPostgres(postgres=postgres, process=start(postgres.child))
    except BaseException:
        postgres.close()
        raise


def _describe(home: Home, cluster: Cluster, lock: DirectoryLock, *, fsync: bool) -> Postgres:
    sockets = home.socket_directory()
    url = partial(_url, cluster.passwords, sockets)
    settings = {
        **_SETTINGS,
        **(_DURABLE if fsync else _HASTY),
        "unix_socket_directories": '"{}"'.format(str(sockets).replace('"', '""')),
    }
    if cluster.major >= _ASYNC_IO_MAJOR:
        settings["io_method"] = "sync"  # three processes less; our reads are small and cached
    argv = [str(cluster.bin_directory / "postgres"), "-D", str(cluster.path)]
    child = Child(
        name="postgres",
        argv=(*argv, *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))),
        env=ENVIRONMENT,
        cwd=home.path,
        account=home.account,
        ready=_answers(url(APPLICATION, DATABASE)),
        ready_seconds=_READY_SECONDS,
        before_start=partial(_end_survivors, home),
        stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown; SIGTERM would wait for clients
        grace_seconds=_GRACE_SECONDS,
        log_path=home.path / "postgres.log",
    )
    return Postgres(
        owner_url=url(OWNER, DATABASE),
        app_url=url(APPLICATION, DATABASE),
        superuser_url=url(SUPERUSER, "postgres"),
        child=child,
        lock=lock,
    )


def _end_survivors(home: Home) -> None:
    cluster = home.path / "cluster"
    # PostgreSQL refuses both files as long as their process id is somebody's, a zombie's included.
    pid_files = (cluster / "postmaster.pid", home.socket_directory() / ".s.PGSQL.5432.lock")
    end_survivors(cluster, ("postgres",), pid_files, signal.SIGINT)


def _url(passwords: dict[str, str], sockets: Path, role: str, database: str) -> str:
    return f"postgresql+psycopg://{role}:{passwords[role]}@/{database}?host={quote(str(sockets), safe='/')}"


def _answers(url: str) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            psycopg.connect(url.replace("+psycopg", "", 1), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    return ready
