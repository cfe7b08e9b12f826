"""How a dispute goes on: moved by command (banks do not ask), by an answer, and by time where nobody answers."""

from typing import Final

from billingbot.sandbox import enhanced
from billingbot.sandbox.dispute_money import is_withdrawn, network_fee, reinstate, withdraw
from billingbot.sandbox.early_fraud import refresh_warnings
from billingbot.sandbox.errors import refused
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

_DAY: Final = 86_400
DAYS_TO_RESPOND: Final = 9  # as recorded: the end of the ninth day
LAPSE_SECONDS: Final = _DAY  # a late answer is taken and called `past_due`; then Stripe closes. Its span is unpublished
INQUIRY_DAYS: Final = 120  # an inquiry that did not escalate: https://docs.stripe.com/disputes/how-disputes-work
SMART_LEAD_SECONDS: Final = _DAY  # Smart Disputes answers before the deadline; how long before is unpublished
REVIEW_SECONDS: Final = 5  # test mode's bank answers within seconds, as recorded
NETWORK_FEE_SECONDS: Final = 86_400  # Stripe takes Visa's fee "typically within 1-2 days"

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
NETWORK_CODES: Final = {
    "bank_cannot_process": "R20", "check_returned": "R61", "credit_not_processed": "13.6", "customer_initiated": "R07",
    "debit_not_authorized": "R10", "duplicate": "12.6.1", "fraudulent": "10.4", "general": "11.3",
    "incorrect_account_details": "R03", "insufficient_funds": "R01", "noncompliant": "98",
    "product_not_received": "13.1", "product_unacceptable": "13.3", "subscription_canceled": "13.2",
    "unrecognized": "10.4",
}  # fmt: skip
REASONS: Final = frozenset(NETWORK_CODES)
# What test mode's bank makes of these words: for a chargeback, for an inquiry.
# https://docs.stripe.com/testing#disputes
_SPELLS: Final = {
    "winning_evidence": ("won", "warning_closed"),
    "losing_evidence": ("lost", "warning_closed"),
    "escalate_inquiry_evidence": (None, "needs_response"),
}


def require_status(status: str) -> None:
    """Raises ValueError for a status that Stripe does not know."""
    if status not in STATUSES:
        raise ValueError(f"status: expected one of {', '.join(sorted(STATUSES))}, got {status!r}")


def refuse_if_refunded(box: Sandbox, charge: Obj) -> None:
    """A card's charge that is given back in full cannot be disputed; one that is on its way back can (and is not
    given back then). https://docs.stripe.com/refunds"""
    if _is_given_back(box, charge):
        raise ValueError("charge: it was refunded in full, so no bank takes a dispute of it")


def _is_given_back(box: Sandbox, charge: Obj) -> bool:
    refunds = box.tables["refund"].find("charge", charge["id"])
    given: int = sum(each["amount"] for each in refunds if each["status"] == "succeeded")
    captured: int = charge["amount_captured"]
    return given >= captured


def card_of(dispute: Obj) -> Obj:
    """What is known of a card dispute\'s case; empty where no card is involved."""
    method = dispute["payment_method_details"]
    return method["card"] if method else {}


def end_of_day(box: Sandbox, days: int) -> int:
    """The last second (Unix) of the day so many days from now."""
    return (box.now() // _DAY + days + 1) * _DAY - 1


def refundable(status: str) -> bool:
    """Whether the charge of such a dispute may be given back."""
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
    require_status(status)
    before = dispute["status"]
    if status == before:
        return
    if status not in MOVES[before]:
        allowed = ", ".join(sorted(MOVES[before])) or "nothing else"
        raise ValueError(f"status: a dispute that is {before} becomes {allowed}, not {status}")
    charge = box.tables["charge"].rows[dispute["charge"]]
    escalated = before in INQUIRY and status in OPEN | {"lost"}
    if escalated:
        refuse_if_refunded(box, charge)
    with changing(box, dispute, "charge.dispute.closed" if status in CLOSED else "charge.dispute.updated"):
        dispute.update(status=status, is_charge_refundable=refundable(status))
        if escalated:
            _escalate(dispute)
        if due_by is not None or escalated:
            dispute["evidence_details"]["due_by"] = end_of_day(box, DAYS_TO_RESPOND) if due_by is None else due_by
            plan_ahead(box, dispute)
        if before in INQUIRY and status == "prevented":
            card_of(dispute).update(case_type="block")  # deflected: nothing was ever withdrawn
        _move_money(box, dispute, charge)
    refresh_warnings(box, charge)


def _escalate(dispute: Obj) -> None:
    card_of(dispute).update(case_type="chargeback", network_reason_code=NETWORK_CODES[dispute["reason"]])


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


def plan_ahead(box: Sandbox, dispute: Obj) -> None:
    """What happens where nobody does anything: Smart Disputes answers, the deadline closes, an inquiry dies away."""
    due_by = dispute["evidence_details"]["due_by"]
    if dispute["status"] in INQUIRY:
        box.at(box.now() + INQUIRY_DAYS * _DAY, lambda: _fade(box, dispute))
    if due_by:
        box.at(max(due_by - SMART_LEAD_SECONDS, box.now()), lambda: answer_by_itself(box, dispute, due_by))
    if dispute["status"] in OPEN:
        last = due_by or end_of_day(box, DAYS_TO_RESPOND)
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


def refuse_if_over(dispute: Obj) -> None:
    """Raises StripeError where no answer is possible (any more)."""
    if dispute["status"] in ("won", "lost", "warning_closed", "prevented"):
        raise refused("This dispute is already closed")
    if dispute["status"] not in UNDER_REVIEW or not dispute["evidence_details"]["due_by"]:
        raise refused(f"This dispute takes no evidence: its status is {dispute['status']}.")


def answered(box: Sandbox, dispute: Obj, method: str) -> Obj:
    """What changes when the staged evidence goes to the bank. Raises StripeError 400 where no answer is possible
    (any more)."""
    refuse_if_over(dispute)
    details = dispute["evidence_details"]
    enhanced.refuse_unacknowledged(details)
    counted = {
        **details,
        "has_evidence": True,
        "past_due": box.now() > details["due_by"],
        "submission_count": details["submission_count"] + 1,
        "submission_method": method,
    }
    return {"evidence_details": counted, "status": UNDER_REVIEW[dispute["status"]]}


def tell_bank(box: Sandbox, dispute: Obj) -> None:
    """The charge is told too, Visa's fee is taken, and test mode's bank knows some words."""
    emit(box, "charge.updated", box.tables["charge"].rows[dispute["charge"]])
    if enhanced.status_of(dispute["evidence_details"], "visa_compliance"):
        box.at(box.now() + NETWORK_FEE_SECONDS, lambda: network_fee(box, dispute, enhanced.NETWORK_FEE))
    spelled = _SPELLS.get(dispute["evidence"]["uncategorized_text"] or "")
    status = spelled[dispute["status"] in INQUIRY] if spelled else None
    if status is not None:
        box.at(box.now() + REVIEW_SECONDS, lambda: _speak(box, dispute, status))


def _speak(box: Sandbox, dispute: Obj, status: str) -> None:
    if dispute["status"] in UNDER_REVIEW.values():  # unless a command came first
        move_dispute(box, dispute, status)


def answer_by_itself(box: Sandbox, dispute: Obj, due_by: int | None = None) -> None:
    """Smart Disputes writes an answer of its own and sends it. With `due_by` (Unix seconds) only where that is still
    the deadline and the account wants it so; without, now. Raises StripeError where no answer is possible."""
    wanted = dispute["intended_submission_method"] in ("smart_disputes", "prefer_smart_disputes")
    if due_by is not None:
        waits = dispute["status"] in UNDER_REVIEW and dispute["evidence_details"]["due_by"] == due_by
        if not (waits and wanted):
            return
    with changing(box, dispute, "charge.dispute.updated"):
        dispute.update(answered(box, dispute, "smart_disputes"))
    tell_bank(box, dispute)
