"""Typed, prefixed, time-ordered ids, and the idempotency key of a refund attempt."""

from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

# Crockford's base 32: no I, L, O, U, so an id survives being read aloud; sorts as its number does.
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_CHARS: Final = 10  # 50 bits of milliseconds reach the year 37648
_CHANCE_CHARS: Final = 16  # 80 bits: no two processes meet
CHANCE_BYTES: Final = 10


class Kind(StrEnum):
    """What an id names; its value is the prefix that people see."""

    INBOX = "inb"
    JOB = "job"
    CONVERSION = "cnv"
    CASE = "case"
    REQUEST = "req"
    DECISION = "dec"
    REFUND = "rfd"
    ATTEMPT = "att"
    API_KEY = "key"
    NOTE = "note"
    LINK_MARK = "lnk"
    QUEUE_VIEW = "view"
    NOTICE = "ntc"
    APPROVAL = "apv"
    LETTER = "ltr"
    SHADOW = "shd"
    BACKFILL = "bkf"
    BACKTEST = "bkt"
    CANCELLATION = "cnl"
    DRAFT = "drf"
    ANSWER = "ans"
    RECONCILIATION = "rec"
    BREAK = "brk"
    CLOSING = "mon"
    PERSON = "per"
    SESSION = "ses"
    ERASURE = "ers"


class IdSource(Protocol):
    """Where ids come from: a clock and chance, built in `bootstrap`."""

    def __call__(self, kind: Kind) -> str: ...


def make_id(kind: Kind, at: datetime, chance: bytes) -> str:
    """An id such as `case_01k9...`: ordered by `at` (milliseconds), unique by `chance` (10 random bytes).

    Raises ValueError where `chance` has another length.
    """
    if len(chance) != CHANCE_BYTES:
        raise ValueError(f"chance: expected {CHANCE_BYTES} bytes, got {len(chance)}")
    millis = int(at.timestamp() * 1000)
    return f"{kind.value}_{_encode(millis, _TIME_CHARS)}{_encode(int.from_bytes(chance), _CHANCE_CHARS)}"


def first_id(kind: Kind, at: datetime) -> str:
    """The least id of that kind that can be made at this instant: a bound for lists that are ordered by id."""
    return make_id(kind, at, bytes(CHANCE_BYTES))


def is_id(kind: Kind, text: str) -> bool:
    """True where `text` is shaped as an id of that kind."""
    prefix, _, rest = text.partition("_")
    return prefix == kind.value and len(rest) == _TIME_CHARS + _CHANCE_CHARS and set(rest) <= set(_ALPHABET)


def attempt_key(*, livemode: bool, charge_id: str, refund_id: str, attempt: int) -> str:
    """The idempotency key under which one attempt calls Stripe.

    Readable in Stripe's request log, stable for the attempt's life, new for each attempt (law 4), and under
    Stripe's 255 characters.
    """
    mode = "live" if livemode else "test"
    return f"billingbot:refund:{mode}:{charge_id}:{refund_id}:{attempt}"


def cancellation_key(*, livemode: bool, subscription_id: str, cancellation_id: str, send: int) -> str:
    """The idempotency key of one call that cancels.

    New for each call: cancelling twice is cancelling once, and an answer that Stripe keeps under a key may be an
    error that it would repeat for a day.
    """
    mode = "live" if livemode else "test"
    return f"billingbot:cancel:{mode}:{subscription_id}:{cancellation_id}:{send}"


def answer_key(*, livemode: bool, dispute_id: str, answer_id: str, send: int) -> str:
    """The idempotency key of one call that stages, sends or accepts; new for each call, as for a cancellation."""
    mode = "live" if livemode else "test"
    return f"billingbot:answer:{mode}:{dispute_id}:{answer_id}:{send}"


def paper_key(*, livemode: bool, dispute_id: str, digest: str) -> str:
    """The idempotency key of a paper's upload: the same bytes for the same dispute are the same file."""
    mode = "live" if livemode else "test"
    return f"billingbot:paper:{mode}:{dispute_id}:{digest}"


def _encode(number: int, width: int) -> str:
    chars = []
    for _ in range(width):
        number, digit = divmod(number, 32)
        chars.append(_ALPHABET[digit])
    return "".join(reversed(chars))
