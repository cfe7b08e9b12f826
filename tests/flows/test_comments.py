"""Comments on cancellations that ask for money back: a case for a person, once, and never a payment."""

from typing import Any

import pytest

from billingbot.core.case import CaseState
from billingbot.core.mode import Mode
from billingbot.flows.casework import review
from billingbot.store import views
from tests.flows.shop import Shop, Trial

WORDS = "I never used it, please refund me. Call me on 0171 555 0123"


def heard(shop: Shop) -> None:
    shop.deliver()
    shop.work()


def cancel(shop: Shop, trial: Trial, comment: str = WORDS, feedback: str = "unused", **more: Any) -> None:
    shop.stripe.post(
        f"/subscriptions/{trial.subscription}",
        cancel_at_period_end=True,
        cancellation_details={"comment": comment, "feedback": feedback},
        **more,
    )


def page(shop: Shop, case_id: str) -> views.CasePage:
    with shop.desk.db.begin() as connection:
        return views.case_page(connection, case_id)


def test_a_comment_opens_one_case_for_a_person_and_pays_nothing(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    cancel(shop, trial)
    for _ in range(3):
        heard(shop)
        shop._seen.clear()  # Stripe tells all of it again
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason, case.recommendation) == (CaseState.REVIEW, "cancellation-comment", "none")
    assert (case.customer_id, case.subscription_id, case.amount_minor) == (trial.customer, trial.subscription, 4900)
    [comment] = page(shop, case.id).comments
    assert (comment.comment, comment.feedback, comment.matched) == (
        WORDS,
        "unused",
        ("en: refund*", "feedback: unused"),
    )
    assert page(shop, case.id).requests == ()
    shop.assert_not_paid(charge)


def test_what_the_customer_wrote_stands_in_no_ledger_and_no_log(
    shop: Shop, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    trial, _ = shop.charged_trial()
    cancel(shop, trial)
    heard(shop)
    out = capsys.readouterr()
    bodies = " ".join(row.body for row in shop.rows("SELECT convert_from(body, 'utf8') AS body FROM ledger_entries"))
    assert "case.commented" in {row.kind for row in shop.rows("SELECT kind FROM ledger_entries")}
    for text in (bodies, out.out, out.err, caplog.text):
        assert "0171 555" not in text
    assert shop.ledger_flaws() == []
    assert WORDS not in repr(shop.desk.account("default").stripe.subscription(trial.subscription))


def test_a_comment_that_asks_for_nothing_opens_nothing(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    cancel(shop, trial, "Too expensive", feedback="too_expensive")
    heard(shop)
    assert shop.cases_of(charge) == []


def test_where_nothing_was_charged_or_all_was_given_back_there_is_no_case(shop: Shop) -> None:
    running = shop.start_trial()
    cancel(shop, running)
    heard(shop)
    assert shop.rows("SELECT id FROM cases") == []

    trial, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge)
    cancel(shop, trial)
    heard(shop)
    assert shop.cases_of(charge) == []
    assert len(shop.rows("SELECT digest FROM cancellation_comments WHERE case_id IS NULL")) == 2


def test_not_used_asks_for_the_charge_at_the_end_of_a_trial_and_for_no_other(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    cancel(shop, trial, "")
    heard(shop)
    [case] = shop.cases_of(charge)
    [said] = page(shop, case.id).comments
    assert (case.reason, said.comment, said.matched) == ("cancellation-comment", "", ("feedback: unused",))
    shop.assert_not_paid(charge)

    other, second = shop.charged_trial()
    heard(shop)
    with shop.owner.begin() as connection:  # as if it were the charge of a later month
        connection.exec_driver_sql("DELETE FROM conversions WHERE charge_id = %s", (second,))
    cancel(shop, other, "")
    heard(shop)
    assert shop.cases_of(second) == []
    asked = shop.ask(second).case.id
    shop.work()
    assert [one.feedback for one in page(shop, asked).comments] == ["unused"]  # shown all the same


@pytest.mark.parametrize("order", [1, -1], ids=["as it happened", "the other way round"])
def test_what_was_said_before_anything_was_charged_is_read_once_it_is(shop: Shop, order: int) -> None:
    trial = shop.start_trial()
    heard(shop)
    shop.stripe.post(
        f"/subscriptions/{trial.subscription}",
        cancellation_details={"comment": WORDS, "feedback": "unused"},
    )
    if order > 0:
        heard(shop)
        assert shop.rows("SELECT id FROM cases") == []
    shop.end_trials()
    charge = shop.last_charge(trial)
    heard(shop)
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, "cancellation-comment")
    assert [one.comment for one in page(shop, case.id).comments] == [WORDS]
    shop._seen.clear()
    heard(shop)
    assert len(shop.cases_of(charge)) == 1
    shop.assert_not_paid(charge)


def test_a_comment_is_read_on_the_case_that_is_open_already(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)
    case_id = shop.ask(charge).case.id
    shop.work()
    before = shop.case(case_id)
    cancel(shop, trial)
    heard(shop)
    [case] = shop.cases_of(charge)
    assert (case.id, case.reason) == (before.id, "used")
    assert case.version > before.version  # looked at again
    assert [one.comment for one in page(shop, case_id).comments] == [WORDS]


def test_another_comment_on_the_same_subscription_is_read_on_the_same_case(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    cancel(shop, trial)
    heard(shop)
    cancel(shop, trial, "Ich will mein Geld zurück")
    heard(shop)
    [case] = shop.cases_of(charge)
    assert [one.matched for one in page(shop, case.id).comments] == [
        ("en: refund*", "feedback: unused"),
        ("de: geld zurück*", "feedback: unused"),
    ]
    assert case.reason == "cancellation-comment"


def test_once_somebody_asks_the_policy_decides_and_pays_once(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    cancel(shop, trial)
    heard(shop)
    shop.assert_not_paid(charge)
    answer = shop.ask(charge, unused=True)
    assert answer.joined
    shop.work()
    heard(shop)
    shop.assert_paid_once(charge)
    assert [case.state for case in shop.cases_of(charge)] == [CaseState.CLOSED]


def test_a_person_may_refund_what_was_only_commented_on_or_deny_it_for_good(shop: Shop) -> None:
    shop.set_mode(Mode.ASSIST)
    trial, charge = shop.charged_trial()
    cancel(shop, trial)
    heard(shop)
    [case] = shop.cases_of(charge)
    review.ask_again(shop.desk, shop.person(case.id), "look again")
    shop.work()
    assert shop.case(case.id).reason == "cancellation-comment"
    review.approve(shop.desk, shop.person(case.id), reason="they ask, and never used it")
    shop.work()
    shop.assert_paid_once(charge)

    other, second = shop.charged_trial()
    cancel(shop, other)
    heard(shop)
    [case] = shop.cases_of(second)
    review.deny(shop.desk, shop.person(case.id), reason="used in truth", reply=None)
    shop._seen.clear()
    heard(shop)
    assert [one.state for one in shop.cases_of(second)] == [CaseState.CLOSED]
    shop.assert_not_paid(second)
