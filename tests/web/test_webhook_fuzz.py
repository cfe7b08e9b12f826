"""Whatever a stranger, or somebody with the secret, sends to the webhook door: an answer of ours, never a crash."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billingbot.core.signals import Envelope
from billingbot.web.batches import Batches
from billingbot.web.metrics import Metrics
from billingbot.web.webhooks import WEBHOOKS, WebhookDoor
from tests.web.street import endpoints, sign, snapshot, thin

NOW = 1_790_000_000

# Values that make readers stumble, beside everything that JSON can say.
_ODD = st.sampled_from(
    [2**63, -(2**70), 1e308, "\ud800", "\x00", "evt_" + "x" * 300, "é", "", 0, -1, True, None, [], {}]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | _ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from(
    ["id", "object", "api_version", "created", "livemode", "type", "data", "related_object", "account", "context"]
)


def _events() -> st.SearchStrategy[bytes]:
    """An event with some of its fields replaced by anything."""
    changes = st.dictionaries(_FIELDS, _JSON, max_size=3)
    return st.builds(lambda twin, changed: twin(**changed), st.sampled_from([snapshot, thin]), changes)


def _mangled(body: bytes, at: int, byte: int) -> bytes:
    place = at % (len(body) + 1)
    return body[:place] + bytes([byte]) + body[place + 1 :]


def knock(body: bytes, headers: Sequence[tuple[bytes, bytes]], *, pieces: int = 1) -> tuple[int, Any, list[Envelope]]:
    """Status, answer, and what was stored, of one request straight to the door."""
    kept: list[Envelope] = []

    def store(envelopes: Sequence[Envelope]) -> int:
        kept.extend(envelopes)
        return len(envelopes)

    sent: list[Any] = []
    size = len(body) // pieces + 1
    queue = [body[start : start + size] for start in range(0, len(body) or 1, size)]

    async def receive() -> dict[str, Any]:
        piece = queue.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(queue)}

    async def send(message: Any) -> None:
        sent.append(message)

    async def visit() -> None:
        batches = Batches(store, metrics)
        door = WebhookDoor(endpoints(), batches, metrics, clock=lambda: NOW)
        scope = {"type": "http", "method": "POST", "path": WEBHOOKS, "headers": list(headers)}
        await door(scope, receive, send)
        await batches.close()

    metrics = Metrics()
    asyncio.run(visit())
    return sent[0]["status"], json.loads(sent[1]["body"] or "null"), kept


@given(body=st.binary(max_size=300), header=st.binary(max_size=200), pieces=st.integers(1, 5))
def test_bytes_from_anybody_are_turned_away(body: bytes, header: bytes, pieces: int) -> None:
    status, answer, kept = knock(body, [(b"stripe-signature", header)], pieces=pieces)

    assert status == 400
    assert answer["error"]["reason"].startswith("signature_")
    assert kept == []


@given(body=st.binary(max_size=300) | _events() | st.builds(_mangled, _events(), st.integers(0), st.integers(0, 255)))
def test_signed_bytes_are_stored_acknowledged_or_turned_away_with_a_reason(body: bytes) -> None:
    status, answer, kept = knock(body, [(b"stripe-signature", sign(body, at=NOW).encode())])

    assert status in {200, 400}
    if status == 200:
        assert [envelope.body for envelope in kept] in ([body], [])
    else:
        assert answer["error"]["reason"]
        assert kept == []
