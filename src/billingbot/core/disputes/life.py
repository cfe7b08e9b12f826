"""One dispute: what kind it is, how it ended, and whether the bank still waits for an answer."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

from billingbot.core.evidence.dossier import (
    DISPUTE_STATUSES,
    INQUIRY_CLOSED,
    INQUIRY_OPEN,
    MONEY_RETURNED,
    WON,
    Dispute,
)

# Visa's rapid dispute resolution: the bank's rule gave the money back through the dispute, without a refund, while
# the charge may say it was never refunded. https://docs.stripe.com/disputes/prevention
RESOLVED_BY_RULE: Final = "resolution"
# An answer may be sent in these; in the "under review" ones it has been, or nobody may send one any more.
# https://docs.stripe.com/api/disputes/object#dispute_object-status
APPEAL: Final = "appeal_needs_response"
WANTS_ANSWER: Final = frozenset({"warning_needs_response", "needs_response", APPEAL})
_ASKS_AFRESH: Final = WANTS_ANSWER - {"warning_needs_response"}
BY_STRIPE: Final = "smart_disputes"
"""Stripe's Smart Disputes: it writes and sends the answer by itself. https://docs.stripe.com/disputes/smart-disputes"""


class DisputeKind(StrEnum):
    """What a dispute is, by status and `case_type`."""

    INQUIRY = "inquiry"
    """The bank asks; no money has moved."""
    CHARGEBACK = "chargeback"
    """The bank has taken the money, with a fee."""
    RESOLUTION = "resolution"
    """The bank's own rule gave the customer the money, without a fee; no answer is possible."""
    COMPLIANCE = "compliance"
    """The network says that its rules were broken; answering may cost a fee of its own."""
    BLOCK = "block"
    """Turned away before it became a chargeback."""


class Stage(StrEnum):
    """What an answer is to: each takes one of its own, under the same dispute. "If an inquiry escalates to a
    chargeback, you must submit another response for the dispute": https://docs.stripe.com/disputes/responding
    """

    INQUIRY = "inquiry"
    CHARGEBACK = "chargeback"


class DisputeOutcome(StrEnum):
    """How a dispute ended."""

    WON = "won"
    LOST = "lost"
    RESOLVED = "resolved"
    """By the bank's own rule: the customer has the money, and no fee was taken."""
    PREVENTED = "prevented"
    INQUIRY_CLOSED = "inquiry_closed"
    """The bank asks no more: refunded, answered, or 120 days old."""


class Answering(StrEnum):
    """Where the answer to the bank stands."""

    AWAITED = "awaited"
    MISSED = "missed"
    """The deadline passed without one."""
    IMPOSSIBLE = "impossible"
    """The bank takes none: Stripe gives no time for it."""
    WITH_BANK = "with_bank"
    """Sent, by us, by hand or by Stripe itself; the bank decides."""
    OVER = "over"


def kind_of(dispute: Dispute) -> DisputeKind:
    """The status comes first: a `case_type` may still say inquiry when that has become a chargeback."""
    if dispute.status in INQUIRY_OPEN | INQUIRY_CLOSED:
        return DisputeKind.INQUIRY
    if is_by_rule(dispute):
        return DisputeKind.RESOLUTION
    if dispute.case_type == "compliance":
        return DisputeKind.COMPLIANCE
    if dispute.case_type == "block" or dispute.status == "prevented":
        return DisputeKind.BLOCK
    return DisputeKind.CHARGEBACK


def stage_of(dispute: Dispute) -> Stage:
    """Which answer the bank wants, or has had; what is no inquiry (any more) is a chargeback."""
    return Stage.INQUIRY if dispute.status in INQUIRY_OPEN | INQUIRY_CLOSED else Stage.CHARGEBACK


def outcome_of(dispute: Dispute) -> DisputeOutcome | None:
    """How it ended; None while it is open, or where its status is none that we know."""
    if dispute.status in WON:
        return DisputeOutcome.WON
    if dispute.status in DISPUTE_STATUSES and is_by_rule(dispute):
        return DisputeOutcome.RESOLVED
    if dispute.status in INQUIRY_CLOSED:
        return DisputeOutcome.INQUIRY_CLOSED
    if dispute.status in MONEY_RETURNED:
        return DisputeOutcome.PREVENTED if dispute.status == "prevented" else DisputeOutcome.LOST
    return None


def is_by_rule(dispute: Dispute) -> bool:
    """Whether the bank's own rule settled it: by its `case_type`, or lost without the fee of a chargeback."""
    return dispute.case_type == RESOLVED_BY_RULE or (dispute.status == "lost" and dispute.fee_minor == 0)


def returned_money(dispute: Dispute) -> bool:
    """Whether this dispute gave the customer the money: lost, prevented, or settled by the bank's own rule."""
    return outcome_of(dispute) in {DisputeOutcome.LOST, DisputeOutcome.RESOLVED, DisputeOutcome.PREVENTED}


def is_answered(dispute: Dispute, *, at_inquiry: int = 0) -> bool:
    """Whether an answer to what the dispute is now has gone to the bank; `at_inquiry` of them went to its inquiry.

    A chargeback that awaits an answer says so by its status, whatever was sent before: with an answer it is under
    review, as recorded. So an answered inquiry that escalates leaves no deadline unseen. An appeal is alike.
    """
    return dispute.status not in _ASKS_AFRESH and sent_in_stage(dispute, at_inquiry) > 0


def sent_in_stage(dispute: Dispute, at_inquiry: int) -> int:
    """How many answers went to the bank since the dispute is what it is now, by Stripe's count, which goes on when an
    inquiry escalates; `at_inquiry` of them went to the inquiry. Smart Disputes may have answered without a count.
    """
    before = 0 if stage_of(dispute) is Stage.INQUIRY else at_inquiry
    uncounted = dispute.submission_method == BY_STRIPE and not before
    return max(dispute.submission_count - before, int(uncounted))


def answering(dispute: Dispute, now: datetime) -> Answering:
    """Where the answer stands. A status that we do not know, with a due time, counts as awaited: in doubt a deadline.

    `due_by` is None where Stripe writes 0 or nothing.
    """
    if outcome_of(dispute) is not None:
        return Answering.OVER
    known = dispute.status in DISPUTE_STATUSES
    if (known and dispute.status not in WANTS_ANSWER) or is_answered(dispute):
        return Answering.WITH_BANK
    if dispute.due_by is None:
        return Answering.IMPOSSIBLE
    return Answering.AWAITED if now < dispute.due_by else Answering.MISSED


def is_with_bank(disputes: Iterable[Dispute], now: datetime) -> bool:
    """Whether some bank decides over an answer, and none waits for one."""
    states = {answering(dispute, now) for dispute in disputes} - {Answering.OVER}
    return states == {Answering.WITH_BANK}


def awaited_by(disputes: Iterable[Dispute], now: datetime) -> tuple[datetime, ...]:
    """Until when banks wait for an answer, soonest first; what was missed waits no more."""
    waiting = (dispute.due_by for dispute in disputes if answering(dispute, now) is Answering.AWAITED)
    return tuple(sorted(due_by for due_by in waiting if due_by is not None))
