"""A key stands for the first execution, whatever it answered, for a day."""

import threading
import time
from typing import Any

import httpx
import pytest
import stripe
from tests.calls import tls
from tests.sandbox.shop import Shop


def _refund(shop: Shop, charge: str, key: str, **params: Any) -> Any:
    return shop.sdk.v1.refunds.create({"charge": charge, **params}, options={"idempotency_key": key})


def _raw(shop: Shop, path: str, form: dict[str, str], key: str) -> httpx.Response:
    headers = {"Authorization": "Bearer sk_test_x", "Idempotency-Key": key}
    return httpx.post(f"{shop.sandbox.url}/v1{path}", data=form, headers=headers, verify=tls())


def test_the_same_key_gives_the_same_answer_and_one_refund(shop: Shop) -> None:
    charge = shop.one_off()
    first, again = _refund(shop, charge.id, "k", amount=500), _refund(shop, charge.id, "k", amount=500)
    assert first.id == again.id
    assert "Idempotent-Replayed" not in first.last_response.headers
    replayed = again.last_response.headers
    assert replayed["Idempotent-Replayed"] == "true"
    assert replayed["Idempotency-Key"] == "k"
    assert replayed["Original-Request"] == first.last_response.headers["Request-Id"] != replayed["Request-Id"]
    assert len(shop.control.objects("refund")) == 1


def test_the_order_of_parameters_does_not_matter(shop: Shop) -> None:
    charge = shop.one_off().id
    first = _raw(shop, "/refunds", {"charge": charge, "amount": "5"}, "k")
    again = _raw(shop, "/refunds", {"amount": "5", "charge": charge}, "k")
    assert first.json() == again.json()


def test_other_parameters_under_the_same_key_are_an_error(shop: Shop) -> None:
    charge = shop.one_off()
    _refund(shop, charge.id, "k", amount=500)
    with pytest.raises(stripe.IdempotencyError) as error:
        _refund(shop, charge.id, "k", amount=501)
    assert error.value.http_status == 400
    assert error.value.error is not None
    assert error.value.error.type == "idempotency_error"


def test_a_key_belongs_to_one_endpoint_of_all(shop: Shop) -> None:
    _raw(shop, "/customers", {"email": "a@example.com"}, "k")
    answer = _raw(shop, "/products", {"name": "a"}, "k")
    assert answer.status_code == 400
    assert "POST /v1/customers" in answer.json()["error"]["message"]


def test_a_refusal_after_execution_began_is_replayed_even_when_it_would_succeed_now(shop: Shop) -> None:
    charge = shop.one_off()
    refund = _refund(shop, charge.id, "first")
    with pytest.raises(stripe.InvalidRequestError):
        _refund(shop, charge.id, "second")
    shop.control.turn_refund(refund.id, "failed")
    with pytest.raises(stripe.InvalidRequestError) as replayed:
        _refund(shop, charge.id, "second")
    assert replayed.value.code == "charge_already_refunded"
    assert replayed.value.headers["Idempotent-Replayed"] == "true"


def test_failed_validation_is_not_kept(shop: Shop) -> None:
    charge = shop.one_off()
    with pytest.raises(stripe.InvalidRequestError):
        _refund(shop, charge.id, "k", amount=-1)
    assert _refund(shop, charge.id, "k", amount=1).status == "succeeded"


@pytest.mark.parametrize("kind", ["rate_limit", "lock_timeout", "forbidden"])
def test_what_was_refused_at_the_door_is_not_kept(shop: Shop, kind: str) -> None:
    charge = shop.one_off()
    shop.control.fault(kind, path="/v1/refunds")
    with pytest.raises(stripe.StripeError):
        _refund(shop, charge.id, "k")
    assert _refund(shop, charge.id, "k").status == "succeeded"


def test_a_server_error_before_the_effect_is_kept_and_nothing_happened(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.fault("error_before", method="POST", path="/v1/refunds")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as error:
            _refund(shop, charge.id, "k")
        assert error.value.http_status == 500
    assert shop.control.objects("refund") == []
    assert _refund(shop, charge.id, "another").status == "succeeded"


def test_a_server_error_after_the_effect_is_kept_and_the_refund_exists(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.fault("error_after", path="/v1/refunds")
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            _refund(shop, charge.id, "k")
    assert len(shop.control.objects("refund")) == 1
    assert shop.events("refund.created")[0].request.idempotency_key == "k"


def test_while_the_first_request_runs_the_key_is_in_use(shop: Shop) -> None:
    charge = shop.one_off()
    shop.control.fault("slow", path="/v1/refunds", seconds=0.6)
    done: list[Any] = []
    first = threading.Thread(target=lambda: done.append(_refund(shop, charge.id, "k")))
    first.start()
    time.sleep(0.2)
    with pytest.raises(stripe.APIError) as conflict:
        _refund(shop, charge.id, "k")
    first.join()
    assert conflict.value.http_status == 409
    assert conflict.value.error is not None
    assert conflict.value.error.code == "idempotency_key_in_use"
    assert _refund(shop, charge.id, "k").id == done[0].id


def test_after_a_day_a_key_runs_anew(shop: Shop) -> None:
    charge = shop.one_off()
    first = _refund(shop, charge.id, "k", amount=500)
    shop.control.advance(hours=23)
    assert _refund(shop, charge.id, "k", amount=500).id == first.id
    shop.control.advance(hours=1)
    assert _refund(shop, charge.id, "k", amount=500).id != first.id


def test_a_key_of_more_than_255_characters_is_refused(shop: Shop) -> None:
    assert _raw(shop, "/customers", {}, "k" * 255).status_code == 200
    assert _raw(shop, "/customers", {}, "k" * 256).status_code == 400


def test_many_at_once_with_one_key_make_one_refund(shop: Shop) -> None:
    charge = shop.one_off().id
    statuses: list[int] = []

    def send() -> None:
        statuses.append(_raw(shop, "/refunds", {"charge": charge}, "k").status_code)

    threads = [threading.Thread(target=send) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 12
    assert set(statuses) <= {200, 409}
    assert len(shop.control.objects("refund")) == 1
