"""What Stripe says of a refund is followed to the end, whoever made it and whatever it says."""

from typing import Any

from billingbot.core.case import CaseState
from billingbot.core.job import Actor
from tests.flows.shop import Shop


def set_status(shop: Shop, refund_id: str, status: str) -> None:
    """A status of Stripe's own invention."""
    box = shop.sandbox.state
    with box.lock:
        box.tables["refund"].rows[refund_id]["status"] = status


def read_anew(shop: Shop) -> None:
    """The hourly question after refunds that are not over."""
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE refunds SET intended_at = intended_at - interval '1 hour'")
    shop.do("pending_refunds")
    shop.do("resolve_refunds")
    shop.work()


def test_a_status_that_stripe_invented_since_reaches_a_person_once_and_is_asked_after(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.refund_outcome(charge=charge, status="pending")
    case_id = shop.ask(charge, unused=True).case.id
    shop.work(only=Actor.ASSESS)
    [intent] = shop.refunds_of(charge)
    shop.stripe.post(
        "/refunds", charge=charge, amount=4900, metadata={"billingbot_refund": intent.id, "billingbot_key": "k"}
    )
    [refund] = shop.refunds_at_stripe(charge)
    set_status(shop, refund["id"], "on_hold")
    shop.deliver()
    shop.work(only=Actor.INTERPRET)
    asked = shop.usage.asked
    shop.work()
    assert shop.usage.asked == asked  # what Stripe has told of already is not even considered for sending
    case = shop.case(case_id)
    assert (case.state, case.reason) == (CaseState.REVIEW, "refund-status-unrecognised")

    read_anew(shop)
    assert shop.case(case_id).version == case.version
    assert len(shop.rows("SELECT 1 FROM jobs WHERE actor = 'submit'")) == 1  # nothing is to be sent any more

    set_status(shop, refund["id"], "succeeded")
    read_anew(shop)
    assert shop.case(case_id).outcome == "refunded"
    assert [row.state for row in shop.refunds_of(charge)] == ["succeeded"]


def test_a_refund_that_carries_our_ids_for_another_charge_is_not_ours(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    _, other = shop.charged_trial(trial_period_days=5)
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    [intent] = shop.refunds_of(charge)
    shop.stripe.post("/refunds", charge=other, amount=4900, metadata={"billingbot_refund": intent.id})
    shop.deliver()
    shop.work()

    assert [(row.origin, row.state) for row in shop.refunds_of(other)] == [("external", "succeeded")]
    shop.assert_paid_once(charge)


def test_metadata_of_nobody_we_know_is_adopted_as_made_elsewhere(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge, metadata={"billingbot_refund": "rfd_of_a_lost_database"})
    shop.deliver()
    shop.work()
    shop.deliver()
    shop.work()
    assert [(row.origin, row.state) for row in shop.refunds_of(charge)] == [("external", "succeeded")]


def test_a_dashboard_refund_that_fails_later_reopens_the_case_it_had_closed(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge)
    shop.deliver()
    shop.work()  # adopted before anybody asked
    case_id = shop.ask(charge).case.id
    shop.work()
    assert shop.case(case_id).outcome == "already-refunded"

    [refund] = shop.refunds_at_stripe(charge)
    shop.stripe.turn_refund(refund["id"], "failed")
    shop.deliver()
    shop.work()
    case = shop.case(case_id)
    assert (case.state, case.reason, case.priority) == (CaseState.REVIEW, "refund-failed", "high")
    assert [(row.origin, row.state) for row in shop.refunds_of(charge)] == [("external", "failed")]


def test_a_refund_of_another_amount_than_ours_reaches_a_person(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work(only=Actor.ASSESS)
    [intent] = shop.refunds_of(charge)
    ours: dict[str, Any] = {"billingbot_refund": intent.id}
    shop.stripe.post("/refunds", charge=charge, amount=1000, metadata=ours)
    shop.deliver()
    shop.work()

    case = shop.case(case_id)
    assert (case.state, case.reason) == (CaseState.REVIEW, "refund-amount-differs")
    assert sum(refund["amount"] for refund in shop.refunds_at_stripe(charge)) == 1000


def test_a_case_that_a_refund_outside_has_answered_is_looked_at_again_by_itself(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)
    case_id = shop.ask(charge).case.id
    shop.work()
    assert shop.case(case_id).state is CaseState.REVIEW

    shop.stripe.post("/refunds", charge=charge)
    shop.deliver()
    shop.work()
    assert (shop.case(case_id).state, shop.case(case_id).outcome) == (CaseState.CLOSED, "already-refunded")


def test_a_payment_that_a_restored_database_has_forgotten_is_found_at_stripe(shop: Shop) -> None:
    """The copy is older than the attempt: the refund stands as intended, and Stripe has paid it."""
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    [intent] = shop.refunds_of(charge)
    ours = {"billingbot_refund": intent.id, "billingbot_key": "lost"}
    shop.stripe.post("/refunds", charge=charge, amount=4900, metadata=ours)
    shop.skip_events()

    shop.restart()
    assert [row.state for row in shop.refunds_of(charge)] == ["succeeded"]
    assert len(shop.refunds_at_stripe(charge)) == 1
    assert [case.outcome for case in shop.cases_of(charge)] == ["refunded"]
