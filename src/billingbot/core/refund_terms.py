"""The terms of a refund that the policy sets: by which of Stripe's calls it is paid, and what becomes of the plan."""

from dataclasses import dataclass
from enum import StrEnum


class CancelWhen(StrEnum):
    """When the refunded subscription is cancelled."""

    NOW = "now"
    PERIOD_END = "period_end"
    NO = "no"


class RefundWith(StrEnum):
    """The call that pays a refund."""

    REFUND = "refund"
    CREDIT_NOTE = "credit_note"
    """A credit note for the charge's invoice, which makes the refund itself: books that show tax want one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundTerms:
    """What the policy says of every refund of ours. Nobody is charged again for what was just refunded."""

    refund_with: RefundWith = RefundWith.REFUND
    cancel_subscription: CancelWhen = CancelWhen.NOW
