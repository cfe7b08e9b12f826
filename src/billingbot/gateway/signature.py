"""Proves that a webhook body came from Stripe: the signature header, checked over the raw bytes."""

import hmac
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from billingbot.core.errors import InputError

# Sixteen: Stripe signs once per active secret and keeps a rolled one for a day, so two is the most it sends.
_MOST_SIGNATURES: Final = 16
# Sixteen signatures of 68 characters and a timestamp fit four times over; nothing longer is worth parsing.
_LONGEST_HEADER: Final = 4096
# Twelve digits of Unix seconds reach the year 33658.
_MOST_TIME_DIGITS: Final = 12


class SignatureReason(StrEnum):
    """Why a signature was not accepted."""

    MISSING = "missing"
    MALFORMED = "malformed"
    NOT_ASCII = "not_ascii"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    NO_MATCH = "no_match"


_EXPECTED: Final[dict[SignatureReason, str]] = {
    SignatureReason.MISSING: "expected the header that Stripe sends with each webhook",
    SignatureReason.MALFORMED: "expected t=<unix seconds>,v1=<hex>, with at most 16 signatures",
    SignatureReason.NOT_ASCII: "expected ASCII characters only",
    SignatureReason.TOO_OLD: "expected a timestamp within the tolerance; this one is too old",
    SignatureReason.TOO_NEW: "expected a timestamp within the tolerance; this one lies in the future",
    SignatureReason.NO_MATCH: "expected a signature made with one of this endpoint's secrets",
}


class SignatureError(InputError):
    """The body is not proven to be Stripe's; `reason` says why. Carries neither body nor header."""

    def __init__(self, reason: SignatureReason) -> None:
        super().__init__("Stripe-Signature", _EXPECTED[reason])
        self.reason = reason


def verify(
    body: bytes,
    header: bytes | str | None,
    secrets: Sequence[str],
    *,
    now: int,
    tolerance_seconds: int = 300,
) -> None:
    """Accept `body` only if one of the `secrets` signed it within `tolerance_seconds` of `now` (Unix seconds).

    Every secret is tried against every signature, so that one can be rolled without losing an event and the
    time taken tells nothing about which matched. The SDK's rules (https://docs.stripe.com/webhooks#verify-manually),
    made strict where it is lax: the future is bounded too, and no header can raise anything but SignatureError.
    A blank secret matches nothing. 300 seconds is Stripe's own default; it signs each delivery attempt afresh.
    """
    stamp, signatures = _parse(_ascii(header))
    if not _any_match(body, stamp, signatures, secrets):
        raise SignatureError(SignatureReason.NO_MATCH)
    if int(stamp) < now - tolerance_seconds:
        raise SignatureError(SignatureReason.TOO_OLD)
    if int(stamp) > now + tolerance_seconds:
        raise SignatureError(SignatureReason.TOO_NEW)


def _ascii(header: bytes | str | None) -> bytes:
    if not header:
        raise SignatureError(SignatureReason.MISSING)
    if len(header) > _LONGEST_HEADER:
        raise SignatureError(SignatureReason.MALFORMED)
    if not header.isascii():
        raise SignatureError(SignatureReason.NOT_ASCII)
    return header.encode("ascii") if isinstance(header, str) else header


def _parse(header: bytes) -> tuple[bytes, list[bytes]]:
    """The first timestamp as written, and all `v1` signatures; other schemes are ignored, as Stripe asks."""
    pairs = [item.split(b"=", 2) for item in header.split(b",")]
    stamps = [pair[1:2] for pair in pairs if pair[0] == b"t"]
    signatures = [pair[1:2] for pair in pairs if pair[0] == b"v1"]
    if not stamps or not stamps[0] or not _is_time(stamps[0][0]):
        raise SignatureError(SignatureReason.MALFORMED)
    if not signatures or len(signatures) > _MOST_SIGNATURES or not all(signatures):
        raise SignatureError(SignatureReason.MALFORMED)
    return stamps[0][0], [signature[0] for signature in signatures]


def _is_time(text: bytes) -> bool:
    # Written without leading zeros, as Stripe does: what is signed is then the same text and the same number.
    return text.isdigit() and len(text) <= _MOST_TIME_DIGITS and text == str(int(text)).encode()


def _any_match(body: bytes, stamp: bytes, signatures: list[bytes], secrets: Sequence[str]) -> bool:
    signed = stamp + b"." + body
    matched = False
    for secret in secrets:
        # An empty key would let anybody sign.
        if not secret.strip():
            continue
        expected = hmac.digest(secret.encode(), signed, "sha256").hex().encode()
        for signature in signatures:
            matched |= hmac.compare_digest(expected, signature)
    return matched
