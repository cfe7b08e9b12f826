"""How a refund goes on: it succeeds, fails even late, waits for money, and crosses with a dispute; what its charge
learns of that."""

from typing import Final

from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.settlement import book, covers
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

# A refund that waits for money is given up after a while; Stripe publishes no number, a month is its longest talk
# of late failures.
WAIT_FOR_FUNDS_SECONDS: Final = 30 * 86_400
_AFTER_PENDING: Final = ("succeeded", "failed", "canceled")


def given_back(box: Sandbox, charge: Obj) -> int:
    """What has left or is about to leave: everything that has neither failed nor been cancelled."""
    refunds = box.tables["refund"].find("charge", charge["id"])
    return sum(each["amount"] for each in refunds if each["status"] not in ("failed", "canceled"))


def count(box: Sandbox, charge: Obj) -> None:
    """Has the charge say how much of it is refunded."""
    charge["amount_refunded"] = given_back(box, charge) + charge["amount"] - charge["amount_captured"]
    charge["refunded"] = charge["amount_refunded"] >= charge["amount"]


def move_money(box: Sandbox, charge: Obj, refund: Obj) -> None:
    """The refund\'s money leaves the account."""
    described = f" ({charge['description']})" if charge["description"] else ""
    entry = {"type": "refund", "reporting_category": "refund", "description": f"REFUND FOR CHARGE{described}"}
    refund["balance_transaction"] = book(box, refund, -refund["amount"], entry)["id"]


def turn(box: Sandbox, refund: Obj, status: str, failure_reason: str = "unknown") -> None:
    """Move a refund on: pending or waiting to succeeded, failed or canceled, and succeeded to failed even weeks
    later, as banks do. Raises ValueError for a move Stripe does not make."""
    moves = {"pending": _AFTER_PENDING, "requires_action": _AFTER_PENDING, "succeeded": ("failed",)}
    if status not in moves.get(refund["status"], ()):
        raise ValueError(f"status: a refund that is {refund['status']} cannot become {status}")
    charge = box.tables["charge"].rows[refund["charge"]]
    with changing(box, refund, "refund.updated", "charge.refund.updated"):
        refund["status"] = status
        for name in ("pending_reason", "next_action"):
            refund.pop(name, None)
        if status == "succeeded" and refund["balance_transaction"] is None:
            move_money(box, charge, refund)
        if status in ("failed", "canceled"):
            _return_money(box, charge, refund, status, failure_reason)
    with changing(box, charge, "charge.updated"):
        count(box, charge)
    if status == "failed":
        emit(box, "refund.failed", refund)


def _return_money(box: Sandbox, charge: Obj, refund: Obj, status: str, reason: str) -> None:
    if status == "failed":
        refund["failure_reason"] = reason
    if refund["balance_transaction"] is None:
        return
    described = f"REFUND FAILURE ({charge['description'] or charge['id']})"
    entry = {"type": "refund_failure", "reporting_category": "refund_failure", "description": described}
    refund["failure_balance_transaction"] = book(box, refund, refund["amount"], entry)["id"]


def give_up(box: Sandbox, refund: Obj) -> None:
    """A refund fails that still waits for money."""
    if refund.get("pending_reason") == "insufficient_funds":
        turn(box, refund, "failed", "insufficient_funds")


def pay_waiting(box: Sandbox) -> None:
    """The balance has grown: refunds that waited for it go out, oldest first, as far as it reaches."""
    for refund in list(box.tables["refund"].rows.values()):
        waits = refund.get("pending_reason") == "insufficient_funds"
        if waits and covers(box, refund["amount"], refund["currency"]):
            turn(box, refund, "succeeded")


def cross_with_dispute(box: Sandbox, charge: Obj) -> None:
    """A chargeback arrives while refunds are pending: they fail, for the bank takes the money itself."""
    for refund in box.tables["refund"].find("charge", charge["id"]):
        if refund["status"] in ("pending", "requires_action"):
            turn(box, refund, "failed", "charge_for_pending_refund_disputed")
