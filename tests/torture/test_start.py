"""The wrapper that starts a process with a wrong clock really makes it wrong, everywhere, and nothing else."""

import subprocess
import sys

from tests.torture.stage import ROOT

_PROGRAM = """
import time
from datetime import UTC, datetime, timedelta
before = datetime.now(UTC)
from tests.torture.start import import_all, shift_clock
import_all()
shift_clock(timedelta(hours=5))
from billingbot.bootstrap import build
from billingbot.core.ids import Kind
hours = (build.datetime.now(UTC) - before) / timedelta(hours=1)
print(round(hours), round((time.time() - before.timestamp()) / 3600))
print(type(build.datetime.now(UTC)) is datetime, isinstance(before, build.datetime))
print(type(build.datetime.fromtimestamp(0, UTC)) is datetime, build.new_id(Kind.JOB)[:4])
"""


def test_a_process_with_a_shifted_clock_is_wrong_throughout_and_its_times_are_plain_times() -> None:
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["5 5", "True True", "True job_"]
