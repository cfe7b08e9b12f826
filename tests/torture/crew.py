"""The crew: billingbot's own processes, started as it starts them, killed, paused, and started again."""

import random
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import Final

import httpx

from billingbot.engines.child import Child, Spawned, spawn, stop
from tests.torture.stage import ROOT, Stage

# As `billingbot up` does it: a process that died is back after a moment, not at once.
_BACK_AFTER_SECONDS: Final = (0.1, 1.5)
# Hours by which a process's clock may be wrong: more than a key's life, less than what makes dates absurd.
_SHIFTS: Final = (-30, -13, -2, 2, 13, 30)
_GRACE_SECONDS: Final = 45.0
_READY_SECONDS: Final = 60.0


@dataclass(slots=True)
class Member:
    """One process of the crew, and the one that came before it."""

    name: str
    words: tuple[str, ...]
    process: Spawned | None = None
    back_at: float = 0.0
    awake_at: float | None = None
    """Until when it is paused (monotonic seconds)."""
    shift_hours: int = 0

    @property
    def runs(self) -> bool:
        """Whether there is a live process, paused or not."""
        return self.process is not None and self.process.poll() is None


@dataclass(slots=True)
class Crew:
    """All members. Every method is to be called from one thread, which outlives them."""

    stage: Stage
    dice: random.Random
    without: str | None = None
    """The mutation that the workers run with."""
    members: list[Member] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    """Processes that ended although nobody had killed them."""
    killed: set[int] = field(default_factory=set)

    def start(self, *, workers: int = 2) -> None:
        """Starts web, workers and scheduler; see `await_web`."""
        names = ["web", *(f"worker-{number}" for number in range(1, workers + 1)), "scheduler"]
        self.members = [Member(name=name, words=(name.partition("-")[0],)) for name in names]
        for member in self.members:
            self._spawn(member)

    def await_web(self) -> None:
        """Until the web is ready. RuntimeError where it never is."""
        until = time.monotonic() + _READY_SECONDS
        while not self._web_answers():
            if time.monotonic() > until:
                raise RuntimeError(f"the web did not come up; see {self.stage.directory}/web.log")
            self.tend()
            time.sleep(0.1)

    def _web_answers(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.stage.web_port}/readyz"
            return httpx.get(url, timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def tend(self) -> None:
        """Brings back whoever died, and wakes whoever slept long enough."""
        now = time.monotonic()
        for member in self.members:
            if member.awake_at is not None and now >= member.awake_at:
                self.wake(member)
            if member.runs:
                continue
            if member.process is not None:
                self._bury(member, member.process)
                member.back_at = now + self.dice.uniform(*_BACK_AFTER_SECONDS)
                member.process = None
            elif now >= member.back_at:
                self._spawn(member)

    def _bury(self, member: Member, process: Spawned) -> None:
        if process.pid not in self.killed:
            said = (self.stage.directory / f"{member.name}.log").read_text("utf-8", "replace").splitlines()[-3:]
            self.unexpected.append(f"{member.name} ended by itself with exit code {process.returncode}: {said}")

    def _spawn(self, member: Member) -> None:
        module = ("billingbot", *member.words)
        special: tuple[str, ...] = ()
        if member.shift_hours:
            special += ("--shift-seconds", str(member.shift_hours * 3600))
        if self.without and member.name.startswith("worker"):
            special += ("--without", self.without)
        if special:
            module = ("tests.torture.start", *special, *member.words)
        member.awake_at = None
        member.process = spawn(
            Child(
                name=member.name,
                argv=(sys.executable, "-m", *module),
                env=self.stage.environment,
                cwd=ROOT,
                log_path=self.stage.directory / f"{member.name}.log",
            )
        )

    def kill(self, member: Member) -> bool:
        """SIGKILL; True where there was somebody to kill."""
        if not member.runs or member.process is None:
            return False
        self.killed.add(member.process.pid)
        member.process.kill()
        return True

    def kill_and_bury(self, member: Member) -> None:
        """SIGKILL, and it is gone when this returns; `tend` brings it back."""
        if self.kill(member) and member.process is not None:
            member.process.wait(10)

    def pause(self, member: Member, seconds: float) -> bool:
        """SIGSTOP for so long; True where it was running."""
        if not member.runs or member.process is None or member.awake_at is not None:
            return False
        member.process.send_signal(signal.SIGSTOP)
        member.awake_at = time.monotonic() + seconds
        return True

    def wake(self, member: Member) -> None:
        """SIGCONT."""
        if member.runs and member.process is not None:
            member.process.send_signal(signal.SIGCONT)
        member.awake_at = None

    def skew(self, member: Member) -> int:
        """Starts the member again with a clock that is hours wrong, or right again; returns the hours."""
        member.shift_hours = 0 if member.shift_hours else self.dice.choice(_SHIFTS)
        self.kill(member)
        return member.shift_hours

    def workers(self) -> list[Member]:
        """The members that pay: workers alone."""
        return [member for member in self.members if member.name.startswith("worker")]

    def named(self, name: str) -> Member:
        """The member of this name."""
        return next(member for member in self.members if member.name == name)

    def settle(self) -> None:
        """Everybody awake, with the right clock, and there."""
        for member in self.members:
            if member.awake_at is not None:
                self.wake(member)
            if member.shift_hours:
                member.shift_hours = 0
                self.kill(member)
        until = time.monotonic() + _READY_SECONDS
        while not all(member.runs for member in self.members) and time.monotonic() < until:
            self.tend()
            time.sleep(0.05)
        self.await_web()

    def stop(self) -> list[str]:
        """SIGTERM to all; returns what did not go as it should: late, or with another exit code than 0."""
        for member in self.members:
            if member.awake_at is not None:
                self.wake(member)
            if member.runs and member.process is not None:
                member.process.terminate()
        return [problem for member in self.members if (problem := self._ended(member))]

    def _ended(self, member: Member) -> str | None:
        if member.process is None:
            return None
        try:
            code = member.process.wait(_GRACE_SECONDS)
        except Exception:  # noqa: BLE001 - whatever it is: it must not outlive us
            stop(Child(name=member.name, argv=(), grace_seconds=1), member.process)
            return f"{member.name} did not end within {_GRACE_SECONDS:g} s of SIGTERM"
        if code == 0 or member.process.pid in self.killed:
            return None
        return f"{member.name} ended with exit code {code} on SIGTERM"
