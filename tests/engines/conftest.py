"""Directories and processes for tests that start and kill engines of their own."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from billingbot.engines.places import remove_data_dir

Wait = Callable[[Callable[[], object]], None]
Script = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """One data directory per module, since making a cluster takes a second. Passable, unlike pytest's own for root."""
    path = Path(tempfile.mkdtemp(prefix="billingbot-"))
    yield path
    remove_data_dir(path)


@pytest.fixture
def fresh_dir() -> Iterator[Path]:
    """A data directory for one test."""
    path = Path(tempfile.mkdtemp(prefix="billingbot-"))
    yield path
    remove_data_dir(path)


@pytest.fixture
def script() -> Iterator[Script]:
    """Runs Python source in a process of its own, killed after the test if it still lives."""
    started: list[subprocess.Popen[str]] = []

    def run(source: str, *arguments: object, **environment: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", source, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def eventually() -> Wait:
    """Waits at most ten seconds until something is true."""

    def wait(true: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not true():
            assert time.monotonic() < deadline, "did not happen within ten seconds"
            time.sleep(0.01)

    return wait
