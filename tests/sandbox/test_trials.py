"""How a trial becomes a charge, and all the ways in which it does not, on the sandbox's own clock."""

from typing import Any

import pytest
import stripe
from tests.sandbox.shop import MONTHLY, Shop

HOUR = 3600
DAY = 86_400


def test_a_trial_begins_with_a_paid_invoice_of_nothing_and_no_payment(shop: Shop) -> None:
    subscription = shop.trial()
    (invoice,) = shop.invoices(subscription)
    assert subscription.status == "trialing"
    assert (invoice.status, invoice.amount_paid, invoice.billing_reason) == ("paid", 0, "subscription_create")
    assert shop.sdk.v1.invoice_payments.list({"invoice": invoice.id}).data == []
    assert shop.control.objects("payment_intent") == []


def test_three_days_before_its_end_a_trial_announces_it_once(shop: Shop) -> None:
    shop.trial(days=14)
    shop.control.advance(days=10, hours=23)
    assert shop.events("customer.subscription.trial_will_end") == []
    shop.control.advance(hours=2)
    shop.control.advance(days=10)
    assert len(shop.events("customer.subscription.trial_will_end")) == 1


def test_a_trial_shorter_than_three_days_announces_its_end_at_once(shop: Shop) -> None:
    shop.trial(days=2)
    assert len(shop.events("customer.subscription.trial_will_end")) == 1


def test_at_its_end_the_subscription_is_active_before_anything_is_paid(shop: Shop) -> None:
    subscription = shop.trial()
    shop.control.advance(days=14)
    now = shop.subscription(subscription)
    invoice = shop.invoices(subscription)[0]
    assert (now.status, invoice.status, invoice.amount_paid) == ("active", "draft", 0)
    assert invoice.billing_reason == "subscription_cycle"
    assert invoice.lines.data[0].period.start == subscription.trial_end
    changed = shop.events("customer.subscription.updated")[0]
    assert changed.data.previous_attributes.status == "trialing"
    assert changed.request.id is None
    assert invoice.automatically_finalizes_at == subscription.trial_end + HOUR


def test_an_hour_later_the_charge_is_made_and_found_through_the_invoice_payment(shop: Shop) -> None:
    subscription, charge = shop.converted()
    invoice = shop.invoices(subscription)[0]
    assert charge.created == subscription.trial_end + HOUR
    assert (invoice.status, invoice.amount_paid) == ("paid", MONTHLY)
    assert charge.paid
    assert charge.captured
    assert (charge.amount_captured, charge.currency, charge.status) == (MONTHLY, "usd", "succeeded")
    assert invoice.parent.subscription_details.subscription == subscription.id
    for gone in ("charge", "payment_intent", "subscription", "paid"):
        assert gone not in invoice
    assert "invoice" not in charge
    kinds = shop.kinds()
    assert {"invoice.paid", "invoice_payment.paid", "charge.succeeded", "payment_intent.succeeded"} <= set(kinds)


def test_a_card_that_fails_at_the_end_leaves_the_subscription_past_due_and_may_pay_days_later(shop: Shop) -> None:
    customer = shop.customer("pm_card_chargeCustomerFail")
    subscription = shop.trial(customer)
    shop.control.advance(days=14, hours=2)
    invoice = shop.invoices(subscription)[0]
    assert (shop.subscription(subscription).status, invoice.status) == ("past_due", "open")
    assert invoice.next_payment_attempt == subscription.trial_end + HOUR + 3 * DAY
    assert len(shop.events("invoice.payment_failed")) == 1
    shop.control.add_card(customer.id, "pm_card_visa")
    shop.control.advance(days=3)
    paid = shop.invoices(subscription)[0]
    assert (shop.subscription(subscription).status, paid.id, paid.status) == ("active", invoice.id, "paid")
    assert shop.charge_of(paid).created == subscription.trial_end + HOUR + 3 * DAY
    charges = shop.sdk.v1.charges.list({"customer": customer.id}).data
    assert [charge.status for charge in charges] == ["succeeded", "failed"]


def test_when_every_attempt_fails_the_subscription_is_canceled_for_non_payment(shop: Shop) -> None:
    subscription = shop.trial(shop.customer("pm_card_chargeCustomerFail"))
    shop.control.advance(days=14 + 3 + 5 + 7, hours=2)
    ended = shop.subscription(subscription)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    assert shop.invoices(subscription)[0].attempt_count == 4


@pytest.mark.parametrize(
    ("behaviour", "status", "event"),
    [
        ("cancel", "canceled", "customer.subscription.deleted"),
        ("pause", "paused", "customer.subscription.paused"),
        ("create_invoice", "past_due", "invoice.payment_failed"),
    ],
)
def test_without_a_payment_method_the_trial_settings_decide(
    shop: Shop, behaviour: str, status: str, event: str
) -> None:
    settings = {"end_behavior": {"missing_payment_method": behaviour}}
    subscription = shop.trial(shop.customer(None), trial_settings=settings)
    shop.control.advance(days=14, hours=2)
    assert shop.subscription(subscription).status == status
    assert event in shop.kinds()


def test_a_paused_subscription_resumes_with_a_payment(shop: Shop) -> None:
    customer = shop.customer(None)
    settings = {"end_behavior": {"missing_payment_method": "pause"}}
    subscription = shop.trial(customer, trial_settings=settings)
    shop.control.advance(days=15)
    shop.control.add_card(customer.id)
    resumed = shop.sdk.v1.subscriptions.resume(subscription.id)
    assert resumed.status == "active"
    assert shop.invoices(subscription)[0].amount_paid == MONTHLY


def test_a_trial_ended_early_is_billed_at_once_as_an_update(shop: Shop) -> None:
    subscription = shop.trial()
    shop.control.advance(days=5)
    early = shop.sdk.v1.subscriptions.update(subscription.id, {"trial_end": "now"})
    invoice = shop.invoices(subscription)[0]
    assert (early.status, early.trial_end) == ("active", shop.control.now())
    assert (invoice.billing_reason, invoice.status, invoice.amount_paid) == ("subscription_update", "paid", MONTHLY)
    assert len(shop.events("customer.subscription.trial_will_end")) == 1


def test_a_moved_trial_ends_at_its_new_end(shop: Shop) -> None:
    subscription = shop.trial(days=14)
    later = subscription.trial_end + 7 * DAY
    shop.sdk.v1.subscriptions.update(subscription.id, {"trial_end": later})
    shop.control.advance(days=15)
    assert shop.subscription(subscription).status == "trialing"
    shop.control.advance(to=later + 2 * HOUR)
    assert shop.invoices(subscription)[0].lines.data[0].period.start == later


def test_a_trial_on_a_paying_subscription_moves_its_dates_and_is_no_first_trial(shop: Shop) -> None:
    customer, price = shop.customer(), shop.price()
    subscription = shop.sdk.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    shop.control.advance(days=40)
    end = shop.control.now() + 10 * DAY
    moved = shop.sdk.v1.subscriptions.update(subscription.id, {"trial_end": end, "proration_behavior": "none"})
    assert (moved.status, moved.trial_start) == ("trialing", shop.control.now())
    assert moved.trial_start - moved.start_date == 40 * DAY
    shop.control.advance(days=11)
    assert [invoice.amount_paid for invoice in shop.invoices(subscription)] == [MONTHLY, 0, MONTHLY, MONTHLY]


def test_a_setup_fee_in_the_trial_is_charged_with_the_first_invoice(shop: Shop) -> None:
    fee = shop.sdk.v1.prices.create({"currency": "usd", "unit_amount": 900, "product_data": {"name": "Setup"}})
    subscription = shop.trial(add_invoice_items=[{"price": fee.id}])
    (invoice,) = shop.invoices(subscription)
    assert (invoice.amount_paid, len(invoice.lines.data)) == (900, 2)
    assert shop.charge_of(invoice).amount == 900
    assert invoice.lines.data[1].parent.type == "invoice_item_details"


def test_a_billing_anchor_behind_the_trial_makes_a_proration_and_then_the_full_charge(shop: Shop) -> None:
    anchor = shop.control.now() + 24 * DAY
    subscription = shop.trial(days=14, billing_cycle_anchor=anchor)
    shop.control.advance(days=25)
    newest, proration, _trial = shop.invoices(subscription)
    assert newest.amount_paid == MONTHLY
    assert 0 < proration.amount_paid < MONTHLY
    assert proration.lines.data[0].parent.subscription_item_details.proration


@pytest.mark.parametrize("duration", ["once", "forever"])
def test_a_coupon_of_all_makes_the_trial_end_invoice_free_without_any_payment(shop: Shop, duration: str) -> None:
    shop.sdk.v1.coupons.create({"id": "ALL", "percent_off": 100, "duration": duration})
    subscription = shop.trial(discounts=[{"coupon": "ALL"}])
    shop.control.advance(days=14, hours=2)
    invoice = shop.invoices(subscription)[0]
    assert (invoice.status, invoice.subtotal, invoice.total, invoice.amount_paid) == ("paid", MONTHLY, 0, 0)
    assert shop.control.objects("charge") == []
    shop.control.advance(days=31)
    assert shop.invoices(subscription)[0].amount_paid == (MONTHLY if duration == "once" else 0)


def test_a_fixed_coupon_takes_its_amount_off(shop: Shop) -> None:
    shop.sdk.v1.coupons.create({"id": "TEN", "amount_off": 1000, "currency": "usd", "duration": "forever"})
    _, charge = shop.converted(discounts=[{"coupon": "TEN"}])
    assert charge.amount == MONTHLY - 1000


def test_an_invoice_can_be_paid_in_two_payments(shop: Shop) -> None:
    subscription = shop.trial()
    shop.control.split_next(subscription.id, [3000, 1900])
    shop.control.advance(days=14, hours=2)
    invoice = shop.invoices(subscription)[0]
    payments = shop.sdk.v1.invoice_payments.list({"invoice": invoice.id, "status": "paid"}).data
    assert (invoice.status, invoice.amount_paid) == ("paid", MONTHLY)
    assert sorted(payment.amount_paid for payment in payments) == [1900, 3000]
    assert [payment.is_default for payment in payments] == [False, True]


def test_a_draft_can_be_paid_in_parts_at_once(shop: Shop) -> None:
    subscription = shop.trial()
    shop.control.advance(days=14)
    draft = shop.invoices(subscription)[0]
    assert shop.control.pay_in_parts(draft.id, [2000, 2900])["status"] == "paid"


def test_an_invoice_paid_outside_stripe_has_no_charge(shop: Shop) -> None:
    subscription = shop.trial(shop.customer(None))
    shop.control.advance(days=14, hours=2)
    invoice = shop.sdk.v1.invoices.pay(shop.invoices(subscription)[0].id, {"paid_out_of_band": True})
    (payment,) = shop.sdk.v1.invoice_payments.list({"invoice": invoice.id, "status": "paid"}).data
    assert (invoice.status, invoice.amount_paid, payment.payment.type) == ("paid", MONTHLY, "payment_record")
    assert shop.subscription(subscription).status == "active"
    assert shop.kinds().count("invoice.paid") == shop.kinds().count("invoice.payment_succeeded") + 1


def test_renewals_follow_the_trial_month_by_month(shop: Shop) -> None:
    subscription, _ = shop.converted()
    shop.control.advance(days=62)
    invoices = shop.invoices(subscription)
    assert [invoice.billing_reason for invoice in invoices] == ["subscription_cycle"] * 3 + ["subscription_create"]
    assert [invoice.amount_paid for invoice in invoices] == [MONTHLY] * 3 + [0]
    assert shop.subscription(subscription)["items"].data[0].current_period_start > subscription.trial_end + 55 * DAY


def test_a_cancellation_for_the_end_of_the_trial_ends_it_without_a_charge(shop: Shop) -> None:
    subscription = shop.trial()
    shop.control.advance(days=2)
    asked = shop.sdk.v1.subscriptions.update(
        subscription.id,
        {"cancel_at_period_end": True, "cancellation_details": {"feedback": "unused", "comment": "No time"}},
    )
    assert (asked.cancel_at, asked.canceled_at) == (subscription.trial_end, shop.control.now())
    asked_at = shop.control.now()
    shop.control.advance(days=13)
    ended = shop.subscription(subscription)
    assert (ended.status, ended.ended_at, ended.canceled_at) == ("canceled", subscription.trial_end, asked_at)
    assert ended.cancel_at_period_end
    assert ended.cancellation_details.to_dict() == {
        "reason": "cancellation_requested", "feedback": "unused", "comment": "No time",
    }  # fmt: skip
    assert len(shop.invoices(subscription)) == 1
    assert shop.kinds()[-1] == "customer.subscription.deleted"


def test_a_cancellation_taken_back_leaves_no_trace_but_events(shop: Shop) -> None:
    subscription = shop.trial()
    shop.sdk.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    back = shop.sdk.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert (back.cancel_at, back.canceled_at, back.cancellation_details.reason) == (None, None, None)
    assert len(shop.events("customer.subscription.updated")) == 2


def test_cancelled_within_the_hour_after_the_trial_the_final_invoice_is_still_paid(shop: Shop) -> None:
    subscription = shop.trial()
    shop.control.advance(days=14, seconds=600)
    assert shop.sdk.v1.subscriptions.cancel(subscription.id).status == "canceled"
    shop.control.advance(hours=2)
    invoice = shop.invoices(subscription)[0]
    assert (invoice.status, invoice.amount_paid) == ("paid", MONTHLY)
    assert shop.subscription(subscription).status == "canceled"


def test_an_ended_subscription_can_not_be_changed(shop: Shop) -> None:
    subscription = shop.trial()
    shop.sdk.v1.subscriptions.cancel(subscription.id)
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        shop.sdk.v1.subscriptions.update(subscription.id, {"metadata": {"a": "b"}})
    assert refusal.value.code == "resource_missing"


def test_seats_multiply_and_more_seats_are_prorated(shop: Shop) -> None:
    price = shop.price()
    subscription = shop.sdk.v1.subscriptions.create(
        {"customer": shop.customer().id, "items": [{"price": price.id, "quantity": 3}], "trial_period_days": 14}
    )
    shop.control.advance(days=14, hours=2)
    assert shop.invoices(subscription)[0].amount_paid == 3 * MONTHLY
    shop.control.advance(days=10)
    item = subscription["items"].data[0].id
    shop.sdk.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item, "quantity": 5}], "proration_behavior": "always_invoice"}
    )
    update = shop.invoices(subscription)[0]
    assert update.billing_reason == "subscription_update"
    assert 0 < update.amount_paid < 2 * MONTHLY
    assert all(line.parent.subscription_item_details.proration for line in update.lines.data)


@pytest.mark.parametrize(("currency", "amount", "fee"), [("jpy", 4900, 142), ("kwd", 4900, 442)])
def test_currencies_without_and_with_three_decimals_are_whole_minor_units(
    shop: Shop, currency: str, amount: int, fee: int
) -> None:
    _, charge = shop.converted(price=shop.price(amount, currency))
    transaction = shop.sdk.v1.balance_transactions.retrieve(charge.balance_transaction)
    assert (charge.amount, charge.currency, transaction.amount, transaction.fee) == (amount, currency, amount, fee)


def test_a_charge_in_one_currency_can_settle_in_another(shop: Shop) -> None:
    shop.control.settle("eur", "usd", "1.0834")
    _, charge = shop.converted(price=shop.price(5000, "eur"))
    transaction = shop.sdk.v1.balance_transactions.retrieve(charge.balance_transaction)
    assert (transaction.amount, transaction.currency) == (5417, "usd")
    assert str(transaction.exchange_rate) == "1.0834"


def test_credit_on_the_customer_pays_without_a_charge(shop: Shop) -> None:
    customer = shop.customer()
    shop.sdk.v1.customers.update(customer.id, {"balance": -10_000})
    subscription = shop.trial(customer)
    shop.control.advance(days=14, hours=2)
    invoice = shop.invoices(subscription)[0]
    assert (invoice.status, invoice.total, invoice.amount_due, invoice.amount_paid) == ("paid", MONTHLY, 0, 0)
    assert shop.sdk.v1.customers.retrieve(customer.id).balance == MONTHLY - 10_000


def test_an_invoice_to_be_sent_is_active_and_unpaid(shop: Shop) -> None:
    subscription = shop.trial(collection_method="send_invoice", days_until_due=7)
    shop.control.advance(days=14, hours=2)
    invoice = shop.invoices(subscription)[0]
    assert (shop.subscription(subscription).status, invoice.status) == ("active", "open")
    assert invoice.due_date == subscription.trial_end + HOUR + 7 * DAY
    shop.control.advance(days=8)
    assert shop.subscription(subscription).status == "past_due"


def test_a_first_payment_that_fails_leaves_an_incomplete_subscription_that_expires(shop: Shop) -> None:
    customer, price = shop.customer("pm_card_chargeCustomerFail"), shop.price()
    given: Any = {"customer": customer.id, "items": [{"price": price.id}]}
    subscription = shop.sdk.v1.subscriptions.create(given)
    assert subscription.status == "incomplete"
    shop.control.advance(days=1)
    assert shop.subscription(subscription).status == "incomplete_expired"
    with pytest.raises(stripe.CardError) as refusal:
        shop.sdk.v1.subscriptions.create({**given, "payment_behavior": "error_if_incomplete"})
    assert refusal.value.code == "card_declined"


def test_collection_can_be_paused_and_the_invoices_are_void(shop: Shop) -> None:
    subscription = shop.trial()
    shop.sdk.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": "void"}})
    shop.control.advance(days=15)
    assert shop.invoices(subscription)[0].status == "void"
    assert shop.subscription(subscription).status == "active"


def test_the_card_of_a_trial_has_the_fingerprint_it_was_given(shop: Shop) -> None:
    first, second, third = (shop.customer(None, f"{name}@example.com") for name in "abc")
    same = shop.control.add_card(first.id)["card"]["fingerprint"]
    assert shop.control.add_card(second.id)["card"]["fingerprint"] == same
    assert shop.control.add_card(third.id, "pm_card_amex")["card"]["fingerprint"] != same
    chosen = shop.control.add_card(first.id, fingerprint="SharedVirtual001")
    assert chosen["card"]["fingerprint"] == "SharedVirtual001"
    none = shop.control.add_card(second.id, fingerprint=None)
    _, charge = shop.converted(customer=second)
    assert none["card"]["fingerprint"] is None
    assert charge.payment_method_details.card.fingerprint is None


def test_subscriptions_are_listed_by_customer_price_and_status(shop: Shop) -> None:
    customer, price = shop.customer(), shop.price()
    kept, ended = shop.trial(customer, price=price), shop.trial(customer)
    shop.sdk.v1.subscriptions.cancel(ended.id)
    listed = shop.sdk.v1.subscriptions.list
    assert [each.id for each in listed({"customer": customer.id}).data] == [kept.id]
    assert [each.id for each in listed({"customer": customer.id, "status": "all"}).data] == [ended.id, kept.id]
    assert [each.id for each in listed({"price": price.id, "status": "trialing"}).data] == [kept.id]
    assert listed({"created": {"gt": shop.control.now()}}).data == []


def test_thousands_of_trials_end_within_seconds(shop: Shop) -> None:
    price = shop.price()
    for number in range(200):  # enough to see a quadratic cost
        shop.trial(shop.customer(email=f"{number}@example.com"), price=price)
    shop.control.advance(days=14, hours=2)
    assert len(shop.control.objects("charge")) == 200
