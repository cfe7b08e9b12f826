"""Refunds from outside, with every keyed attempt."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel

from billingbot.core.refund import AttemptOutcome, Origin, RefundState
from billingbot.core.refund_terms import CancelWhen, RefundWith
from billingbot.store.views import RefundLine
from billingbot.web.api.shown.amounts import AmountShown


class AttemptShown(BaseModel):
    """One keyed call to Stripe."""

    number: int
    key: str
    outcome: AttemptOutcome
    answer: str | None
    sends: int
    first_sent_at: datetime
    last_sent_at: datetime
    answered_at: datetime | None


class RefundShown(BaseModel):
    """One refund of ours, or one made elsewhere and adopted."""

    id: str
    case_id: str | None
    account: str
    livemode: bool
    charge: str
    customer: str | None
    amount: AmountShown
    state: RefundState
    origin: Origin
    decision_id: str | None
    clause: str | None
    decided_by: str
    stripe_refund_id: str | None
    why: str | None
    refund_with: RefundWith
    credit_note_id: str | None
    credit_note_number: str | None
    cancel_subscription: CancelWhen
    intended_at: datetime
    settled_at: datetime | None
    attempts: list[AttemptShown]

    @classmethod
    def of(cls, line: RefundLine) -> Self:
        """The refund from outside."""
        refund = line.refund
        same = {name: getattr(refund, name) for name in cls.model_fields if hasattr(refund, name)}
        attempts = [
            AttemptShown(**{name: getattr(attempt, name) for name in AttemptShown.model_fields})
            for attempt in line.attempts
        ]
        amount = AmountShown.of(refund.amount_minor, refund.currency)
        return cls(**same, charge=refund.charge_id, customer=line.customer_id, amount=amount, attempts=attempts)
