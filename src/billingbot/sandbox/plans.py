"""What is laid down ahead: how a test card behaves, what a claim costs, and how a refund will end."""

from dataclasses import dataclass, field
from typing import Final, Self

from billingbot.sandbox.claim import Claim

FEE_CENTS: Final = 1500  # Stripe's dispute fee in the US
STATUSES: Final = ("pending", "requires_action", "succeeded", "failed", "canceled")
FAILURES: Final = (
    "charge_for_pending_refund_disputed", "declined", "expired_or_canceled_card", "insufficient_funds",
    "lost_or_stolen_card", "merchant_request", "unknown",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPlan:
    """One test card. Declines name Stripe's decline code; `afterwards` is what the cardholder or bank does next:
    a status that a dispute is opened with, or `warning` for an early fraud warning; `claim` tells more of that
    dispute, and `disputes` how many come."""

    number: str
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    attach_decline: str | None = None
    charge_decline: str | None = None
    needs_action: bool = False
    afterwards: str | None = None
    dispute_reason: str = "fraudulent"
    disputes: int = 1
    claim: Claim = field(default_factory=Claim)
    refund_turns: str | None = None  # `failed` after success, or `succeeded` after pending

    @property
    def last4(self) -> str:
        """What people see of the number."""
        return self.number[-4:]


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFee:
    """What the bank's claim costs, in minor units of the settlement currency: nothing for RDR. `returned` says
    whether a win brings it back, as it is recorded; since 2025 Stripe keeps it in most countries."""

    amount: int = FEE_CENTS
    returned: bool = True


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The first status of a refund, and optionally what it turns into after some time of the sandbox's clock."""

    charge: str | None = None  # None: whichever charge comes next
    times: int = 1
    status: str = "succeeded"
    pending_reason: str = "processing"
    then: str | None = None
    after_seconds: int = 0
    failure_reason: str = "unknown"

    def checked(self) -> Self:
        """Itself. Raises ValueError that names the wrong field."""
        if self.status not in STATUSES[:3]:
            raise ValueError(f"status: expected one of {', '.join(STATUSES[:3])}, got {self.status!r}")
        if self.then is not None and self.then not in STATUSES[2:]:
            raise ValueError(f"then: expected one of {', '.join(STATUSES[2:])}, got {self.then!r}")
        if self.failure_reason not in FAILURES:
            raise ValueError(f"failure_reason: expected one of {', '.join(FAILURES)}, got {self.failure_reason!r}")
        return self
