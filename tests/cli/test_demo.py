"""The demo is what a newcomer runs first: every story ends as it should, and nothing is left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.terminal import ROOT, bare


@pytest.mark.timeout(420)  # under a minute on quiet cores, three on crowded ones
def test_every_customer_of_the_demo_ends_as_expected(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "billingbot", "demo"]
    settings = {**bare(), "BILLINGBOT_DATA_DIR": str(tmp_path / "data"), "NO_COLOR": "1"}
    played = subprocess.run(words, env=settings, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert played.returncode == 0, played.stdout[-3000:] + played.stderr[-3000:]
    assert "customers as expected." in played.stdout
    assert "A live-mode event at the test endpoint: refused." in played.stdout
