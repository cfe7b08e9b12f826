"""Events: what happened, as a snapshot at the second it happened, and its thin twin."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from billingbot.sandbox.state import API_VERSION, Sandbox
from billingbot.sandbox.tables import Obj, snapshot

RETENTION_SECONDS: Final = 30 * 86_400  # https://docs.stripe.com/api/events: events can be read for 30 days

_URLS: Final = {
    "charge": "charges",
    "credit_note": "credit_notes",
    "customer": "customers",
    "dispute": "disputes",
    "invoice": "invoices",
    "invoice_payment": "invoice_payments",
    "payment_intent": "payment_intents",
    "payment_method": "payment_methods",
    "price": "prices",
    "product": "products",
    "radar.early_fraud_warning": "radar/early_fraud_warnings",
    "refund": "refunds",
    "subscription": "subscriptions",
}
_NO_THIN_TWIN: Final = ("charge.refund.updated",)  # deprecated; `refund.updated` says it


def emit(box: Sandbox, kind: str, obj: Obj, previous: Obj | None = None) -> Obj:
    """Record that something happened to `obj` and tell the listeners (webhook delivery). Returns the event."""
    content: Obj = {"object": snapshot(obj)}
    if previous is not None:
        content["previous_attributes"] = previous
    event = record(box, kind, content)
    if box.twins and box.chance.random() < box.twins:
        record(box, kind, content)
    return event


def record(box: Sandbox, kind: str, content: Obj) -> Obj:
    """One Event object with this content, and its thin twin. Stripe sometimes makes two of one happening."""
    origin = box.origin
    event: Obj = {
        "id": box.new_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": box.now(),
        "data": content,
        "livemode": box.livemode,
        "pending_webhooks": 0,
        "request": {
            "id": origin.request_id if origin else None,
            "idempotency_key": origin.idempotency_key if origin else None,
        },
        "type": kind,
    }
    box.tables["event"].add(event)
    thin = None if kind in _NO_THIN_TWIN else _thin(box, f"v1.{kind}", event)
    for tell in box.listeners:
        tell(event, thin)
    return event


def emit_thin(box: Sandbox, kind: str, obj: Obj) -> None:
    """A thin event without a snapshot twin, such as `v1.customer.subscription.past_due`."""
    hollow: Obj = {"data": {"object": {"id": obj["id"], "object": obj["object"]}}, "id": None}
    thin = _thin(box, kind, {**hollow, "created": box.now(), "request": _request_of(box)})
    for tell in box.listeners:
        tell(None, thin)


def _request_of(box: Sandbox) -> Obj:
    origin = box.origin
    return {"id": origin.request_id, "idempotency_key": origin.idempotency_key} if origin else {"id": None}


def _thin(box: Sandbox, kind: str, event: Obj) -> Obj:
    about = event["data"]["object"]
    request = event["request"]
    url = f"/v1/{_URLS.get(about['object'], about['object'] + 's')}/{about.get('id')}"
    thin: Obj = {
        "id": box.new_id(f"evt_{'live' if box.livemode else 'test'}", 24),
        "object": "v2.core.event",
        "context": None,
        "created": datetime.fromtimestamp(event["created"], UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "livemode": box.livemode,
        "reason": {"type": "request", "request": request} if request["id"] else None,
        "related_object": {"id": about.get("id"), "type": about["object"], "url": url},
        "type": kind,
    }
    if event["id"]:
        thin["snapshot_event"] = event["id"]
    return box.tables["thin_event"].add(thin)


@contextmanager
def changing(box: Sandbox, obj: Obj, *kinds: str) -> Iterator[Obj]:
    """Emit these events, with `previous_attributes`, if the object is another afterwards."""
    before = snapshot(obj)
    yield obj
    previous = difference(before, obj)
    if not previous:
        return
    for kind in kinds:
        emit(box, kind, obj, previous)


def difference(before: Obj, after: Obj) -> Obj:
    """The old values of what changed: inside hashes only the changed fields, of lists the whole old list."""
    previous: Obj = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        both = isinstance(old, dict) and isinstance(new, dict) and old.get("object") != "list"
        previous[name] = _inner(old, new) if both else old
    return previous


def _inner(old: Any, new: Any) -> Any:
    return difference(old, new)
