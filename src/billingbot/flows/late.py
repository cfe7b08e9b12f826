"""Late truths: a dispute that meets a refund under way, and refunds that Stripe keeps pending for days."""

from datetime import timedelta
from typing import Final

from billingbot.core.evidence.dossier import Dispute
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.refund import RefundState
from billingbot.flows.bad_news import CROSSED, tell_crossed, tell_overdue
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.settle import show_to_person
from billingbot.store import cases, refunds

# Card refunds leave within minutes and bank transfers within two working days; what is pending over a weekend and a
# day waits for money in our balance, and Stripe fails it in the end without saying when.
# https://docs.stripe.com/refunds
PENDING_FOR: Final = timedelta(days=4)
_MOST_AT_ONCE: Final = 200
_UNDER_WAY: Final = (RefundState.PENDING, RefundState.REQUIRES_ACTION)


def cross(this: Step, account: str, dispute: Dispute) -> bool:
    """Puts a refund that is under way before a person where this chargeback has met it, once per refund.

    Stripe fails such a refund; the bank has taken the money, and the customer may believe in both. True where it is
    news. RetryLaterError where the charge is just being assessed.
    """
    cases.lock_charge(this.db, account, dispute.charge_id)
    refund = refunds.live_of_charge(this.db, account, dispute.charge_id)
    if refund is None or refund.state not in _UNDER_WAY or refunds.is_crossed(this.db, refund.id):
        return False
    body = {"dispute": dispute.id, "status": dispute.status, "refund_state": refund.state}
    this.record(Draft(kind=EntryKind.REFUND_CROSSED, account=account, subject=refund.id, actor="stripe", body=body))
    show_to_person(this, refund, reason=CROSSED, reopen=True)
    tell_crossed(this, refund, f"a dispute met a refund that is {refund.state}")
    return True


def tell_of_overdue(desk: Desk) -> int:
    """Tells once of each refund that has been pending for days; how many."""
    with step(desk) as this:
        hanging = refunds.pending_since(this.db, older_than=PENDING_FOR, limit=_MOST_AT_ONCE)
        return sum(tell_overdue(this, refund) for refund in hanging)
