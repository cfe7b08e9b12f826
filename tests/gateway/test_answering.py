"""The calls that answer a bank, as they go over the wire: `submit` in every one, no fee ever acknowledged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.peer import Asked, answered, listening, refused

from billingbot.core.errors import InputError
from billingbot.gateway.answering import standing_of
from billingbot.gateway.answers import Answered, Halted, NotDone, Refused, UnknownOutcome, Uploaded
from billingbot.gateway.client import StripeGateway

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "stripe-recordings" / "disputes.jsonl"


def a_dispute(**overrides: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "id": "dp_1",
        "object": "dispute",
        "livemode": False,
        "charge": "ch_1",
        "status": "needs_response",
        "reason": "fraudulent",
        "amount": 4900,
        "currency": "usd",
        "is_charge_refundable": False,
        "created": 1_770_000_000,
        "evidence": {"customer_name": "Ada", "receipt": None, "enhanced_evidence": {}},
        "evidence_details": {"due_by": 1_780_000_000, "has_evidence": False, "submission_count": 0, "past_due": False},
        "metadata": {},
    }
    return base | overrides


def put(answer: Callable[[Asked], bytes], **ask: Any) -> tuple[Any, list[Asked]]:
    """What comes of one call, and what went over the wire for it."""
    told: dict[str, Any] = {
        "dispute_id": "dp_1",
        "evidence": {"customer_name": "Ada", "service_date": ""},
        "submit": False,
        "answer_id": "ans_1",
        "idempotency_key": "key-1",
    }
    with listening(answer) as peer:
        gateway = StripeGateway("default", "rk_test_x", False, api_base=peer.url)
        try:
            return gateway.put_evidence(**(told | ask)), peer.asked
        finally:
            gateway.close()


@pytest.mark.parametrize(("submit", "mark"), [(False, "billingbot_staged"), (True, "billingbot_answer")])
def test_submit_is_named_in_every_call_with_the_key_and_our_mark(submit: bool, mark: str) -> None:
    outcome, [asked] = put(lambda _: answered(a_dispute(metadata={mark: "ans_1"})), submit=submit)
    assert isinstance(outcome, Answered)
    assert (asked.method, asked.path) == ("POST", "/v1/disputes/dp_1")
    assert asked.form["submit"] == ("true" if submit else "false")
    assert asked.form[f"metadata[{mark}]"] == "ans_1"
    assert asked.form["evidence[customer_name]"] == "Ada"
    assert {name.lower(): value for name, value in asked.headers.items()}["idempotency-key"] == "key-1"
    assert (outcome.standing.sent_by if submit else outcome.standing.staged_by) == "ans_1"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"evidence": {}}, "evidence"),
        ({"evidence": {"customer_name": ""}}, "evidence"),
        ({"evidence": {"enhanced_evidence": "x"}}, "evidence"),
        ({"submit": "false"}, "submit"),
        ({"submit": None}, "submit"),
        ({"idempotency_key": ""}, "dispute_id"),
    ],
)
def test_what_must_never_be_sent_is_refused_before_anything_is(wrong: dict[str, Any], field: str) -> None:
    def nobody(asked: Asked) -> bytes:
        raise AssertionError(f"{asked.path} was asked")

    with pytest.raises(InputError, match=f"^{field}: "):
        put(nobody, **wrong)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda _: refused(400, code="dispute_evidence_page_limit_exceeded", message="too long"), Refused),
        (lambda _: refused(429, code="lock_timeout"), NotDone),
        (lambda _: refused(403, message="no permission"), Halted),
        (lambda _: refused(500, message="oops"), UnknownOutcome),
        (lambda _: answered(a_dispute(), cut=10), UnknownOutcome),
        (lambda _: answered({"object": "dispute", "id": "dp_1"}), UnknownOutcome),
        (lambda _: answered(a_dispute(id="dp_2")), UnknownOutcome),
    ],
)
def test_every_outcome_is_told_apart_and_asked_for_once(answer: Callable[[Asked], bytes], kind: type) -> None:
    outcome, asked = put(answer, submit=True)
    assert isinstance(outcome, kind)
    assert len(asked) == 1


def test_a_paper_is_uploaded_as_evidence_and_held_against_its_size() -> None:
    for size, kind in ((4, Uploaded), (5, UnknownOutcome)):
        made = {"object": "file", "id": "file_1", "purpose": "dispute_evidence", "size": size}
        with listening(lambda _, made=made: answered(made)) as peer:  # type: ignore[misc]
            gateway = StripeGateway("default", "rk_test_x", False, api_base=peer.url)
            outcome = gateway.upload_paper(filename="receipt.pdf", content=b"%PDF", idempotency_key="key-2")
            gateway.close()
        assert isinstance(outcome, kind)
        assert [one.path for one in peer.asked] == ["/v1/files"]


@pytest.mark.parametrize(
    ("overrides", "wants_fee"),
    [
        ({}, False),
        ({"enhanced_eligibility_types": ["visa_compelling_evidence_3"]}, False),
        ({"enhanced_eligibility_types": ["visa_compliance"]}, True),
        ({"enhanced_eligibility_types": ["mastercard_compliance"]}, True),
        ({"payment_method_details": {"type": "card", "card": {"brand": "visa", "case_type": "compliance"}}}, True),
    ],
)
def test_a_dispute_that_costs_a_fee_to_answer_is_known(overrides: dict[str, Any], wants_fee: bool) -> None:
    standing = standing_of(a_dispute(**overrides))
    assert standing.wants_fee is wants_fee
    assert standing.evidence == {"customer_name": "Ada"}


@pytest.mark.skipif(not RECORDED.exists(), reason="the recordings are not here")
def test_recorded_disputes_are_read() -> None:
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        body = json.loads(line)["body"]
        if body.get("object") == "dispute":
            standing = standing_of(body)
            assert standing.dispute.id == body["id"]
            assert standing.dispute.submission_count == body["evidence_details"]["submission_count"]
            assert standing.sent_by is None
