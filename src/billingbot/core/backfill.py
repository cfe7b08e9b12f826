"""A backfill: reading a span of Stripe's own list of events, so that none stays missed; when, and from where."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

# Stripe keeps events for 30 days (https://docs.stripe.com/api/events); a day less, so that the far end of a pass is
# still there when it is read.
REACH: Final = timedelta(days=29)
# Each pass begins an hour before the end of the last whole one: Stripe promises no order, and nothing says that its
# list is complete up to this second. An hour a day costs one read in twenty-four.
OVERLAP: Final = timedelta(hours=1)
# What happened just now may still be on its way as a webhook: a regular pass ends ten minutes ago, so that "missing"
# means missing. (A delivery takes seconds; after a first failure Stripe tries again within minutes to hours.)
ON_ITS_WAY: Final = timedelta(minutes=10)
DAILY: Final = timedelta(hours=24)
# No event for a quarter of a day is ordinary for a small shop at night and odd for any other: looking costs two calls.
QUIET_AFTER: Final = timedelta(hours=6)
# A restart takes seconds, a release minutes, and Stripe's own retries bridge both. Longer is a downtime.
DOWN_AFTER: Final = timedelta(minutes=5)
FIRST_SLICE_SECONDS: Final = 3600
LONGEST_SLICE_SECONDS: Final = 86_400  # a quiet month in some thirty slices; a full one is halved until it fits


class BackfillReason(StrEnum):
    """Why a pass was begun."""

    ASKED = "asked"
    """By a person."""
    DAILY = "daily"
    DOWNTIME = "downtime"
    """The scheduler was away: missing events are no surprise."""
    QUIET = "quiet"
    """No event came for hours."""


class BackfillState(StrEnum):
    """Where a pass stands. A failed one goes on when its job is replayed."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """One pass over the events of an account that happened at or after `since` and before `until`.

    All before `read_to` are dealt with: `missing` were not here and are now, `known` were here, `unreadable` are no
    events that we can read.
    """

    id: str
    account: str
    since: datetime
    until: datetime
    read_to: datetime
    slice_seconds: int
    reason: BackfillReason
    asked_by: str
    state: BackfillState
    missing: int
    known: int
    unreadable: int
    missing_types: Mapping[str, int]
    began_at: datetime
    finished_at: datetime | None

    @property
    def slice_end(self) -> datetime:
        """Where the next slice ends."""
        return min(self.read_to + timedelta(seconds=self.slice_seconds), self.until)

    @property
    def is_alarming(self) -> bool:
        """Whether it found events missing though nothing is known that would explain it."""
        return self.missing > 0 and self.reason in {BackfillReason.DAILY, BackfillReason.QUIET}


def whole_seconds(at: datetime) -> datetime:
    """The instant without its fraction: Stripe counts events in seconds."""
    return at.astimezone(UTC).replace(microsecond=0)


def regular_span(read_to: datetime, now: datetime, reason: BackfillReason) -> tuple[datetime, datetime]:
    """What a pass of this reason reads: from an hour before what is known to be whole, as far back as Stripe keeps."""
    until = now if reason is BackfillReason.DOWNTIME else now - ON_ITS_WAY
    since = max(min(read_to, until) - OVERLAP, now - REACH)
    return whole_seconds(since), whole_seconds(until)


def next_slice_seconds(slice_seconds: int, found: int, *, room: int) -> int:
    """The length of the next slice: twice as long where the last one was sparse."""
    return min(slice_seconds * 2, LONGEST_SLICE_SECONDS) if found < room // 4 else slice_seconds
