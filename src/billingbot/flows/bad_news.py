"""Bad news of refunds, told to people: one that failed, failed late, met a dispute, hangs, or may have been paid."""

from billingbot.core.money import Money
from billingbot.core.notice import Notice, NoticeKind
from billingbot.core.refund import RefundIntent, RefundState
from billingbot.flows.desk import Step
from billingbot.flows.notify import tell
from billingbot.store import notices

# Stripe's word for a refund that was pending when the bank took the money back.
# https://docs.stripe.com/refunds#failed-refunds
CROSSED_REASON = "charge_for_pending_refund_disputed"
CROSSED = "refund-crossed-by-dispute"
"""The case's reason then: accept or contest the dispute, and do not refund a second time."""


def tell_ended_badly(this: Step, before: RefundIntent, state: RefundState, why: str | None) -> None:
    """A refund failed or was cancelled at Stripe; worst where it had counted as paid."""
    if why == CROSSED_REASON:
        tell_crossed(this, before, f"refund of {_sum(before)} failed: a dispute met it")
    elif before.state is RefundState.SUCCEEDED:
        headline = f"refund of {_sum(before)} {state} after it had succeeded"
        body = "The customer does not have the money, and may have been told otherwise. It must be paid another way:"
        _tell(this, NoticeKind.LATE_FAILURE, before, headline, body)
    else:
        headline = f"refund of {_sum(before)} {state}: {why or 'no reason given'}"
        body = "The customer does not have the money. A person decides:"
        _tell(this, NoticeKind.REFUND_FAILED, before, headline, body)


def tell_refused(this: Step, refund: RefundIntent, reason: str) -> None:
    """Stripe would not make the refund."""
    headline = f"refund of {_sum(refund)} refused: {reason}"
    _tell(this, NoticeKind.REFUND_FAILED, refund, headline, "Nothing was paid. A person decides:")


def tell_unknown(this: Step, refund: RefundIntent) -> None:
    """Whether the refund was made could not be found out by asking and sending again."""
    headline = f"refund of {_sum(refund)}: nobody knows whether it was paid"
    body = "Look for it at Stripe before anything else is paid for this charge. billingbot goes on asking:"
    _tell(this, NoticeKind.OUTCOME_UNKNOWN, refund, headline, body)


def tell_crossed(this: Step, refund: RefundIntent, headline: str) -> None:
    """A dispute met a refund that was under way."""
    body = "Accept or contest the dispute, and do not refund a second time; the customer may have been promised money:"
    _tell(this, NoticeKind.DISPUTE_CROSSED, refund, headline, body)


def tell_overdue(this: Step, refund: RefundIntent) -> bool:
    """Stripe has kept the refund pending for days: told once. True where it was not told before."""
    if notices.was_told(this.db, NoticeKind.REFUND_OVERDUE, refund.id):
        return False
    headline = f"refund of {_sum(refund)} pending at Stripe since {refund.intended_at:%Y-%m-%d}"
    body = "Where the balance at Stripe is too low it waits for money, and fails in the end: top the balance up:"
    _tell(this, NoticeKind.REFUND_OVERDUE, refund, headline, body, subject=refund.id)
    return True


def _tell(
    this: Step, kind: NoticeKind, refund: RefundIntent, headline: str, body: str, *, subject: str | None = None
) -> None:
    case = f"billingbot cases show {refund.case_id}" if refund.case_id else f"billingbot refunds show {refund.id}"
    about = subject or refund.case_id or refund.id
    tell(this, Notice(kind=kind, account=refund.account, subject=about, headline=headline, body=f"{body} {case}"))


def _sum(refund: RefundIntent) -> Money:
    return Money(amount_minor=refund.amount_minor, currency=refund.currency)
