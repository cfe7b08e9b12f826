"""Answering a dispute through the API: evidence staged or submitted once, and giving in."""

from typing import Final

from billingbot.sandbox import enhanced, forms
from billingbot.sandbox.dispute_life import INQUIRY, UNDER_REVIEW, answered, move_dispute, refuse_if_over, tell_bank
from billingbot.sandbox.disputes import EVIDENCE
from billingbot.sandbox.errors import invalid, refused
from billingbot.sandbox.events import changing
from billingbot.sandbox.files import MOST_BYTES_TOGETHER
from billingbot.sandbox.router import Call, endpoint
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

MOST_LETTERS: Final = 20_000  # of one long text, and of all together: https://docs.stripe.com/api/disputes/update
MOST_LETTERS_TOGETHER: Final = 150_000

_FILES: Final = (
    "cancellation_policy", "customer_communication", "customer_signature", "duplicate_charge_documentation", "receipt",
    "refund_policy", "service_documentation", "shipping_documentation", "uncategorized_file",
)  # fmt: skip
_LONG: Final = (
    "access_activity_log", "cancellation_policy_disclosure", "cancellation_rebuttal", "duplicate_charge_explanation",
    "product_description", "refund_policy_disclosure", "refund_refusal_explanation", "uncategorized_text",
)  # fmt: skip
_TEXTS: Final = {name: forms.text for name in EVIDENCE if name != "enhanced_evidence"}
_METHODS: Final = ("manual", "prefer_manual", "prefer_smart_disputes", "smart_disputes")


@endpoint(
    "POST",
    "/v1/disputes/{id}",
    {
        "metadata": forms.metadata,
        "evidence": forms.nested(**_TEXTS, enhanced_evidence=enhanced.FORM),
        "submit": forms.boolean,
        "intended_submission_method": forms.one_of(*_METHODS),
    },
)
def update(call: Call) -> Obj:
    """Evidence, and whatever was staged before, goes to the bank unless `submit` is false: that is the default.
    Metadata alone stays here only while nothing is staged."""
    box, given = call.box, call.params
    dispute = box.need("dispute", call.ids["id"], "dispute")
    evidence = given.get("evidence") or {}
    after = {name: given[name] for name in ("intended_submission_method",) if name in given}
    after["metadata"] = forms.merge_metadata(dispute["metadata"], given.get("metadata"))
    if evidence:
        refuse_if_over(dispute)
        after |= _staged(dispute, evidence)
        _check(box, after["evidence"])
    submitted = given.get("submit", True) and (evidence or _waits_staged(dispute))
    if submitted:
        after |= answered(box, {**dispute, **after}, "manual")
    with changing(box, dispute, "charge.dispute.updated"):
        dispute.update(after)
    if submitted:
        tell_bank(box, dispute)
    return dispute


def _waits_staged(dispute: Obj) -> bool:
    return dispute["status"] in UNDER_REVIEW and bool(dispute["evidence_details"]["has_evidence"])


def _staged(dispute: Obj, evidence: Obj) -> Obj:
    programmes = {**dispute["evidence"]["enhanced_evidence"], **(evidence.get("enhanced_evidence") or {})}
    details = {
        **dispute["evidence_details"],
        "has_evidence": True,
        "enhanced_eligibility": enhanced.eligibility(dispute["enhanced_eligibility_types"], programmes),
    }
    merged = {**dispute["evidence"], **evidence, "enhanced_evidence": programmes}
    return {"evidence": merged, "evidence_details": details}


def _check(box: Sandbox, evidence: Obj) -> None:
    """Raises StripeError 400 for a text or files above Stripe's limits, and for a file that is none of ours."""
    for name in _LONG:
        if len(evidence[name] or "") > MOST_LETTERS:
            raise invalid(f"Evidence can be at most {MOST_LETTERS} characters long.", f"evidence[{name}]")
    if sum(len(evidence[name] or "") for name in _TEXTS) > MOST_LETTERS_TOGETHER:
        raise invalid(f"Evidence can have at most {MOST_LETTERS_TOGETHER} characters in total.", "evidence")
    named = {name: evidence[name] for name in _FILES if evidence[name]}
    files = [box.need("file", file, "file upload", f"evidence[{name}]") for name, file in named.items()]
    if sum(file["size"] for file in files) > MOST_BYTES_TOGETHER:
        raise invalid(f"The files of a dispute can have at most {MOST_BYTES_TOGETHER} bytes in total.", "evidence")


@endpoint("POST", "/v1/disputes/{id}/close")
def close(call: Call) -> Obj:
    """Accept the dispute: lost, and not to be undone."""
    dispute = call.box.need("dispute", call.ids["id"], "dispute")
    if dispute["status"] in ("won", "lost", "warning_closed", "prevented"):
        raise refused("This dispute is already closed")
    if dispute["status"] not in UNDER_REVIEW:
        raise refused(f"This dispute cannot be closed: its status is {dispute['status']}.")
    closed = "warning_closed" if dispute["status"] in INQUIRY else "lost"
    move_dispute(call.box, dispute, closed)
    return dispute
