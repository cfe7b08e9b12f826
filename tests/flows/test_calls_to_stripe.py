"""How often Stripe is asked for one refund: each call takes time, and a share of the account's rate limit."""

from collections.abc import Mapping
from typing import Any

from billingbot.gateway.client import StripeGateway
from billingbot.gateway.reading import Reader
from billingbot.gateway.transport import Transport
from tests.flows.shop import Shop

# A dossier is ten reads: charge, its refunds, disputes, warnings, the invoice payments of its intent, that invoice,
# customer, the customer's later charges, subscription, the subscription's invoices. One to decide, one just before
# paying (law 6), and the call that pays.
MOST_UNTIL_PAID = 10 + 10 + 1


class CountingTransport(Transport):
    """Notes each call."""

    def __init__(self, api_base: str) -> None:
        super().__init__("rk_test_shop", livemode=False, api_base=api_base)
        self.asked: list[str] = []

    def _read(self, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(path)
        return super()._read(path, params)

    def post_once(self, path: str, params: Mapping[str, Any], key: str) -> tuple[Any, Mapping[str, str]]:
        self.asked.append(f"POST {path}")
        return super().post_once(path, params, key)


def test_a_refund_takes_two_dossiers_and_one_call(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    counting = CountingTransport(shop.stripe.url)
    gateway = StripeGateway("default", "rk_test_shop", False, api_base=shop.stripe.url)
    gateway._transport, gateway._reader = counting, Reader(counting)
    shop.replace_gateway(gateway)
    shop.ask(charge, unused=True)
    shop.work()
    shop.assert_paid_once(charge)
    until_paid = counting.asked[: counting.asked.index("POST refunds") + 1]
    assert len(until_paid) <= MOST_UNTIL_PAID
    assert len(set(until_paid)) == 10 + 1  # nothing is asked twice within one dossier
