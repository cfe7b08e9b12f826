"""Disputes and early fraud warnings: their money, their events, and what they forbid."""

import pytest
import stripe
from tests.sandbox.shop import Shop


def test_a_chargeback_takes_the_money_and_a_fee(shop: Shop) -> None:
    charge = shop.one_off(2000)
    dispute = shop.control.dispute(charge.id, reason="subscription_canceled")
    read = shop.sdk.v1.disputes.retrieve(dispute["id"], {"expand": ["charge"]})
    assert (read.status, read.reason, read.is_charge_refundable) == ("needs_response", "subscription_canceled", False)
    assert (read.charge.disputed, read.charge.dispute) == (True, read.id)
    (booked,) = read.balance_transactions
    assert (booked.amount, booked.fee, booked.net, booked.reporting_category) == (-2000, 1500, -3500, "dispute")
    assert shop.kinds()[-3:] == ["charge.updated", "charge.dispute.created", "charge.dispute.funds_withdrawn"]


def test_an_inquiry_takes_nothing_and_a_full_refund_closes_it(shop: Shop) -> None:
    charge = shop.one_off()
    inquiry = shop.control.dispute(charge.id, status="warning_needs_response")
    assert (inquiry["balance_transactions"], inquiry["is_charge_refundable"]) == ([], True)
    shop.sdk.v1.refunds.create({"charge": charge.id, "amount": 100})
    assert shop.sdk.v1.disputes.retrieve(inquiry["id"]).status == "warning_needs_response"
    shop.sdk.v1.refunds.create({"charge": charge.id})
    assert shop.sdk.v1.disputes.retrieve(inquiry["id"]).status == "warning_closed"


def test_an_inquiry_can_become_a_chargeback(shop: Shop) -> None:
    charge = shop.one_off()
    inquiry = shop.control.dispute(charge.id, status="warning_needs_response")
    shop.control.move_dispute(inquiry["id"], "needs_response")
    read = shop.sdk.v1.disputes.retrieve(inquiry["id"])
    assert (len(read.balance_transactions), read.payment_method_details.card.case_type) == (1, "chargeback")


def test_a_dispute_won_gives_the_money_back_and_lets_refunds_through(shop: Shop) -> None:
    charge = shop.one_off()
    dispute = shop.control.dispute(charge.id)
    shop.control.move_dispute(dispute["id"], "under_review")
    shop.control.move_dispute(dispute["id"], "won")
    read = shop.sdk.v1.disputes.retrieve(dispute["id"])
    assert [each.net for each in read.balance_transactions] == [-3500, 3500]
    assert read.is_charge_refundable
    assert shop.kinds()[-2:] == ["charge.dispute.funds_reinstated", "charge.dispute.closed"]
    assert shop.sdk.v1.refunds.create({"charge": charge.id}).status == "succeeded"


@pytest.mark.parametrize("status", ["lost", "prevented", "needs_response", "under_review", "appeal_under_review"])
def test_these_disputes_forbid_a_refund(shop: Shop, status: str) -> None:
    charge = shop.one_off()
    shop.control.dispute(charge.id, status=status)
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        shop.sdk.v1.refunds.create({"charge": charge.id})
    assert refusal.value.code == "charge_disputed"


def test_a_dispute_that_rdr_resolved_is_lost_without_a_fee_and_without_a_refund(shop: Shop) -> None:
    charge = shop.one_off()
    dispute = shop.control.dispute(charge.id, rdr=True)
    assert (dispute["status"], dispute["balance_transactions"][0]["fee"]) == ("lost", 0)
    assert dispute["payment_method_details"]["card"]["case_type"] == "resolution"
    assert not shop.sdk.v1.charges.retrieve(charge.id).refunded
    assert shop.sdk.v1.refunds.list({"charge": charge.id}).data == []


def test_the_test_cards_for_disputes_open_them(shop: Shop) -> None:
    shop.one_off(token="pm_card_createDispute")
    shop.one_off(token="pm_card_createDisputeInquiry")
    shop.one_off(token="pm_card_createIssuerFraudRecord")
    newest, oldest = shop.sdk.v1.disputes.list().data
    assert (newest.status, oldest.status) == ("warning_needs_response", "needs_response")
    assert len(shop.sdk.v1.radar.early_fraud_warnings.list().data) == 1


def test_a_dispute_can_be_accepted_and_its_metadata_changed(shop: Shop) -> None:
    dispute = shop.control.dispute(shop.one_off().id)
    assert shop.sdk.v1.disputes.update(dispute["id"], {"metadata": {"case": "1"}}).metadata.case == "1"
    assert shop.sdk.v1.disputes.close(dispute["id"]).status == "lost"
    with pytest.raises(stripe.InvalidRequestError):
        shop.sdk.v1.disputes.close(dispute["id"])


def test_disputes_are_listed_by_charge_and_by_payment_intent(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.dispute(shop.one_off().id)
    dispute = shop.control.dispute(charge.id)
    assert [each.id for each in shop.sdk.v1.disputes.list({"charge": charge.id}).data] == [dispute["id"]]
    by_intent = shop.sdk.v1.disputes.list({"payment_intent": charge.payment_intent}).data
    assert [each.id for each in by_intent] == [dispute["id"]]


def test_a_warning_asks_for_action_until_the_charge_is_refunded_or_disputed(shop: Shop) -> None:
    charge, other = shop.one_off(), shop.one_off()
    warning, second = shop.control.warn(charge.id), shop.control.warn(other.id, "made_with_stolen_card")
    read = shop.sdk.v1.radar.early_fraud_warnings.retrieve
    assert (read(warning["id"]).actionable, read(second["id"]).actionable) == (True, True)
    shop.sdk.v1.refunds.create({"charge": charge.id})
    shop.control.dispute(other.id)
    assert (read(warning["id"]).actionable, read(second["id"]).actionable) == (False, False)
    assert shop.kinds().count("radar.early_fraud_warning.updated") == 2
    assert shop.sdk.v1.radar.early_fraud_warnings.list({"charge": charge.id}).data[0].id == warning["id"]


def test_a_status_that_does_not_exist_is_refused_by_name(shop: Shop) -> None:
    with pytest.raises(Exception, match=r"status: expected one of .*won"):
        shop.control.dispute(shop.one_off().id, status="maybe")
