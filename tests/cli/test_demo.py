"""The demo is what a newcomer runs first: every story ends as it should, and nothing is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from billingbot.cli.demo.stage import StageError, set_stage
from billingbot.engines.lock import DirectoryLock
from tests.cli.terminal import ROOT, bare


@pytest.mark.timeout(420)  # under a minute on quiet cores, three on crowded ones
def test_every_customer_of_the_demo_ends_as_expected(home: Path) -> None:
    words = [sys.executable, "-m", "billingbot", "demo", "--data-dir", str(home)]
    settings = {**bare(), "NO_COLOR": "1"}
    played = subprocess.run(words, env=settings, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert played.returncode == 0, played.stdout[-3000:] + played.stderr[-3000:]
    assert "customers as expected." in played.stdout
    assert "A live-mode event at the test endpoint: refused." in played.stdout


def test_a_demo_empties_no_directory_but_a_demo_s_and_none_that_is_in_use(tmp_path: Path) -> None:
    books, busy = tmp_path / "books", tmp_path / "busy"
    (books / "postgres").mkdir(parents=True)
    with pytest.raises(StageError, match="holds something, and not what a demo leaves"), set_stage(books, seed=1):
        pass
    for held in ("demo.lock", "up.lock"):
        busy.mkdir(exist_ok=True)
        (busy / "demo.lock").touch()
        (busy / "billingbot.toml").touch()
        ours = rf"is in use by another billingbot \(process {os.getpid()}\)"
        with (
            DirectoryLock(busy / held, whose="a test"),
            pytest.raises(StageError, match=ours),
            set_stage(busy, seed=1),
        ):
            pass
    assert (books / "postgres").is_dir()
    assert (busy / "billingbot.toml").exists()
