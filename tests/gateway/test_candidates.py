"""What a request names, and the charge it means."""

import pytest
from tests.gateway import raw
from tests.gateway.peer import refused

from billingbot.core.errors import StripeForbiddenError, StripeUnavailableError
from billingbot.core.request import NamedBy
from billingbot.gateway import StripeGateway


def meant(named_by: NamedBy, value: str, *objects: raw.Raw, **serving: object) -> list[tuple[str, str | None]]:
    with raw.serving(*objects, **serving) as peer:  # type: ignore[arg-type] # passed on as they come
        gateway = StripeGateway("main", "rk_test_1", livemode=False, api_base=peer.url)
        found = gateway.find_charges(named_by, value)
        gateway.close()
    return [(candidate.charge_id, candidate.subscription_id) for candidate in found]


def renewals(customer: str = "cus_1") -> list[raw.Raw]:
    """Two subscriptions of one customer: the first charged twice, the second once; and one charge that failed."""
    return [
        raw.charge(1, customer=customer),
        raw.invoice(1, customer=customer),
        raw.payment(1),
        raw.charge(2, customer=customer),
        raw.invoice(2, customer=customer),
        raw.payment(2),
        raw.charge(3, customer=customer),
        raw.invoice(3, "sub_2", customer=customer),
        raw.payment(3),
        raw.charge(4, customer=customer, status="failed", captured=False),
        raw.invoice(4, customer=customer, status="open", amount_paid=0),
        raw.subscription(1, customer=customer),
        raw.subscription(2, customer=customer),
        raw.customer(id=customer),
    ]


def test_a_charge_means_itself_even_if_a_newer_one_followed_or_it_failed() -> None:
    assert meant(NamedBy.CHARGE, "ch_1", *renewals()) == [("ch_1", "sub_1")]
    assert meant(NamedBy.CHARGE, "ch_9", raw.charge(9, status="failed", captured=False)) == [("ch_9", None)]


def test_an_invoice_means_the_charge_that_paid_it() -> None:
    assert meant(NamedBy.INVOICE, "in_1", *renewals()) == [("ch_1", "sub_1")]


def test_an_invoice_paid_in_two_payments_means_both() -> None:
    payments = raw.pages([raw.payment(1), raw.payment(2)])
    world = [
        raw.invoice(1, payments=payments),
        raw.charge(1),
        raw.charge(2),
        raw.charge(5, payment_intent="pi_1", status="failed"),
    ]
    assert meant(NamedBy.INVOICE, "in_1", *world) == [("ch_2", "sub_1"), ("ch_1", "sub_1")]


def test_an_invoice_paid_by_a_charge_without_an_intent_means_that_charge() -> None:
    payment = raw.payment(1, payment={"type": "charge", "charge": "ch_1"})
    world = [raw.invoice(1, payments=raw.pages([payment])), raw.charge(1, payment_intent=None)]
    assert meant(NamedBy.INVOICE, "in_1", *world) == [("ch_1", "sub_1")]


def test_an_invoice_paid_outside_stripe_or_not_at_all_means_nothing() -> None:
    outside = raw.payment(1, payment={"type": "payment_record", "payment_record": "prec_1"})
    still_open = raw.payment(1, status="open", amount_paid=None)
    for payment in (outside, still_open):
        assert meant(NamedBy.INVOICE, "in_1", raw.invoice(1, payments=raw.pages([payment])), raw.charge()) == []


def test_a_subscription_means_its_last_successful_charge() -> None:
    assert meant(NamedBy.SUBSCRIPTION, "sub_1", *renewals()) == [("ch_2", "sub_1")]
    assert meant(NamedBy.SUBSCRIPTION, "sub_2", *renewals()) == [("ch_3", "sub_2")]
    assert meant(NamedBy.SUBSCRIPTION, "sub_7", *renewals(), raw.subscription(7)) == []


def test_a_customer_means_the_last_charge_of_each_subscription() -> None:
    one_off = raw.charge(8)
    assert meant(NamedBy.CUSTOMER, "cus_1", *renewals(), one_off) == [("ch_3", "sub_2"), ("ch_2", "sub_1")]


def test_a_customer_whose_subscriptions_were_never_charged_means_the_last_one_off() -> None:
    world = [raw.charge(1), raw.charge(2), raw.charge(3, status="failed", captured=False), raw.subscription()]
    assert meant(NamedBy.CUSTOMER, "cus_1", *world) == [("ch_2", None)]


def test_an_email_means_what_each_customer_with_it_means_in_either_spelling() -> None:
    upper = [raw.customer(2, email="Ada@Example.com"), raw.charge(20, customer="cus_2")]
    other = [raw.customer(3, email="eve@example.com"), raw.charge(30, customer="cus_3")]
    world = [*renewals(), *upper, *other]
    both = [("ch_20", None), ("ch_3", "sub_2"), ("ch_2", "sub_1")]
    assert meant(NamedBy.EMAIL, "Ada@Example.com", *world) == both
    assert meant(NamedBy.EMAIL, "ada@example.com", *world) == both[1:]


def test_pages_are_followed() -> None:
    assert meant(NamedBy.CUSTOMER, "cus_1", *renewals(), page=1) == [("ch_3", "sub_2"), ("ch_2", "sub_1")]


@pytest.mark.parametrize("named_by", list(NamedBy))
@pytest.mark.parametrize("value", ["nobody", "", " ", "..", ".", "../charges", "ch_1/refunds", "é", "\0", "a" * 300])
def test_what_stripe_does_not_know_or_could_not_know_means_nothing(named_by: NamedBy, value: str) -> None:
    assert meant(named_by, value, *renewals()) == []


def test_a_fault_is_not_taken_for_nothing_found() -> None:
    down = refused(503, headers={"Stripe-Should-Retry": "false"})
    with pytest.raises(StripeUnavailableError):
        meant(NamedBy.EMAIL, "ada@example.com", instead={"/v1/customers": down})
    with pytest.raises(StripeForbiddenError):
        meant(NamedBy.CHARGE, "ch_1", instead={"/v1/charges/ch_1": refused(403)})
