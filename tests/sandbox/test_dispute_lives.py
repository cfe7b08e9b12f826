"""The lives that disputes lead: inquiries that escalate, wins that come late, answers by Stripe, deadlines."""

from typing import Any

import pytest
import stripe
from tests.sandbox.conftest import Receiver
from tests.sandbox.shop import Shop

from billingbot.sandbox.client import SandboxError
from billingbot.sandbox.dispute_life import CLOSED, INQUIRY, MOVES, OPEN, REASONS, STATUSES

DAY = 86_400


def read(shop: Shop, dispute: Any) -> Any:
    return shop.sdk.v1.disputes.retrieve(dispute["id"])


def booked(shop: Shop, dispute: Any) -> list[tuple[int, int]]:
    """Amount and fee of each booking, oldest first."""
    return [(each.amount, each.fee) for each in read(shop, dispute).balance_transactions]


def dispute_kinds(shop: Shop) -> list[str]:
    return [kind.removeprefix("charge.dispute.") for kind in shop.kinds() if kind.startswith("charge.dispute.")]


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_a_chargeback_of_each_reason_takes_the_money_and_forbids_a_refund(shop: Shop, reason: str) -> None:
    charge = shop.one_off(2000)
    dispute = shop.control.dispute(charge.id, reason=reason)
    assert (dispute["reason"], booked(shop, dispute)) == (reason, [(-2000, 1500)])
    with pytest.raises(stripe.InvalidRequestError, match="charged back"):
        shop.sdk.v1.refunds.create({"charge": charge.id})


def test_there_are_fifteen_reasons() -> None:
    assert len(REASONS) == 15


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_money_follows_the_status_whatever_way_a_dispute_takes(shop: Shop, status: str) -> None:
    for following in sorted(MOVES[status]):
        dispute = shop.control.dispute(shop.one_off(2000).id, status=status)
        moved = shop.control.move_dispute(dispute["id"], following)
        away = sum(amount for amount, _ in booked(shop, dispute))
        fees = sum(fee for _, fee in booked(shop, dispute))
        if following in OPEN | {"lost"}:
            assert (away, fees, moved["is_charge_refundable"]) == (-2000, 1500, False)
        elif following == "won" or following in INQUIRY:
            assert (away, fees, moved["is_charge_refundable"]) == (0, 0, True)
        else:
            assert (following, away, fees) == ("prevented", 0, 0)
        assert (dispute_kinds(shop)[-1] == "closed") == (following in CLOSED)


def test_a_move_that_no_bank_makes_is_refused_by_name(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id, status="prevented")
    with pytest.raises(SandboxError, match="a dispute that is prevented becomes nothing else, not won"):
        shop.control.move_dispute(dispute["id"], "won")


def test_a_late_win_brings_the_money_back_and_a_second_loss_takes_it_again(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off(2000).id)
    for status in ("lost", "won", "lost", "won"):
        shop.control.move_dispute(dispute["id"], status)
    assert booked(shop, dispute) == [(-2000, 1500), (2000, -1500), (-2000, 1500), (2000, -1500)]
    assert dispute_kinds(shop) == [
        "created", "funds_withdrawn", "closed", "funds_reinstated", "closed", "funds_withdrawn", "closed",
        "funds_reinstated", "closed",
    ]  # fmt: skip


def test_a_win_without_the_fee_is_what_stripe_does_in_most_countries(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off(2000).id, fee_returned=False)
    for status in ("won", "lost"):
        shop.control.move_dispute(dispute["id"], status)
    assert booked(shop, dispute) == [(-2000, 1500), (2000, 0), (-2000, 0)]


def test_a_win_in_an_appeal_is_a_win_of_money_that_was_away_all_the_time(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off(2000).id)
    for status in ("lost", "appeal_needs_response", "appeal_under_review", "won"):
        shop.control.move_dispute(dispute["id"], status)
    assert booked(shop, dispute) == [(-2000, 1500), (2000, -1500)]


def test_a_partial_refund_does_not_stop_an_inquiry_from_becoming_a_chargeback_of_the_whole(shop: Shop) -> None:
    charge = shop.one_off(2000)
    inquiry = shop.control.dispute(charge.id, status="warning_needs_response", reason="subscription_canceled")
    shop.sdk.v1.refunds.create({"charge": charge.id, "amount": 500})
    moved = shop.control.move_dispute(inquiry["id"], "needs_response")
    card = moved["payment_method_details"]["card"]
    assert (card["case_type"], card["network_reason_code"]) == ("chargeback", "13.2")
    assert booked(shop, inquiry) == [(-2000, 1500)]
    assert shop.sdk.v1.charges.retrieve(charge.id).amount_refunded == 500


def test_an_inquiry_that_a_full_refund_resolved_costs_nothing_and_never_comes_back(shop: Shop) -> None:
    charge = shop.one_off(2000)
    inquiry = shop.control.dispute(charge.id, status="warning_needs_response")
    shop.sdk.v1.refunds.create({"charge": charge.id})
    assert (read(shop, inquiry).status, booked(shop, inquiry)) == ("warning_closed", [])
    with pytest.raises(SandboxError, match="refunded in full"):
        shop.control.move_dispute(inquiry["id"], "needs_response")


def test_nothing_more_is_taken_of_a_charge_that_was_refunded_after_a_win(shop: Shop) -> None:
    charge = shop.one_off(2000)
    dispute = shop.control.dispute(charge.id, status="won")
    shop.sdk.v1.refunds.create({"charge": charge.id})
    shop.control.move_dispute(dispute["id"], "lost")
    assert (read(shop, dispute).status, booked(shop, dispute)) == ("lost", [(-2000, 1500), (2000, -1500)])


def test_an_inquiry_that_the_network_deflects_costs_nothing(shop: Shop) -> None:
    inquiry = shop.control.dispute(shop.one_off().id, status="warning_needs_response")
    moved = shop.control.move_dispute(inquiry["id"], "prevented")
    assert (moved["payment_method_details"]["card"]["case_type"], moved["balance_transactions"]) == ("block", [])


def test_what_the_networks_resolve_by_rule_costs_the_amount_and_no_fee(shop: Shop) -> None:
    lost = shop.control.dispute(shop.one_off(2000).id, rdr=True)
    prevented = shop.control.dispute(shop.one_off(2000).id, status="prevented", reason="fraudulent")
    for dispute in (lost, prevented):
        assert dispute["payment_method_details"]["card"]["case_type"] == "resolution"
        assert (booked(shop, dispute), dispute["evidence_details"]["due_by"]) == ([(-2000, 0)], 0)


def test_a_dispute_can_be_lost_in_the_second_it_is_opened_and_told_of_in_the_wrong_order(
    shop: Shop, receiver: Receiver
) -> None:
    secret = shop.control.add_endpoint(receiver.url, ["charge.dispute.created", "charge.dispute.closed"])["secret"]
    shop.control.weather(held=True)
    dispute = shop.control.dispute(shop.one_off().id, status="lost", due_by=0)
    shop.control.release_backwards()
    assert shop.control.quiet()
    told = receiver.events(secret)
    assert [event.type for event in told] == ["charge.dispute.closed", "charge.dispute.created"]
    assert {event.created for event in told} == {dispute["created"]}


def test_a_charge_is_disputed_more_than_once_and_a_dispute_covers_more_than_its_charge(shop: Shop) -> None:
    charge = shop.one_off(2000)
    first = shop.control.dispute(charge.id, amount=800)
    second = shop.control.dispute(charge.id, amount=6000)
    assert (booked(shop, first), booked(shop, second)) == ([(-800, 1500)], [(-6000, 1500)])
    shop.control.move_dispute(first["id"], "won")
    with pytest.raises(stripe.InvalidRequestError, match="charged back"):
        shop.sdk.v1.refunds.create({"charge": charge.id, "amount": 100})


@pytest.mark.parametrize("fate", ["refunded", "held"])
def test_nobody_disputes_what_was_given_back_in_full_or_never_taken(shop: Shop, fate: str) -> None:
    if fate == "refunded":
        charge = shop.one_off().id
        shop.sdk.v1.refunds.create({"charge": charge})
    else:
        intent = shop.sdk.v1.payment_intents.create(
            {
                "amount": 500,
                "currency": "usd",
                "payment_method": "pm_card_visa",
                "payment_method_types": ["card"],
                "capture_method": "manual",
                "confirm": True,
            }
        )
        charge = intent.latest_charge
    with pytest.raises(SandboxError, match="charge: "):
        shop.control.dispute(charge)


def test_a_chargeback_that_crosses_a_pending_refund_makes_it_fail(shop: Shop) -> None:
    charge = shop.one_off(2000)
    shop.control.refund_outcome(charge=charge.id, status="pending", then="succeeded", after_seconds=60)
    refund = shop.sdk.v1.refunds.create({"charge": charge.id})
    shop.control.dispute(charge.id)
    shop.control.advance(hours=1)
    read = shop.sdk.v1.refunds.retrieve(refund.id)
    assert (read.status, read.failure_reason) == ("failed", "charge_for_pending_refund_disputed")


def test_a_warning_after_a_dispute_asks_for_nothing(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.dispute(charge.id)
    assert not shop.control.warn(charge.id)["actionable"]


# Time.


def test_a_chargeback_that_nobody_answers_is_lost_after_its_deadline(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id)
    shop.control.advance(to=dispute["evidence_details"]["due_by"] + 60)
    assert read(shop, dispute).status == "needs_response"
    shop.control.advance(days=1)
    assert (read(shop, dispute).status, dispute_kinds(shop)[-1]) == ("lost", "closed")
    assert read(shop, dispute).evidence_details.submission_method == "not_submitted"


def test_an_answer_after_the_deadline_is_taken_for_a_while_and_called_past_due(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id)
    shop.control.advance(to=dispute["evidence_details"]["due_by"] + 60)
    sent = shop.sdk.v1.disputes.update(dispute["id"], {"evidence": {"customer_name": "Jo"}})
    assert (sent.status, sent.evidence_details.past_due) == ("under_review", True)
    shop.control.advance(days=30)
    assert read(shop, dispute).status == "under_review"


def test_an_inquiry_that_nobody_pursues_is_closed_after_120_days(shop: Shop) -> None:
    inquiry = shop.control.dispute(shop.one_off().id, status="warning_needs_response")
    shop.control.advance(days=119)
    assert read(shop, inquiry).status == "warning_needs_response"
    shop.control.advance(days=2)
    assert (read(shop, inquiry).status, booked(shop, inquiry)) == ("warning_closed", [])


def test_an_inquiry_that_escalates_late_has_a_deadline_of_its_own(shop: Shop) -> None:
    inquiry = shop.control.dispute(shop.one_off().id, status="warning_needs_response")
    shop.control.advance(days=30)
    moved = shop.control.move_dispute(inquiry["id"], "needs_response")
    assert moved["evidence_details"]["due_by"] > shop.control.now() + 8 * DAY


def test_smart_disputes_answers_before_the_deadline_where_nobody_did(shop: Shop) -> None:
    charge = shop.one_off(token="pm_card_createAutoRepresentmentEligibleDispute")
    [dispute] = shop.sdk.v1.disputes.list({"charge": charge.id}).data
    assert dispute.intended_submission_method == "smart_disputes"
    shop.control.advance(days=9)
    answered = read(shop, dispute)
    details = answered.evidence_details
    assert (answered.status, details.submission_method) == ("under_review", "smart_disputes")
    with pytest.raises(stripe.InvalidRequestError, match="takes no evidence"):
        shop.sdk.v1.disputes.update(dispute.id, {"evidence": {"customer_name": "Jo"}})


def test_smart_disputes_stands_back_where_it_is_told_to(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id, smart=True)
    shop.sdk.v1.disputes.update(dispute["id"], {"intended_submission_method": "manual"})
    shop.control.advance(days=9)
    assert read(shop, dispute).status == "needs_response"


def test_smart_disputes_can_be_made_to_answer_now(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id)
    answered = shop.control.answer_dispute(dispute["id"])
    assert (answered["status"], answered["evidence_details"]["submission_count"]) == ("under_review", 1)


# Test mode's own cards and words.


@pytest.mark.parametrize(
    ("status", "words", "becomes"),
    [
        ("needs_response", "winning_evidence", "won"),
        ("needs_response", "losing_evidence", "lost"),
        ("needs_response", "escalate_inquiry_evidence", "under_review"),
        ("warning_needs_response", "losing_evidence", "warning_closed"),
        ("warning_needs_response", "escalate_inquiry_evidence", "needs_response"),
    ],
)
def test_the_words_of_test_mode_decide_a_dispute(shop: Shop, status: str, words: str, becomes: str) -> None:
    dispute = shop.control.dispute(shop.one_off().id, status=status)
    sent = shop.sdk.v1.disputes.update(dispute["id"], {"evidence": {"uncategorized_text": words}})
    assert sent.status.endswith("under_review")
    shop.control.advance(seconds=5)
    assert read(shop, dispute).status == becomes


def test_the_card_for_many_disputes_brings_two(shop: Shop) -> None:
    charge = shop.one_off(token="pm_card_createMultipleDisputes")
    assert len(shop.sdk.v1.disputes.list({"charge": charge.id}).data) == 2


def test_a_compliance_dispute_takes_no_answer_before_its_fee_is_accepted(shop: Shop) -> None:
    charge = shop.one_off(token="pm_card_createComplianceDispute")
    [dispute] = shop.sdk.v1.disputes.list({"charge": charge.id}).data
    assert (dispute.reason, dispute.payment_method_details.card.case_type) == ("noncompliant", "compliance")
    answer = {"uncategorized_text": "winning_evidence"}
    with pytest.raises(stripe.InvalidRequestError, match="acknowledge the network fee"):
        shop.sdk.v1.disputes.update(dispute.id, {"evidence": answer})
    assert not read(shop, dispute).evidence_details.has_evidence
    accepted = {"enhanced_evidence": {"visa_compliance": {"fee_acknowledged": True}}}
    sent = shop.sdk.v1.disputes.update(dispute.id, {"evidence": {**answer, **accepted}})
    assert sent.evidence_details.enhanced_eligibility.visa_compliance.status == "fee_acknowledged"
    shop.control.advance(days=2)
    fees = shop.sdk.v1.balance_transactions.list({"source": dispute.id, "type": "stripe_fee"}).data
    assert sorted(fee.amount for fee in fees) == [-50_000, 50_000]


def test_compelling_evidence_says_what_it_still_wants(shop: Shop) -> None:
    charge = shop.one_off(token="pm_card_createCe3EligibleDispute")
    [dispute] = shop.sdk.v1.disputes.list({"charge": charge.id}).data
    told = dispute.evidence_details.enhanced_eligibility.visa_compelling_evidence_3
    assert (told.status, len(told.required_actions)) == ("requires_action", 4)
    prior = {"charge": "ch_1", "product_description": "The same product", "customer_purchase_ip": "192.0.2.7"}
    program = {
        "disputed_transaction": {
            "customer_purchase_ip": "192.0.2.7",
            "merchandise_or_services": "services",
            "product_description": "A month of it",
        },
        "prior_undisputed_transactions": [prior, {**prior, "charge": "ch_2"}],
    }
    staged = shop.sdk.v1.disputes.update(
        dispute.id,
        {"evidence": {"enhanced_evidence": {"visa_compelling_evidence_3": program}}, "submit": False},
    )
    told = staged.evidence_details.enhanced_eligibility.visa_compelling_evidence_3
    assert (told.status, told.required_actions) == ("qualified", [])
