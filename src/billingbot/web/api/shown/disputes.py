"""Disputes from outside, as last read."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from billingbot.core.case import CaseState
from billingbot.core.disputes.life import Answering, DisputeKind, DisputeOutcome
from billingbot.core.evidence.dossier import Dispute
from billingbot.store.views.disputes import DisputeLine
from billingbot.web.api.shown.amounts import AmountShown


class DisputeMoneyShown(BaseModel):
    """What the dispute moved, in the account's own currency; `fees` is what Stripe kept."""

    withdrawn: AmountShown
    reinstated: AmountShown
    fees: AmountShown


class DisputeShown(BaseModel):
    """One dispute as last read. `answering` says where the answer to the bank stands now."""

    id: str
    account: str
    charge: str
    kind: DisputeKind
    status: str
    reason: str
    case_type: str | None
    amount: AmountShown
    answering: Answering
    due_by: Annotated[datetime | None, Field(description="None where the bank takes no answer")]
    has_evidence: bool
    submission_count: int
    submission_method: str | None
    intended_method: str | None
    past_due: bool
    is_charge_refundable: bool
    money: DisputeMoneyShown | None
    outcome: DisputeOutcome | None
    opened_at: datetime
    closed_at: Annotated[datetime | None, Field(description="When we learnt of the outcome")]
    missed_at: Annotated[datetime | None, Field(description="When we saw that its deadline had passed unanswered")]
    case_id: str | None
    case_state: CaseState | None
    assignee: str | None
    looked_at: datetime

    @classmethod
    def of(cls, line: DisputeLine) -> Self:
        """The dispute from outside."""
        dispute = line.dispute
        here = {name: getattr(line, name) for name in cls.model_fields if name in DisputeLine.__slots__}
        at_stripe = {name: getattr(dispute, name) for name in cls.model_fields if name in Dispute.__slots__}
        return cls(
            **(at_stripe | here),
            charge=dispute.charge_id,
            amount=AmountShown.of(dispute.amount_minor, dispute.currency),
            money=_dispute_money(dispute),
            opened_at=dispute.created_at,
        )


def _dispute_money(dispute: Dispute) -> DisputeMoneyShown | None:
    moved = dispute.moved
    if moved is None:
        return None
    return DisputeMoneyShown(
        withdrawn=AmountShown.of(moved.withdrawn_minor, moved.currency),
        reinstated=AmountShown.of(moved.reinstated_minor, moved.currency),
        fees=AmountShown.of(moved.fees_minor, moved.currency),
    )
