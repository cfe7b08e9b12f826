"""Answering a dispute: evidence staged or submitted once, Stripe's own answer in our place, and giving in."""

from typing import Final

from billingbot.sandbox import forms
from billingbot.sandbox.disputes import EVIDENCE, move_dispute
from billingbot.sandbox.errors import refused
from billingbot.sandbox.events import changing
from billingbot.sandbox.router import Call, endpoint
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

_UNDER_REVIEW: Final = {
    "needs_response": "under_review",
    "warning_needs_response": "warning_under_review",
    "appeal_needs_response": "appeal_under_review",
}
_TEXTS: Final = {name: forms.text for name in EVIDENCE if name != "enhanced_evidence"}


@endpoint(
    "POST",
    "/v1/disputes/{id}",
    {
        "metadata": forms.metadata,
        "evidence": forms.nested(**_TEXTS, enhanced_evidence=forms.anything),
        "submit": forms.boolean,
    },
)
def update(call: Call) -> Obj:
    """Evidence goes to the bank unless `submit` is false, which is Stripe's default too; metadata alone stays here."""
    dispute = call.box.need("dispute", call.ids["id"], "dispute")
    given = call.params.get("evidence")
    if given:
        _refuse_if_over(call.box, dispute)
    with changing(call.box, dispute, "charge.dispute.updated"):
        dispute["metadata"] = forms.merge_metadata(dispute["metadata"], call.params.get("metadata"))
        if given:
            dispute["evidence"] = {**dispute["evidence"], **given}
            dispute["evidence_details"] = {**dispute["evidence_details"], "has_evidence": True}
    if call.params.get("submit", True) and dispute["evidence_details"]["has_evidence"] and "evidence" in call.params:
        submit(call.box, dispute)
    return dispute


def submit(box: Sandbox, dispute: Obj) -> None:
    """What is staged goes to the bank. Raises StripeError 400 where no answer is possible any more."""
    _refuse_if_over(box, dispute)
    details = dispute["evidence_details"]
    counted = {"has_evidence": True, "submission_count": details["submission_count"] + 1}
    dispute["evidence_details"] = {**details, **counted}
    move_dispute(box, dispute, _UNDER_REVIEW[dispute["status"]])


def _refuse_if_over(box: Sandbox, dispute: Obj) -> None:
    due_by = dispute["evidence_details"]["due_by"]
    if dispute["status"] not in _UNDER_REVIEW or not due_by or box.now() > due_by:
        raise refused(f"This dispute takes no evidence: its status is {dispute['status']}.")


@endpoint("POST", "/v1/disputes/{id}/close")
def close(call: Call) -> Obj:
    """Accept the dispute: lost, and not to be undone."""
    dispute = call.box.need("dispute", call.ids["id"], "dispute")
    if dispute["status"] not in ("needs_response", "warning_needs_response"):
        raise refused(f"This dispute cannot be closed: its status is {dispute['status']}.")
    closed = "lost" if dispute["status"] == "needs_response" else "warning_closed"
    move_dispute(call.box, dispute, closed)
    return dispute
