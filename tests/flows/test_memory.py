"""What the desk remembers of people, however it learned it; and what a request says after the first one."""

from datetime import timedelta

import sqlalchemy as sa

from billingbot.core.case import CaseState
from billingbot.core.request import NamedBy
from billingbot.worker.schedule import TASKS
from tests.flows.shop import Shop


def _catch_up_is_due(shop: Shop, *, since: timedelta = timedelta(minutes=6)) -> None:
    with shop.owner.begin() as connection:
        connection.execute(sa.text("UPDATE history_imports SET caught_up_at = caught_up_at - :by"), {"by": since})
        connection.execute(sa.text("UPDATE ticks SET last_run_at = last_run_at - interval '1 hour'"))


def test_a_trial_whose_webhooks_never_came_is_read_in_by_the_next_pass(shop: Shop) -> None:
    first = shop.start_trial()
    shop.stripe.add_card(first.customer, fingerprint="one-card")
    shop.stripe.advance(hours=1)
    second = shop.start_trial()
    _catch_up_is_due(shop)
    TASKS["import_history"][1](shop.desk)
    shop.work()

    assert {row.subscription_id for row in shop.rows("SELECT subscription_id FROM trials")} == {
        first.subscription,
        second.subscription,
    }


def test_a_repeat_trial_is_seen_though_no_webhook_told_of_the_first(shop: Shop) -> None:
    shop.start_trial(email="ab@gmail.com")
    shop.stripe.advance(hours=1)
    _, charge = shop.charged_trial(email="a.b+again@gmail.com")
    _catch_up_is_due(shop)
    TASKS["import_history"][1](shop.desk)

    answer = shop.ask(charge)
    shop.work()

    assert shop.case(answer.case.id).clause == "trial-abuse"
    assert shop.refunds_at_stripe(charge) == []


def test_a_history_that_went_stale_proves_nothing_until_it_is_read_again(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    _catch_up_is_due(shop, since=timedelta(minutes=21))

    answer = shop.ask(charge)
    shop.work()
    assert shop.case(answer.case.id).state is CaseState.ASSESSING  # waits a moment for the next pass
    shop.hurry()
    shop.work()

    assert shop.case(answer.case.id).outcome == "refunded"


def test_a_card_that_came_after_the_trial_began_still_links_it(shop: Shop) -> None:
    first = shop.start_trial()
    shop.deliver()
    shop.work()
    shop.stripe.add_card(first.customer, fingerprint="late-card")
    shop.stripe.advance(hours=1)
    second = shop.start_trial()
    shop.stripe.add_card(second.customer, fingerprint="late-card")
    shop.end_trials()
    shop.deliver()
    shop.work()

    charge = shop.last_charge(second)
    answer = shop.ask(charge)
    shop.work()

    assert shop.case(answer.case.id).clause == "trial-abuse"


def test_a_claim_that_comes_with_a_second_request_is_looked_at(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)
    answer = shop.ask(charge)
    shop.work()
    assert shop.case(answer.case.id).reason == "used"

    shop.ask(charge, cancelled=True)
    shop.work()

    assert shop.case(answer.case.id).clause == "false-cancellation-claim"


def test_a_trial_that_still_runs_has_nothing_to_refund(shop: Shop) -> None:
    trial = shop.start_trial()

    answer = shop.ask(trial.subscription, named_by=NamedBy.SUBSCRIPTION)
    shop.work()

    case = shop.case(answer.case.id)
    assert (case.state, case.outcome) == (CaseState.CLOSED, "nothing-charged")


def test_an_invoice_that_is_still_open_is_a_question_for_a_person(shop: Shop) -> None:
    trial = shop.start_trial()
    shop.stripe.add_card(trial.customer, "pm_card_chargeCustomerFail")
    shop.end_trials()

    answer = shop.ask(trial.subscription, named_by=NamedBy.SUBSCRIPTION)
    shop.work()

    assert shop.case(answer.case.id).state is CaseState.REVIEW


def test_a_case_about_a_charge_that_stripe_does_not_know_is_looked_at_again_without_a_failure(shop: Shop) -> None:
    answer = shop.ask("ch_doesnotexist")
    shop.work()
    assert shop.case(answer.case.id).state is CaseState.REVIEW

    with shop.owner.begin() as connection:
        connection.execute(sa.text("UPDATE cases SET recheck_at = now()"))
    TASKS["recheck"][1](shop.desk)
    shop.work()

    assert shop.rows("SELECT 1 FROM job_failures") == []
