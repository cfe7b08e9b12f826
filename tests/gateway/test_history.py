"""Who had a trial before: the account's subscriptions, with the cards and customers behind them."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from tests.gateway import raw
from tests.gateway.peer import Peer, listening, refused

from billingbot.core.errors import InputError, StripeUnavailableError
from billingbot.gateway import StripeGateway

NO_TRIAL = {"trial_start": None, "trial_end": None}


@contextlib.contextmanager
def gateway(*objects: raw.Raw, **serving: Any) -> Iterator[tuple[StripeGateway, Peer]]:
    with raw.serving(*objects, **serving) as peer:
        found = StripeGateway("main", "rk_test_1", livemode=False, api_base=peer.url)
        yield found, peer
        found.close()


def test_only_subscriptions_with_a_trial_are_kept_and_the_pages_lead_to_the_end() -> None:
    world = [raw.subscription(n, customer=raw.customer(n), **(NO_TRIAL if n % 3 else {})) for n in range(1, 8)]
    seen, after = [], None
    with gateway(*world) as (stripe, peer):
        while True:
            page = stripe.trial_subscriptions(after=after, limit=2)
            seen += [(subscription.id, customer.id) for subscription, customer in page.subscriptions if customer]
            if page.next is None:
                break
            after = page.next
    assert seen == [("sub_3", "cus_3"), ("sub_6", "cus_6")]
    lists = [asked.query for asked in peer.asked if asked.path == "/v1/subscriptions"]
    assert [query.get("starting_after") for query in lists] == [None, "sub_2", "sub_4", "sub_6"]
    assert {query["status"] for query in lists} == {"all"}


def test_an_account_without_subscriptions_has_one_empty_page() -> None:
    with gateway() as (stripe, _):
        page = stripe.trial_subscriptions(after=None)
    assert (page.subscriptions, page.next) == ((), None)


def test_a_trial_offer_is_a_trial_too() -> None:
    item = {"id": "si_1", "object": "subscription_item", "current_trial": {"trial_offer": "to_1"}}
    with gateway(raw.subscription(items=raw.pages([item]), **NO_TRIAL)) as (stripe, _):
        [(found, _)] = stripe.trial_subscriptions(after=None).subscriptions
    assert found.trial_offer


@pytest.mark.parametrize(
    ("changes", "fingerprint"),
    [
        ({"default_payment_method": raw.method(7)}, "fp_7"),
        ({"customer": raw.customer(invoice_settings={"default_payment_method": raw.method(8)})}, "fp_8"),
        (
            {
                "default_payment_method": raw.method(7),
                "customer": raw.customer(invoice_settings={"default_payment_method": raw.method(8)}),
            },
            "fp_7",
        ),
        ({"default_payment_method": raw.method(type="sepa_debit", sepa_debit={"fingerprint": "iban"})}, "iban"),
        ({"customer": raw.customer()}, "fp_5"),
        ({"customer": raw.customer(invoice_settings={"default_payment_method": None})}, "fp_5"),
        ({"default_payment_method": "pm_gone"}, "fp_5"),
    ],
)
def test_the_fingerprint_is_of_the_default_method_else_of_the_newest_listed_one(
    changes: dict[str, Any], fingerprint: str
) -> None:
    listed = [raw.method(4, type="link", link={}), raw.method(5), raw.method(6)]
    with gateway(raw.subscription(**changes), raw.customer(), *listed) as (stripe, _):
        found, customer = stripe.subscription_identity("sub_1")
    assert found.fingerprint == fingerprint
    assert customer.id == "cus_1"


def test_nobody_lists_the_cards_of_a_deleted_customer() -> None:
    deleted = {"id": "cus_1", "object": "customer", "deleted": True}
    with gateway(raw.subscription(customer=deleted)) as (stripe, peer):
        found, customer = stripe.subscription_identity("sub_1")
    assert found.fingerprint is None
    assert customer.deleted
    assert [asked.path for asked in peer.asked] == ["/v1/subscriptions/sub_1"]


def test_a_customer_wiped_since_leaves_the_fingerprint_unknown() -> None:
    wiped = {"/v1/payment_methods": refused(400, code="resource_missing")}
    with gateway(raw.subscription(), instead=wiped) as (stripe, _):
        [(found, customer)] = stripe.trial_subscriptions(after=None).subscriptions
    assert (found.fingerprint, customer) == (None, None)


@pytest.mark.parametrize("limit", [0, 101, -1])
def test_a_page_has_1_to_100_subscriptions(limit: int) -> None:
    with gateway() as (stripe, peer), pytest.raises(InputError, match="limit"):
        stripe.trial_subscriptions(after=None, limit=limit)
    assert peer.asked == []


def test_a_probe_names_each_missing_permission_with_its_hint() -> None:
    denied = refused(403, message="Having the 'rak_dispute_read' permission would allow this request to continue.")
    with gateway(instead={"/v1/disputes": denied}) as (stripe, peer):
        [sentence] = stripe.probe()
    assert sentence.startswith("The Stripe key may not read disputes (permission Disputes: read)")
    assert "rak_dispute_read" in sentence
    assert {asked.query.get("limit") for asked in peer.asked} == {"1"}
    assert {asked.method for asked in peer.asked} == {"GET"}


def test_a_probe_of_a_good_key_finds_nothing_missing() -> None:
    with gateway() as (stripe, _):
        assert stripe.probe() == ()


def test_a_probe_of_a_silent_stripe_is_a_fault() -> None:
    with listening(lambda _: refused(503, headers={"Stripe-Should-Retry": "false"})) as peer:
        stripe = StripeGateway("main", "rk_test_1", livemode=False, api_base=peer.url)
        with pytest.raises(StripeUnavailableError):
            stripe.probe()
