"""`/v1/disputes` as they are read, and how one is opened: by command, for banks do not ask."""

from typing import Final, Unpack

from billingbot.sandbox import enhanced, forms
from billingbot.sandbox.claim import Claim
from billingbot.sandbox.dispute_life import (
    CLOSED,
    DAYS_TO_RESPOND,
    INQUIRY,
    NETWORK_CODES,
    REASONS,
    card_of,
    end_of_day,
    plan_ahead,
    refundable,
    refuse_if_refunded,
    require_status,
)
from billingbot.sandbox.dispute_money import reinstate, withdraw
from billingbot.sandbox.early_fraud import refresh_warnings
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.plans import DisputeFee
from billingbot.sandbox.router import listable, retrievable
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

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
    require_status(status)
    if reason not in REASONS:
        raise ValueError(f"reason: expected one of {', '.join(sorted(REASONS))}, got {reason!r}")
    if charge["status"] != "succeeded" or not charge["captured"]:
        raise ValueError("charge: expected one that was captured, nobody disputes another")
    refuse_if_refunded(box, charge)
    dispute = _blank(box, charge, status, reason, how)
    box.tables["dispute"].add(dispute)
    box.dispute_fees[dispute["id"]] = _fee(dispute, how)
    with changing(box, charge, "charge.updated"):
        charge.update(disputed=True, dispute=dispute["id"])
    emit(box, "charge.dispute.created", dispute)
    if status not in INQUIRY and card_of(dispute).get("case_type") != "block":
        withdraw(box, dispute, charge)
    if status == "won":
        reinstate(box, dispute, charge)
    if status in CLOSED:
        emit(box, "charge.dispute.closed", dispute)
    plan_ahead(box, dispute)
    refresh_warnings(box, charge)
    return dispute


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
        "is_charge_refundable": refundable(status),
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
    code = _OF_INQUIRY if case == "inquiry" else NETWORK_CODES[reason]
    brand = paid_with["brand"]
    card = {"brand": brand, "case_type": case, "network": brand, "network_reason_code": code}
    return {"card": card, "type": "card"}


def _due_by(box: Sandbox, status: str, how: Claim) -> int:
    given = how.get("due_by")
    if given is not None:
        return int(given)
    return 0 if status == "prevented" else end_of_day(box, DAYS_TO_RESPOND)


def _fee(dispute: Obj, how: Claim) -> DisputeFee:
    given = how.get("fee")
    if given is None and dispute["status"] == "prevented":
        given = 0  # a prevented dispute costs no dispute fee: https://docs.stripe.com/disputes/prevention
    returned = how.get("fee_returned", True)
    return DisputeFee(returned=returned) if given is None else DisputeFee(amount=int(given), returned=returned)
