"""Deadlines of disputes: when a case is due, who is reminded when, and when one was missed. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billingbot.core.refund_terms import CancelWhen

UNTAKEN: Final = "untaken"
MISSED: Final = "missed"
# Issuers decide within 60 to 75 days of an answer; nobody has anything to do until then.
# https://docs.stripe.com/disputes/how-disputes-work
BANK_DECIDES_WITHIN: Final = timedelta(days=75)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeTerms:
    """`[disputes]` of the configuration: how far ahead of the bank's deadline we want to be.

    Banks leave 7 to 21 days. Two days of margin cover a weekend; a reminder a day before finds people at work, and
    the last one, four hours before, is time enough to send what is drafted.
    """

    margin: timedelta = timedelta(hours=48)
    """How long before the bank's deadline the case is due."""
    remind_before: tuple[timedelta, ...] = (timedelta(hours=72), timedelta(hours=24), timedelta(hours=4))
    escalate_before: timedelta = timedelta(hours=24)
    """From when on a case in nobody's hands is told to a wider audience."""
    cancel_subscription: CancelWhen = CancelWhen.NO
    """What becomes of the subscription once a chargeback opens: nothing, unless somebody wants it. A customer may
    have disputed by mistake and withdraw it, and an answer to the bank is weaker where we ended what was paid for."""


DEFAULT_TERMS: Final = DisputeTerms()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What lies behind `now` on the way to a deadline. Marks name what is to be told once, for one deadline."""

    near: tuple[str, ...]
    """Reminders that are due, the nearest to the deadline last: only that one is told."""
    escalates: bool
    missed: bool


def case_due(due_by: datetime, terms: DisputeTerms) -> datetime:
    """When the case of a dispute is due."""
    return due_by - terms.margin


def passed(due_by: datetime, now: datetime, terms: DisputeTerms) -> Passed:
    """What is to be told by now of this deadline."""
    behind = sorted((distance for distance in terms.remind_before if now >= due_by - distance), reverse=True)
    return Passed(
        near=tuple(f"near:{int(distance.total_seconds())}" for distance in behind),
        escalates=now >= due_by - terms.escalate_before,
        missed=now >= due_by,
    )


def next_alarm(due_by: datetime, now: datetime, terms: DisputeTerms) -> datetime | None:
    """When something is next to be told of this deadline; None once it is behind us."""
    instants = (due_by - distance for distance in (*terms.remind_before, terms.escalate_before, timedelta(0)))
    return min((instant for instant in instants if instant > now), default=None)


def moved_due(due_at: datetime | None, *, applied: datetime | None, due_by: datetime, terms: DisputeTerms) -> datetime:
    """When a case is due now that the bank waits until `due_by`; `applied` is the deadline that it followed so far.

    What is due sooner for another reason stays so; what followed the old deadline follows the new one.
    """
    wanted = case_due(due_by, terms)
    followed = applied is not None and due_at == case_due(applied, terms)
    return wanted if due_at is None or followed else min(due_at, wanted)
