"""A route: one destination for notices, the kinds it asks for, and the hours at which it wants none."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from billingbot.core.errors import BillingbotError
from billingbot.core.notice import Message, NoticeKind


class NotSentError(BillingbotError):
    """A message did not arrive, as far as anybody can tell; says why, and never where it was to go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """From one time of day until another, across midnight where `until` is the earlier one."""

    begin: time
    until: time
    zone: ZoneInfo

    def end_of(self, now: datetime) -> datetime | None:
        """When the quiet hours that `now` lies in are over, in UTC; None where it lies in none."""
        local = now.astimezone(self.zone)
        across = self.begin >= self.until
        of_day = local.time().replace(tzinfo=None)
        quiet = (of_day >= self.begin or of_day < self.until) if across else self.begin <= of_day < self.until
        if not quiet:
            return None
        day = local.date() + timedelta(days=1) if across and of_day >= self.begin else local.date()
        return datetime.combine(day, self.until, self.zone).astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One destination. `kinds` is None for all of them. `send` raises NotSentError."""

    name: str
    kinds: frozenset[NoticeKind] | None
    quiet: QuietHours | None
    send: Callable[[Message], None]

    def wants(self, kind: NoticeKind) -> bool:
        """Whether notices of this kind go here; a test goes everywhere."""
        return self.kinds is None or kind in self.kinds or kind is NoticeKind.TEST
