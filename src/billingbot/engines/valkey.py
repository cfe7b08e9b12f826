"""A private Valkey: the doorbell's broker, run in the foreground as our child, on a Unix socket alone."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from billingbot.engines.account import give
from billingbot.engines.child import Child, Spawned, start, stop
from billingbot.engines.credentials import passwords, write_private
from billingbot.engines.lock import DirectoryLock
from billingbot.engines.places import Home, open_data_dir, open_home
from billingbot.engines.processes import end_survivors
from billingbot.engines.programs import valkey_server

_PROGRAMS: Final = ("valkey-server", "redis-server")
_ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
_GRACE_SECONDS: Final = 10  # it writes its last second of log and ends

_CONFIG: Final = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
requirepass {password}
dir "{files}"
pidfile "{pid_file}"
daemonize no
databases {databases}
# A doorbell that rings again after a restart spares the sweeper work; a lost second of rings costs a sweep.
appendonly yes
appendfsync everysec
save ""
# Dramatiq's keys must not be evicted.
maxmemory-policy noeviction
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Valkey:
    """A Valkey that is ready to be run, locked for this process. `url` is redis-py's and holds the password."""

    url: str = field(repr=False)
    child: Child = field(repr=False)
    lock: DirectoryLock = field(repr=False)

    def close(self) -> None:
        """Lets another process have the data directory."""
        self.lock.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningValkey:
    """A Valkey that runs as our child; `with` stops it."""

    valkey: Valkey
    process: Spawned = field(repr=False)

    @property
    def url(self) -> str:
        """For redis-py; append `?db=1` and so on for another database than 0."""
        return self.valkey.url

    def stop(self) -> None:
        """An orderly shutdown: all is written, the lock is given back."""
        stop(self.valkey.child, self.process)
        self.valkey.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def prepare_valkey(data_dir: Path, *, databases: int = 16) -> Valkey:
    """Writes the configuration under `data_dir/valkey`, ends what a crash left, and says how to run it.

    Takes the directory's lock until `close`. `databases` is Valkey's own default. Errors: DirectoryBusyError,
    EngineMissingError, EngineError.
    """
    home = open_home(open_data_dir(data_dir), "valkey")
    lock = DirectoryLock(home.path / "lock", whose="the private Valkey")
    try:
        return _describe(home, lock, databases)
    except BaseException:
        lock.release()
        raise


def start_valkey(data_dir: Path, *, databases: int = 16) -> RunningValkey:
    """Prepares Valkey (see `prepare_valkey`) and runs it; returns when it answers.

    Call it from a thread that outlives the server. Errors as there, and EngineError with the log's end where the
    server does not start.
    """
    valkey = prepare_valkey(data_dir, databases=databases)
    try:
        return RunningValkey(valkey=valkey, process=start(valkey.child))
    except BaseException:
        valkey.close()
        raise


def _describe(home: Home, lock: DirectoryLock, databases: int) -> Valkey:
    files = home.private_directory("files")
    socket = home.socket_directory() / "valkey.sock"
    password = passwords(home.path / "credentials.json", ("default",))["default"]
    paths = {"socket": socket, "files": files, "pid_file": files / "valkey.pid"}
    quoted = {name: str(path).replace("\\", "\\\\").replace('"', '\\"') for name, path in paths.items()}
    config = home.path / "valkey.conf"
    write_private(config, _CONFIG.format(**quoted, password=password, databases=databases))
    give(config, home.account, mode=0o600)
    url = f"unix://:{password}@{quote(str(socket), safe='/')}"
    child = Child(
        name="valkey",
        argv=(str(valkey_server(home)), str(config)),
        env=_ENVIRONMENT,
        cwd=home.path,
        account=home.account,
        ready=_answers(url),
        before_start=partial(end_survivors, files, _PROGRAMS, [paths["pid_file"]], signal.SIGTERM),
        stop_signal=signal.SIGTERM,
        grace_seconds=_GRACE_SECONDS,
        log_path=home.path / "valkey.log",
    )
    return Valkey(url=url, child=child, lock=lock)


def _answers(url: str) -> Callable[[], bool]:
    def ready() -> bool:
        once = Retry(NoBackoff(), 0)  # the caller asks again
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=once) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:  # not there yet, or still loading its log
                return False

    return ready
