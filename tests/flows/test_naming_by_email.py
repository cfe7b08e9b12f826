"""A request that names its charge by an e-mail address, in whatever spelling."""

from datetime import UTC, datetime, timedelta

from billingbot.core.case import CaseState
from billingbot.core.request import NamedBy
from billingbot.flows.casework.snooze import snooze
from tests.flows.shop import Shop


def _read_in(shop: Shop) -> None:
    """The trials become known here, as their events arrive."""
    shop.deliver()
    shop.work()


def test_a_mailbox_that_stripe_spells_otherwise_is_found_by_our_own_records(shop: Shop) -> None:
    _, charge = shop.charged_trial(email="Ada.Lovelace@Example.com")
    _read_in(shop)

    answer = shop.ask("ada.LOVELACE@example.com", named_by=NamedBy.EMAIL, unused=True)
    shop.work()

    assert shop.case(answer.case.id).charge_id == charge
    shop.assert_paid_once(charge)


def test_two_customers_of_one_mailbox_stay_ambiguous(shop: Shop) -> None:
    shop.start_trial(email="Ada@Example.com")
    shop.start_trial(email="ada@example.com")
    shop.end_trials()
    _read_in(shop)

    answer = shop.ask("ADA@example.com", named_by=NamedBy.EMAIL, unused=True)
    shop.work()

    case = shop.case(answer.case.id)
    assert (case.state, case.charge_id) == (CaseState.REVIEW, None)


def test_a_request_that_turns_out_to_be_about_an_open_case_wakes_it_and_is_heard(shop: Shop) -> None:
    trial, charge = shop.charged_trial(email="ada@example.com")
    shop.usage.used_by.add(trial.customer)
    _read_in(shop)
    first = shop.ask(charge, unused=True).case.id
    shop.work()
    assert shop.case(first).reason == "used"
    snooze(shop.desk, shop.person(first), datetime.now(UTC) + timedelta(hours=1))

    joined = shop.ask("ada@example.com", named_by=NamedBy.EMAIL, cancelled=True).case.id
    shop.work()
    assert shop.case(joined).joined_case_id == first
    assert (shop.case(first).snoozed_until, shop.case(first).reason) == (None, "cancellation-not-found")
