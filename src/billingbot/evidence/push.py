"""Usage that the product itself pushed to us, as a source among the others."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from billingbot.core.evidence.usage import Span, Subject
from billingbot.evidence.reading import UsageReading


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedAnswer:
    """All that one source pushed about one customer, and the time for which it vouched; times in UTC.

    A customer about whom nothing was pushed has zero events and the coverage that the source stated for
    everybody.
    """

    first_at: datetime | None
    last_at: datetime | None
    events: int
    tag_installed_at: datetime | None
    api_connected_at: datetime | None
    coverage: tuple[Span, ...]


class PushedActivity(Protocol):
    """Our own records of pushed activity."""

    def activity(self, *, account: str, livemode: bool, source: str, subject: Subject) -> PushedAnswer:
        """What `source` pushed about the subject. May raise whatever the database raises."""


def usage_pushed(records: PushedActivity, name: str, subject: Subject) -> UsageReading:
    """The pushed activity as a reading; any event or mark is use."""
    answer = records.activity(account=subject.account, livemode=subject.livemode, source=name, subject=subject)
    seen = (answer.first_at, answer.last_at, answer.tag_installed_at, answer.api_connected_at)
    return UsageReading(
        used=answer.events > 0 or any(at is not None for at in seen),
        first_at=answer.first_at,
        last_at=answer.last_at,
        events=answer.events,
        tag_installed_at=answer.tag_installed_at,
        api_connected_at=answer.api_connected_at,
        coverage=answer.coverage,
    )
