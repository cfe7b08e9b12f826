"""Early fraud warnings: each is a request by the bank, judged by rules of its own, and pays at most what row 7 pays."""

from itertools import permutations
from typing import Any

import pytest

from billingbot.core.case import CaseState
from billingbot.core.decision import Recommendation
from billingbot.flows.casework import review
from tests.flows.shop import Shop


def heard(shop: Shop) -> None:
    shop.deliver()
    shop.work()


def used_charge(shop: Shop, **how: Any) -> str:
    trial, charge = shop.charged_trial(**how)
    shop.usage.used_by.add(trial.customer)
    return charge


@pytest.mark.parametrize(
    ("currency", "amount", "fraud_type", "reason", "advice"),
    [
        ("usd", 1500, "misc", "warning-small-against-fee", Recommendation.REFUND),
        ("usd", 1501, "misc", "warning-near-the-fee", Recommendation.NONE),
        ("usd", 2026, "unauthorized_use_of_card", "warning-used-above-fee", Recommendation.DECLINE),
        ("usd", 4900, "made_with_lost_card", "warning-card-not-theirs", Recommendation.NONE),
        ("jpy", 1300, "misc", "warning-small-against-fee", Recommendation.REFUND),
        ("sek", 4900, "misc", "fraud-warning", Recommendation.NONE),
    ],
)
def test_a_warning_on_a_charge_that_was_used_reaches_a_person_weighed_against_the_fee(
    shop: Shop, currency: str, amount: int, fraud_type: str, reason: str, advice: Recommendation
) -> None:
    charge = used_charge(shop, currency=currency, amount=amount)
    shop.stripe.warn(charge, fraud_type)
    heard(shop)
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason, case.recommendation) == (CaseState.REVIEW, reason, advice)
    shop.assert_not_paid(charge)


@pytest.mark.parametrize("order", list(permutations(("warning", "dispute", "work"))))
def test_a_warning_and_a_chargeback_in_any_order_never_pay_twice(shop: Shop, order: tuple[str, ...]) -> None:
    _, charge = shop.charged_trial()
    for what in order:
        if what == "warning":
            shop.stripe.warn(charge)
        elif what == "dispute" and not shop.refunds_at_stripe(charge):  # a bank takes nothing that was given back
            shop.stripe.dispute(charge)
        else:
            heard(shop)
    heard(shop)
    disputed = bool(shop.stripe.get("/disputes", charge=charge)["data"])
    assert len(shop.refunds_at_stripe(charge)) == (0 if disputed else 1)
    if disputed:
        assert {(case.state, case.reason) for case in shop.cases_of(charge)} == {(CaseState.REVIEW, "open-chargeback")}


def test_a_warning_on_a_charge_that_was_refunded_opens_nothing_and_pays_nothing(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge)
    shop.stripe.warn(charge)
    heard(shop)
    assert shop.cases_of(charge) == []
    assert len(shop.refunds_at_stripe(charge)) == 1


def test_one_warning_told_many_times_is_one_request(shop: Shop) -> None:
    charge = used_charge(shop)
    shop.stripe.warn(charge)
    heard(shop)
    shop._seen.clear()  # Stripe tells all of it again
    heard(shop)
    [case] = shop.cases_of(charge)
    asked = shop.rows("SELECT channel FROM requests WHERE case_id = :case", case=case.id)
    assert [row.channel for row in asked] == ["early_fraud_warning"]


def test_a_person_may_refund_what_is_small_against_the_fee(shop: Shop) -> None:
    charge = used_charge(shop, amount=900)
    shop.stripe.warn(charge)
    heard(shop)
    [case] = shop.cases_of(charge)
    review.approve(shop.desk, shop.person(case.id), reason="cheaper than the dispute")
    shop.work()
    shop.assert_paid_once(charge, amount=900)
