"""After a refund the subscription is cancelled as the policy says: once, on fresh facts, or by a person."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from billingbot.core.aftercare import Cancellation, CancellationState
from billingbot.core.case import CaseState
from billingbot.core.errors import ConflictError, RetryLaterError
from billingbot.core.job import Actor
from billingbot.core.mode import Mode
from billingbot.core.refund_terms import CancelWhen
from billingbot.flows.cancel import NOT_CANCELLED, STILL_COLLECTED, cancel, settled_by_hand, try_again
from billingbot.flows.casework.review import approve
from billingbot.flows.desk import step
from billingbot.store import cancellations, jobs, views
from tests.flows.shop import Shop, Trial

_S = CancellationState


def cancel_when(shop: Shop, when: CancelWhen) -> None:
    shop.policy = replace(shop.policy, terms=replace(shop.policy.terms, cancel_subscription=when))


def subscription(shop: Shop, trial: Trial) -> Any:
    return shop.stripe.get(f"/subscriptions/{trial.subscription}")


def refunded(shop: Shop, **how: Any) -> tuple[Trial, str]:
    """A trial-end charge that was paid back; its cancellation still waits."""
    trial, charge = shop.charged_trial(**how)
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    shop.work(only=Actor.SUBMIT)
    shop.skip_events()
    return trial, charge


def the_cancellation(shop: Shop, charge: str) -> Cancellation:
    [row] = shop.rows("SELECT id FROM cancellations WHERE charge_id = :c", c=charge)
    with shop.desk.db.begin() as connection:
        return cancellations.get(connection, row.id)


def ledgered(shop: Shop, charge: str) -> list[str]:
    with shop.desk.db.begin() as connection:
        entries = views.timeline(connection, shop.cases_of(charge)[-1].id)
    return [entry.kind.removeprefix("cancellation.") for entry in entries if entry.kind.startswith("cancellation.")]


def test_a_refunded_trial_is_cancelled_at_once_and_charged_no_more(shop: Shop) -> None:
    trial, charge = refunded(shop)
    shop.work()
    assert subscription(shop, trial)["status"] == "canceled"
    done = the_cancellation(shop, charge)
    assert (done.state, done.sends, done.waits_for) == (_S.DONE, 1, None)
    assert ledgered(shop, charge) == ["intended", "attempted", "changed"]
    shop.stripe.advance(days=40)
    assert len(shop.stripe.get("/charges", customer=trial.customer)["data"]) == 1
    shop.assert_paid_once(charge)


def test_a_cancellation_at_the_periods_end_leaves_the_period_that_runs(shop: Shop) -> None:
    cancel_when(shop, CancelWhen.PERIOD_END)
    trial, charge = refunded(shop)
    shop.work()
    found = subscription(shop, trial)
    assert (found["status"], found["cancel_at_period_end"]) == ("active", True)
    assert the_cancellation(shop, charge).state is _S.DONE
    shop.stripe.advance(days=40)
    assert subscription(shop, trial)["status"] == "canceled"
    assert len(shop.stripe.get("/charges", customer=trial.customer)["data"]) == 1


def test_a_policy_may_leave_the_subscription_alone(shop: Shop) -> None:
    cancel_when(shop, CancelWhen.NO)
    trial, charge = refunded(shop)
    shop.work()
    assert subscription(shop, trial)["status"] == "active"
    assert shop.rows("SELECT * FROM cancellations") == []
    shop.assert_paid_once(charge)


def test_what_was_decided_stays_when_the_policy_changes_meanwhile(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    cancel_when(shop, CancelWhen.NO)
    shop.work()
    assert subscription(shop, trial)["status"] == "canceled"


def test_a_pending_refund_cancels_as_well(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.stripe.refund_outcome(charge=charge, status="pending")
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    assert subscription(shop, trial)["status"] == "canceled"
    assert shop.case(case_id).state is CaseState.REFUNDING


def test_a_refund_that_waits_for_bank_details_cancels_once_it_is_on_its_way(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.stripe.refund_outcome(charge=charge, status="requires_action")
    shop.ask(charge, unused=True)
    shop.work()
    assert shop.rows("SELECT * FROM cancellations") == []
    [refund] = shop.refunds_at_stripe(charge)
    shop.stripe.turn_refund(refund["id"], "succeeded")
    shop.deliver()
    shop.work()
    assert subscription(shop, trial)["status"] == "canceled"


def test_a_refund_made_in_the_dashboard_cancels_nothing(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge)
    shop.deliver()
    shop.work()
    assert shop.rows("SELECT origin FROM refunds") == [("external",)]
    assert subscription(shop, trial)["status"] == "active"


def test_a_refund_that_failed_before_cancels_nothing(shop: Shop) -> None:
    trial, charge = refunded(shop)
    [refund] = shop.refunds_at_stripe(charge)
    shop.stripe.turn_refund(refund["id"], "failed")
    shop.deliver()
    shop.work(only=Actor.INTERPRET)
    shop.work()
    assert subscription(shop, trial)["status"] == "active"
    assert the_cancellation(shop, charge).state is _S.WITHDRAWN
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, "refund-failed")


def test_a_subscription_that_somebody_ended_is_left_as_it_is(shop: Shop) -> None:
    trial, charge = refunded(shop)
    shop.stripe.delete(f"/subscriptions/{trial.subscription}")
    shop.work()
    found = the_cancellation(shop, charge)
    assert (found.state, found.sends, found.why) == (_S.NOT_NEEDED, 0, "ended already")
    shop.assert_paid_once(charge)


def test_a_customer_who_paid_again_is_for_a_person(shop: Shop) -> None:
    trial, charge = refunded(shop)
    shop.stripe.advance(days=32)
    shop.skip_events()
    shop.work()
    found = the_cancellation(shop, charge)
    assert (found.state, found.why, found.waits_for, found.sends) == (
        _S.HANDED_OVER, "paid-again", NOT_CANCELLED, 0,
    )  # fmt: skip
    assert subscription(shop, trial)["status"] == "active"
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, NOT_CANCELLED)
    assert shop.rows("SELECT kind, subject FROM notices") == [("subscription_not_cancelled", case.id)]


def test_another_plan_is_for_a_person(shop: Shop) -> None:
    trial, charge = refunded(shop)
    other = shop.stripe.post("/prices", currency="usd", unit_amount=9900, recurring={"interval": "month"},
                             product_data={"name": "Larger"})["id"]  # fmt: skip
    item = subscription(shop, trial)["items"]["data"][0]["id"]
    shop.stripe.post(f"/subscriptions/{trial.subscription}", items=[{"id": item, "price": other}],
                     proration_behavior="none")  # fmt: skip
    shop.work()
    found = the_cancellation(shop, charge)
    assert (found.state, found.why) == (_S.HANDED_OVER, "plan-changed")


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.ASSIST])
def test_a_mode_that_stops_the_machine_stops_its_cancellations(shop: Shop, mode: Mode) -> None:
    trial, charge = refunded(shop)
    shop.set_mode(mode)
    shop.work()
    found = the_cancellation(shop, charge)
    assert (found.state, found.why) == (_S.HANDED_OVER, "limit-mode")
    assert subscription(shop, trial)["status"] == "active"


def test_what_a_person_approved_is_cancelled_in_assist(shop: Shop) -> None:
    shop.set_mode(Mode.ASSIST)
    trial, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    approve(shop.desk, shop.person(case_id), reason="as the policy says")
    shop.work()
    assert subscription(shop, trial)["status"] == "canceled"
    [entry] = [e for e in timeline(shop, case_id) if e.kind == "cancellation.intended"]
    assert entry.actor == "kim"


def timeline(shop: Shop, case_id: str) -> Any:
    with shop.desk.db.begin() as connection:
        return views.timeline(connection, case_id)


@pytest.mark.parametrize(
    ("kind", "when"),
    [
        ("lost_answer", CancelWhen.NOW),
        ("error_before", CancelWhen.NOW),
        ("error_after", CancelWhen.PERIOD_END),
        ("error_before", CancelWhen.PERIOD_END),
        ("lost_request", CancelWhen.PERIOD_END),
    ],
)
def test_whatever_becomes_of_the_answer_it_ends_once(shop: Shop, kind: str, when: CancelWhen) -> None:
    cancel_when(shop, when)
    _, charge = refunded(shop)
    method = "DELETE" if when is CancelWhen.NOW else "POST"
    shop.stripe.fault(kind, method=method, path="/v1/subscriptions/", times=1)
    shop.work()
    assert the_cancellation(shop, charge).state is _S.UNKNOWN
    shop.restart()
    found = the_cancellation(shop, charge)
    assert found.state is _S.DONE
    assert found.sends == (2 if kind in {"error_before", "lost_request"} else 1)
    assert ledgered(shop, charge)[:3] == ["intended", "attempted", "unknown"]
    shop.assert_paid_once(charge)


def test_a_busy_stripe_is_asked_again_soon(shop: Shop) -> None:
    trial, charge = refunded(shop)
    shop.stripe.fault("lock_timeout", method="DELETE", path="/v1/subscriptions/", times=1)
    shop.work()
    assert the_cancellation(shop, charge).state is _S.SUBMITTING
    shop.restart()
    assert subscription(shop, trial)["status"] == "canceled"


def test_a_refusal_reopens_the_case_and_a_person_has_it_tried_again(shop: Shop) -> None:
    trial, charge = refunded(shop)
    shop.stripe.fault("declined", method="DELETE", path="/v1/subscriptions/", times=1)
    shop.work()
    refused = the_cancellation(shop, charge)
    assert (refused.state, refused.waits_for) == (_S.REFUSED, NOT_CANCELLED)
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, NOT_CANCELLED)
    try_again(shop.desk, refused.id, by="kim")
    shop.work()
    assert subscription(shop, trial)["status"] == "canceled"
    assert the_cancellation(shop, charge).waits_for is None
    shop.assert_paid_once(charge)


def test_a_key_without_the_permission_ends_at_a_person_and_heals_by_itself(shop: Shop) -> None:
    trial, charge = refunded(shop)
    shop.stripe.fault("forbidden", method="DELETE", path="/v1/subscriptions/", times=None,
                      permission="rak_subscription_write")  # fmt: skip
    for _ in range(20):
        shop.hurry()
        shop.work()
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, NOT_CANCELLED)
    shop.stripe.clear_faults()
    shop.forget_failures()
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE cancellations SET intended_at = intended_at - interval '1 h'")
    assert shop.do("resolve_cancellations") == 1
    shop.work()
    assert subscription(shop, trial)["status"] == "canceled"
    shop.assert_paid_once(charge)


def test_a_worker_that_was_held_up_before_the_call_cancels_nothing_any_more(shop: Shop) -> None:
    trial, charge = refunded(shop)
    shop.work(only=Actor.SUBMIT)
    [row] = shop.rows("SELECT id FROM jobs WHERE actor = 'cancel'")
    with shop.desk.db.begin() as connection:
        job = jobs.claim(connection, row.id, "a token")
    assert job is not None
    ticks = iter([0.0, 600.0])  # meanwhile somebody may have settled it by hand, and kept the customer
    with pytest.raises(RetryLaterError):
        cancel(shop.desk, job, clock=lambda: next(ticks))
    assert subscription(shop, trial)["status"] == "active"
    shop.restart()
    assert the_cancellation(shop, charge).state is CancellationState.DONE
    assert subscription(shop, trial)["status"] == "canceled"


def test_a_person_who_saw_to_it_closes_the_case(shop: Shop) -> None:
    _, charge = refunded(shop)
    shop.set_mode(Mode.OFF)
    shop.work()
    waiting = the_cancellation(shop, charge)
    settled_by_hand(shop.desk, waiting.id, by="kim")
    shop.assert_paid_once(charge)
    with pytest.raises(ConflictError):
        settled_by_hand(shop.desk, waiting.id, by="kim")


def test_a_case_with_a_person_for_its_subscription_stays_when_the_money_arrives(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.refund_outcome(charge=charge, status="pending")
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    shop.work(only=Actor.SUBMIT)
    shop.set_mode(Mode.OFF)
    shop.work()
    [refund] = shop.refunds_at_stripe(charge)
    shop.stripe.turn_refund(refund["id"], "succeeded")
    shop.deliver()
    shop.work()
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, NOT_CANCELLED)
    settled_by_hand(shop.desk, the_cancellation(shop, charge).id, by="kim")
    assert [case.outcome for case in shop.cases_of(charge)] == ["refunded"]


def test_a_draft_that_stripe_would_still_collect_is_for_a_person(shop: Shop) -> None:
    trial, charge = refunded(shop)
    period_end = subscription(shop, trial)["items"]["data"][0]["current_period_end"]
    shop.stripe.advance(to=period_end + 60)  # the next period has begun, and is collected within the hour
    shop.skip_events()
    shop.work()
    found = the_cancellation(shop, charge)
    assert (found.state, found.waits_for) == (_S.DONE, STILL_COLLECTED)
    assert "in_" in (found.why or "")
    assert subscription(shop, trial)["status"] == "canceled"


def test_an_item_that_waits_for_the_next_invoice_is_for_a_person(shop: Shop) -> None:
    trial, charge = refunded(shop)
    item = shop.stripe.post("/invoiceitems", customer=trial.customer, amount=700, currency="usd",
                            subscription=trial.subscription)["id"]  # fmt: skip
    shop.work()
    found = the_cancellation(shop, charge)
    assert found.waits_for == STILL_COLLECTED
    assert item in (found.why or "")


def test_a_key_that_may_not_see_what_is_left_sends_a_person_to_look(shop: Shop) -> None:
    trial, charge = refunded(shop)
    shop.stripe.fault("forbidden", method="GET", path="/v1/invoiceitems", permission="rak_invoice_item_read")
    shop.work()
    assert subscription(shop, trial)["status"] == "canceled"
    assert the_cancellation(shop, charge).waits_for == STILL_COLLECTED


def test_two_workers_at_once_end_it_once(shop: Shop) -> None:
    _, charge = refunded(shop)
    [job] = shop.rows("SELECT subject FROM jobs WHERE actor = 'cancel'")
    with step(shop.desk) as this:
        this.enqueue(Actor.CANCEL, job.subject, delay=timedelta(0))
    shop.work()
    shop.restart()
    deleted = [e for e in shop.stripe.objects("event") if e["type"] == "customer.subscription.deleted"]
    assert len(deleted) == 1
    assert the_cancellation(shop, charge).state is _S.DONE
