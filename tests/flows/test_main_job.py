"""From a request to a settled refund, or to a person: the main job, told through the verbs."""

from datetime import UTC, datetime

from billingbot.core.case import CaseState
from billingbot.core.decision import Recommendation
from billingbot.core.request import NamedBy
from tests.flows.shop import Shop


def test_an_unused_trial_that_turned_into_a_charge_is_refunded_once_and_in_full(shop: Shop) -> None:
    _, charge = shop.charged_trial()

    answer = shop.ask(charge, unused=True)
    shop.work()

    [refund] = shop.refunds_at_stripe(charge)
    case = shop.case(answer.case.id)
    assert refund["amount"] == 4900
    assert refund["reason"] == "requested_by_customer"
    assert case.state is CaseState.CLOSED
    assert case.outcome == "refunded"
    assert case.clause == "unused-trial"
    assert shop.ledger_flaws() == []


def test_a_used_trial_goes_to_a_person_who_is_advised_to_decline(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)

    answer = shop.ask(charge)
    shop.work()

    case = shop.case(answer.case.id)
    assert case.state is CaseState.REVIEW
    assert case.recommendation is Recommendation.DECLINE
    assert case.clause == "discretion"
    assert shop.refunds_at_stripe(charge) == []


def test_a_source_that_is_down_sends_the_case_to_a_person_and_the_machine_looks_again_when_it_is_back(
    shop: Shop,
) -> None:
    _, charge = shop.charged_trial()
    shop.usage.down = True
    answer = shop.ask(charge)
    shop.work()
    assert shop.case(answer.case.id).state is CaseState.REVIEW

    shop.usage.down = False
    shop.look_again()

    assert shop.case(answer.case.id).outcome == "refunded"
    assert len(shop.refunds_at_stripe(charge)) == 1


def test_a_conversion_is_noticed_from_events_in_any_order_and_is_not_a_request(shop: Shop) -> None:
    trial, charge = shop.charged_trial()

    shop.deliver()
    shop.work()

    [conversion] = shop.rows("SELECT * FROM conversions")
    assert conversion.charge_id == charge
    assert conversion.subscription_id == trial.subscription
    assert conversion.amount_minor == 4900
    assert shop.rows("SELECT * FROM cases") == []


def test_a_refund_made_in_the_dashboard_is_adopted_and_closes_the_question(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge)
    shop.deliver()
    shop.work()

    answer = shop.ask(charge)
    shop.work()

    [refund] = shop.rows("SELECT * FROM refunds")
    assert refund.origin == "external"
    case = shop.case(answer.case.id)
    assert (case.state, case.outcome) == (CaseState.CLOSED, "already-refunded")


def test_a_request_that_names_the_customer_finds_the_one_charge(shop: Shop) -> None:
    trial, charge = shop.charged_trial()

    answer = shop.ask(trial.customer, named_by=NamedBy.CUSTOMER)
    shop.work()

    assert shop.case(answer.case.id).charge_id == charge
    assert len(shop.refunds_at_stripe(charge)) == 1


def test_a_claim_of_a_cancellation_that_nobody_recorded_goes_to_a_person(shop: Shop) -> None:
    _, charge = shop.charged_trial()

    answer = shop.ask(charge, cancelled=True, cancelled_at=datetime.now(UTC))
    shop.work()

    case = shop.case(answer.case.id)
    assert case.clause == "false-cancellation-claim"
    assert case.recommendation is Recommendation.DECLINE
