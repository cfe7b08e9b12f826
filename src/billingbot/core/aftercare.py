"""What goes with a refund: how it is paid, and the subscription that is cancelled after it, as a transition table."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from billingbot.core.errors import ConflictError
from billingbot.core.evidence.dossier import Dossier, Subscription
from billingbot.core.refund_terms import CancelWhen

# Statuses in which a subscription charges nobody any more. https://docs.stripe.com/api/subscriptions/object
ENDED: Final = frozenset({"canceled", "incomplete_expired"})


class CancellationState(StrEnum):
    """Where the cancellation of a subscription stands."""

    INTENDED = "intended"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    DONE = "done"
    NOT_NEEDED = "not_needed"
    """Somebody else had ended it, or set it to end."""
    WITHDRAWN = "withdrawn"
    """The refund did not stay, so nothing follows from it."""
    REFUSED = "refused"
    HANDED_OVER = "handed_over"
    """Things have changed since the refund: a person decides."""


_S = CancellationState
_ENDS: Final = frozenset({_S.DONE, _S.NOT_NEEDED, _S.WITHDRAWN, _S.REFUSED, _S.HANDED_OVER})
_NEXT: Final[dict[CancellationState, frozenset[CancellationState]]] = {
    _S.INTENDED: frozenset({_S.SUBMITTING}) | _ENDS,
    _S.SUBMITTING: frozenset({_S.SUBMITTING, _S.UNKNOWN}) | _ENDS,
    _S.UNKNOWN: frozenset({_S.SUBMITTING}) | _ENDS,
    _S.DONE: frozenset(),
    _S.NOT_NEEDED: frozenset(),
    _S.WITHDRAWN: frozenset(),
    _S.REFUSED: frozenset({_S.INTENDED}),  # a person has it tried again
    _S.HANDED_OVER: frozenset({_S.INTENDED}),
}
LIVE: Final = (_S.INTENDED, _S.SUBMITTING, _S.UNKNOWN)


def become(state: CancellationState, following: CancellationState) -> CancellationState:
    """`following`, where the table allows it; ConflictError where it does not."""
    if following not in _NEXT[state]:
        raise ConflictError(f"a cancellation that is {state} cannot become {following}")
    return following


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """The cancellation that a refund of ours, or a dispute, brings with it: one for each cause, for ever."""

    id: str
    refund_id: str | None
    case_id: str | None
    account: str
    livemode: bool
    charge_id: str
    subscription_id: str
    cancel_when: CancelWhen
    state: CancellationState
    key: str | None
    """The idempotency key of the last call, where one was made."""
    sends: int
    why: str | None
    waits_for: str | None
    """Why a person has to look, while one has to."""
    intended_at: datetime
    last_sent_at: datetime | None
    ended_at: datetime | None
    dispute_id: str | None = None
    """The dispute that it follows from, where it follows from no refund."""


class Stands(StrEnum):
    """What stands in the way of a cancellation by a machine: each of them goes to a person."""

    MODE = "limit-mode"
    NO_SUCH = "subscription-not-found"
    OTHER_OWNER = "subscription-changed-hands"
    OTHER_PLAN = "plan-changed"
    PAID_AGAIN = "paid-again"
    NOT_REFUNDED = "refund-not-at-stripe"
    """The refund that it follows from is not there any more, and the news of that not here yet."""


def is_over(subscription: Subscription, cancel_when: CancelWhen) -> bool:
    """Whether the subscription has ended, or will by itself where no more than that is wanted."""
    if subscription.status in ENDED or subscription.ended_at is not None:
        return True
    return cancel_when is CancelWhen.PERIOD_END and subscription.cancel_at_period_end


def stands_in_the_way(dossier: Dossier, subscription_id: str) -> Stands | None:
    """What has changed since the refund was decided, if that is for a person to judge; None where nothing has.

    A customer who paid again goes on using it; one who moved to another plan has a new contract. Neither was asked.
    """
    subscription, invoice = dossier.subscription, dossier.invoice
    if subscription is None or invoice is None or subscription.id != subscription_id:
        return Stands.NO_SUCH
    if subscription.customer_id != dossier.charge.customer_id:
        return Stands.OTHER_OWNER
    if _paid_again(dossier):
        return Stands.PAID_AGAIN
    charged = {line.price_id for line in invoice.lines if line.price_id is not None}
    if not subscription.price_ids or not set(subscription.price_ids) <= charged:
        return Stands.OTHER_PLAN
    return None


def _paid_again(dossier: Dossier) -> bool:
    """By card, or outside Stripe: an invoice of the subscription that was paid later."""
    later = (one.paid_at is not None and one.paid_at > dossier.charge.created_at for one in dossier.other_paid)
    return bool(dossier.newer_charges) or any(later)
