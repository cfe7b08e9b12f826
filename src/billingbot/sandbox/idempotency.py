"""Idempotency keys as Stripe keeps them: the first execution's answer for a day, whatever it was."""

import hashlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from billingbot.sandbox.errors import StripeError, invalid, key_in_use, key_reused

KEEP_SECONDS: Final = 86_400  # Stripe prunes keys when they are at least 24 hours old; after that they run anew
MAX_LENGTH: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The first answer under a key."""

    status: int
    body: bytes
    request_id: str
    content_type: str = "application/json"


@dataclass(slots=True, kw_only=True)
class _Entry:
    endpoint: str
    digest: bytes
    since: int
    answer: Stored | None = None


class KeyRing:
    """All keys of one account, across its endpoints. Not locked: its owner holds the sandbox's lock."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def enter(self, key: str, endpoint: str, form: str, now: int) -> Stored | None:
        """Reserve a key for a request about to run, or return the answer that it had.

        Raises StripeError: 400 for a key too long or of another request, 409 while the first one runs.
        """
        if len(key) > MAX_LENGTH:
            raise invalid(f"Idempotency key must be at most {MAX_LENGTH} characters, but is {len(key)}.")
        entry, digest = self._entries.get(key), _digest(form)
        if entry is not None and now - entry.since >= KEEP_SECONDS and entry.answer is not None:
            entry = None
        if entry is None:
            self._entries[key] = _Entry(endpoint=endpoint, digest=digest, since=now)
            return None
        _same(entry, key, endpoint, digest)
        if entry.answer is None:
            raise key_in_use(key)
        return entry.answer

    def keep(self, key: str, answer: Stored) -> None:
        """The request has run: this is its answer from now on."""
        if entry := self._entries.get(key):
            entry.answer = answer

    def release(self, key: str) -> None:
        """Nothing was executed: the key is as if it had never been used."""
        entry = self._entries.get(key)
        if entry is not None and entry.answer is None:
            del self._entries[key]


def _same(entry: _Entry, key: str, endpoint: str, digest: bytes) -> None:
    refusal: StripeError | None = None
    if entry.endpoint != endpoint:
        refusal = key_reused(key, entry.endpoint)
    elif entry.digest != digest:
        refusal = key_reused(key, None)
    if refusal is not None:
        raise refusal


def _digest(form: str) -> bytes:
    pairs = sorted(parse_qsl(form, keep_blank_values=True))
    return hashlib.sha256(repr(pairs).encode()).digest()
