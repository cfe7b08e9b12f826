"""The paying call, against peers that answer well, badly, late or not at all."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from tests.gateway.peer import Asked, answered, listening, refused

from billingbot.core.errors import InputError
from billingbot.gateway import (
    Accepted,
    Halted,
    NotDone,
    RefundAnswer,
    RefusalReason,
    Refused,
    StripeGateway,
    UnknownOutcome,
)
from billingbot.gateway.payment import Ask, pay
from billingbot.gateway.transport import TIMEOUT_SECONDS, Transport

KEY = "billingbot:refund:test:ch_1:rfd_1:1"
METADATA = {"billingbot_refund": "rfd_1", "billingbot_key": KEY}
ASKED: dict[str, Any] = {
    "charge_id": "ch_1",
    "amount_minor": 4900,
    "reason": "requested_by_customer",
    "metadata": METADATA,
}
API_KEY = "rk_test_verysecret"


def refund(**changes: Any) -> dict[str, Any]:
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 4900,
        "charge": "ch_1",
        "created": 1_790_000_000,
        "currency": "usd",
        "metadata": METADATA,
        "status": "succeeded",
    } | changes


def ask(gateway: StripeGateway, **changes: Any) -> RefundAnswer:
    return gateway.create_refund(**(ASKED | {"idempotency_key": KEY} | changes))


def paid_by(answer: bytes | Callable[[Asked], bytes], **changes: Any) -> tuple[RefundAnswer, list[Asked]]:
    """What comes of asking a peer that gives this answer, and all it was asked."""
    with listening(answer if callable(answer) else lambda _: answer) as peer:
        gateway = StripeGateway("main", API_KEY, livemode=False, api_base=peer.url)
        return ask(gateway, **changes), peer.asked


def test_the_request_names_charge_amount_reason_and_ids_and_carries_the_key_in_its_header_only() -> None:
    answer, asked = paid_by(answered(refund()))
    assert isinstance(answer, Accepted)
    [request] = asked
    assert (request.method, request.path, request.query) == ("POST", "/v1/refunds", {})
    assert request.form == {
        "charge": "ch_1",
        "amount": "4900",
        "reason": "requested_by_customer",
        "metadata[billingbot_refund]": "rfd_1",
        "metadata[billingbot_key]": KEY,
    }
    assert request.headers["idempotency-key"] == KEY
    assert request.headers["stripe-version"] == "2026-10-28.endive"
    assert "x-stripe-client-telemetry" not in request.headers


def test_the_same_ask_is_the_same_request_whatever_the_order_of_its_metadata() -> None:
    _, [first] = paid_by(answered(refund()))
    _, [second] = paid_by(answered(refund()), metadata=dict(reversed(METADATA.items())))
    assert list(first.form.items()) == list(second.form.items())


def test_an_accepted_refund_comes_back_in_our_terms() -> None:
    answer, _ = paid_by(answered(refund(status="pending", pending_reason="insufficient_funds")))
    assert isinstance(answer, Accepted)
    assert not answer.replayed
    assert (answer.refund.id, answer.refund.amount_minor, answer.refund.currency) == ("re_1", 4900, "usd")
    assert (answer.refund.status, answer.refund.pending_reason) == ("pending", "insufficient_funds")
    assert (answer.refund.our_refund_id, answer.refund.our_attempt_key) == ("rfd_1", KEY)


def test_a_replayed_answer_says_so() -> None:
    answer, _ = paid_by(answered(refund(), headers={"Idempotent-Replayed": "true"}))
    assert isinstance(answer, Accepted)
    assert answer.replayed


@pytest.mark.parametrize("status", ["succeeded", "pending", "requires_action", "failed", "canceled", "brand_new", None])
def test_a_refund_of_any_status_was_accepted(status: str | None) -> None:
    answer, _ = paid_by(answered(refund(status=status)))
    assert isinstance(answer, Accepted)
    assert answer.refund.status == (status or "unknown")


def test_a_notice_from_stripe_does_not_turn_a_paid_refund_into_an_error() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer, _ = paid_by(answered(refund(), headers={"Stripe-Notice": "Please upgrade."}))
    assert isinstance(answer, Accepted)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"amount": 100}, "amount is 100, not 4900"),
        ({"charge": "ch_2"}, "charge is ch_2, not ch_1"),
        ({"metadata": {}}, "billingbot_key is None"),
        ({"currency": "eur"}, "currency is eur, not usd"),
    ],
)
def test_a_refund_other_than_the_one_asked_for_needs_a_person(changes: dict[str, Any], named: str) -> None:
    answer, _ = paid_by(answered(refund(**changes)), currency="usd")
    assert isinstance(answer, UnknownOutcome)
    assert answer.why.startswith("A PERSON MUST LOOK")
    assert "re_1" in answer.why
    assert named in answer.why


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (400, {"code": "charge_already_refunded"}, RefusalReason.ALREADY_REFUNDED),
        (400, {"code": "charge_disputed"}, RefusalReason.DISPUTED),
        (400, {"code": "refund_disputed_payment"}, RefusalReason.DISPUTED),
        (400, {"code": "charge_not_refundable"}, RefusalReason.NOT_REFUNDABLE),
        (400, {"code": "charge_expired_for_capture"}, RefusalReason.NOT_REFUNDABLE),
        (400, {"code": "payment_intent_unexpected_state"}, RefusalReason.NOT_REFUNDABLE),
        (
            400,
            {"message": "Refund amount ($6.00) is greater than unrefunded amount on charge ($5.00)", "param": "amount"},
            RefusalReason.AMOUNT_TOO_LARGE,
        ),
        (400, {"code": "parameter_invalid_integer", "param": "amount"}, RefusalReason.INVALID),
        (400, {"code": "something_new", "param": "reason"}, RefusalReason.INVALID),
        (400, {"code": "something_new"}, RefusalReason.OTHER),
        (400, {}, RefusalReason.OTHER),
        (400, {"code": "balance_insufficient"}, RefusalReason.BALANCE_INSUFFICIENT),
        (402, {"code": "insufficient_funds", "type": "card_error"}, RefusalReason.BALANCE_INSUFFICIENT),
        (400, {"code": "livemode_mismatch"}, RefusalReason.WRONG_MODE),
        (
            404,
            {
                "code": "resource_missing",
                "message": "No such charge: 'ch_1'; a similar object exists in live mode, not in test.",
            },
            RefusalReason.WRONG_MODE,
        ),
        (404, {"code": "resource_missing", "message": "No such charge: 'ch_1'"}, RefusalReason.NOT_FOUND),
        (400, {"type": "idempotency_error"}, RefusalReason.IDEMPOTENCY_MISMATCH),
        (404, {"type": "idempotency_error"}, RefusalReason.IDEMPOTENCY_MISMATCH),
        (400, {"message": 7, "code": 8, "param": 9}, RefusalReason.INVALID),
    ],
)
def test_a_no_from_stripe_is_a_refusal_with_its_reason(
    status: int, error: dict[str, Any], reason: RefusalReason
) -> None:
    answer, asked = paid_by(refused(status, **error))
    assert isinstance(answer, Refused)
    assert answer.reason is reason
    assert answer.code == (error.get("code") if isinstance(error.get("code"), str) else None)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (409, {"code": "idempotency_key_in_use", "type": "idempotency_error"}),
        (409, {"message": "Conflict"}),
        (429, {"code": "rate_limit"}),
        (429, {"code": "lock_timeout"}),
        (400, {"code": "rate_limit"}),
        (400, {"code": "lock_timeout"}),
    ],
)
def test_too_busy_means_not_done_and_is_asked_only_once(status: int, error: dict[str, Any]) -> None:
    answer, asked = paid_by(refused(status, **error, headers={"Stripe-Should-Retry": "true"}))
    assert isinstance(answer, NotDone)
    assert answer.retry_after_seconds is None
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("7", 7), ("999999", 3600), ("-1", None), ("soon", None), ("", None), ("²", None), ("9" * 5000, None)],
)
def test_when_to_come_back_is_taken_where_it_makes_sense(told: str, seconds: int | None) -> None:
    answer, _ = paid_by(
        lambda _: refused(429, code="rate_limit").replace(b"\r\n", f"\r\nRetry-After: {told}\r\n".encode("latin-1"), 1)
    )
    assert answer == NotDone(why="HTTP 429 rate_limit: no message", retry_after_seconds=seconds)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_allowed_halts_and_is_not_repeated_to_anybody(status: int) -> None:
    message = f"The provided key '{API_KEY}' lacks 'rak_charge_write'; rk_live_4242 sk_test_4242 too."
    answer, _ = paid_by(refused(status, message=message))
    assert isinstance(answer, Halted)
    assert "rak_charge_write" in answer.why
    assert "secret" not in answer.why
    assert "4242" not in answer.why


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="closed before any answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="closed within the headers"),
        pytest.param(answered(refund(), cut=20), id="closed within the body"),
        pytest.param(b"SMTP ready\r\n\r\n", id="not HTTP"),
        pytest.param(answered(b"<html>", status=502), id="HTML 502"),
        pytest.param(answered(b"<html>", status=404), id="HTML 404"),
        pytest.param(answered(b"<html>", status=429), id="HTML 429"),
        pytest.param(answered(b"<html>"), id="HTML 200"),
        pytest.param(answered(b""), id="empty 200"),
        pytest.param(answered(b"\xff\xfe"), id="not UTF-8"),
        pytest.param(answered([]), id="a list"),
        pytest.param(answered(None), id="null"),
        pytest.param(answered({"id": "re_1", "object": "charge"}), id="another object"),
        pytest.param(answered(refund(amount="4900")), id="amount as text"),
        pytest.param(answered(refund(amount=4900.0)), id="amount as float"),
        pytest.param(answered(refund(amount=10**40)), id="absurd amount"),
        pytest.param(answered(refund(charge=None)), id="no charge"),
        pytest.param(answered(refund(created="now")), id="created as text"),
        pytest.param(answered(refund(metadata=[])), id="no metadata"),
        pytest.param(answered(b"[" * 100_000 + b"]" * 100_000), id="deeply nested"),
        pytest.param(answered({"error": "invalid_grant"}, status=400), id="OAuth error"),
        pytest.param(answered({"error": "boom"}, status=400), id="error as text"),
        pytest.param(answered({"error": None}, status=400), id="error null"),
        pytest.param(answered({"error": []}, status=403), id="error as list"),
        pytest.param(refused(500), id="500"),
        pytest.param(refused(503, headers={"Stripe-Should-Retry": "true"}), id="503"),
        pytest.param(refused(504), id="504"),
        pytest.param(refused(424), id="424"),
        pytest.param(refused(418), id="a status nobody knows"),
        pytest.param(answered(b"", status=302, headers={"Location": "/elsewhere"}), id="redirects without end"),
    ],
)
def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(answer: bytes) -> None:
    outcome, asked = paid_by(answer)
    assert isinstance(outcome, UnknownOutcome)
    assert outcome.why
    assert sum(request.method == "POST" for request in asked) == 1


def test_nobody_listening_leaves_the_outcome_unknown() -> None:
    with listening(lambda _: b"") as peer:
        pass
    gateway = StripeGateway("main", API_KEY, livemode=False, api_base=peer.url)
    assert ask(gateway) == UnknownOutcome(why="no answer (ConnectionError)")


def test_a_name_that_leads_nowhere_leaves_the_outcome_unknown() -> None:
    gateway = StripeGateway("main", API_KEY, livemode=False, api_base="http://nowhere.invalid")
    assert isinstance(ask(gateway), UnknownOutcome)


def test_an_answer_that_takes_too_long_leaves_the_outcome_unknown_and_is_not_asked_again() -> None:
    def slow(_: Asked) -> bytes:
        time.sleep(1)
        return answered(refund())

    with listening(slow) as peer:
        transport = Transport(API_KEY, livemode=False, api_base=peer.url, timeout_seconds=(1, 0.2))
        outcome = pay(transport, Ask(currency=None, key=KEY, **ASKED))
        time.sleep(0.3)
    assert outcome == UnknownOutcome(why="no answer (ReadTimeout)")
    assert len(peer.asked) == 1


def test_an_answer_is_waited_for_20_seconds_and_a_connection_3() -> None:
    assert TIMEOUT_SECONDS == (3.05, 20)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount_minor": 0}, "amount_minor"),
        ({"amount_minor": -1}, "amount_minor"),
        ({"amount_minor": None}, "amount_minor"),
        ({"amount_minor": True}, "amount_minor"),
        ({"amount_minor": 49.0}, "amount_minor"),
        ({"amount_minor": "4900"}, "amount_minor"),
        ({"reason": "fraudulent"}, "reason"),
        ({"reason": ""}, "reason"),
        ({"charge_id": ""}, "charge_id"),
        ({"charge_id": None}, "charge_id"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": None}, "idempotency_key"),
        ({"idempotency_key": "k" * 256}, "idempotency_key"),
        ({"idempotency_key": "a b"}, "idempotency_key"),
        ({"idempotency_key": "a\r\nX: 1"}, "idempotency_key"),
        ({"idempotency_key": "é"}, "idempotency_key"),
        ({"metadata": {}}, "metadata"),
        ({"metadata": {"billingbot_refund": "rfd_1"}}, "metadata"),
        ({"metadata": {"billingbot_key": KEY}}, "metadata"),
        ({"metadata": METADATA | {"billingbot_key": "another"}}, "metadata"),
        ({"metadata": METADATA | {"n" * 41: "x"}}, "metadata"),
        ({"metadata": METADATA | {"n": "x" * 501}}, "metadata"),
        ({"metadata": METADATA | {"n": "\ud800"}}, "metadata"),
        ({"metadata": METADATA | {"n": 7}}, "metadata"),
        ({"metadata": METADATA | {f"n{i}": "x" for i in range(49)}}, "metadata"),
    ],
)
def test_what_must_never_be_sent_is_refused_before_anything_is(changes: dict[str, Any], field: str) -> None:
    with listening(lambda _: answered(refund())) as peer:
        gateway = StripeGateway("main", API_KEY, livemode=False, api_base=peer.url)
        with pytest.raises(InputError) as caught:
            ask(gateway, **changes)
    assert caught.value.field == field
    assert peer.asked == []
