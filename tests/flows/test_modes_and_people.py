"""Modes hold at every door, people act on what they saw, and asking twice is asking once."""

import pytest

from billingbot.core.case import CaseState
from billingbot.core.errors import ConflictError, ForbiddenError, InputError
from billingbot.core.job import Actor
from billingbot.core.mode import Mode
from billingbot.core.request import Channel, Claims, NamedBy
from billingbot.flows.casework.review import approve, ask_again, claim, deny, note, release
from billingbot.flows.request import Ask, ask
from billingbot.gateway.client import StripeGateway
from tests.flows.shop import Shop


def reviewed(shop: Shop) -> tuple[str, str]:
    """A used trial's charge, and its case in front of a person."""
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)
    case_id = shop.ask(charge).case.id
    shop.work()
    assert shop.case(case_id).state is CaseState.REVIEW
    return charge, case_id


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.SHADOW])
def test_off_and_shadow_pay_nothing_not_even_what_a_person_approves(shop: Shop, mode: Mode) -> None:
    shop.set_mode(mode)
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    assert shop.case(case_id).state is CaseState.REVIEW

    with pytest.raises(ForbiddenError, match=f"mode: is {mode}"):
        approve(shop.desk, shop.person(case_id), reason="goodwill")
    shop.restart()
    shop.assert_not_paid(charge)


def test_assist_waits_for_a_person_and_then_pays(shop: Shop) -> None:
    shop.set_mode(Mode.ASSIST)
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    case = shop.case(case_id)
    assert (case.state, case.reason, case.recommendation) == (CaseState.REVIEW, "limit-mode", "refund")
    assert shop.refunds_at_stripe(charge) == []

    approve(shop.desk, shop.person(case_id), reason="as the policy says")
    shop.work()
    shop.assert_paid_once(charge)


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.SHADOW, Mode.ASSIST])
def test_leaving_auto_between_decision_and_payment_stops_the_payment(shop: Shop, mode: Mode) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work(only=Actor.ASSESS)
    shop.set_mode(mode)

    shop.work()
    shop.assert_not_paid(charge)
    assert (shop.case(case_id).state, shop.case(case_id).reason) == (CaseState.REVIEW, "limit-mode")


def test_leaving_auto_while_the_last_look_is_under_way_still_stops_the_payment(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)

    class Switching(StripeGateway):
        def dossier(self, *asked: object, **how: object) -> object:  # type: ignore[override] # passed on as it came
            shop.set_mode(Mode.ASSIST)
            return super().dossier(*asked, **how)  # type: ignore[arg-type] # likewise

    shop.replace_gateway(Switching("default", "rk_test_shop", False, api_base=shop.stripe.url))
    shop.work()
    assert shop.attempts_of(charge) == []
    shop.restart()
    shop.assert_not_paid(charge)


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.SHADOW])
def test_an_approval_does_not_outlive_the_mode_it_was_given_in(shop: Shop, mode: Mode) -> None:
    charge, case_id = reviewed(shop)
    approve(shop.desk, shop.person(case_id), reason="goodwill")
    shop.set_mode(mode)

    shop.restart()
    shop.assert_not_paid(charge)
    assert (shop.case(case_id).state, shop.case(case_id).reason) == (CaseState.REVIEW, "changed-before-paying")


def test_an_approved_refund_says_so_to_the_customer_though_the_advice_was_to_decline(shop: Shop) -> None:
    charge, case_id = reviewed(shop)
    assert "cannot refund" in str(shop.case(case_id).reply)
    approve(shop.desk, shop.person(case_id), reason="goodwill")
    shop.work()

    shop.assert_paid_once(charge)
    assert "refunded your charge" in str(shop.case(case_id).reply)


def test_a_denial_never_goes_out_with_a_letter_that_promises_money(shop: Shop) -> None:
    shop.set_mode(Mode.ASSIST)
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    assert shop.case(case_id).reply is None  # the text that fits a refund waits for the approval

    deny(shop.desk, shop.person(case_id), reason="fraud", reply=None)
    assert shop.case(case_id).reply is None
    shop.assert_not_paid(charge)


def test_what_a_person_denied_the_machine_does_not_pay_when_asked_again(shop: Shop) -> None:
    shop.set_mode(Mode.ASSIST)
    _, charge = shop.charged_trial()
    first = shop.ask(charge, unused=True).case.id
    shop.work()
    deny(shop.desk, shop.person(first), reason="fraud", reply=None)
    shop.set_mode(Mode.AUTO)

    second = shop.ask(charge, unused=True).case.id
    shop.work()
    assert second != first
    assert (shop.case(second).state, shop.case(second).reason) == (CaseState.REVIEW, "limit-denied-before")
    shop.assert_not_paid(charge)


def test_whoever_acts_on_stale_news_is_told(shop: Shop) -> None:
    _, case_id = reviewed(shop)
    seen = shop.person(case_id)
    claim(shop.desk, shop.person(case_id, "ada"))

    with pytest.raises(ConflictError, match="changed since you looked"):
        approve(shop.desk, seen, reason="goodwill")
    with pytest.raises(ConflictError, match="ada has it already"):
        claim(shop.desk, shop.person(case_id, "lou"))


def test_a_claimed_case_is_left_alone_and_a_released_one_is_looked_at_again(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.usage.down = True
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    claim(shop.desk, shop.person(case_id))
    shop.usage.down = False
    shop.look_again()
    assert shop.case(case_id).state is CaseState.REVIEW

    release(shop.desk, shop.person(case_id))
    shop.look_again()
    assert shop.case(case_id).outcome == "refunded"


def test_asking_again_has_the_case_decided_anew(shop: Shop) -> None:
    charge, case_id = reviewed(shop)
    shop.usage.used_by.clear()
    ask_again(shop.desk, shop.person(case_id), "the hits were a test of ours")
    shop.work()
    assert shop.case(case_id).outcome == "refunded"
    shop.assert_paid_once(charge)


def test_a_charge_with_a_live_refund_in_our_books_ends_with_a_person_and_the_truth_is_asked_for(shop: Shop) -> None:
    """The refund came back to us, no event told of it, and the customer asks again."""
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work()
    [refund] = shop.refunds_at_stripe(charge)
    shop.stripe.turn_refund(refund["id"], "failed")
    shop.skip_events()

    second = shop.ask(charge, unused=True).case.id
    shop.work()
    assert (shop.case(second).state, shop.case(second).reason) == (CaseState.REVIEW, "refund-failed")
    assert [row.state for row in shop.refunds_of(charge)] == ["failed"]
    shop.assert_at_rest(charge)


def test_the_same_key_gives_the_same_answer_and_another_input_is_refused(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    first = shop.ask(charge, key="ticket-1", unused=True)
    shop.work()
    again = shop.ask(charge, key="ticket-1", unused=True)

    assert (again.request_id, again.case.id, again.repeated) == (first.request_id, first.case.id, True)
    assert again.case.outcome == "refunded"
    with pytest.raises(ConflictError, match="Idempotency-Key"):
        shop.ask(charge, key="ticket-1", unused=True, text="another story")
    assert len(shop.rows("SELECT 1 FROM requests")) == 1


def test_another_askers_key_is_another_key(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, key="1")
    wish = Ask(
        account="default",
        named_by=NamedBy.CHARGE,
        named=charge,
        claims=Claims(cancelled=True),
        channel=Channel.API,
        asked_by="product",
        idempotency_key="1",
    )
    assert ask(shop.desk, wish).joined
    assert len(shop.rows("SELECT 1 FROM requests")) == 2


@pytest.mark.parametrize("text", ["a\x00b", "half \ud83d", "", "x" * 10_001])
def test_a_text_that_cannot_be_kept_is_refused_before_anything_is_stored(shop: Shop, text: str) -> None:
    with pytest.raises(InputError, match="text"):
        shop.ask("ch_1", text=text)
    assert shop.rows("SELECT 1 FROM cases") == []

    shop.ask("ch_1")
    shop.work()
    [case] = shop.rows("SELECT id FROM cases")
    with pytest.raises(InputError, match="text"):
        note(shop.desk, shop.person(case.id), text)
