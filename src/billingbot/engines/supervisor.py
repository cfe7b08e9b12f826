"""Runs a handful of processes on one machine: in order, restarted when they die, stopped in reverse, none left over."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

from billingbot.engines.child import Child, Spawned, spawn
from billingbot.engines.errors import EngineError
from billingbot.engines.lock import DirectoryLock
from billingbot.engines.output import Output
from billingbot.engines.places import open_data_dir
from billingbot.engines.register import Register, end_leftovers

_ME: Final = "up"
_TURN_SECONDS: Final = 0.2  # how late a death is noticed at the most
_ASK_SECONDS: Final = 0.05  # how often one that is starting is asked whether it is ready
_FIRST_DELAY_SECONDS: Final = 0.1  # one accident is healed at once
_LAST_DELAY_SECONDS: Final = 10  # and one that keeps dying neither burns the machine nor stays away for long
_STEADY_SECONDS: Final = 3  # who has been ready for this long had an accident, and is not failing again and again
_KILL_SECONDS: Final = 10  # after SIGKILL only a stuck disk holds a process
_PR_SET_CHILD_SUBREAPER: Final = 36  # from linux/prctl.h


class _State(StrEnum):
    WAITING = "waiting"  # not started yet, or until the restart is due
    STARTING = "starting"
    READY = "ready"
    DONE = "done"  # a step that ran once


@dataclass(slots=True)
class _Seat:
    """One child's place: the same through all restarts. Times are of the monotonic clock."""

    child: Child
    process: Spawned | None = None
    state: _State = _State.WAITING
    been_ready: bool = False
    failures: int = 0
    start_at: float = 0
    since: float = 0


@dataclass(slots=True)
class _Group:
    """What a dead child left of its process group: asked to stop, and killed when the time is over."""

    leader: int
    kill_at: float


class _StartFailedError(EngineError):
    """A child cannot be started at all: nothing to repeat."""


class Supervisor:
    """Keeps `children` running. Its lock and its register lie in `state_dir`, one supervisor at a time.

    Ordinary output of the children, line by line behind their names, and its own lines go to `output` (stdout).
    """

    def __init__(self, children: Sequence[Child], *, state_dir: Path, output: TextIO | None = None) -> None:
        self._seats = [_Seat(child) for child in children]
        self._state_dir = state_dir
        self._output = Output(output or sys.stdout, names=[_ME, *(child.name for child in children)])
        self._stops = 0
        self._groups: list[_Group] = []
        self._up = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._output.wake_on(self._wake_read)
        self._register = Register(state_dir / "children.json")
        self._adopts = False

    def run(self) -> int:
        """Starts everything, keeps it running until SIGINT, SIGTERM, SIGHUP or `stop`, and stops it.

        Returns 0 after a wanted stop, 1 where a child could not be started the first time. A second signal cuts the
        grace short. Call it once, in the main thread (then it takes the signals) or in one that outlives the
        children. DirectoryBusyError where another supervisor works in `state_dir`.
        """
        open_data_dir(self._state_dir)
        with DirectoryLock(self._state_dir / "supervisor.lock", whose="billingbot up"), self._signals():
            try:
                return self._run()
            finally:
                self._output.close()

    def stop(self) -> None:
        """Asks `run` to stop everything and return; may be called from any thread, and again to hurry it."""
        self._stops += 1
        os.write(self._wake_write, b".")

    @contextmanager
    def running(self) -> Iterator[None]:
        """All children ready within `with`, run by a thread of their own, and stopped after it.

        EngineError where they cannot be started.
        """
        faults: list[BaseException] = []

        def run() -> None:
            try:
                self.run()
            except BaseException as fault:  # noqa: BLE001  # raised again in the thread that asked
                faults.append(fault)

        thread = threading.Thread(target=run, name="supervisor")
        thread.start()
        try:
            while thread.is_alive() and not self._up.wait(_ASK_SECONDS):
                pass
            if faults:
                raise faults[0]
            if not self._up.is_set():
                raise EngineError("a process could not be started; its output says why")
            yield
        finally:
            self.stop()
            thread.join()

    def pid(self, name: str) -> int | None:
        """The process id of a child as of now; None while it is down."""
        for seat in self._seats:
            if seat.child.name == name and seat.process is not None:
                return seat.process.pid
        return None

    def _run(self) -> int:
        for left in end_leftovers(self._register.path):
            self._say(f"ended {left}, left over from an earlier run")
        try:
            self._bring_up()
            while not self._stops:
                self._turn()
        except _StartFailedError as fault:
            self._say(str(fault))
            return 1
        else:
            return 0
        finally:
            self._bring_down()
            self._register.close()

    def _bring_up(self) -> None:
        for seat in self._seats:
            self._start(seat)
            while seat.state not in {_State.READY, _State.DONE}:
                self._turn()
                if self._stops:
                    return
        self._say("everything is running")
        self._up.set()

    def _turn(self) -> None:
        """One round: pass on output, notice deaths, start what is due, ask who is starting."""
        hurried = any(seat.state is _State.STARTING for seat in self._seats)
        self._output.pump(_ASK_SECONDS if hurried else _TURN_SECONDS)
        for seat in self._seats:
            if self._stops:
                return
            self._attend(seat)
        self._end_groups()
        self._adopt()

    def _attend(self, seat: _Seat) -> None:
        if seat.process is not None and seat.process.poll() is not None:
            self._bury(seat)
        elif seat.state is _State.STARTING:
            self._ask(seat)
        elif seat.state is _State.WAITING and seat.failures and time.monotonic() >= seat.start_at:
            self._start(seat)

    def _start(self, seat: _Seat) -> None:
        child = seat.child
        try:
            if child.before_start is not None:
                child.before_start()
            pipe = self._output.pipe_for(child.name) if child.log_path is None else None
            try:
                seat.process = spawn(child, output=-1 if pipe is None else pipe, marks=self._register.marks)
            finally:
                if pipe is not None:
                    os.close(pipe)
        except (OSError, EngineError) as fault:
            self._later(seat, f"{child.name} cannot be started: {fault}")
            return
        self._register.add(child, seat.process)
        seat.state, seat.since = _State.STARTING, time.monotonic()
        self._say(f"started {child.name} (process {seat.process.pid})")

    def _ask(self, seat: _Seat) -> None:
        child, now = seat.child, time.monotonic()
        if child.once:
            return
        if child.ready is None or child.ready():
            seat.state, seat.since, seat.been_ready = _State.READY, now, True
        elif now - seat.since > child.ready_seconds:
            if not seat.been_ready:
                raise _StartFailedError(f"{child.name} was not ready after {child.ready_seconds:g} s")
            self._say(f"{child.name} was not ready after {child.ready_seconds:g} s: killed")
            self._kill(seat)

    def _bury(self, seat: _Seat) -> None:
        """A child has ended: what that means, and what becomes of its descendants."""
        assert seat.process is not None  # noqa: S101  # the caller has just asked it
        leader, code = seat.process.pid, seat.process.returncode
        seat.process = None
        self._groups.append(_Group(leader=leader, kill_at=time.monotonic() + seat.child.grace_seconds))
        _signal_group(leader, seat.child.stop_signal)
        if seat.child.once and code == 0:
            seat.state = _State.DONE
            return
        end = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if not seat.been_ready and (seat.child.once or code >= 0):
            raise _StartFailedError(f"{seat.child.name} did not start: {end}")
        if seat.state is _State.READY and time.monotonic() - seat.since > _STEADY_SECONDS:
            seat.failures = 0
        self._later(seat, f"{seat.child.name} has ended ({end})")

    def _later(self, seat: _Seat, why: str) -> None:
        if not seat.been_ready and seat.process is None and seat.state is _State.WAITING:
            raise _StartFailedError(why)
        delay = min(_FIRST_DELAY_SECONDS * 2**seat.failures, _LAST_DELAY_SECONDS)
        seat.failures += 1
        seat.state, seat.start_at = _State.WAITING, time.monotonic() + delay
        self._say(f"{why}; again in {delay:g} s")

    def _bring_down(self) -> None:
        for seat in reversed(self._seats):
            if seat.process is not None:
                self._stop(seat, seat.process)
        for group in self._groups:
            _signal_group(group.leader, signal.SIGKILL)

    def _stop(self, seat: _Seat, process: Spawned) -> None:
        deadline = time.monotonic() + seat.child.grace_seconds
        if process.poll() is None:
            process.send_signal(seat.child.stop_signal)
        while process.poll() is None and time.monotonic() < deadline and self._stops < 2:
            self._output.pump(_ASK_SECONDS)
        if process.poll() is None:
            self._say(f"{seat.child.name} did not stop in time: killed")
        self._kill(seat)
        process.wait(_KILL_SECONDS)
        self._say(f"stopped {seat.child.name}")

    def _kill(self, seat: _Seat) -> None:
        if seat.process is not None:
            seat.process.poll()
            _signal_group(seat.process.pid, signal.SIGKILL)

    def _end_groups(self) -> None:
        now = time.monotonic()
        for group in self._groups:
            if now > group.kill_at:
                _signal_group(group.leader, signal.SIGKILL)
        self._groups = [group for group in self._groups if _signal_group(group.leader, None)]

    def _adopt(self) -> None:
        """Reaps what our children left behind: as subreaper, or as process 1 of a container, nobody else does."""
        ours = {seat.process.pid for seat in self._seats if seat.process is not None}
        while self._adopts:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid in ours:
                return
            os.waitpid(found.si_pid, 0)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """In the main thread, signals mean `stop`; elsewhere they are none of our business."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(_number: int, _frame: FrameType | None) -> None:
            self.stop()

        self._adopts = True
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup we are meant to outlive the terminal
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _say(self, line: str) -> None:
        self._output.say(_ME, line)


def _signal_group(leader: int, number: signal.Signals | None) -> bool:
    """Signals a process group (None: only asks); False where nobody is left in it."""
    try:
        os.killpg(leader, 0 if number is None else number)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        return False
    return True
