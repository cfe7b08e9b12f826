"""Pushed activity kept in a plain mapping: what a store answers, decided by the test."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from billingbot.core.evidence.usage import Span, Subject
from billingbot.evidence.push import PushedAnswer


@dataclass(frozen=True)
class NoPushes:
    """Nothing was ever pushed, and no time is covered."""

    def activity(self, *, account: str, livemode: bool, source: str, subject: Subject) -> PushedAnswer:
        return nothing_pushed()


@dataclass(frozen=True)
class Pushes:
    """What was pushed, by (account, livemode, source, customer)."""

    told: Mapping[tuple[str, bool, str, str], PushedAnswer]
    coverage: tuple[Span, ...] = field(default=())

    def activity(self, *, account: str, livemode: bool, source: str, subject: Subject) -> PushedAnswer:
        return self.told.get((account, livemode, source, subject.customer_id), nothing_pushed(*self.coverage))


def nothing_pushed(*coverage: Span) -> PushedAnswer:
    return PushedAnswer(
        first_at=None, last_at=None, events=0, tag_installed_at=None, api_connected_at=None, coverage=coverage
    )
