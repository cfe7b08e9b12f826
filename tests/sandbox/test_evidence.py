"""Evidence for a dispute: staged, submitted once, refused where no answer is possible."""

import io

import pytest
import stripe
from tests.sandbox.shop import Shop


def test_evidence_is_submitted_unless_told_otherwise(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id)
    read = shop.sdk.v1.disputes.update(dispute["id"], {"evidence": {"uncategorized_text": "used daily"}})
    assert read.status == "under_review"
    assert (read.evidence_details.has_evidence, read.evidence_details.submission_count) == (True, 1)
    with pytest.raises(stripe.InvalidRequestError):
        shop.sdk.v1.disputes.update(dispute["id"], {"evidence": {"uncategorized_text": "once more"}})


def test_staged_evidence_waits_for_its_submission(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id)
    staged = shop.sdk.v1.disputes.update(
        dispute["id"], {"evidence": {"customer_name": "Jo", "service_date": "May"}, "submit": False}
    )
    assert (staged.status, staged.evidence_details.submission_count) == ("needs_response", 0)
    sent = shop.sdk.v1.disputes.update(dispute["id"], {"evidence": {"service_date": "June"}, "submit": True})
    assert (sent.status, sent.evidence.customer_name, sent.evidence.service_date) == ("under_review", "Jo", "June")


def test_metadata_alone_is_no_answer_to_the_bank(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id)
    assert shop.sdk.v1.disputes.update(dispute["id"], {"metadata": {"case": "1"}}).status == "needs_response"


def test_no_answer_is_possible_where_the_due_time_is_zero(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id, due_by=0)
    assert dispute["evidence_details"]["due_by"] == 0
    with pytest.raises(stripe.InvalidRequestError, match="takes no evidence"):
        shop.sdk.v1.disputes.update(dispute["id"], {"evidence": {"customer_name": "Jo"}, "submit": False})


def test_a_file_is_uploaded_and_named_as_evidence(shop: Shop) -> None:
    paper = io.BytesIO(b"%PDF-1.4\r\n\xff\x00 receipt\n")
    paper.name = "receipt.pdf"
    made = shop.sdk.v1.files.create({"purpose": "dispute_evidence", "file": paper})
    assert (made.type, made.size, made.filename) == ("pdf", 21, "receipt.pdf")
    assert shop.sdk.v1.files.retrieve(made.id).id == made.id
    dispute = shop.control.dispute(shop.one_off().id)
    read = shop.sdk.v1.disputes.update(dispute["id"], {"evidence": {"receipt": made.id}, "submit": False})
    assert read.evidence.receipt == made.id


def test_what_is_staged_goes_with_the_next_request_that_does_not_say_otherwise(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id)
    update = shop.sdk.v1.disputes.update
    update(dispute["id"], {"evidence": {"customer_name": "Jo"}, "submit": False})
    kept = update(dispute["id"], {"metadata": {"case": "1"}, "submit": False})
    assert (kept.status, kept.evidence_details.submission_method) == ("needs_response", "not_submitted")
    sent = update(dispute["id"], {"metadata": {"case": "2"}})
    assert (sent.status, sent.evidence_details.submission_method) == ("under_review", "manual")


def test_a_submission_is_one_change_of_the_dispute_and_one_of_the_charge(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id)
    before = len(shop.kinds())
    shop.sdk.v1.disputes.update(dispute["id"], {"evidence": {"customer_name": "Jo"}})
    assert shop.kinds()[before:] == ["charge.dispute.updated", "charge.updated"]


def test_evidence_above_the_limits_of_stripe_is_refused_and_not_kept(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id)
    update = shop.sdk.v1.disputes.update
    with pytest.raises(stripe.InvalidRequestError, match="20000 characters"):
        update(dispute["id"], {"evidence": {"access_activity_log": "x" * 20_001}})
    with pytest.raises(stripe.InvalidRequestError, match="No such file upload"):
        update(dispute["id"], {"evidence": {"receipt": "file_of_nobody"}})
    assert not shop.sdk.v1.disputes.retrieve(dispute["id"]).evidence_details.has_evidence


@pytest.mark.parametrize("status", ["won", "lost", "prevented", "warning_closed"])
def test_a_dispute_that_is_over_takes_neither_evidence_nor_acceptance(shop: Shop, status: str) -> None:
    dispute = shop.control.dispute(shop.one_off().id, status=status)
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        shop.sdk.v1.disputes.update(dispute["id"], {"evidence": {"customer_name": "Jo"}})
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        shop.sdk.v1.disputes.close(dispute["id"])
