"""What refunds to come will do, when it is not the usual success: commanded ahead, for one charge or the next ones."""

from billingbot.sandbox.plans import Outcome
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj


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
