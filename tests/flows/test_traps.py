"""The cases that trip a naive build: what is paid is paid whole and once, all else reaches a person with its reason."""

from typing import Any

import pytest

from billingbot.core.case import CaseState
from billingbot.core.job import Actor
from billingbot.core.request import NamedBy
from billingbot.gateway.client import StripeGateway
from tests.flows.shop import Shop, Trial


def outcome(shop: Shop, case_id: str) -> tuple[str, str | None]:
    case = shop.case(case_id)
    return case.state.value, case.outcome or case.reason


def asked(shop: Shop, charge: str, **claims: Any) -> tuple[str, str | None]:
    """What comes of a request for this charge."""
    case_id = shop.ask(charge, unused=True, **claims).case.id
    shop.work()
    return outcome(shop, case_id)


def subscription(shop: Shop, trial: Trial) -> dict[str, Any]:
    return dict(shop.stripe.get(f"/subscriptions/{trial.subscription}"))


def test_a_request_may_arrive_before_the_webhook_that_tells_of_the_charge(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    assert asked(shop, charge) == ("closed", "refunded")

    shop.deliver()  # everything at once, long after
    shop.work()
    shop.assert_paid_once(charge)


def test_an_invoice_paid_in_two_payments_goes_to_a_person(shop: Shop) -> None:
    trial = shop.start_trial()
    shop.stripe.split_next(trial.subscription, [2000, 2900])
    shop.end_trials()

    case_id = shop.ask(trial.customer, named_by=NamedBy.CUSTOMER).case.id
    shop.work()
    assert outcome(shop, case_id) == ("review", "several-payments")


@pytest.mark.parametrize(("currency", "amount"), [("jpy", 6000), ("kwd", 15_000), ("eur", 4500)])
def test_currencies_without_or_with_three_decimals_are_refunded_to_the_last_unit(
    shop: Shop, currency: str, amount: int
) -> None:
    _, charge = shop.charged_trial(currency=currency, amount=amount)
    assert asked(shop, charge) == ("closed", "refunded")
    [refund] = shop.refunds_at_stripe(charge)
    assert (refund["amount"], refund["currency"]) == (amount, currency)


def test_a_charge_settled_in_another_currency_is_refunded_in_its_own(shop: Shop) -> None:
    shop.stripe.settle("eur", "usd", "1.0834")
    _, charge = shop.charged_trial(currency="eur", amount=4500)
    assert asked(shop, charge) == ("closed", "refunded")
    [refund] = shop.refunds_at_stripe(charge)
    assert (refund["amount"], refund["currency"]) == (4500, "eur")


def test_a_charge_refunded_in_part_in_the_dashboard_goes_to_a_person(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge, amount=1000)
    assert asked(shop, charge) == ("review", "refunded-in-part")


def test_a_refund_that_fails_days_later_reopens_the_case_and_stands_in_the_ledger(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    assert outcome(shop, case_id) == ("closed", "refunded")

    [refund] = shop.refunds_at_stripe(charge)
    shop.stripe.turn_refund(refund["id"], "failed", "expired_or_canceled_card")
    shop.deliver()
    shop.work()

    case = shop.case(case_id)
    assert (case.state, case.reason, case.priority) == (CaseState.REVIEW, "refund-failed", "high")
    assert (case.reply, case.recommendation) == (None, "none")  # the letter said that the money is on its way
    entries = shop.rows("SELECT convert_from(body, 'utf8') AS body FROM ledger_entries WHERE kind = 'refund.changed'")
    assert any('"to":"failed"' in entry.body and "expired_or_canceled_card" in entry.body for entry in entries)


def test_a_refund_that_failed_while_another_case_is_being_assessed_is_not_overlooked(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work()
    [refund] = shop.refunds_at_stripe(charge)
    second = shop.ask(charge).case.id

    class Overtaken(StripeGateway):
        def dossier(self, *asked_for: Any, **how: Any) -> Any:
            found = super().dossier(*asked_for, **how)
            if shop.stripe.get(f"/refunds/{refund['id']}")["status"] == "succeeded":
                shop.stripe.turn_refund(refund["id"], "failed")
                shop.deliver()
                shop.work(only=Actor.INTERPRET)
            return found

    shop.replace_gateway(Overtaken("default", "rk_test_shop", False, api_base=shop.stripe.url))
    shop.work()
    assert outcome(shop, second) == ("closed", "already-refunded")  # from a dossier read a moment too early

    shop.restart()
    assert {(case.state, case.reason) for case in shop.cases_of(charge)} >= {(CaseState.REVIEW, "refund-failed")}


def test_a_refund_that_waits_for_balance_is_followed_to_its_success(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.set_balance(0)
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    assert shop.case(case_id).state is CaseState.REFUNDING
    [row] = shop.refunds_of(charge)
    assert (row.state, row.why) == ("pending", "insufficient_funds")

    shop.stripe.set_balance(100_000)
    shop.deliver()
    shop.work()
    shop.assert_paid_once(charge)


def test_a_refund_that_waited_for_balance_in_vain_goes_to_a_person(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.set_balance(0)
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()

    shop.stripe.advance(days=31)
    with shop.owner.begin() as connection:  # no event came: the poll finds out
        connection.exec_driver_sql("UPDATE refunds SET intended_at = intended_at - interval '1 hour'")
    assert shop.do("pending_refunds") == 1
    shop.work()
    assert outcome(shop, case_id) == ("review", "refund-failed")


def test_a_subscription_cancelled_at_trial_end_with_its_invoice_still_paid_is_refunded(shop: Shop) -> None:
    trial = shop.start_trial()
    shop.stripe.post(f"/subscriptions/{trial.subscription}", cancel_at=subscription(shop, trial)["trial_end"] + 86_400)
    shop.end_trials()
    charge = shop.last_charge(trial)
    assert asked(shop, charge, cancelled=True) == ("closed", "refunded")


def test_a_customer_with_two_subscriptions_who_names_only_the_customer_goes_to_a_person(shop: Shop) -> None:
    trial = shop.start_trial()
    other = shop.subscribe(trial.customer, amount=9900)
    shop.end_trials()
    case_id = shop.ask(trial.customer, named_by=NamedBy.CUSTOMER).case.id
    shop.work()
    assert outcome(shop, case_id) == ("review", "ambiguous-request")

    named = shop.ask(other, named_by=NamedBy.SUBSCRIPTION).case.id
    shop.work()
    assert outcome(shop, named) == ("closed", "refunded")


def test_use_that_begins_between_decision_and_payment_stops_the_payment(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work(only=Actor.ASSESS)
    shop.usage.used_by.add(trial.customer)
    shop.work()
    assert outcome(shop, case_id) == ("review", "used")
    shop.assert_not_paid(charge)


def test_a_source_that_falls_silent_between_decision_and_payment_stops_the_payment(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work(only=Actor.ASSESS)
    shop.usage.down = True
    shop.work()
    assert outcome(shop, case_id) == ("review", "evidence-incomplete")
    shop.assert_not_paid(charge)

    shop.usage.down = False
    shop.look_again()
    shop.restart()
    assert outcome(shop, case_id) == ("closed", "refunded")


def test_a_claim_that_joins_between_decision_and_payment_is_heard_before_paying(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work(only=Actor.ASSESS)
    assert shop.ask(charge, cancelled=True).joined
    shop.work()
    assert outcome(shop, case_id) == ("review", "cancellation-not-found")
    shop.assert_not_paid(charge)


def test_a_chargeback_between_decision_and_payment_stops_the_payment(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work(only=Actor.ASSESS)
    shop.stripe.dispute(charge, status="needs_response")
    shop.work()
    assert outcome(shop, case_id) == ("review", "open-chargeback")
    shop.assert_not_paid(charge)


@pytest.mark.parametrize("how", [{"status": "lost"}, {"status": "prevented"}, {"rdr": True}])
def test_money_that_went_back_through_a_dispute_is_never_paid_again(shop: Shop, how: dict[str, Any]) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.dispute(charge, **how)
    assert asked(shop, charge) == ("closed", "returned-through-dispute")
    shop.assert_not_paid(charge)


@pytest.mark.parametrize("bank", ["inquiry", "warning"])
def test_a_bank_that_asks_is_a_request_and_an_unused_trial_is_refunded_in_full(shop: Shop, bank: str) -> None:
    _, charge = shop.charged_trial()
    if bank == "inquiry":
        shop.stripe.dispute(charge, status="warning_needs_response")
    else:
        shop.stripe.warn(charge)
    shop.deliver()
    shop.work()
    shop.assert_paid_once(charge)


def test_the_same_person_under_another_spelling_of_the_mailbox_goes_to_a_person(shop: Shop) -> None:
    shop.start_trial(email="ab@gmail.com")
    shop.stripe.advance(hours=1)
    _, charge = shop.charged_trial(email="a.b+trial@gmail.com")
    shop.deliver()
    shop.work()
    assert asked(shop, charge) == ("review", "repeat-trial")


def test_colleagues_at_one_company_are_not_one_person(shop: Shop) -> None:
    shop.start_trial(email="first@studio.example.com")
    shop.stripe.advance(hours=1)
    _, charge = shop.charged_trial(email="second@studio.example.com")
    shop.deliver()
    shop.work()
    assert asked(shop, charge) == ("closed", "refunded")


def test_a_card_shared_with_another_customers_trial_goes_to_a_person(shop: Shop) -> None:
    shop.start_trial(card="virtual")
    shop.stripe.advance(hours=1)
    _, charge = shop.charged_trial(card="virtual")
    shop.deliver()
    shop.work()
    assert asked(shop, charge) == ("review", "repeat-trial")


@pytest.mark.parametrize(
    ("named_by", "name"),
    [(NamedBy.CHARGE, "ch_unknown"), (NamedBy.EMAIL, "nobody@example.org"), (NamedBy.CUSTOMER, "cus_unknown")],
)
def test_a_request_for_what_stripe_does_not_know_goes_to_a_person_at_once(
    shop: Shop, named_by: NamedBy, name: str
) -> None:
    case_id = shop.ask(name, named_by=named_by).case.id
    shop.work()
    assert outcome(shop, case_id) == ("review", "ambiguous-request")
    assert shop.rows("SELECT 1 FROM jobs WHERE state <> 'done'") == []


def test_a_deleted_customers_charge_is_not_refunded_by_the_machine(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.stripe.delete(f"/customers/{trial.customer}")
    state, _ = asked(shop, charge)
    assert state == "review"
    shop.assert_not_paid(charge)


def test_a_trial_that_was_ended_early_goes_to_a_person(shop: Shop) -> None:
    trial = shop.start_trial()
    shop.stripe.advance(days=3)
    shop.stripe.post(f"/subscriptions/{trial.subscription}", trial_end="now")
    shop.stripe.advance(hours=2)
    assert asked(shop, shop.last_charge(trial)) == ("review", "trial-ended-early")


def test_after_a_renewal_neither_charge_is_the_one_to_refund(shop: Shop) -> None:
    trial, charge = shop.charged_trial(trial_period_days=5)
    shop.stripe.advance(days=22)
    renewal = shop.last_charge(trial)
    assert renewal != charge
    assert asked(shop, charge)[0] == "review"
    assert asked(shop, renewal) == ("review", "not-the-first-charge")


def test_a_set_up_fee_in_the_trial_makes_it_a_case_for_a_person(shop: Shop) -> None:
    fee = shop.stripe.post("/prices", currency="usd", unit_amount=1500, product_data={"name": "Set-up"})["id"]
    trial = shop.start_trial(add_invoice_items=[{"price": fee}])
    shop.end_trials()
    assert asked(shop, shop.last_charge(trial)) == ("review", "not-the-first-charge")


def test_an_invoice_that_was_sent_and_paid_by_hand_goes_to_a_person(shop: Shop) -> None:
    trial = shop.start_trial(collection_method="send_invoice", days_until_due=7)
    shop.end_trials()
    [invoice] = [one for one in shop.stripe.get("/invoices", subscription=trial.subscription)["data"] if one["total"]]
    shop.stripe.post(f"/invoices/{invoice['id']}/pay")
    case_id = shop.ask(invoice["id"], named_by=NamedBy.INVOICE).case.id
    shop.work()
    assert outcome(shop, case_id)[0] == "review"
    assert shop.refunds_at_stripe(shop.last_charge(trial)) == []
