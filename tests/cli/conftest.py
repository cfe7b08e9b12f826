"""Fixtures of the command line's tests: settings and places of the test's own, and processes that end with it."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from billingbot.engines.places import remove_data_dir
from tests.cli.terminal import KEYS, ROOT, bare
from tests.desks import NOWHERE
from tests.engines.shared import Database

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def settings(database: Database, redis_url: str, tmp_path: Path) -> dict[str, str]:
    """One account whose Stripe never answers, on engines of the suite."""
    return {
        **KEYS,
        "BILLINGBOT_STRIPE_API_BASE": NOWHERE,
        "BILLINGBOT_DATABASE_URL": database.app_url,
        "BILLINGBOT_REDIS_URL": redis_url,
        "BILLINGBOT_DATA_DIR": str(tmp_path / "data"),
    }


@pytest.fixture
def home() -> Iterator[Path]:
    """A data directory for private engines; passable, unlike pytest's own for root."""
    path = Path(tempfile.mkdtemp(prefix="billingbot-"))
    path.chmod(0o711)
    yield path / "data"
    remove_data_dir(path / "data")
    shutil.rmtree(path)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a command that stays, its output in a file; killed after the test if it still lives."""
    started: list[subprocess.Popen[str]] = []

    def run(settings: Mapping[str, str], log: Path, *words: str) -> "subprocess.Popen[str]":
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "billingbot", *words],
                env={**bare(), **settings},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
