"""What a dispute does to the account's money: withdrawn with a fee, given back, and withdrawn once more."""

from billingbot.sandbox.events import emit
from billingbot.sandbox.refund_life import cross_with_dispute
from billingbot.sandbox.settlement import book
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj, snapshot


def is_withdrawn(dispute: Obj) -> bool:
    """True while the dispute keeps the money away."""
    booked = dispute["balance_transactions"]
    return bool(booked) and booked[-1]["reporting_category"] == "dispute"


def withdraw(box: Sandbox, dispute: Obj, charge: Obj) -> None:
    """The bank takes the money, and Stripe its fee where it is not paid already; refunds under way fail."""
    cross_with_dispute(box, charge)
    entry = {
        "type": "adjustment",
        "reporting_category": "dispute",
        "description": f"Chargeback withdrawal for {charge['id']}",
        "fee_name": "Dispute fee",
    }
    fee = box.dispute_fees[dispute["id"]].amount - _fee_paid(dispute)
    _attach(dispute, book(box, dispute, -dispute["amount"], entry, fee))
    emit(box, "charge.dispute.funds_withdrawn", dispute)


def reinstate(box: Sandbox, dispute: Obj, charge: Obj) -> None:
    """The money comes back, and the fee with it unless Stripe keeps it."""
    entry = {
        "type": "adjustment",
        "reporting_category": "dispute_reversal",
        "description": f"Chargeback reversal for {charge['id']}",
        "fee_name": "Dispute fee refund",
    }
    fee = -_fee_paid(dispute) if box.dispute_fees[dispute["id"]].returned else 0
    _attach(dispute, book(box, dispute, dispute["amount"], entry, fee))
    emit(box, "charge.dispute.funds_reinstated", dispute)


def network_fee(box: Sandbox, dispute: Obj, amount: int) -> None:
    """What Visa asks for judging a compliance dispute (minor units; negative gives it back): a booking of its own."""
    entry = {"type": "stripe_fee", "reporting_category": "fee", "description": f"Network fee for {dispute['id']}"}
    book(box, {"id": dispute["id"], "currency": box.options.currency}, -amount, entry)


def _fee_paid(dispute: Obj) -> int:
    return sum(each["fee"] for each in dispute["balance_transactions"])


def _attach(dispute: Obj, transaction: Obj) -> None:
    dispute["balance_transaction"] = dispute["balance_transaction"] or transaction["id"]
    dispute["balance_transactions"].append(snapshot(transaction))
