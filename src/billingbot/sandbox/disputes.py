"""Disputes: opened and moved by command (banks do not ask), and by time where nobody answers."""

from typing import Final, Unpack

from billingbot.sandbox import enhanced, forms
from billingbot.sandbox.claim import Claim
from billingbot.sandbox.dispute_money import is_withdrawn, network_fee, reinstate, withdraw
from billingbot.sandbox.early_fraud import refresh_warnings
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.plans import DisputeFee
from billingbot.sandbox.router import listable, retrievable
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

_DAY: Final = 86_400
DAYS_TO_RESPOND: Final = 9  # as recorded: the end of the ninth day
LAPSE_SECONDS: Final = _DAY  # a late answer is taken and called `past_due`; then Stripe closes. Its span is unpublished
INQUIRY_DAYS: Final = 120  # an inquiry that did not escalate: https://docs.stripe.com/disputes/how-disputes-work
SMART_LEAD_SECONDS: Final = _DAY  # Smart Disputes answers before the deadline; how long before is unpublished

INQUIRY: Final = frozenset(("warning_needs_response", "warning_under_review", "warning_closed"))
OPEN: Final = frozenset(("needs_response", "under_review", "appeal_needs_response", "appeal_under_review"))
CLOSED: Final = frozenset(("won", "lost", "warning_closed", "prevented"))
STATUSES: Final = INQUIRY | OPEN | CLOSED
UNDER_REVIEW: Final = {
    "needs_response": "under_review",
    "warning_needs_response": "warning_under_review",
    "appeal_needs_response": "appeal_under_review",
}
_CHARGEBACK_ENDS: Final = frozenset(("won", "lost", "appeal_needs_response", "appeal_under_review"))
# What follows what. A won dispute may be lost after all, a lost one won late, and a closed inquiry come back.
MOVES: Final = {
    "warning_needs_response": frozenset(
        ("warning_under_review", "warning_closed", "needs_response", "prevented", "lost")
    ),
    "warning_under_review": frozenset(
        ("warning_needs_response", "warning_closed", "needs_response", "prevented", "lost")
    ),
    "warning_closed": frozenset(("needs_response",)),
    "needs_response": _CHARGEBACK_ENDS | {"under_review"},
    "under_review": _CHARGEBACK_ENDS | {"needs_response"},
    "appeal_needs_response": frozenset(("appeal_under_review", "won", "lost")),
    "appeal_under_review": frozenset(("appeal_needs_response", "won", "lost")),
    "won": frozenset(("lost", "appeal_needs_response", "appeal_under_review")),
    "lost": frozenset(("won", "appeal_needs_response", "appeal_under_review")),
    "prevented": frozenset(),
}
# By reason: what Visa calls it; the bank's own codes where no card is involved.
# https://docs.stripe.com/disputes/categories
_NETWORK_CODES: Final = {
    "bank_cannot_process": "R20", "check_returned": "R61", "credit_not_processed": "13.6", "customer_initiated": "R07",
    "debit_not_authorized": "R10", "duplicate": "12.6.1", "fraudulent": "10.4", "general": "11.3",
    "incorrect_account_details": "R03", "insufficient_funds": "R01", "noncompliant": "98",
    "product_not_received": "13.1", "product_unacceptable": "13.3", "subscription_canceled": "13.2",
    "unrecognized": "10.4",
}  # fmt: skip
REASONS: Final = frozenset(_NETWORK_CODES)
_OF_INQUIRY: Final = "10"  # as recorded
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
    box: Sandbox, charge: Obj, *, status: str = "needs_response", reason: str = "fraudulent", **how: Unpack[Claim]
) -> Obj:
    """A dispute of a charge in any status; one that begins as `lost` or `prevented` is closed in the same second.

    Raises ValueError for an unknown status or reason, and for a charge that cannot be disputed.
    """
    _known(status)
    if reason not in REASONS:
        raise ValueError(f"reason: expected one of {', '.join(sorted(REASONS))}, got {reason!r}")
    if charge["status"] != "succeeded" or not charge["captured"]:
        raise ValueError("charge: expected one that was captured, nobody disputes another")
    _refuse_if_refunded(box, charge)
    dispute = _blank(box, charge, status, reason, how)
    box.tables["dispute"].add(dispute)
    box.dispute_fees[dispute["id"]] = _fee(dispute, how)
    with changing(box, charge, "charge.updated"):
        charge.update(disputed=True, dispute=dispute["id"])
    emit(box, "charge.dispute.created", dispute)
    if status not in INQUIRY and _card(dispute).get("case_type") != "block":
        withdraw(box, dispute, charge)
    if status == "won":
        reinstate(box, dispute, charge)
    if status in CLOSED:
        emit(box, "charge.dispute.closed", dispute)
    _plan(box, dispute)
    refresh_warnings(box, charge)
    return dispute


def _known(status: str) -> None:
    if status not in STATUSES:
        raise ValueError(f"status: expected one of {', '.join(sorted(STATUSES))}, got {status!r}")


def _refuse_if_refunded(box: Sandbox, charge: Obj) -> None:
    """A card's charge that is given back in full cannot be disputed; one that is on its way back can (and is not
    given back then). https://docs.stripe.com/refunds"""
    if _is_given_back(box, charge):
        raise ValueError("charge: it was refunded in full, so no bank takes a dispute of it")


def _is_given_back(box: Sandbox, charge: Obj) -> bool:
    refunds = box.tables["refund"].find("charge", charge["id"])
    given: int = sum(each["amount"] for each in refunds if each["status"] == "succeeded")
    captured: int = charge["amount_captured"]
    return given >= captured


def _blank(box: Sandbox, charge: Obj, status: str, reason: str, how: Claim) -> Obj:
    types = list(how.get("enhanced", ()))
    for name in types:
        if name not in enhanced.TYPES:
            raise ValueError(f"enhanced: expected some of {', '.join(enhanced.TYPES)}, got {name!r}")
    return {
        "id": box.new_id("dp"),
        "object": "dispute",
        "amount": how.get("amount") or charge["amount"],
        "balance_transaction": None,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": box.now(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": types,
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": _due_by(box, status, how),
            "enhanced_eligibility": enhanced.eligibility(types, {}),
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "intended_submission_method": "smart_disputes" if how.get("smart") else "manual",
        "is_charge_refundable": _refundable(status),
        "livemode": box.livemode,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": _method(charge, status, reason, how),
        "reason": reason,
        "status": status,
    }


def _method(charge: Obj, status: str, reason: str, how: Claim) -> Obj | None:
    paid_with = charge["payment_method_details"].get("card")
    if paid_with is None:
        return None
    begun_as = {"prevented": "resolution"} | dict.fromkeys(INQUIRY, "inquiry")
    case = how.get("case_type") or begun_as.get(status, "chargeback")
    code = _OF_INQUIRY if case == "inquiry" else _NETWORK_CODES[reason]
    brand = paid_with["brand"]
    card = {"brand": brand, "case_type": case, "network": brand, "network_reason_code": code}
    return {"card": card, "type": "card"}


def _card(dispute: Obj) -> Obj:
    method = dispute["payment_method_details"]
    return method["card"] if method else {}


def _due_by(box: Sandbox, status: str, how: Claim) -> int:
    given = how.get("due_by")
    if given is not None:
        return int(given)
    return 0 if status == "prevented" else _end_of_day(box, DAYS_TO_RESPOND)


def _end_of_day(box: Sandbox, days: int) -> int:
    return (box.now() // _DAY + days + 1) * _DAY - 1


def _fee(dispute: Obj, how: Claim) -> DisputeFee:
    given = how.get("fee")
    if given is None and dispute["status"] == "prevented":
        given = 0  # a prevented dispute costs no dispute fee: https://docs.stripe.com/disputes/prevention
    returned = how.get("fee_returned", True)
    return DisputeFee(returned=returned) if given is None else DisputeFee(amount=int(given), returned=returned)


def _refundable(status: str) -> bool:
    return status in INQUIRY or status == "won"


def charge_is_refundable(box: Sandbox, charge: Obj) -> bool:
    """False while a chargeback is open, and for ever after it was lost or prevented."""
    return all(each["is_charge_refundable"] for each in box.tables["dispute"].find("charge", charge["id"]))


def move_dispute(box: Sandbox, dispute: Obj, status: str, *, due_by: int | None = None) -> None:
    """The bank has spoken: another status, with the money it moves. Also an inquiry that becomes a chargeback, a
    closed one that is appealed, and a late win. `due_by` (Unix seconds) is when an answer to what it becomes is due.

    Raises ValueError for an unknown status, for one that does not follow from the present one, and for a chargeback
    of a charge that was refunded in full meanwhile.
    """
    _known(status)
    before = dispute["status"]
    if status == before:
        return
    if status not in MOVES[before]:
        allowed = ", ".join(sorted(MOVES[before])) or "nothing else"
        raise ValueError(f"status: a dispute that is {before} becomes {allowed}, not {status}")
    charge = box.tables["charge"].rows[dispute["charge"]]
    escalated = before in INQUIRY and status in OPEN | {"lost"}
    if escalated:
        _refuse_if_refunded(box, charge)
    with changing(box, dispute, "charge.dispute.closed" if status in CLOSED else "charge.dispute.updated"):
        dispute.update(status=status, is_charge_refundable=_refundable(status))
        if escalated:
            _escalate(dispute)
        if due_by is not None or escalated:
            dispute["evidence_details"]["due_by"] = _end_of_day(box, DAYS_TO_RESPOND) if due_by is None else due_by
            _plan(box, dispute)
        if before in INQUIRY and status == "prevented":
            _card(dispute).update(case_type="block")  # deflected: nothing was ever withdrawn
        _move_money(box, dispute, charge)
    refresh_warnings(box, charge)


def _escalate(dispute: Obj) -> None:
    _card(dispute).update(case_type="chargeback", network_reason_code=_NETWORK_CODES[dispute["reason"]])


def _move_money(box: Sandbox, dispute: Obj, charge: Obj) -> None:
    """Money follows the status: away while it is open or lost, here once it is won. Of a charge that was refunded in
    full meanwhile nothing more is taken: https://docs.stripe.com/api/disputes/object, `is_charge_refundable`."""
    withdrawn = is_withdrawn(dispute)
    if dispute["status"] in OPEN | {"lost"} and not withdrawn and not _is_given_back(box, charge):
        withdraw(box, dispute, charge)
    elif dispute["status"] == "won" and withdrawn:
        reinstate(box, dispute, charge)
        if enhanced.status_of(dispute["evidence_details"], "visa_compliance") == "fee_acknowledged":
            network_fee(box, dispute, -enhanced.NETWORK_FEE)


def _plan(box: Sandbox, dispute: Obj) -> None:
    """What happens where nobody does anything: Smart Disputes answers, the deadline closes, an inquiry dies away."""
    from billingbot.sandbox.evidence import answer_by_itself

    due_by = dispute["evidence_details"]["due_by"]
    if dispute["status"] in INQUIRY:
        box.at(box.now() + INQUIRY_DAYS * _DAY, lambda: _fade(box, dispute))
    if due_by:
        box.at(max(due_by - SMART_LEAD_SECONDS, box.now()), lambda: answer_by_itself(box, dispute, due_by))
    if dispute["status"] in OPEN:
        last = due_by or _end_of_day(box, DAYS_TO_RESPOND)
        box.at(last + LAPSE_SECONDS, lambda: _lapse(box, dispute, due_by))


def _fade(box: Sandbox, dispute: Obj) -> None:
    if dispute["status"] in ("warning_needs_response", "warning_under_review"):
        move_dispute(box, dispute, "warning_closed")


def _lapse(box: Sandbox, dispute: Obj, due_by: int) -> None:
    waits = dispute["status"] in ("needs_response", "appeal_needs_response")
    if waits and dispute["evidence_details"]["due_by"] == due_by:
        move_dispute(box, dispute, "lost")


def resolve_inquiry(box: Sandbox, charge: Obj) -> None:
    """A full refund closes an open inquiry, without a fee."""
    for dispute in box.tables["dispute"].find("charge", charge["id"]):
        _fade(box, dispute)
