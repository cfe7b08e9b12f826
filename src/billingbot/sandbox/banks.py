"""The control API's part about banks: disputes, early fraud warnings, and what becomes of refunds."""

from dataclasses import asdict

from billingbot.sandbox import dispute_life, disputes, early_fraud, refund_life
from billingbot.sandbox.claim import Claim
from billingbot.sandbox.control import command, find, only
from billingbot.sandbox.local import LocalStripe
from billingbot.sandbox.plans import Outcome
from billingbot.sandbox.tables import Obj


@command("POST", "/disputes")
def add_dispute(local: LocalStripe, _ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/disputes `{"charge", "status"="needs_response", "reason"="fraudulent", "amount" (above the
    charge's: it covers others too), "fee" (cents), "fee_returned"=true (by a win), "case_type", "due_by" (0: no answer
    possible), "rdr": bool, "smart": bool, "enhanced": [programmes]}`: what the bank opens. `rdr` is a dispute that
    Visa's rules resolved by themselves: lost (or `prevented`, as told), without a fee. `smart`: Stripe's Smart
    Disputes answers a day before the deadline. `lost` and `prevented` are created and closed in one second."""
    only(given, "charge", "status", "reason", "rdr", *Claim.__annotations__)
    charge = find(local, "charge", given.pop("charge"))
    if given.pop("rdr", False):
        given = {"status": "lost", "fee": 0, "case_type": "resolution", "due_by": 0, **given}
    return disputes.open_dispute(local.box, charge, **given)


@command("POST", "/disputes/{id}")
def move_dispute(local: LocalStripe, ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/disputes/{id} `{"status", "due_by"}`: what the bank does next, with the money it moves: an inquiry
    becomes a chargeback, a review ends, a lost one is won late, a won one lost after all (see `dispute_life.MOVES`)."""
    only(given, "status", "due_by")
    dispute = find(local, "dispute", ids["id"])
    dispute_life.move_dispute(local.box, dispute, given["status"], due_by=given.get("due_by"))
    return dispute


@command("POST", "/disputes/{id}/smart")
def answer_dispute(local: LocalStripe, ids: dict[str, str], _given: Obj) -> Obj:
    """POST /_sandbox/disputes/{id}/smart: Stripe's Smart Disputes answers now, in our place."""
    dispute = find(local, "dispute", ids["id"])
    dispute_life.answer_by_itself(local.box, dispute)
    return dispute


@command("POST", "/warnings")
def add_warning(local: LocalStripe, _ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/warnings `{"charge", "fraud_type"="misc"}`: an early fraud warning."""
    charge = find(local, "charge", given["charge"])
    return early_fraud.warn(local.box, charge, given.get("fraud_type", "misc"))


@command("POST", "/refund_outcomes")
def plan_refund(local: LocalStripe, _ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/refund_outcomes `{"charge", "times"=1, "status": "succeeded"|"pending"|"requires_action",
    "pending_reason", "then": "succeeded"|"failed"|"canceled", "after_seconds", "failure_reason"}`: what the next
    refunds (of this charge) will do."""
    outcome = Outcome(**given).checked()
    local.box.outcomes.append(outcome)
    return asdict(outcome)


@command("POST", "/refunds/{id}")
def turn_refund(local: LocalStripe, ids: dict[str, str], given: Obj) -> Obj:
    """POST /_sandbox/refunds/{id} `{"status": "succeeded"|"failed"|"canceled", "failure_reason"="unknown"}`."""
    refund = find(local, "refund", ids["id"])
    refund_life.turn(local.box, refund, given["status"], given.get("failure_reason", "unknown"))
    return refund
