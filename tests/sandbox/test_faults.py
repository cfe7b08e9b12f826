"""Bad days on demand: what the caller sees, and what really happened."""

import time

import httpx
import pytest
import stripe
from tests.calls import tls
from tests.sandbox.shop import Shop

from billingbot.sandbox.client import SandboxError


def _post(shop: Shop, charge: str, key: str = "k") -> httpx.Response:
    headers = {"Authorization": "Bearer sk_test_x", "Idempotency-Key": key}
    return httpx.post(f"{shop.sandbox.url}/v1/refunds", data={"charge": charge}, headers=headers, verify=tls())


@pytest.mark.parametrize(
    ("kind", "error", "status", "code"),
    [
        ("rate_limit", stripe.RateLimitError, 429, "rate_limit"),
        ("lock_timeout", stripe.RateLimitError, 429, "lock_timeout"),
        ("forbidden", stripe.PermissionError, 403, None),
        ("declined", stripe.CardError, 402, "card_declined"),
    ],
)
def test_an_error_at_the_door_has_its_status_and_no_effect(
    shop: Shop, kind: str, error: type[stripe.StripeError], status: int, code: str | None
) -> None:
    charge = shop.one_off()
    shop.control.fault(kind, path="/v1/refunds")
    with pytest.raises(error) as raised:
        shop.sdk.v1.refunds.create({"charge": charge.id})
    assert raised.value.http_status == status
    assert raised.value.error is not None
    assert getattr(raised.value.error, "code", None) == code
    assert shop.control.objects("refund") == []


def test_a_lost_answer_leaves_the_effect_and_the_key_tells_of_it(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.fault("lost_answer", path="/v1/refunds")
    with pytest.raises(httpx.RemoteProtocolError):
        _post(shop, charge.id)
    (refund,) = shop.control.objects("refund")
    again = _post(shop, charge.id)
    assert again.json()["id"] == refund["id"]
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_cut_answer_leaves_the_effect(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.fault("cut_answer", path="/v1/refunds")
    with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
        _post(shop, charge.id)
    assert len(shop.control.objects("refund")) == 1


def test_the_sdk_sees_a_connection_error_where_the_answer_was_lost(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.fault("lost_answer", path="/v1/refunds")
    with pytest.raises(stripe.APIConnectionError):
        shop.sdk.v1.refunds.create({"charge": charge.id}, options={"idempotency_key": "k"})
    replayed = shop.sdk.v1.refunds.create({"charge": charge.id}, options={"idempotency_key": "k"})
    assert replayed.last_response.headers["Idempotent-Replayed"] == "true"


def test_a_lost_request_never_happened(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.fault("lost_request", path="/v1/refunds")
    with pytest.raises(httpx.RemoteProtocolError):
        _post(shop, charge.id)
    assert shop.control.objects("refund") == []
    assert _post(shop, charge.id).status_code == 200


def test_a_bad_gateway_speaks_html(shop: Shop) -> None:
    shop.control.fault("bad_gateway")
    with pytest.raises(stripe.APIError) as error:
        shop.sdk.v1.charges.list()
    assert error.value.http_status == 502
    assert error.value.error is None


def test_a_slow_answer_arrives_late_but_arrives(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.fault("slow", path="/v1/refunds", seconds=0.4)
    headers = {"Authorization": "Bearer sk_test_x"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{shop.sandbox.url}/v1/refunds", data={"charge": charge.id}, headers=headers, timeout=0.1, verify=tls()
        )
    until = time.monotonic() + 5
    while not shop.control.objects("refund"):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_the_server_can_tell_the_sdk_to_try_again(shop: Shop) -> None:
    patient = stripe.StripeClient("sk_test_x", base_addresses={"api": shop.sandbox.url}, max_network_retries=2)
    charge = shop.one_off()
    shop.control.fault("rate_limit", path="/v1/refunds", should_retry=True)
    assert patient.v1.refunds.create({"charge": charge.id}).status == "succeeded"


def test_rules_fit_method_and_path_and_wear_off(shop: Shop) -> None:
    shop.control.fault("rate_limit", method="GET", path="/v1/charges/ch_", times=2)
    charge = shop.one_off()
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            shop.sdk.v1.charges.retrieve(charge.id)
    assert shop.sdk.v1.charges.retrieve(charge.id).id == charge.id
    assert shop.control.faults()[0]["hits"] == 2


def test_chance_repeats_with_the_seed(shop: Shop) -> None:
    def outcomes() -> list[bool]:
        shop.control.reset()
        shop.control.fault("rate_limit", times=None, probability=0.5)
        seen = []
        for _ in range(20):
            try:
                shop.control.get("/charges")
                seen.append(True)
            except SandboxError:
                seen.append(False)
        return seen

    first = outcomes()
    assert first == outcomes()
    assert set(first) == {True, False}


@pytest.mark.parametrize(
    ("rule", "named"),
    [({"kind": "boredom"}, "boredom"), ({"kind": "slow", "times": 0}, "times"),
     ({"kind": "slow", "probability": 2}, "probability")],
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused_by_field(shop: Shop, rule: dict[str, object], named: str) -> None:
    with pytest.raises(SandboxError, match=named):
        shop.control.fault(**rule)  # type: ignore[arg-type] # wrong on purpose
