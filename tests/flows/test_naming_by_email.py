"""A request that names its charge by an e-mail address, in whatever spelling."""

from billingbot.core.case import CaseState
from billingbot.core.request import NamedBy
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
