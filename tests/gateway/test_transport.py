"""Reads: what is repeated, what is given up, and that neither keys nor e-mails end up in an error."""

import logging
import traceback
from collections.abc import Callable

import pytest
import stripe
from tests.gateway import raw
from tests.gateway.peer import Asked, answered, listening, refused

from billingbot.core.errors import (
    BillingbotError,
    InputError,
    RetryLaterError,
    StripeAnswerError,
    StripeFieldError,
    StripeForbiddenError,
    StripeNotFoundError,
    StripeUnavailableError,
)
from billingbot.core.request import NamedBy
from billingbot.gateway import API_VERSION, StripeGateway
from billingbot.gateway.transport import Transport

API_KEY = "rk_test_verysecret"
FINAL = {"Stripe-Should-Retry": "false"}


def gateway(url: str) -> StripeGateway:
    return StripeGateway("main", API_KEY, livemode=False, api_base=url)


def failing(first: bytes, times: int) -> Callable[[Asked], bytes]:
    """Gives this answer so many times, then the charge."""
    left = [first] * times

    def answer(_: Asked) -> bytes:
        return left.pop() if left else answered(raw.charge())

    return answer


def test_the_pinned_version_is_the_one_the_sdk_is_made_for() -> None:
    assert stripe.api_version == API_VERSION == "2026-10-28.endive"


@pytest.mark.parametrize(
    "blip",
    [
        pytest.param(b"", id="no answer"),
        pytest.param(answered(raw.charge(), cut=10), id="closed within the body"),
        pytest.param(refused(500), id="500"),
        pytest.param(refused(409), id="409"),
        pytest.param(refused(429, code="rate_limit"), id="429"),
        pytest.param(refused(429, code="lock_timeout", headers={"Stripe-Should-Retry": "true"}), id="lock"),
    ],
)
def test_a_read_rides_out_two_faults(blip: bytes) -> None:
    with listening(failing(blip, 2)) as peer:
        assert gateway(peer.url).charge("ch_1").id == "ch_1"
    assert len(peer.asked) == 3


@pytest.mark.parametrize(
    ("answer", "attempts", "fault"),
    [
        pytest.param(refused(429, code="rate_limit"), 3, StripeUnavailableError, id="429"),
        pytest.param(
            refused(429, code="lock_timeout", headers={"Stripe-Should-Retry": "true"}),
            3,
            StripeUnavailableError,
            id="lock",
        ),
        pytest.param(refused(409, code="lock_timeout", headers=FINAL), 1, StripeUnavailableError, id="409"),
        pytest.param(refused(424), 1, StripeUnavailableError, id="424"),
        pytest.param(refused(500, headers=FINAL), 1, StripeUnavailableError, id="500"),
        pytest.param(answered(b"<html>", status=502), 3, StripeUnavailableError, id="HTML 502"),
        pytest.param(answered(raw.charge(), cut=10), 3, StripeUnavailableError, id="closed within the body"),
        pytest.param(refused(401), 1, StripeForbiddenError, id="401"),
        pytest.param(refused(403), 1, StripeForbiddenError, id="403"),
        pytest.param(refused(404, code="resource_missing"), 1, StripeNotFoundError, id="404"),
        pytest.param(refused(400, code="resource_missing"), 1, StripeNotFoundError, id="400 missing"),
        pytest.param(refused(400, code="parameter_unknown"), 1, StripeAnswerError, id="400"),
        pytest.param(answered({"error": "text"}, status=400), 1, StripeAnswerError, id="error as text"),
        pytest.param(answered({"error": "invalid_grant"}, status=400), 1, StripeAnswerError, id="OAuth error"),
        pytest.param(answered(b"<html>"), 1, StripeAnswerError, id="HTML 200"),
        pytest.param(answered(b"\xff"), 1, StripeAnswerError, id="not UTF-8"),
        pytest.param(answered([]), 1, StripeAnswerError, id="a list"),
        pytest.param(answered({}), 1, StripeAnswerError, id="empty"),
        pytest.param(answered(raw.charge(2)), 1, StripeAnswerError, id="another charge"),
        pytest.param(answered(raw.charge(object="refund")), 1, StripeFieldError, id="another kind"),
        pytest.param(answered(raw.charge(livemode=True)), 1, StripeAnswerError, id="another mode"),
        pytest.param(answered(b"[" * 100_000 + b"]" * 100_000), 1, StripeAnswerError, id="deeply nested"),
    ],
)
def test_a_fault_that_lasts_is_told_apart(answer: bytes, attempts: int, fault: type[BillingbotError]) -> None:
    with listening(lambda _: answer) as peer, pytest.raises(fault) as caught:
        gateway(peer.url).charge("ch_1")
    assert type(caught.value) is fault
    assert "ch_1" in str(caught.value) or "charge" in str(caught.value)
    assert len(peer.asked) == attempts


def test_a_read_that_hangs_is_tried_three_times_and_comes_back_later() -> None:
    with listening(lambda _: (threading_pause(), b"")[1]) as peer:
        transport = Transport(API_KEY, livemode=False, api_base=peer.url, timeout_seconds=(1, 0.1))
        with pytest.raises(RetryLaterError, match="no answer"):
            transport.get("charges", "ch_1")
    assert len(peer.asked) == 3


def threading_pause() -> None:
    """Longer than the timeout of the read that waits for it."""
    import time

    time.sleep(0.5)


def test_a_missing_permission_is_told_with_stripes_hint_and_without_the_key() -> None:
    hint = f"The provided key '{API_KEY}' lacks a permission. Having the 'rak_charge_read' permission would help."
    with listening(lambda _: refused(403, message=hint)) as peer, pytest.raises(StripeForbiddenError) as caught:
        gateway(peer.url).charge("ch_1")
    assert "rak_charge_read" in str(caught.value)
    assert "verysecret" not in "".join(traceback.format_exception(caught.value))


def test_an_email_in_a_query_reaches_neither_traceback_nor_log(caplog: pytest.LogCaptureFixture) -> None:
    with listening(lambda _: b"") as peer:
        pass
    email = "".join(["a", "da@example.com"])  # in parts, since a traceback shows this very line
    with caplog.at_level(logging.DEBUG), pytest.raises(StripeUnavailableError) as caught:
        gateway(peer.url).find_charges(NamedBy.EMAIL, email)
    assert "ada" not in "".join(traceback.format_exception(caught.value))
    assert "ada" not in caplog.text
    assert "verysecret" not in caplog.text


def test_the_key_is_not_shown_by_the_gateway() -> None:
    assert "secret" not in repr(gateway("http://127.0.0.1:1"))


def test_a_connected_account_is_named_in_every_request() -> None:
    with raw.serving(raw.charge()) as peer:
        StripeGateway("main", API_KEY, False, peer.url, "acct_2").charge("ch_1")
    assert peer.asked[0].headers["stripe-account"] == "acct_2"
    assert peer.asked[0].headers["stripe-version"] == API_VERSION


@pytest.mark.parametrize("object_id", ["", ".", "..", "a" * 256, "ch\n", "é"])
def test_an_id_that_cannot_be_one_is_not_found_without_asking(object_id: str) -> None:
    with raw.serving(raw.charge()) as peer, pytest.raises(StripeNotFoundError):
        gateway(peer.url).charge(object_id)
    assert peer.asked == []


def test_an_id_never_leaves_its_place_in_the_path() -> None:
    with raw.serving(raw.charge()) as peer, pytest.raises(StripeNotFoundError):
        gateway(peer.url).charge("x/../../v1/charges/ch_1?a=b#c")
    assert peer.asked[0].path == "/v1/charges/x%2F..%2F..%2Fv1%2Fcharges%2Fch_1%3Fa%3Db%23c"


@pytest.mark.parametrize("empty", [None, ""])
def test_a_list_by_an_empty_name_is_never_the_whole_account(empty: str | None) -> None:
    with raw.serving(raw.charge()) as peer, pytest.raises(StripeNotFoundError):
        list(Transport(API_KEY, livemode=False, api_base=peer.url).listed("charges", customer=empty))
    assert peer.asked == []


@pytest.mark.parametrize(
    ("page", "field"),
    [
        ({"object": "list", "data": [], "has_more": True}, "has_more"),
        ({"object": "list", "data": [{"object": "refund"}], "has_more": True}, "id"),
        ({"object": "list", "data": [raw.refund()], "has_more": True}, "has_more"),
        ({"object": "list", "data": [raw.refund()]}, "has_more"),
        ({"object": "list", "data": {}, "has_more": False}, "data"),
        ({"object": "refund", "data": [], "has_more": False}, "expected a list"),
        ({"object": "list", "data": ["re_1"], "has_more": False}, "expected an object"),
        ({"object": "list", "data": [raw.refund(amount=None)], "has_more": False}, "refund re_1: amount"),
    ],
)
def test_a_list_that_lies_is_not_believed(page: object, field: str) -> None:
    with listening(lambda _: answered(page)) as peer, pytest.raises(StripeAnswerError, match=field):
        gateway(peer.url).refunds_of_charge("ch_1")
    assert len(peer.asked) <= 2


@pytest.mark.parametrize("data", [[], [{"object": "event"}]])
def test_a_page_that_says_there_is_more_and_not_where_is_no_end(data: list[object]) -> None:
    page = {"object": "list", "data": data, "has_more": True}
    with listening(lambda _: answered(page)) as peer:
        transport = Transport(API_KEY, livemode=False, api_base=peer.url)
        with pytest.raises(StripeAnswerError, match="has_more"):
            transport.page("events")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("", False), "api_key"),
        ((" ", False), "api_key"),
        (("rk_é", False), "api_key"),
        (("rk_live_1", False), "api_key"),
        (("sk_test_1", True), "api_key"),
        ((API_KEY, False, "api.stripe.com"), "api_base"),
        ((API_KEY, False, "ftp://api.stripe.com"), "api_base"),
        ((API_KEY, False, "http://"), "api_base"),
        ((API_KEY, False, "https://api.stripe.com?x=1"), "api_base"),
        (("rk_live_1", True, "http://stripe.example.com"), "api_base"),
    ],
)
def test_a_key_or_address_that_cannot_be_right_is_refused_at_once(arguments: tuple[object, ...], field: str) -> None:
    with pytest.raises(InputError) as caught:
        StripeGateway("main", *arguments)  # type: ignore[arg-type] # wrong on purpose
    assert caught.value.field == field
    assert "secret" not in str(caught.value)


def test_a_process_that_forked_opens_its_own_line() -> None:
    transport = Transport(API_KEY, livemode=False)
    before = transport.sdk()
    assert transport.sdk() is before
    transport._pid -= 1  # as it looks from the child of a fork
    assert transport.sdk() is not before
