"""Real engines for the whole suite: one PostgreSQL and one Valkey per run, a fresh database per test."""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import hypothesis
import pytest
import redis
import structlog

from tests.engines.shared import (
    RUN_DIR_VARIABLE,
    Database,
    SharedEngines,
    SharedPostgres,
    new_run_dir,
    shared_engines,
)

if TYPE_CHECKING:
    from billingbot.sandbox.server import RunningSandbox

# Set on some machines; the hundreds of processes that tests start would each compile all our sources again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_USERS = pytest.StashKey[IO[bytes]]()
_STOP_SECONDS = 10
_MOST_WORKERS = 12  # all share one PostgreSQL

# No property has a stopwatch: a busy machine is no counterexample. In CI the examples are the same each time.
hypothesis.settings.register_profile(
    "billingbot",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
hypothesis.settings.load_profile("billingbot")


# Tracebacks as Python writes them: with all values around, as is the default, one was half a million lines long.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S"),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_configure(config: pytest.Config) -> None:
    """Every process of the run holds the users' lock until it ends; the engines end with the last of them."""
    if not _is_worker(config):
        os.environ[RUN_DIR_VARIABLE] = str(new_run_dir())  # inherited by the workers
    users = (_run_dir() / "users.lock").open("rb")
    fcntl.flock(users.fileno(), fcntl.LOCK_SH)
    config.stash[_USERS] = users


@pytest.hookimpl(optionalhook=True)  # there is none without xdist
def pytest_xdist_auto_num_workers() -> int | None:
    """For `-n auto`: three for two cores, since the long tests wait for processes, clocks and browsers."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None  # as xdist itself reads it
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min((cores * 3 + 1) // 2, _MOST_WORKERS)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Lets the engines go, and waits for their end so that nothing of a run outlives it."""
    if _USERS not in config.stash:
        return
    config.stash[_USERS].close()
    if _is_worker(config):
        return
    run_dir, deadline = _run_dir(), time.monotonic() + _STOP_SECONDS
    if not (run_dir / "keeper.log").exists():
        shutil.rmtree(run_dir, ignore_errors=True)
    while run_dir.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.fixture(scope="session")
def engines() -> SharedEngines:
    """The run's engines, started by the first test that needs them."""
    return shared_engines(_run_dir())


@pytest.fixture(scope="session")
def postgres(engines: SharedEngines) -> SharedPostgres:
    """The run's PostgreSQL: its URLs, and databases at will."""
    return engines.postgres


@pytest.fixture(scope="session")
def template(postgres: SharedPostgres) -> str:
    """The name of the migrated database that each test's own is copied from."""
    return postgres.migrated_template()


@pytest.fixture
def database(postgres: SharedPostgres, template: str) -> Iterator[Database]:
    """A fresh migrated database for this test alone: `.owner_url` for its owner, `.app_url` for the application."""
    made = postgres.create_database(template=template)
    yield made
    postgres.drop_database(made)


@pytest.fixture(scope="session")
def valkey(engines: SharedEngines) -> str:
    """The URL of the run's Valkey, shared by all workers; for a place of your own take `redis_url`."""
    return engines.valkey_url


@pytest.fixture
def redis_url(valkey: str) -> str:
    """An empty Valkey database that no other worker uses."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    url = f"{valkey}?db={int(worker.removeprefix('gw')) + 1 if worker else 0}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(scope="module")
def stripe_here() -> Iterator["RunningSandbox"]:
    """One local Stripe for all tests of a module; each shop empties it first."""
    from tests.flows.shop import open_stripe

    with open_stripe() as sandbox:
        yield sandbox


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _run_dir() -> Path:
    return Path(os.environ[RUN_DIR_VARIABLE])
