"""A process of ours: what to run and as whom, when it counts as ready, how it is stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeAlias

from billingbot.engines.account import Account
from billingbot.engines.errors import EngineError

Spawned: TypeAlias = subprocess.Popen[bytes]

_LAUNCH: Final = Path(__file__).with_name("launch.py")
_POLL_SECONDS: Final = 0.02  # engines are ready after 50 to 300 ms: this adds little to that, and little load
_LOG_BYTES: Final = 10_000_000  # a log beyond this moves aside at the next start: two of them fit any disk
_LOG_LINES: Final = 5  # what is shown of a log when a start fails
_KILL_SECONDS: Final = 10  # after SIGKILL only a stuck disk holds a process


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One process to run.

    `env` replaces the environment (None: ours). `ready` is asked until it says True (None: ready once started).
    `before_start` runs before every start, so that what a crash left behind is cleared. With `log_path` the output
    goes to that file, else to whoever spawns it. `once` marks a step that runs to its end before the next child
    starts, such as a migration.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    account: Account | None = None
    ready: Callable[[], bool] | None = None
    ready_seconds: float = 60  # a Python process with all imports on a busy machine needs a few
    before_start: Callable[[], None] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 30  # the longest of our steps, a call to Stripe with its timeouts, ends within it
    log_path: Path | None = None
    once: bool = False


def spawn(child: Child, *, output: int = subprocess.DEVNULL, marks: Mapping[str, str] | None = None) -> Spawned:
    """Starts the process in a session of its own; call it from a thread that outlives the process.

    On Linux the process gets its stop signal when that thread or this process dies (PR_SET_PDEATHSIG is bound to
    the thread). `output` is what subprocess takes for stdout; `marks` are added to the environment.
    """
    user = "" if child.account is None else f"{child.account.uid}:{child.account.gid}"
    wrapped = [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(int(child.stop_signal)), user]
    environment = {**(os.environ if child.env is None else child.env), **(marks or {})}
    log = None if child.log_path is None else _open_log(child.log_path)
    try:
        return subprocess.Popen(  # noqa: S603  # running its caller's argv is its trade, no shell
            [*wrapped, *child.argv],
            env=environment,
            cwd=child.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output if log is None else log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop our children in order
        )
    finally:
        if log is not None:
            log.close()


def start(child: Child) -> Spawned:
    """Starts the process and returns when it is ready. EngineError, with the log's end, where it is not in time."""
    if child.before_start is not None:
        child.before_start()
    process = spawn(child)
    try:
        _await_ready(child, process)
    except BaseException:  # whatever ends the wait, a Ctrl-C too: nobody else knows of the process
        stop(child, process)
        raise
    return process


def _await_ready(child: Child, process: Spawned) -> None:
    deadline = time.monotonic() + child.ready_seconds
    while child.ready is not None and not child.ready():
        if process.poll() is not None:
            raise EngineError(f"{child.name} ended at once (exit code {process.returncode}){_log_end(child)}")
        if time.monotonic() > deadline:
            raise EngineError(f"{child.name} was not ready after {child.ready_seconds:g} s{_log_end(child)}")
        time.sleep(_POLL_SECONDS)


def stop(child: Child, process: Spawned) -> None:
    """Stops the process: its own signal first, SIGKILL when its grace is over."""
    if process.poll() is None:
        process.send_signal(child.stop_signal)
    try:
        process.wait(child.grace_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_KILL_SECONDS)


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")


def _log_end(child: Child) -> str:
    if child.log_path is None or not child.log_path.exists():
        return ""
    lines = child.log_path.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]
    return f"; the end of {child.log_path}:\n" + "\n".join(lines)
