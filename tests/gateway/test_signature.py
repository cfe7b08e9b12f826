"""Webhook signatures: the SDK's rules, and stricter where the SDK is lax."""

import contextlib
import time

import pytest
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billingbot.gateway import SignatureError, SignatureReason, verify

NOW = 1_790_000_000
SECRET = "whsec_first"
BODY = b'{"id":"evt_1"}'

# The clock of a machine that runs the whole suite at once says nothing about us.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def signed(body: bytes = BODY, secret: str = SECRET, at: int = NOW) -> str:
    return stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)


def reason(header: bytes | str | None, secrets: tuple[str, ...] = (SECRET,), body: bytes = BODY) -> SignatureReason:
    with pytest.raises(SignatureError) as caught:
        verify(body, header, secrets, now=NOW)
    return caught.value.reason


def test_a_header_made_by_the_sdk_is_accepted_as_text_and_as_bytes() -> None:
    verify(BODY, signed(), [SECRET], now=NOW)
    verify(BODY, signed().encode(), [SECRET], now=NOW)


@pytest.mark.parametrize("secret", ["whsec_first", "whsec_second"])
def test_while_a_secret_is_rolled_either_one_signs(secret: str) -> None:
    verify(BODY, signed(secret=secret), ["whsec_first", "whsec_second"], now=NOW)


def test_any_signature_of_several_will_do() -> None:
    _, _, good = signed().partition(",")
    verify(BODY, f"t={NOW},v1={'0' * 64},{good},v0=abc", [SECRET], now=NOW)


@pytest.mark.parametrize("age", [-300, 0, 300])
def test_the_tolerance_reaches_300_seconds_both_ways(age: int) -> None:
    verify(BODY, signed(at=NOW - age), [SECRET], now=NOW)


def test_a_second_more_is_too_old_or_too_new() -> None:
    assert reason(signed(at=NOW - 301)) is SignatureReason.TOO_OLD
    assert reason(signed(at=NOW + 301)) is SignatureReason.TOO_NEW


@pytest.mark.parametrize("header", [None, "", b""])
def test_no_header_is_missing(header: bytes | str | None) -> None:
    assert reason(header) is SignatureReason.MISSING


@pytest.mark.parametrize(
    "header",
    [
        "x",
        "t",
        "t=",
        "v1",
        "t=1",
        "v1=ab",
        "t=1,v1",
        "t=1,v0=ab",
        "t=abc,v1=ab",
        "t=-5,v1=ab",
        "t=1_000,v1=ab",
        "t= 5,v1=ab",
        "t=05,v1=ab",
        f"t={'9' * 13},v1=ab",
        "t=1," + ",".join(["v1=" + "0" * 64] * 17),
        f"t={NOW},v1=" + "0" * 5000,
    ],
)
def test_a_header_of_another_form_is_malformed(header: str) -> None:
    assert reason(header) is SignatureReason.MALFORMED


@pytest.mark.parametrize("header", [f"t={NOW},v1=é", b"t=1,v1=\xff", f"t={NOW},v1=\ud800"])
def test_a_header_outside_ascii_is_told_so_instead_of_raising_a_type_error(header: bytes | str) -> None:
    assert reason(header) is SignatureReason.NOT_ASCII


def test_another_body_another_secret_or_no_secret_does_not_match() -> None:
    assert reason(signed(), body=BODY + b" ") is SignatureReason.NO_MATCH
    assert reason(signed(), secrets=("whsec_other",)) is SignatureReason.NO_MATCH
    assert reason(signed(), secrets=()) is SignatureReason.NO_MATCH


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_a_blank_secret_matches_nothing_though_anybody_could_sign_with_it(blank: str) -> None:
    assert reason(signed(secret=blank), secrets=(blank,)) is SignatureReason.NO_MATCH


def test_the_error_carries_neither_body_nor_header() -> None:
    with pytest.raises(SignatureError) as caught:
        verify(b"card 4242", "t=1,v1=ab", [SECRET], now=NOW)
    assert "4242" not in repr(vars(caught.value))
    assert "ab" not in caught.value.expected.split()


@PATIENT
@given(body=st.text().map(str.encode), secret=st.text(min_size=1).filter(lambda text: text.strip()))
def test_whatever_the_sdk_signs_is_accepted(body: bytes, secret: str) -> None:
    verify(body, signed(body, secret), [secret], now=NOW)


def _sdk_accepts(body: bytes, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret, tolerance=300))
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        return False


# Parts that a header is made of, right ones and wrong ones, so that many of the headers tried are nearly right.
_PARTS = st.lists(
    st.sampled_from(["t", "v1", "v0", "=", ",", " ", "GOOD", "OTHER", "NOW", "0", "é", "+", "_"]), max_size=12
)


@PATIENT
@given(parts=_PARTS, body=st.binary(max_size=40))
def test_nothing_is_accepted_that_the_sdk_refuses_and_nothing_but_our_error_is_raised(
    parts: list[str], body: bytes
) -> None:
    now = int(time.time())
    text = body.decode("utf-8", "replace").encode()
    _, _, good = signed(text, at=now).partition(",v1=")
    header = "".join({"GOOD": good, "OTHER": "a" * 64, "NOW": str(now)}.get(part, part) for part in parts)
    with contextlib.suppress(SignatureError):
        verify(text, header, [SECRET], now=now)
        assert _sdk_accepts(text, header, SECRET)


@PATIENT
@given(header=st.one_of(st.text(), st.binary()), body=st.binary(), secrets=st.lists(st.text()))
def test_no_header_body_or_secret_raises_anything_else(header: bytes | str, body: bytes, secrets: list[str]) -> None:
    with contextlib.suppress(SignatureError):
        verify(body, header, secrets, now=NOW)
