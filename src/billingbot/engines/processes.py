"""Which processes are alive and really ours: a process id alone proves nothing, since ids are used again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from billingbot.engines.errors import EngineError

_PROC: Final = Path("/proc")
_POLL_SECONDS: Final = 0.02  # an engine stops within tens of milliseconds
_KILL_SECONDS: Final = 10  # after SIGKILL only a stuck disk holds a process


def started_at(pid: int) -> str | None:
    """When the process began, in the system's own notation; None where it is gone or a zombie."""
    if sys.platform != "linux":
        return _ask_ps(pid, "lstart=")
    try:
        state, *rest = (_PROC / str(pid) / "stat").read_text("ascii", "replace").rpartition(") ")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else rest[18]  # field 22 of proc(5): clock ticks since boot


def marked(mark: str) -> list[int]:
    """The live processes whose environment carries `mark` (`NAME=value`); needs /proc, so empty elsewhere."""
    found = []
    for pid in _all_pids():
        try:
            environment = (_PROC / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in environment.split(b"\0") and pid != os.getpid() and started_at(pid) is not None:
            found.append(pid)
    return found


def end_survivors(
    directory: Path, programs: Collection[str], pid_files: Sequence[Path], stop_signal: signal.Signals
) -> None:
    """Stops what an earlier run left working in `directory`, and removes pid files that would mislead the next.

    Only a process of one of `programs` whose working directory this is can be meant; a zombie holds nothing any
    more. Its helpers end by themselves once it has gone, and are waited for: a new server beside them would share
    their files. The first pid file names the leader. EngineError where one cannot be stopped.
    """
    deadline, signalled = time.monotonic() + 60, set[int]()  # a fast shutdown writes a checkpoint first
    while survivors := _working_in(directory, programs, pid_files[0]):
        leader = _pid_in(pid_files[0])
        if leader in survivors and leader not in signalled:
            os.kill(leader, stop_signal)
            signalled.add(leader)
        if time.monotonic() > deadline:
            raise EngineError(f"{directory}: still in use by process {survivors[0]}, which does not stop")
        time.sleep(_POLL_SECONDS)
    for pid_file in pid_files:
        pid = _pid_in(pid_file)
        # Without /proc we cannot see helpers of a dead server: then the server's own check of the file must stay.
        if _PROC.exists() or (pid is not None and started_at(pid) is not None):
            pid_file.unlink(missing_ok=True)


def end(pids: Collection[int], stop_signal: signal.Signals, grace_seconds: float) -> None:
    """Stops processes that need not be children of ours: the signal, and SIGKILL when the grace is over."""
    identities = {pid: started_at(pid) for pid in pids}
    for number, wait_seconds in ((stop_signal, grace_seconds), (signal.SIGKILL, _KILL_SECONDS)):
        deadline = time.monotonic() + wait_seconds
        for pid in _same(identities):
            _send(pid, number)
        while _same(identities) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)


def _same(identities: dict[int, str | None]) -> list[int]:
    return [pid for pid, began in identities.items() if began is not None and started_at(pid) == began]


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _working_in(directory: Path, programs: Collection[str], pid_file: Path) -> list[int]:
    if not _PROC.exists():
        pid = _pid_in(pid_file)
        command = None if pid is None else _ask_ps(pid, "comm=")
        return [pid] if pid is not None and command and Path(command).name in programs else []
    return [pid for pid in _all_pids() if _works_in(pid, directory, programs)]


def _works_in(pid: int, directory: Path, programs: Collection[str]) -> bool:
    process = _PROC / str(pid)
    try:
        name = (process / "comm").read_text("utf-8", "replace").strip()
        # A process that has lost its working directory for the moment, a zombie above all, cannot be read.
        return name in programs and (process / "cwd").readlink() == directory and started_at(pid) is not None
    except OSError:
        return False


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()] if _PROC.exists() else []


def _pid_in(pid_file: Path) -> int | None:
    try:
        first = pid_file.read_text("ascii", "replace").partition("\n")[0].strip()
    except OSError:
        return None
    return int(first) if first.isdigit() and int(first) > 1 else None


def _ask_ps(pid: int, column: str) -> str | None:
    asked = ["/bin/ps", "-o", column, "-p", str(pid)]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603  # a fixed program
    return said.stdout.strip() or None
