"""Disputes at basic depth: opened and moved by command (banks do not ask), with their money and their events."""

from typing import Final

from billingbot.sandbox import forms
from billingbot.sandbox.early_fraud import refresh_warnings
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.router import listable, retrievable
from billingbot.sandbox.settlement import book
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj, snapshot

FEE_CENTS: Final = 1500  # Stripe's dispute fee in the US
_DAY: Final = 86_400
DAYS_TO_RESPOND: Final = 9  # as recorded: the end of the ninth day

INQUIRY: Final = frozenset(("warning_needs_response", "warning_under_review", "warning_closed"))
OPEN: Final = frozenset(("needs_response", "under_review", "appeal_needs_response", "appeal_under_review"))
CLOSED: Final = frozenset(("won", "lost", "warning_closed", "prevented"))
STATUSES: Final = INQUIRY | OPEN | CLOSED
REASONS: Final = frozenset(
    ("bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated", "debit_not_authorized",
     "duplicate", "fraudulent", "general", "incorrect_account_details", "insufficient_funds", "noncompliant",
     "product_not_received", "product_unacceptable", "subscription_canceled", "unrecognized")
)  # fmt: skip
_NETWORK_CODES: Final = {
    "fraudulent": "10.4", "subscription_canceled": "13.2", "credit_not_processed": "13.6", "duplicate": "12.6",
    "product_not_received": "13.1", "product_unacceptable": "13.3", "unrecognized": "10.4",
}  # fmt: skip
EVIDENCE: Final = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "enhanced_evidence", "product_description", "receipt", "refund_policy",
    "refund_policy_disclosure", "refund_refusal_explanation", "service_date", "service_documentation",
    "shipping_address", "shipping_carrier", "shipping_date", "shipping_documentation", "shipping_tracking_number",
    "uncategorized_file", "uncategorized_text",
)  # fmt: skip

retrievable("/v1/disputes", "dispute", "dispute")
listable("/v1/disputes", "dispute", {"charge": forms.name_of, "payment_intent": forms.name_of})


def open_dispute(
    box: Sandbox,
    charge: Obj,
    *,
    status: str = "needs_response",
    reason: str = "fraudulent",
    **how: int | str | None,
) -> Obj:
    """A dispute of a charge in any status. `how`: `amount` (minor units, default the charge's), `fee` (cents,
    default 15 USD for chargebacks; 0 is how RDR looks), `case_type`, `due_by` (Unix seconds; 0 means that no answer
    is possible).

    Raises ValueError for an unknown status or reason.
    """
    if status not in STATUSES:
        raise ValueError(f"status: expected one of {', '.join(sorted(STATUSES))}, got {status!r}")
    if reason not in REASONS:
        raise ValueError(f"reason: expected one of {', '.join(sorted(REASONS))}, got {reason!r}")
    dispute = _blank(box, charge, status, reason, how)
    box.tables["dispute"].add(dispute)
    with changing(box, charge, "charge.updated"):
        charge.update(disputed=True, dispute=dispute["id"])
    emit(box, "charge.dispute.created", dispute)
    if status not in INQUIRY:
        fee = how.get("fee")
        _withdraw(box, dispute, charge, FEE_CENTS if fee is None else int(fee))
    if status == "won":
        _reinstate(box, dispute, charge)
    if status in CLOSED:
        emit(box, "charge.dispute.closed", dispute)
    refresh_warnings(box, charge)
    return dispute


def _blank(box: Sandbox, charge: Obj, status: str, reason: str, how: Obj) -> Obj:
    brand = charge["payment_method_details"].get("card", {}).get("brand", "visa")
    case = how.get("case_type") or ("inquiry" if status in INQUIRY else "chargeback")
    card = {"brand": brand, "case_type": case, "network_reason_code": _NETWORK_CODES.get(reason, "13.7")}
    return {
        "id": box.new_id("dp"),
        "object": "dispute",
        "amount": how.get("amount") or charge["amount"],
        "balance_transaction": None,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": box.now(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": _due_by(box, how),
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": _refundable(status),
        "livemode": box.livemode,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {"card": card, "type": "card"},
        "reason": reason,
        "status": status,
    }


def _due_by(box: Sandbox, how: Obj) -> int:
    given = how.get("due_by")
    return (box.now() // _DAY + DAYS_TO_RESPOND + 1) * _DAY - 1 if given is None else int(given)


def _refundable(status: str) -> bool:
    return status in INQUIRY or status == "won"


def charge_is_refundable(box: Sandbox, charge: Obj) -> bool:
    """False while a chargeback is open, and for ever after it was lost or prevented."""
    return all(each["is_charge_refundable"] for each in box.tables["dispute"].find("charge", charge["id"]))


def _withdraw(box: Sandbox, dispute: Obj, charge: Obj, fee: int) -> None:
    from billingbot.sandbox.refunds import cross_with_dispute

    cross_with_dispute(box, charge)
    entry = {
        "type": "adjustment",
        "reporting_category": "dispute",
        "description": f"Chargeback withdrawal for {charge['id']}",
        "fee_name": "Dispute fee",
    }
    _attach(dispute, book(box, dispute, -dispute["amount"], entry, fee))
    emit(box, "charge.dispute.funds_withdrawn", dispute)


def _reinstate(box: Sandbox, dispute: Obj, charge: Obj) -> None:
    fee = dispute["balance_transactions"][0]["fee"] if dispute["balance_transactions"] else 0
    entry = {
        "type": "adjustment",
        "reporting_category": "dispute_reversal",
        "description": f"Chargeback reversal for {charge['id']}",
        "fee_name": "Dispute fee refund",
    }
    _attach(dispute, book(box, dispute, dispute["amount"], entry, -fee))
    emit(box, "charge.dispute.funds_reinstated", dispute)


def _attach(dispute: Obj, transaction: Obj) -> None:
    dispute["balance_transaction"] = dispute["balance_transaction"] or transaction["id"]
    dispute["balance_transactions"].append(snapshot(transaction))


def move_dispute(box: Sandbox, dispute: Obj, status: str) -> None:
    """The bank has spoken: another status, with the money it moves. Also an inquiry that becomes a chargeback, a
    closed one that is appealed, and a late win. Raises ValueError for an unknown status."""
    if status not in STATUSES:
        raise ValueError(f"status: expected one of {', '.join(sorted(STATUSES))}, got {status!r}")
    charge = box.tables["charge"].rows[dispute["charge"]]
    escalated = dispute["status"] in INQUIRY and status not in INQUIRY
    with changing(box, dispute, "charge.dispute.closed" if status in CLOSED else "charge.dispute.updated"):
        dispute.update(status=status, is_charge_refundable=_refundable(status))
        if escalated:
            dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
            _withdraw(box, dispute, charge, FEE_CENTS)
        if status == "won":
            _reinstate(box, dispute, charge)
    refresh_warnings(box, charge)


def resolve_inquiry(box: Sandbox, charge: Obj) -> None:
    """A full refund closes an open inquiry, without a fee."""
    for dispute in box.tables["dispute"].find("charge", charge["id"]):
        if dispute["status"] in ("warning_needs_response", "warning_under_review"):
            move_dispute(box, dispute, "warning_closed")
