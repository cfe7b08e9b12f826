"""Stripe down, Postgres restarting, a worker that dies each time: nothing is lost, and it catches up by itself."""

import json
from typing import Any

import pytest
from tests.flows.shop import Shop, in_days

from billingbot.core.case import CaseState
from billingbot.core.job import Actor
from billingbot.flows.casework import review
from billingbot.gateway.answers import RefundAnswer
from billingbot.gateway.client import StripeGateway
from billingbot.worker.run import run


def cut_connections(shop: Shop) -> None:
    """What a restart of Postgres does to everybody who is connected."""
    shop.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def use_up_tries(shop: Shop) -> None:
    """The waiting jobs have failed for hours: the next failure is their last."""
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET attempts = 15 WHERE state = 'ready'")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_postgres_restarts_around_the_call_and_the_refund_is_paid_once(shop: Shop, moment: str) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)

    class Restarting(StripeGateway):
        def create_refund(self, **asked: Any) -> RefundAnswer:
            if moment == "before":
                cut_connections(shop)
            answer = super().create_refund(**asked)
            if moment == "after":
                cut_connections(shop)
            return answer

    shop.replace_gateway(Restarting("default", "rk_test_shop", False, api_base=shop.stripe.url))
    shop.work()
    shop.restart()
    shop.assert_paid_once(charge)


def test_postgres_restarts_in_the_middle_of_a_look_and_the_case_is_assessed_all_the_same(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)

    class Restarting(StripeGateway):
        def dossier(self, *asked: Any, **how: Any) -> Any:
            cut_connections(shop)
            return super().dossier(*asked, **how)

    shop.replace_gateway(Restarting("default", "rk_test_shop", False, api_base=shop.stripe.url))
    shop.work()
    shop.restart()
    shop.assert_paid_once(charge)


def test_a_job_that_cannot_be_claimed_kills_no_worker(shop: Shop) -> None:
    shop.ask("ch_1")
    [job] = shop.rows("SELECT id FROM jobs WHERE actor = 'assess'")
    cut_connections(shop)
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE jobs")
        assert run(shop.desk, job.id) is False

    shop.work()
    assert shop.rows("SELECT 1 FROM jobs WHERE state = 'ready'") == []


def test_while_stripe_is_down_requests_are_taken_and_afterwards_they_are_answered(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.fault("lost_request", path="/v1/", times=None)
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    assert shop.case(case_id).state is CaseState.ASSESSING
    [failure] = shop.rows("SELECT * FROM job_failures")
    assert failure.error_class == "StripeUnavailableError"

    shop.stripe.clear_faults()
    shop.restart()
    shop.assert_paid_once(charge)


def test_a_case_that_cannot_be_assessed_for_hours_ends_with_a_person(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.fault("forbidden", path="/v1/", times=None)
    case_id = shop.ask(charge, unused=True).case.id
    use_up_tries(shop)
    shop.work()
    use_up_tries(shop)
    shop.hurry()
    shop.work()

    case = shop.case(case_id)
    assert (case.state, case.reason) == (CaseState.REVIEW, "could-not-assess")
    assert [row.state for row in shop.rows("SELECT state FROM jobs WHERE actor = 'assess'")] == ["failed"]
    assert shop.ledger_flaws() == []


def test_a_charge_that_cannot_be_read_is_soon_with_a_person_who_is_told_the_field(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    row = shop.sandbox.state.tables["charge"].rows[charge]
    currency, row["currency"] = row["currency"], None
    case_id = shop.ask(charge, unused=True).case.id
    for _ in range(5):
        assert shop.case(case_id).state is CaseState.ASSESSING
        shop.work()
        shop.hurry()

    case = shop.case(case_id)
    assert (case.state, case.reason) == (CaseState.REVIEW, "could-not-assess")
    [entry] = shop.rows("SELECT body FROM ledger_entries WHERE subject = :id AND kind = 'case.given_up'", id=case_id)
    assert json.loads(entry.body)["why"] == f"charge {charge}: currency: expected a text, got NoneType"
    assert [row.state for row in shop.rows("SELECT state FROM jobs WHERE actor = 'assess'")] == ["failed"]

    row["currency"] = currency
    shop.forget_failures()
    review.ask_again(shop.desk, shop.person(case_id), "it can be read again")
    shop.work()
    shop.assert_paid_once(charge)


def test_a_dispute_that_cannot_be_read_is_told_of_long_before_its_deadline(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    dispute = shop.stripe.dispute(charge, due_by=in_days(5))["id"]
    shop.skip_events()
    shop.sandbox.state.tables["dispute"].rows[dispute]["reason"] = None
    shop.stripe.post(f"/disputes/{dispute}", metadata={"seen": "yes"})
    shop.deliver()
    for _ in range(5):
        shop.work()
        shop.hurry()
    [job] = shop.rows("SELECT state, last_error FROM jobs WHERE actor = 'interpret' AND state <> 'done'")
    assert (job.state, job.last_error) == ("failed", f"dispute {dispute}: reason: expected a text, got NoneType")
    assert [row.kind for row in shop.rows("SELECT kind FROM notices")] == ["job_failed"]


def test_a_refund_that_cannot_be_looked_at_again_for_hours_is_withdrawn_and_ends_with_a_person(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work(only=Actor.ASSESS)
    shop.stripe.fault("forbidden", method="GET", path="/v1/charges", times=None)
    use_up_tries(shop)
    shop.work()
    use_up_tries(shop)
    shop.hurry()
    shop.work()

    assert (shop.case(case_id).state, shop.case(case_id).reason) == (CaseState.REVIEW, "could-not-pay")
    assert [row.state for row in shop.refunds_of(charge)] == ["withdrawn"]
    shop.stripe.clear_faults()
    shop.forget_failures()
    shop.restart()
    shop.assert_not_paid(charge)


def test_a_job_whose_worker_dies_each_time_ends_with_a_person_too(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET attempts = 16 WHERE state = 'ready'")
    shop.work()
    assert (shop.case(case_id).state, shop.case(case_id).reason) == (CaseState.REVIEW, "could-not-assess")


def test_the_sweeper_gives_a_lost_refund_a_new_job_and_only_one(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("DELETE FROM jobs WHERE actor = 'submit'")
        connection.exec_driver_sql("UPDATE refunds SET intended_at = intended_at - interval '1 hour'")

    assert (shop.do("resolve_refunds"), shop.do("resolve_refunds")) == (1, 0)
    shop.work()
    shop.assert_paid_once(charge)


def test_the_sweeper_gives_a_forgotten_case_a_new_job_and_only_one(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    assert shop.do("assess_forgotten") == 0  # its job is there
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("DELETE FROM jobs WHERE actor = 'assess'")

    assert (shop.do("assess_forgotten"), shop.do("assess_forgotten")) == (1, 0)
    shop.work()
    shop.assert_paid_once(charge)


def test_earlier_trials_are_read_in_page_by_page_by_one_job_however_many_ask_for_it(shop: Shop) -> None:
    customer = shop.start_trial().customer
    price = shop.stripe.post(
        "/prices", currency="usd", unit_amount=100, recurring={"interval": "month"}, product_data={"name": "Plan"}
    )["id"]
    for _ in range(64):
        shop.stripe.post("/subscriptions", customer=customer, items=[{"price": price}], trial_period_days=14)
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("DELETE FROM history_imports; DELETE FROM jobs")

    shop.do("import_history")
    [first] = shop.rows("SELECT id FROM jobs")
    assert run(shop.desk, first.id)  # one page, and then the process is gone
    [progress] = shop.rows("SELECT * FROM history_imports")
    assert progress.finished_at is None
    assert 0 < len(shop.rows("SELECT 1 FROM trials")) < 65

    with shop.owner.begin() as connection:  # others ask while the first is at work
        connection.exec_driver_sql("UPDATE jobs SET token = 'at-work', lease_until = now() + interval '1 minute'")
    shop.do("import_history")
    [second] = shop.rows("SELECT id FROM jobs WHERE token IS NULL")
    assert run(shop.desk, second.id)
    assert [row.seen for row in shop.rows("SELECT seen FROM history_imports")] == [progress.seen]

    shop.restart()
    [finished] = shop.rows("SELECT * FROM history_imports")
    assert (finished.seen, finished.finished_at is not None) == (65, True)
    assert len(shop.rows("SELECT 1 FROM trials")) == 65


def test_an_assessment_does_not_wait_for_ever_for_the_history(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE history_imports SET caught_up_at = NULL")
    case_id = shop.ask(charge, unused=True).case.id
    shop.work(only=Actor.ASSESS)
    assert shop.case(case_id).state is CaseState.ASSESSING  # put off for a moment, without counting a failure
    [job] = shop.rows("SELECT attempts, run_at > now() AS later FROM jobs WHERE actor = 'assess'")
    assert (job.attempts, job.later) == (0, True)

    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE cases SET opened_at = opened_at - interval '1 minute'")
    shop.hurry()
    shop.work(only=Actor.ASSESS)
    assert shop.case(case_id).state is CaseState.REVIEW  # an earlier trial is unknown until then: nothing is paid

    shop.restart()
    shop.look_again()
    shop.restart()
    assert shop.case(case_id).outcome == "refunded"
