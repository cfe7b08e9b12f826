"""The sources as the flows see them: asked side by side, within a deadline, in the file's order, never raising."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from billingbot.core.evidence.usage import Subject, SupportReport, UsageReport
from billingbot.evidence.guard import Guard
from billingbot.evidence.reading import SupportReading, UnansweredError, UsageReading

Report = TypeVar("Report", UsageReport, SupportReport)
Report_co = TypeVar("Report_co", covariant=True)
Answer = TypeVar("Answer")

# Three attempts of five seconds and the pauses between them; past that the case waits, not the worker.
DEADLINE_SECONDS: Final = 20.0


class UsageSource(Protocol):
    """Anything that can be asked about a customer's activity."""

    @property
    def name(self) -> str:
        """The source's name in the configuration."""

    @property
    def pushed(self) -> bool:
        """Whether the product pushes to this source; others are asked."""

    def report(self, subject: Subject, *, now: datetime) -> UsageReport:
        """The source's answer. Never raises: a fault is a report that is not answered and says why."""


class SupportSource(Protocol):
    """Anything that can be asked whether a customer wanted to cancel."""

    @property
    def name(self) -> str:
        """The source's name in the configuration."""

    def report(self, subject: Subject, *, now: datetime) -> SupportReport:
        """The source's answer. Never raises: a fault is a report that is not answered and says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedUsage:
    """A usage source behind its guard. `read` may raise anything; `report` does not."""

    name: str
    max_age: timedelta
    read: Callable[[Subject, datetime], UsageReading]
    pushed: bool = False
    guard: Guard = field(default_factory=Guard, repr=False)

    def report(self, subject: Subject, *, now: datetime) -> UsageReport:
        """The source's answer, as of `now`."""
        try:
            reading = self.guard.ask(lambda: self.read(subject, now))
        except UnansweredError as fault:
            return unanswered_usage(self.name, why=str(fault), now=now, max_age=self.max_age)
        return _usage(self.name, reading, why=None, now=now, max_age=self.max_age)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedSupport:
    """A support source behind its guard. `read` may raise anything; `report` does not."""

    name: str
    max_age: timedelta
    read: Callable[[Subject, datetime], SupportReading]
    guard: Guard = field(default_factory=Guard, repr=False)

    def report(self, subject: Subject, *, now: datetime) -> SupportReport:
        """The source's answer, as of `now`."""
        try:
            reading = self.guard.ask(lambda: self.read(subject, now))
        except UnansweredError as fault:
            return unanswered_support(self.name, why=str(fault), now=now, max_age=self.max_age)
        return _support(self.name, reading, why=None, now=now, max_age=self.max_age)


def unanswered_usage(name: str, *, why: str, now: datetime, max_age: timedelta = timedelta()) -> UsageReport:
    """The report of a usage source that gave no usable answer."""
    return _usage(name, UsageReading(), why=why, now=now, max_age=max_age)


def unanswered_support(name: str, *, why: str, now: datetime, max_age: timedelta = timedelta()) -> SupportReport:
    """The report of a support source that gave no usable answer."""
    return _support(name, SupportReading(), why=why, now=now, max_age=max_age)


def _usage(name: str, reading: UsageReading, *, why: str | None, now: datetime, max_age: timedelta) -> UsageReport:
    return UsageReport(
        source=name,
        asked_at=now,
        answered=why is None,
        why=why,
        first_at=reading.first_at,
        last_at=reading.last_at,
        events=reading.events,
        tag_installed_at=reading.tag_installed_at,
        api_connected_at=reading.api_connected_at,
        used=reading.used,
        coverage=reading.coverage,
        max_age=max_age,
    )


def _support(
    name: str, reading: SupportReading, *, why: str | None, now: datetime, max_age: timedelta
) -> SupportReport:
    return SupportReport(
        source=name,
        asked_at=now,
        answered=why is None,
        why=why,
        cancellation_asked_at=reading.cancellation_asked_at,
        coverage=reading.coverage,
        max_age=max_age,
    )


def gather_usage(
    sources: Sequence[UsageSource], subject: Subject, now: datetime, *, deadline_seconds: float = DEADLINE_SECONDS
) -> tuple[UsageReport, ...]:
    """Every usage source's report about the subject, in the order given.

    All are asked at once; one that has not answered after `deadline_seconds` is reported as unanswered.
    """
    return _gather(sources, subject, now, deadline_seconds, unanswered_usage)


def gather_support(
    sources: Sequence[SupportSource], subject: Subject, now: datetime, *, deadline_seconds: float = DEADLINE_SECONDS
) -> tuple[SupportReport, ...]:
    """Every support source's report about the subject; as `gather_usage`."""
    return _gather(sources, subject, now, deadline_seconds, unanswered_support)


class _Source(Protocol[Report_co]):
    """Either kind of source."""

    @property
    def name(self) -> str: ...

    def report(self, subject: Subject, *, now: datetime) -> Report_co: ...


class _Unanswered(Protocol[Report_co]):
    """`unanswered_usage` or `unanswered_support`."""

    def __call__(self, name: str, *, why: str, now: datetime) -> Report_co: ...


def _gather(
    sources: Sequence[_Source[Report]],
    subject: Subject,
    now: datetime,
    deadline_seconds: float,
    unanswered: _Unanswered[Report],
) -> tuple[Report, ...]:
    found = _side_by_side([_asking(source, subject, now) for source in sources], deadline_seconds)
    why = f"no answer within {deadline_seconds:g} s"
    late = int(deadline_seconds * 1000)
    return tuple(
        report or replace(unanswered(source.name, why=why, now=now), took_ms=late)
        for source, report in zip(sources, found, strict=True)
    )


def _asking(source: _Source[Report], subject: Subject, now: datetime) -> Callable[[], Report]:
    def asked() -> Report:
        began = time.monotonic()
        report = source.report(subject, now=now)
        return replace(report, took_ms=round((time.monotonic() - began) * 1000))

    return asked


def _side_by_side(asks: Sequence[Callable[[], Answer]], deadline_seconds: float) -> list[Answer | None]:
    """Each answer in its place, None where it came too late.

    Daemon threads of our own rather than a pool: a pool joins its threads when the process ends, and one that
    hangs would hold the shutdown. Each source's guard bounds how many can hang.
    """
    slots: list[Answer | None] = [None] * len(asks)

    def fill(index: int) -> None:
        slots[index] = asks[index]()

    threads = [threading.Thread(target=fill, args=(index,), daemon=True) for index in range(len(asks))]
    until = time.monotonic() + deadline_seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return list(slots)
