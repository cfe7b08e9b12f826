"""What refunds to come will do, when it is not the usual success: commanded ahead, for one charge or the next ones."""

from dataclasses import dataclass
from typing import Final, Self

from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

STATUSES: Final = ("pending", "requires_action", "succeeded", "failed", "canceled")
FAILURES: Final = (
    "charge_for_pending_refund_disputed", "declined", "expired_or_canceled_card", "insufficient_funds",
    "lost_or_stolen_card", "merchant_request", "unknown",
)  # fmt: skip


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


def next_outcome(box: Sandbox, charge: Obj) -> Outcome:
    """What was commanded for a refund of this charge, used up by it; else what its test card does; else success."""
    for outcome in box.outcomes:
        if outcome.times > 0 and outcome.charge in (None, charge["id"]):
            outcome.times -= 1
            box.outcomes = [each for each in box.outcomes if each.times > 0]
            return outcome
    plan = box.cards.get(charge["payment_method"])
    turns = plan.refund_turns if plan else None
    if turns == "failed":
        return Outcome(then="failed", after_seconds=60, failure_reason="expired_or_canceled_card")
    if turns == "succeeded":
        return Outcome(status="pending", then="succeeded", after_seconds=60)
    return Outcome()
