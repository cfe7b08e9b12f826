"""What activity sources and support records report, and what may be concluded from all of them together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a source is asked about, and since when (trial start, or the best start there is)."""

    account: str
    livemode: bool
    customer_id: str
    email: str | None
    subscription_id: str | None
    metadata: tuple[tuple[str, str], ...]
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span of time, both ends included (UTC). ValueError where it ends before it starts."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"span: ends {self.end.isoformat()} before it starts {self.start.isoformat()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """One activity source's answer about one customer.

    `coverage` are the spans for which the source can speak; a source that could not be asked has none and says
    `why`. `max_age` is how far the end of coverage may lie behind now before the answer counts as stale.
    """

    source: str
    asked_at: datetime
    answered: bool
    why: str | None
    """What went wrong, for people, where `answered` is false."""
    first_at: datetime | None
    last_at: datetime | None
    events: int | None
    tag_installed_at: datetime | None
    api_connected_at: datetime | None
    used: bool
    """The source's own word; any of the instants above says used as well (see `saw_use`)."""
    coverage: tuple[Span, ...]
    max_age: timedelta
    took_ms: int = 0
    """How long the answer took, or how long it was waited for."""

    @property
    def saw_use(self) -> bool:
        """Used in the policy's sense: a hit or call ever, or a tag or API marked as in place."""
        seen = (self.first_at, self.last_at, self.tag_installed_at, self.api_connected_at)
        return self.used or bool(self.events) or any(at is not None for at in seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportReport:
    """One support source's answer: the earliest contact that asked to cancel, if there was one.

    `coverage` as for usage: a source that does not cover the time up to the charge cannot prove that nobody
    asked.
    """

    source: str
    asked_at: datetime
    answered: bool
    why: str | None
    cancellation_asked_at: datetime | None
    coverage: tuple[Span, ...]
    max_age: timedelta
    took_ms: int = 0


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time as few, ordered, disjoint spans; spans that touch are one."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, s.end)):
        if result and span.start <= result[-1].end:
            result[-1] = Span(start=result[-1].start, end=max(result[-1].end, span.end))
        else:
            result.append(span)
    return tuple(result)


def gaps(coverage: Sequence[Span], *, since: datetime, until: datetime) -> tuple[Span, ...]:
    """The parts of [since, until] that no span covers, to the microsecond; empty where all is covered."""
    found: list[Span] = []
    reached = since
    for span in merged(coverage):
        if span.end < reached:
            continue
        if span.start > until:
            break
        if span.start > reached:
            found.append(Span(start=reached, end=span.start))
        reached = max(reached, span.end)
    if reached < until:
        found.append(Span(start=reached, end=until))
    return tuple(found)


def shortfall(report: UsageReport | SupportReport, *, since: datetime, now: datetime) -> str | None:
    """Why this report cannot prove that nothing happened from `since` to `now`; None where it can.

    The last `max_age` before now need not be covered: no source is newer than its own pipeline.
    """
    if not report.answered:
        return report.why or "gave no answer"
    holes = gaps(report.coverage, since=since, until=max(since, now - report.max_age))
    if not holes:
        return None
    if not report.coverage:
        return "states no coverage"
    first = holes[0]
    return f"does not cover {first.start.isoformat()} to {first.end.isoformat()}"
