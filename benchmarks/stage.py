"""The stage: a directory on a real disk, private engines in it, and processes that end with the block."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import psycopg
import redis

from billingbot.engines.child import Child, start, stop
from billingbot.engines.places import remove_data_dir
from billingbot.engines.postgres import start_postgres
from billingbot.engines.valkey import start_valkey

ROOT: Final = Path(__file__).resolve().parents[1]
WEBHOOK_SECRET: Final = "whsec_benchmark"
# Longer than any one statement of ours needs on a machine that is busy with a benchmark.
_PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """The private PostgreSQL and Valkey, durable as shipped."""

    owner_url: str = field(repr=False)
    app_url: str = field(repr=False)
    superuser_url: str = field(repr=False)
    valkey_url: str = field(repr=False)

    def superuser(self, database: str = "billingbot") -> psycopg.Connection[tuple[object, ...]]:
        """A superuser's connection, for what a benchmark resets and counts."""
        return psycopg.connect(plain(at(self.superuser_url, database)), autocommit=True)

    def valkey(self) -> redis.Redis:
        """A client for counting and emptying."""
        return redis.Redis.from_url(self.valkey_url, socket_timeout=5)


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for one benchmark, deleted at the end; passable, since engines of root run as another user."""
    directory = Path(tempfile.mkdtemp(prefix="billingbot-bench-"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        remove_data_dir(directory)
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running_engines(directory: Path) -> Iterator[Engines]:
    """Both engines, with fsync and synchronous_commit on, as `billingbot up` runs them."""
    with start_postgres(directory) as postgres, start_valkey(directory) as valkey:
        yield Engines(
            owner_url=postgres.owner_url,
            app_url=postgres.app_url,
            superuser_url=postgres.superuser_url,
            valkey_url=valkey.url,
        )


@contextmanager
def process(name: str, *argv: str, env: Mapping[str, str], log: Path, ready: str | None) -> Iterator[int]:
    """A Python process (`python -m ...`) that answers at the URL `ready`; gives its id, stops it at the end.

    One without such a URL is ready when it has begun.
    """
    child = Child(
        name=name,
        argv=(sys.executable, "-m", *argv),
        env={**outside(), **env},
        cwd=ROOT,
        ready=lambda: ready is None or _answers(ready),
        log_path=log,
        grace_seconds=_PATIENCE_SECONDS,
    )
    running = start(child)
    try:
        yield running.pid
    finally:
        stop(child, running)


def run(*argv: str, env: Mapping[str, str]) -> str:
    """Runs `python -m ...` to its end and returns what it prints. RuntimeError with its last words if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", *argv],
        cwd=ROOT,
        env={**outside(), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE_SECONDS * 5,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv[:2])} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def outside() -> dict[str, str]:
    """The environment without any setting of billingbot's: a benchmark brings its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BILLINGBOT_")}


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def at(url: str, database: str) -> str:
    """The same server and role, another database."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{database}?{query}"


def plain(url: str) -> str:
    """A SQLAlchemy URL as psycopg itself takes it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def file_system(path: Path) -> str:
    """The kind of file system that fsync reaches: on tmpfs a commit costs nothing, and figures say little."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    except OSError:
        return "unknown"
    return max((len(point), kind) for point, kind in mounts if path.is_relative_to(point))[1]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def wait_until(done: Callable[[], bool], what: str, *, seconds: float = _PATIENCE_SECONDS, every: float = 0.05) -> None:
    """Asks until it is so. TimeoutError, which says what was waited for, where it takes too long."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(every)
