"""`refund_with = "credit_note"`: one note, one refund, whatever becomes of the answer; else a person."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from billingbot.core.case import CaseState
from billingbot.core.job import Actor
from billingbot.core.mode import Mode
from billingbot.core.refund_terms import RefundWith
from billingbot.flows.casework.review import approve
from billingbot.store import views
from tests.flows.shop import Shop


@pytest.fixture(autouse=True)
def by_credit_note(shop: Shop) -> None:
    shop.policy = replace(shop.policy, terms=replace(shop.policy.terms, refund_with=RefundWith.CREDIT_NOTE))


def notes_of(shop: Shop, charge: str) -> list[Any]:
    return [
        note
        for note in shop.stripe.objects("credit_note")
        if {entry["refund"] for entry in note["refunds"]} & {refund["id"] for refund in shop.refunds_at_stripe(charge)}
    ]


def assert_credited_once(shop: Shop, charge: str, *, amount: int = 4900) -> None:
    [note] = notes_of(shop, charge)
    assert (note["amount"], note["post_payment_amount"], note["type"]) == (amount, amount, "post_payment")
    assert len(shop.stripe.objects("credit_note")) == 1
    [row] = [row for row in shop.refunds_of(charge) if row.state == "succeeded"]
    assert (row.credit_note_id, row.credit_note_number) == (note["id"], note["number"])
    assert row.origin != "external"
    shop.assert_paid_once(charge, amount=amount)


def test_the_refund_is_made_by_a_credit_note_and_the_case_shows_its_number(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    assert_credited_once(shop, charge)
    [refund] = shop.refunds_at_stripe(charge)
    assert refund["metadata"] == {}  # why it has to be known by its note
    [invoice] = shop.stripe.get("/invoices", subscription=trial.subscription, status="paid")["data"][:1]
    assert invoice["post_payment_credit_notes_amount"] == 4900
    with shop.desk.db.begin() as connection:
        [line] = views.case_page(connection, case_id).refunds
    assert line.refund.credit_note_number == f"{invoice['number']}-CN-01"
    assert shop.stripe.get(f"/subscriptions/{trial.subscription}")["status"] == "canceled"


def test_what_a_person_approves_is_paid_by_credit_note_too(shop: Shop) -> None:
    shop.set_mode(Mode.ASSIST)
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    approve(shop.desk, shop.person(case_id), reason="as the policy says")
    shop.work()
    assert_credited_once(shop, charge)


@pytest.mark.parametrize("kind", ["lost_answer", "cut_answer", "error_after", "lost_request", "lock_timeout"])
def test_whatever_becomes_of_the_answer_there_is_one_note_and_one_refund(shop: Shop, kind: str) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.stripe.fault(kind, method="POST", path="/v1/credit_notes", times=1)
    shop.work()
    shop.restart()
    assert_credited_once(shop, charge)
    assert shop.deliver() > 0
    shop.work()
    assert_credited_once(shop, charge)


def test_a_stored_error_is_followed_by_a_second_key_once_the_note_is_proven_absent(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.stripe.fault("error_before", method="POST", path="/v1/credit_notes", times=1)
    shop.work()
    shop.age(timedelta(hours=13))
    shop.restart()
    assert [row.outcome for row in shop.attempts_of(charge)] == ["absent", "accepted"]
    assert_credited_once(shop, charge)


def test_a_note_whose_refund_cannot_be_read_is_found_again_by_our_metadata(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    shop.stripe.fault("bad_gateway", method="GET", path="/v1/refunds/re_", times=3)
    shop.work()
    [row] = shop.refunds_of(charge)
    assert row.state == "unknown"
    shop.restart()
    assert_credited_once(shop, charge)


def test_an_event_that_overtakes_the_answer_is_not_taken_for_a_stranger(shop: Shop) -> None:
    """The refund carries no word of us: whoever hears of it first has to ask the note."""
    _, charge = shop.charged_trial()
    shop.skip_events()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    shop.stripe.fault("lost_answer", method="POST", path="/v1/credit_notes", times=1)
    shop.work(only=Actor.SUBMIT)
    shop.deliver()
    shop.work(only=Actor.INTERPRET)
    [row] = shop.refunds_of(charge)
    assert (row.state, row.origin) == ("succeeded", "policy")
    shop.restart()
    assert_credited_once(shop, charge)


def test_a_refund_whose_note_does_not_show_yet_waits_while_the_call_may_be_under_way(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.skip_events()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    shop.stripe.fault("lost_request", method="POST", path="/v1/credit_notes", times=1)
    shop.work(only=Actor.SUBMIT)
    shop.stripe.post("/refunds", charge=charge, amount=900)  # somebody in the Dashboard, at the same moment
    shop.deliver()
    shop.work(only=Actor.INTERPRET)
    assert [row.origin for row in shop.refunds_of(charge)] == ["policy"]
    shop.age(timedelta(hours=3))
    shop.hurry()
    shop.work(only=Actor.INTERPRET)
    assert sorted(row.origin for row in shop.refunds_of(charge)) == ["external", "policy"]


def test_reconciliation_knows_a_refund_by_its_note(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    shop.stripe.fault("lost_answer", method="POST", path="/v1/credit_notes", times=1)
    shop.work(only=Actor.SUBMIT)
    shop.skip_events()
    shop.do("reconcile")
    shop.work(only=Actor.RECONCILE)
    shop.restart()
    assert_credited_once(shop, charge)


def test_a_charge_without_an_invoice_is_refunded_plainly(shop: Shop) -> None:
    customer = shop.stripe.post("/customers", email="one@example.org")["id"]
    card = shop.stripe.add_card(customer)["id"]
    charge = shop.stripe.post("/payment_intents", amount=2000, currency="usd", customer=customer, payment_method=card,
                              confirm=True, off_session=True)["latest_charge"]  # fmt: skip
    case_id = shop.ask(charge).case.id
    shop.work()
    approve(shop.desk, shop.person(case_id), reason="goodwill")
    shop.work()
    shop.assert_paid_once(charge, amount=2000)
    assert shop.stripe.objects("credit_note") == []


def test_an_invoice_that_was_credited_by_hand_is_for_a_person(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    [invoice] = shop.stripe.get("/invoices", subscription=trial.subscription, status="paid")["data"][:1]
    shop.stripe.post("/credit_notes", invoice=invoice["id"], amount=500, credit_amount=500)
    shop.set_mode(Mode.ASSIST)
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    approve(shop.desk, shop.person(case_id), reason="goodwill")
    shop.work()
    case = shop.case(case_id)
    assert (case.state, case.reason) == (CaseState.REVIEW, "no-credit-note")
    [row] = shop.refunds_of(charge)
    assert (row.state, row.why) == ("withdrawn", "invoice-credited-before")
    shop.assert_not_paid(charge)


def test_an_invoice_with_several_payments_is_for_a_person(shop: Shop) -> None:
    shop.set_mode(Mode.ASSIST)
    trial = shop.start_trial()
    shop.stripe.split_next(trial.subscription, [2000, 2900])
    shop.end_trials()
    charge = shop.last_charge(trial)
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    approve(shop.desk, shop.person(case_id), reason="goodwill")
    shop.work()
    [row] = shop.refunds_of(charge)
    assert (row.state, row.why) == ("withdrawn", "invoice-has-several-payments")
    shop.assert_not_paid(charge)


def test_a_refused_note_pays_nothing_and_ends_at_a_person(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.stripe.fault("declined", method="POST", path="/v1/credit_notes", times=None)
    shop.work()
    assert shop.case(case_id).reason == "refused-other"
    shop.assert_not_paid(charge)
    assert shop.stripe.objects("credit_note") == []


def test_a_refund_of_a_note_that_fails_later_reopens_the_case(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    [refund] = shop.refunds_at_stripe(charge)
    shop.stripe.turn_refund(refund["id"], "failed")
    shop.deliver()
    shop.work()
    assert shop.case(case_id).state is CaseState.REVIEW
