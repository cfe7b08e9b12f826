"""What may be given back, what happens to it later, and what the charge shows meanwhile."""

from typing import Any

import pytest
import stripe
from tests.sandbox.shop import MONTHLY, Shop

DAY = 86_400


def _refused(shop: Shop, **params: Any) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        shop.sdk.v1.refunds.create(params)
    return refusal.value


def test_a_full_refund_leaves_the_invoice_paid_and_the_subscription_active(shop: Shop) -> None:
    subscription, charge = shop.converted()
    refund = shop.sdk.v1.refunds.create(
        {"charge": charge.id, "amount": MONTHLY, "reason": "requested_by_customer", "metadata": {"refund_id": "r1"}}
    )
    after = shop.sdk.v1.charges.retrieve(charge.id)
    assert (refund.status, refund.amount, refund.metadata.refund_id) == ("succeeded", MONTHLY, "r1")
    assert (after.refunded, after.amount_refunded) == (True, MONTHLY)
    assert shop.invoices(subscription)[0].status == "paid"
    assert shop.subscription(subscription).status == "active"
    booked = shop.sdk.v1.balance_transactions.retrieve(refund.balance_transaction)
    assert (booked.type, booked.amount, booked.fee) == ("refund", -MONTHLY, 0)


def test_without_an_amount_all_that_remains_is_refunded(shop: Shop) -> None:
    charge = shop.one_off(2000)
    shop.sdk.v1.refunds.create({"charge": charge.id, "amount": 500})
    assert shop.sdk.v1.refunds.create({"charge": charge.id}).amount == 1500


def test_a_refund_by_payment_intent_finds_the_charge(shop: Shop) -> None:
    charge = shop.one_off()
    assert shop.sdk.v1.refunds.create({"payment_intent": charge.payment_intent}).charge == charge.id


def test_more_than_remains_is_refused_in_words_of_money(shop: Shop) -> None:
    charge = shop.one_off(123_400)
    shop.sdk.v1.refunds.create({"charge": charge.id, "amount": 400})
    refusal = _refused(shop, charge=charge.id, amount=123_001)
    assert refusal.code is None
    assert refusal.param == "amount"
    assert "($1,230.01) is greater than unrefunded amount on charge ($1,230.00)" in str(refusal)


def test_a_refunded_charge_is_not_refunded_again(shop: Shop) -> None:
    charge = shop.one_off()
    shop.sdk.v1.refunds.create({"charge": charge.id})
    assert _refused(shop, charge=charge.id).code == "charge_already_refunded"
    assert _refused(shop, charge=charge.id, amount=1).code == "charge_already_refunded"


@pytest.mark.parametrize(
    ("params", "param", "code"),
    [
        ({"amount": 0}, "amount", "parameter_invalid_integer"),
        ({"amount": "12.5"}, "amount", "parameter_invalid_integer"),
        ({"amount": ""}, "amount", "parameter_invalid_empty"),
        ({"reason": "because"}, "reason", None),
        ({"idempotency_key": "k"}, "idempotency_key", "parameter_unknown"),
        ({"metadata": {"k": "v" * 501}}, "metadata[k]", None),
    ],
)
def test_bad_parameters_are_refused_by_name(shop: Shop, params: Any, param: str, code: str | None) -> None:
    refusal = _refused(shop, charge=shop.one_off().id, **params)
    assert (refusal.param, refusal.code) == (param, code)


def test_a_charge_that_is_not_there_or_not_named_is_refused(shop: Shop) -> None:
    assert _refused(shop, charge="ch_nobody").code == "resource_missing"
    assert "payment_intent or charge" in str(_refused(shop, amount=5))


def test_a_failed_or_uncaptured_charge_can_not_be_refunded(shop: Shop) -> None:
    with pytest.raises(stripe.CardError) as declined:
        shop.one_off(token="pm_card_chargeCustomerFail")
    failed = declined.value.error.charge
    held = shop.sdk.v1.payment_intents.create(
        {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
         "capture_method": "manual"}
    )  # fmt: skip
    assert _refused(shop, charge=failed).code == "charge_not_refundable"
    assert _refused(shop, charge=held.latest_charge).code == "charge_not_refundable"
    shop.sdk.v1.payment_intents.capture(held.id)
    assert shop.sdk.v1.refunds.create({"charge": held.latest_charge}).amount == 900


def test_a_low_balance_holds_the_refund_until_there_is_money(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.set_balance(100)
    refund = shop.sdk.v1.refunds.create({"charge": charge.id})
    assert (refund.status, refund.pending_reason) == ("pending", "insufficient_funds")
    assert refund.balance_transaction is None
    shop.control.set_balance(50_000)
    after = shop.sdk.v1.refunds.retrieve(refund.id)
    assert (after.status, "pending_reason" in after) == ("succeeded", False)
    assert shop.control.balance()["available"]["usd"] == 50_000 - 2000


def test_a_refund_that_waits_too_long_for_money_fails(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.set_balance(0)
    refund = shop.sdk.v1.refunds.create({"charge": charge.id})
    shop.control.advance(days=31)
    failed = shop.sdk.v1.refunds.retrieve(refund.id)
    assert (failed.status, failed.failure_reason) == ("failed", "insufficient_funds")
    assert "failure_balance_transaction" not in failed


def test_a_refund_that_succeeded_can_fail_days_later_and_the_charge_counts_down(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.refund_outcome(then="failed", after_seconds=5 * DAY, failure_reason="lost_or_stolen_card")
    refund = shop.sdk.v1.refunds.create({"charge": charge.id})
    assert refund.status == "succeeded"
    shop.control.advance(days=6)
    failed = shop.sdk.v1.refunds.retrieve(refund.id, {"expand": ["failure_balance_transaction"]})
    after = shop.sdk.v1.charges.retrieve(charge.id)
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
    assert failed.failure_balance_transaction.amount == 2000
    assert (after.refunded, after.amount_refunded) == (False, 0)
    assert shop.kinds()[-4:] == ["refund.updated", "charge.refund.updated", "charge.updated", "refund.failed"]
    assert shop.sdk.v1.refunds.create({"charge": charge.id}).status == "succeeded"


def test_the_test_cards_for_refunds_do_what_they_say(shop: Shop) -> None:
    failing = shop.sdk.v1.refunds.create({"charge": shop.one_off(token="pm_card_refundFail").id})
    waiting = shop.sdk.v1.refunds.create({"charge": shop.one_off(token="pm_card_pendingRefund").id})
    assert (failing.status, waiting.status) == ("succeeded", "pending")
    shop.control.advance(seconds=90)
    assert shop.sdk.v1.refunds.retrieve(failing.id).status == "failed"
    assert shop.sdk.v1.refunds.retrieve(waiting.id).status == "succeeded"


def test_only_a_refund_that_waits_for_the_customer_can_be_cancelled(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.refund_outcome(charge=charge.id, status="requires_action")
    waiting = shop.sdk.v1.refunds.create({"charge": charge.id, "amount": 100, "instructions_email": "a@example.com"})
    done = shop.sdk.v1.refunds.create({"charge": charge.id, "amount": 100})
    assert waiting.status == "requires_action"
    assert shop.sdk.v1.refunds.cancel(waiting.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError):
        shop.sdk.v1.refunds.cancel(done.id)
    assert shop.sdk.v1.charges.retrieve(charge.id).amount_refunded == 100


def test_a_chargeback_makes_pending_refunds_fail_and_new_ones_impossible(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.refund_outcome(status="pending", then="succeeded", after_seconds=DAY)
    refund = shop.sdk.v1.refunds.create({"charge": charge.id})
    shop.control.dispute(charge.id)
    crossed = shop.sdk.v1.refunds.retrieve(refund.id)
    assert (crossed.status, crossed.failure_reason) == ("failed", "charge_for_pending_refund_disputed")
    assert _refused(shop, charge=charge.id).code == "charge_disputed"


def test_a_move_that_stripe_does_not_make_is_refused_by_the_control_api(shop: Shop) -> None:
    refund = shop.sdk.v1.refunds.create({"charge": shop.one_off().id})
    with pytest.raises(Exception, match="succeeded cannot become succeeded"):
        shop.control.turn_refund(refund.id, "succeeded")
    assert shop.control.turn_refund(refund.id, "failed", "declined")["failure_reason"] == "declined"


def test_a_planned_outcome_overtaken_by_command_does_not_stop_the_clock(shop: Shop) -> None:
    shop.control.refund_outcome(status="pending", then="succeeded", after_seconds=DAY)
    refund = shop.sdk.v1.refunds.create({"charge": shop.one_off().id})
    shop.control.turn_refund(refund.id, "succeeded")
    shop.control.advance(days=2)
    assert shop.sdk.v1.refunds.retrieve(refund.id).status == "succeeded"


def test_metadata_is_merged_and_the_change_is_an_event(shop: Shop) -> None:
    refund = shop.sdk.v1.refunds.create({"charge": shop.one_off().id, "metadata": {"a": "1", "b": "2"}})
    changed = shop.sdk.v1.refunds.update(refund.id, {"metadata": {"a": "", "c": "3"}})
    assert changed.metadata.to_dict() == {"b": "2", "c": "3"}
    told = shop.events("refund.updated")[0]
    assert told.data.previous_attributes.to_dict() == {"metadata": {"a": "1", "c": None}}


def test_refunds_are_listed_by_charge_and_by_payment_intent(shop: Shop) -> None:
    charge, other = shop.one_off(), shop.one_off()
    made = [shop.sdk.v1.refunds.create({"charge": charge.id, "amount": 10}).id for _ in range(3)]
    shop.sdk.v1.refunds.create({"charge": other.id})
    by_charge = shop.sdk.v1.refunds.list({"charge": charge.id}).data
    by_intent = shop.sdk.v1.refunds.list({"payment_intent": charge.payment_intent}).data
    assert [each.id for each in by_charge] == [each.id for each in by_intent] == made[::-1]


def test_a_refund_in_yen_says_yen(shop: Shop) -> None:
    charge = shop.one_off(4900, "jpy")
    assert "(¥5,000) is greater than unrefunded amount on charge (¥4,900)" in str(
        _refused(shop, charge=charge.id, amount=5000)
    )
