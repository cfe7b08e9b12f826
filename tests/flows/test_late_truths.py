"""What Stripe tells late: people hear of it, the case is open again with high priority, and nothing is paid twice."""

from dataclasses import replace

from billingbot.core.case import Case, CaseState
from billingbot.core.decision import Priority
from billingbot.core.job import Actor
from billingbot.flows.desk import step
from billingbot.flows.late import cross
from billingbot.flows.settle import apply_refund
from tests.faults.test_paying_outcomes import just_before_the_call
from tests.flows.shop import Shop, in_days
from tests.flows.test_settling import read_anew, set_status


def refunded(shop: Shop, **outcome: object) -> tuple[str, str, str]:
    """A refund of the machine's, with this outcome at Stripe: charge, case, and the refund's id at Stripe."""
    _, charge = shop.charged_trial()
    if outcome:
        shop.stripe.refund_outcome(charge=charge, **outcome)
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    shop.deliver()
    shop.work()
    [refund] = shop.refunds_at_stripe(charge)
    return charge, case_id, refund["id"]


def heard(shop: Shop) -> None:
    """What Stripe has told since has been acted on."""
    shop.deliver()
    shop.work()
    shop.deliver()
    shop.work()


def told(shop: Shop) -> list[tuple[str, str]]:
    return [(row.kind, row.subject) for row in shop.rows("SELECT kind, subject FROM notices ORDER BY id")]


def assert_with_a_person(case: Case, reason: str) -> None:
    assert (case.state, case.reason, case.priority) == (CaseState.REVIEW, reason, Priority.HIGH)
    assert (case.reply, case.recommendation, case.closed_at) == (None, "none", None)
    assert case.due_at is not None


def test_a_refund_that_fails_weeks_after_it_had_succeeded_is_told_and_reopens_the_case(shop: Shop) -> None:
    charge, case_id, refund = refunded(shop)
    assert shop.case(case_id).outcome == "refunded"
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE cases SET closed_at = closed_at - interval '25 days'")
    shop.stripe.turn_refund(refund, "failed", failure_reason="expired_or_canceled_card")
    heard(shop)

    assert_with_a_person(shop.case(case_id), "refund-failed")
    assert told(shop) == [("late_failure", case_id)]
    [entry] = shop.rows("SELECT convert_from(body, 'UTF8') AS body FROM ledger_entries ORDER BY seq DESC LIMIT 1")
    assert '"from":"succeeded"' in entry.body
    assert "expired_or_canceled_card" in entry.body
    assert len(shop.refunds_at_stripe(charge)) == 1
    shop.assert_at_rest(charge)


def test_what_banks_and_customers_say_hides_no_refund_that_failed_and_pays_it_no_second_time(shop: Shop) -> None:
    charge, case_id, refund = refunded(shop)
    shop.stripe.turn_refund(refund, "failed", failure_reason="expired_or_canceled_card")
    heard(shop)
    shop.stripe.warn(charge)
    heard(shop)
    shop.ask(charge, cancelled=True)
    heard(shop)
    assert_with_a_person(shop.case(case_id), "refund-failed")
    assert len(shop.refunds_at_stripe(charge)) == 1

    shop.stripe.post("/refunds", charge=charge, amount=4900)  # to another card, in the Dashboard
    heard(shop)
    assert shop.case(case_id).outcome == "already-refunded"


def test_a_second_refund_under_our_id_stays_before_a_person(shop: Shop) -> None:
    _, case_id, refund = refunded(shop)
    copied = replace(shop.desk.accounts["default"].stripe.refund(refund), id="re_copied", amount_minor=500)
    with step(shop.desk) as this:
        apply_refund(this, "default", False, copied)
    shop.work()
    assert_with_a_person(shop.case(case_id), "refund-made-twice")


def test_a_pending_refund_that_expires_is_told_and_reaches_a_person(shop: Shop) -> None:
    charge, case_id, refund = refunded(shop, status="pending", pending_reason="insufficient_funds")
    assert shop.case(case_id).state is CaseState.REFUNDING
    shop.stripe.turn_refund(refund, "failed", failure_reason="insufficient_funds")
    heard(shop)
    assert_with_a_person(shop.case(case_id), "refund-failed")
    assert told(shop) == [("refund_failed", case_id)]
    shop.assert_at_rest(charge)


def test_a_refund_that_is_pending_for_days_is_told_of_once(shop: Shop) -> None:
    charge, _, _ = refunded(shop, status="pending", pending_reason="insufficient_funds")
    assert shop.do("overdue_refunds") == 0
    with shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE refunds SET intended_at = intended_at - interval '5 days'")
    assert [shop.do("overdue_refunds") for _ in range(3)] == [1, 0, 0]
    [ours] = shop.refunds_of(charge)
    assert told(shop) == [("refund_overdue", ours.id)]


def test_a_dispute_fails_a_pending_refund_and_people_hear_that_they_crossed(shop: Shop) -> None:
    charge, case_id, _ = refunded(shop, status="pending", pending_reason="processing")
    shop.stripe.dispute(charge, due_by=in_days(9))
    heard(shop)
    assert set(told(shop)) == {("dispute_crossed", case_id)}
    assert shop.case(case_id).state is CaseState.REVIEW
    assert [refund["status"] for refund in shop.refunds_at_stripe(charge)] == ["failed"]
    shop.hurry()  # news that came while the case was being assessed waits a second
    shop.work()
    shop.assert_at_rest(charge)


def test_a_refund_that_a_dispute_has_met_keeps_its_case_with_a_person_even_where_it_succeeds(shop: Shop) -> None:
    charge, case_id, refund = refunded(shop, status="pending", pending_reason="processing")
    dispute = shop.stripe.dispute(charge, due_by=in_days(9))["id"]
    set_status(shop, refund, "pending")
    heard(shop)
    assert shop.case(case_id).state is CaseState.REVIEW
    assert told(shop) == [("dispute_crossed", case_id)]

    cross_again(shop, dispute)
    crossed = "SELECT 1 FROM ledger_entries WHERE kind = 'refund.crossed'"
    assert (len(shop.rows(crossed)), told(shop)) == (1, [("dispute_crossed", case_id)])

    set_status(shop, refund, "succeeded")
    read_anew(shop)
    assert [row.state for row in shop.refunds_of(charge)] == ["succeeded"]
    assert (shop.case(case_id).state, shop.case(case_id).priority) == (CaseState.REVIEW, Priority.URGENT)
    assert len(shop.refunds_at_stripe(charge)) == 1
    shop.assert_at_rest(charge)


def cross_again(shop: Shop, dispute_id: str) -> None:
    """The same news once more, by another event."""
    account = shop.desk.account("default")
    dispute = account.stripe.dispute(dispute_id)
    with step(shop.desk) as this:
        assert not cross(this, account.name, dispute)


def test_a_refund_that_stripe_refuses_is_told(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work(only=Actor.ASSESS)
    just_before_the_call(shop, lambda: shop.stripe.post("/refunds", charge=charge, amount=1000))
    shop.work()
    assert shop.case(case_id).state is CaseState.REVIEW
    assert told(shop) == [("refund_failed", case_id)]
