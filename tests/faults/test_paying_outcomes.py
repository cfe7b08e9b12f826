"""Every outcome of the call that pays: accepted once, refused once, or unknown and found out, never guessed."""

from datetime import timedelta
from typing import Any

import pytest
from tests.flows.shop import Shop

from billingbot.core.case import CaseState
from billingbot.core.errors import ConflictError, ForbiddenError
from billingbot.core.job import Actor
from billingbot.core.mode import Mode
from billingbot.flows.casework.review import approve, deny
from billingbot.gateway.answers import RefundAnswer
from billingbot.gateway.client import StripeGateway
from billingbot.gateway.transport import Transport

REFUNDS = {"method": "POST", "path": "/v1/refunds"}
HALF_A_DAY = timedelta(hours=12, minutes=1)


def decided(shop: Shop, **claims: Any) -> tuple[str, str]:
    """A charge whose refund is decided and has not left; with its case."""
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True, **claims).case.id
    shop.work(only=Actor.ASSESS)
    assert shop.case(case_id).state is CaseState.REFUNDING
    return charge, case_id


def state_of(shop: Shop, charge: str) -> str:
    [refund] = shop.refunds_of(charge)
    return str(refund.state)


class MeddledGateway(StripeGateway):
    """The real gateway, with something that happens at Stripe in the very moment before the call."""

    meddle: Any

    def create_refund(self, **asked: Any) -> RefundAnswer:
        self.meddle()
        return super().create_refund(**asked)


def just_before_the_call(shop: Shop, meddle: Any) -> None:
    gateway = MeddledGateway("default", "rk_test_shop", False, api_base=shop.stripe.url)
    gateway.meddle = meddle
    shop.replace_gateway(gateway)


@pytest.mark.parametrize("kind", ["lost_answer", "cut_answer", "error_after"])
def test_a_refund_whose_answer_never_came_is_found_at_stripe_and_not_paid_again(shop: Shop, kind: str) -> None:
    charge, _ = decided(shop)
    shop.stripe.fault(kind, **REFUNDS)

    shop.work()
    assert state_of(shop, charge) == "unknown"
    assert len(shop.refunds_at_stripe(charge)) == 1

    shop.hurry()
    shop.work()  # at the very next try
    shop.assert_paid_once(charge)
    assert len(shop.attempts_of(charge)) == 1


@pytest.mark.parametrize("kind", ["bad_gateway", "lost_request"])
def test_a_call_that_did_nothing_is_repeated_under_the_same_key(shop: Shop, kind: str) -> None:
    charge, _ = decided(shop)
    shop.stripe.fault(kind, **REFUNDS)

    shop.work()
    assert state_of(shop, charge) == "unknown"

    shop.restart()
    shop.assert_paid_once(charge)
    [attempt] = shop.attempts_of(charge)
    assert attempt.sends == 2


@pytest.mark.parametrize("kind", ["rate_limit", "lock_timeout"])
def test_a_limit_of_stripes_is_waited_out_for_as_long_as_the_key_lives(shop: Shop, kind: str) -> None:
    charge, case_id = decided(shop)
    shop.stripe.fault(kind, **REFUNDS, times=10)

    for _ in range(10):
        shop.hurry()
        shop.work()
    assert state_of(shop, charge) == "submitting"
    assert shop.case(case_id).state is CaseState.REFUNDING
    [job] = shop.rows("SELECT run_at - now() AS wait FROM jobs WHERE actor = 'submit'")
    assert job.wait > timedelta(minutes=15)  # the schedule of all failures, not every few seconds

    shop.restart()
    shop.assert_paid_once(charge)
    [attempt] = shop.attempts_of(charge)
    assert attempt.sends == 11


def test_a_call_that_outlasts_our_patience_is_not_sent_again_while_it_may_run(shop: Shop) -> None:
    charge, _ = decided(shop)
    gateway = StripeGateway("default", "rk_test_shop", False, api_base=shop.stripe.url)
    gateway._transport = Transport("rk_test_shop", livemode=False, api_base=shop.stripe.url, timeout_seconds=(3.0, 0.3))
    shop.replace_gateway(gateway)
    shop.stripe.fault("slow", **REFUNDS, seconds=1.5)

    shop.work()
    assert state_of(shop, charge) == "unknown"
    shop.hurry()
    shop.work()  # Stripe still works on it: the key is in use
    assert shop.refunds_at_stripe(charge) == []

    while not shop.refunds_at_stripe(charge):
        pass
    shop.restart()
    shop.assert_paid_once(charge)


def test_a_key_without_the_permission_waits_for_a_person_to_mend_it_and_then_pays(shop: Shop) -> None:
    charge, _ = decided(shop)
    shop.stripe.fault("forbidden", **REFUNDS, times=3)
    for _ in range(3):
        shop.hurry()
        shop.work()
    assert shop.refunds_at_stripe(charge) == []

    shop.restart()
    shop.assert_paid_once(charge)


def test_a_stored_failure_never_heals_under_its_key_so_after_half_a_day_a_second_key_pays(shop: Shop) -> None:
    charge, _ = decided(shop)
    shop.stripe.fault("error_before", **REFUNDS)
    for _ in range(5):
        shop.hurry()
        shop.work()
    [attempt] = shop.attempts_of(charge)
    assert attempt.sends == 5
    assert shop.refunds_at_stripe(charge) == []

    shop.age(HALF_A_DAY)
    shop.restart()
    shop.assert_paid_once(charge)
    first, second = shop.attempts_of(charge)
    assert (first.outcome, second.outcome) == ("absent", "accepted")
    assert first.key != second.key


def test_half_a_day_later_a_refund_that_was_made_is_adopted_and_no_second_key_is_used(shop: Shop) -> None:
    charge, _ = decided(shop)
    shop.stripe.fault("lost_answer", **REFUNDS)
    shop.work()
    shop.age(HALF_A_DAY)

    shop.restart()
    shop.assert_paid_once(charge)
    assert len(shop.attempts_of(charge)) == 1


def test_once_stripe_has_forgotten_the_key_it_is_never_sent_again(shop: Shop) -> None:
    charge, _ = decided(shop)
    shop.stripe.fault("lost_answer", **REFUNDS)
    shop.work()
    shop.stripe.advance(hours=25)
    shop.age(timedelta(hours=25))

    shop.restart()
    shop.assert_paid_once(charge)
    [attempt] = shop.attempts_of(charge)
    assert attempt.sends == 1


def test_an_absence_proves_nothing_while_a_call_of_ours_may_be_under_way(shop: Shop) -> None:
    charge, _ = decided(shop)
    shop.stripe.fault("lost_request", **REFUNDS)
    shop.work()
    with shop.owner.begin() as connection:  # the key's life ends a minute after the last call
        connection.exec_driver_sql("UPDATE refund_attempts SET first_sent_at = now() - interval '13 hours'")

    shop.hurry()
    shop.work()
    assert len(shop.attempts_of(charge)) == 1
    assert shop.refunds_at_stripe(charge) == []


def test_after_three_keys_without_a_trace_a_person_looks(shop: Shop) -> None:
    charge, case_id = decided(shop)
    shop.stripe.fault("error_before", **REFUNDS, times=None)
    shop.work()
    for _ in range(3):
        shop.age(HALF_A_DAY)
        shop.hurry()
        shop.work()

    shop.stripe.clear_faults()
    shop.assert_not_paid(charge)
    assert len(shop.attempts_of(charge)) == 3
    case = shop.case(case_id)
    assert (case.state, case.reason, case.priority) == (CaseState.REVIEW, "no-trace-at-stripe", "high")


def test_a_refund_made_in_the_dashboard_just_before_the_call_is_not_taken_for_ours(shop: Shop) -> None:
    charge, case_id = decided(shop)
    just_before_the_call(shop, lambda: shop.stripe.post("/refunds", charge=charge))

    shop.work()
    case = shop.case(case_id)
    assert (case.state, case.reason) == (CaseState.REVIEW, "refused-already_refunded")

    shop.deliver()  # now its event tells whose it is
    shop.work()
    assert (shop.case(case_id).state, shop.case(case_id).outcome) == (CaseState.CLOSED, "already-refunded")
    assert {(row.origin, row.state) for row in shop.refunds_of(charge)} == {
        ("policy", "refused"),
        ("external", "succeeded"),
    }
    assert len(shop.refunds_at_stripe(charge)) == 1


def test_our_own_earlier_call_behind_a_refusal_counts_as_paid(shop: Shop) -> None:
    """The first call was carried out after all, under a key that Stripe has forgotten since."""
    charge, _ = decided(shop)
    shop.stripe.fault("lost_request", **REFUNDS)
    shop.work()
    [attempt] = shop.attempts_of(charge)
    [refund] = shop.refunds_of(charge)
    ours = {"billingbot_refund": refund.id, "billingbot_key": attempt.key}
    just_before_the_call(shop, lambda: shop.stripe.post("/refunds", charge=charge, amount=4900, metadata=ours))

    shop.restart()
    shop.assert_paid_once(charge)


def test_a_part_refunded_just_before_the_call_leaves_the_rest_to_a_person(shop: Shop) -> None:
    charge, case_id = decided(shop)
    just_before_the_call(shop, lambda: shop.stripe.post("/refunds", charge=charge, amount=1000))

    shop.work()
    assert shop.case(case_id).reason == "refused-amount_too_large"

    shop.deliver()
    shop.work()
    case = shop.case(case_id)
    assert (case.state, case.reason) == (CaseState.REVIEW, "refunded-in-part")
    assert sum(refund["amount"] for refund in shop.refunds_at_stripe(charge)) == 1000


def test_a_chargeback_just_before_the_call_is_refused_and_reaches_a_person_as_one(shop: Shop) -> None:
    charge, case_id = decided(shop)
    just_before_the_call(shop, lambda: shop.stripe.dispute(charge, status="needs_response"))

    shop.work()
    case = shop.case(case_id)
    assert (case.state, case.reason) == (CaseState.REVIEW, "refused-disputed")
    assert (case.recommendation, case.reply) == ("none", None)  # no advice to pay, no letter that says it was paid

    shop.deliver()
    shop.work()
    case = shop.case(case_id)
    assert (case.state, case.reason) == (CaseState.REVIEW, "open-chargeback")
    shop.assert_not_paid(charge)


def test_an_unknown_outcome_reaches_a_person_and_is_found_out_all_the_same(shop: Shop) -> None:
    charge, case_id = decided(shop)
    shop.stripe.fault("lost_answer", **REFUNDS)
    shop.work()
    shop.stripe.fault("forbidden", method="GET", path="/v1/refunds", times=None)
    for _ in range(16):
        shop.hurry()
        shop.work()
    case = shop.case(case_id)
    assert (case.state, case.reason) == (CaseState.REVIEW, "outcome-unknown")
    with pytest.raises(ConflictError, match="may have been paid"):
        deny(shop.desk, shop.person(case_id), reason="no", reply=None)

    shop.stripe.clear_faults()
    with pytest.raises(ForbiddenError, match="nothing-refundable"):
        approve(shop.desk, shop.person(case_id), reason="yes")
    shop.forget_failures()
    make_old(shop)
    shop.do("resolve_refunds")
    shop.restart()
    shop.assert_paid_once(charge)


def make_old(shop: Shop) -> None:
    """Refunds were intended an hour ago, so that the sweeper takes them for lost."""
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE refunds SET intended_at = intended_at - interval '1 hour'")


def test_a_refund_that_is_no_longer_wanted_ends_though_a_person_has_its_case_already(shop: Shop) -> None:
    """The outcome was unknown for so long that a person got the case; meanwhile the product was used."""
    trial, charge = shop.charged_trial()
    case_id = shop.ask(charge).case.id
    shop.work(only=Actor.ASSESS)
    shop.stripe.fault("lost_request", **REFUNDS, times=None)
    for _ in range(17):
        shop.hurry()
        shop.work()
    assert shop.case(case_id).reason == "outcome-unknown"

    shop.stripe.clear_faults()
    shop.usage.used_by.add(trial.customer)
    shop.forget_failures()
    make_old(shop)
    shop.do("resolve_refunds")
    shop.restart()

    shop.assert_not_paid(charge)
    case = shop.case(case_id)
    assert (case.state, case.reason) == (CaseState.REVIEW, "changed-before-paying")
    deny(shop.desk, shop.person(case_id), reason="used", reply=None)


def test_switching_off_stops_even_the_next_send_of_a_key_that_went_out_before(shop: Shop) -> None:
    charge, case_id = decided(shop)
    shop.stripe.fault("lost_request", **REFUNDS)
    shop.work()
    shop.set_mode(Mode.OFF)

    shop.restart()
    shop.assert_not_paid(charge)
    [attempt] = shop.attempts_of(charge)
    assert (attempt.sends, attempt.outcome) == (1, "absent")
    assert shop.case(case_id).state is CaseState.REVIEW
