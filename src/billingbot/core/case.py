"""A case: the thread of one charge from request to end, and its states as a transition table."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from billingbot.core.decision import Priority, Recommendation
from billingbot.core.errors import ConflictError


class CaseState(StrEnum):
    """Where a case stands."""

    ASSESSING = "assessing"
    REVIEW = "review"
    REFUNDING = "refunding"
    CLOSED = "closed"


class CaseMove(StrEnum):
    """What can happen to a case; past tense, as it stands in the ledger."""

    DECIDED_REFUND = "decided_refund"
    DECIDED_REVIEW = "decided_review"
    DECIDED_CLOSE = "decided_close"
    JOINED = "joined"
    REASSESSED = "reassessed"
    APPROVED = "approved"
    DENIED = "denied"
    REFUND_SUCCEEDED = "refund_succeeded"
    REFUND_STOPPED = "refund_stopped"
    """Refused, withdrawn, failed, cancelled, or of unknown outcome past its key: a person takes over."""
    ANSWERED = "answered"
    """A person answered the bank, or accepted its dispute: nothing is left to decide until the bank does."""
    BANK_ANSWERED = "bank_answered"
    """Only the bank had asked, and its dispute has ended: nobody waits any more."""
    GIVEN_UP = "given_up"
    """The machine could not assess it at all, for hours: a person takes over."""


_MOVES: Final[dict[tuple[CaseState, CaseMove], CaseState]] = {
    (CaseState.ASSESSING, CaseMove.DECIDED_REFUND): CaseState.REFUNDING,
    (CaseState.ASSESSING, CaseMove.DECIDED_REVIEW): CaseState.REVIEW,
    (CaseState.ASSESSING, CaseMove.DECIDED_CLOSE): CaseState.CLOSED,
    (CaseState.ASSESSING, CaseMove.JOINED): CaseState.CLOSED,
    (CaseState.ASSESSING, CaseMove.GIVEN_UP): CaseState.REVIEW,
    (CaseState.REVIEW, CaseMove.REASSESSED): CaseState.ASSESSING,
    (CaseState.REVIEW, CaseMove.APPROVED): CaseState.REFUNDING,
    (CaseState.REVIEW, CaseMove.DENIED): CaseState.CLOSED,
    (CaseState.REVIEW, CaseMove.ANSWERED): CaseState.CLOSED,
    (CaseState.REVIEW, CaseMove.BANK_ANSWERED): CaseState.CLOSED,
    (
        CaseState.REVIEW,
        CaseMove.REFUND_SUCCEEDED,
    ): CaseState.CLOSED,  # found at Stripe after all
    (CaseState.REFUNDING, CaseMove.REFUND_SUCCEEDED): CaseState.CLOSED,
    (CaseState.REFUNDING, CaseMove.REFUND_STOPPED): CaseState.REVIEW,
    (CaseState.REFUNDING, CaseMove.DECIDED_REVIEW): CaseState.REVIEW,  # the look just before paying
    (CaseState.REFUNDING, CaseMove.DECIDED_CLOSE): CaseState.CLOSED,
    (CaseState.CLOSED, CaseMove.REFUND_STOPPED): CaseState.REVIEW,  # succeeded, and failed days later
}


class Doing(StrEnum):
    """What somebody who has a case open does with it."""

    LOOKING = "looking"
    WRITING = "writing"


OPEN_STATES: Final = (CaseState.ASSESSING, CaseState.REVIEW, CaseState.REFUNDING)


def after(state: CaseState, move: CaseMove) -> CaseState:
    """The state that follows. Raises ConflictError where this cannot happen to a case in that state."""
    following = _MOVES.get((state, move))
    if following is None:
        raise ConflictError(f"a case that is {state} cannot be {move.replace('_', ' ')}")
    return following


def can(state: CaseState, move: CaseMove) -> bool:
    """Whether this can happen to a case in that state."""
    return (state, move) in _MOVES


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case as stored. Amounts in minor units; `charge_id` is None until the request is resolved."""

    id: str
    account: str
    livemode: bool
    state: CaseState
    version: int
    """Counts the changes: whoever acts says which version was seen."""
    charge_id: str | None
    customer_id: str | None
    subscription_id: str | None
    invoice_id: str | None
    amount_minor: int | None
    currency: str | None
    reason: str | None
    clause: str | None
    recommendation: Recommendation | None
    priority: Priority
    decision_id: str | None
    assignee: str | None
    joined_case_id: str | None
    """The open case that this one's request turned out to belong to."""
    outcome: str | None
    """How it ended: refunded, denied, joined, or the reason it was closed for."""
    reply: str | None
    """The text for the customer."""
    reply_subject: str | None
    reply_language: str | None
    """A language tag such as `en` or `pt-br`."""
    opened_at: datetime
    decided_at: datetime | None
    due_at: datetime | None
    closed_at: datetime | None
    snoozed_until: datetime | None = None
    """Out of the queue until then, by a person's wish; it comes back by itself, and whenever anything happens."""
