"""Webhook deliveries made beforehand: events of 4 KB, each with its own id and signature."""

import hashlib
import hmac
import json
import secrets
import time
from typing import Any, Final

# What an invoice with one line has on the wire, pretty-printed as Stripe sends it.
BODY_BYTES: Final = 4096
_ID_MARK: Final = "EVENT_ID_GOES_HERE_AND_IS_"
_OBJECT_MARK: Final = "OBJECT_ID_GOES_HERE_AND_IS"
_ID_LENGTH: Final = len(_ID_MARK)


def make_requests(path: str, secret: str, count: int) -> list[bytes]:
    """Whole HTTP requests, ready for the socket. No two share an event id or an object id."""
    template = _template().encode()
    now = int(time.time())
    return [_request(path, _body(template), secret, now) for _ in range(count)]


def _body(template: bytes) -> bytes:
    # Random, as Stripe's ids are: an index fed in order would be flattered.
    ids = secrets.token_hex(_ID_LENGTH)
    named = template.replace(_ID_MARK.encode(), ids[:_ID_LENGTH].encode())
    return named.replace(_OBJECT_MARK.encode(), ids[_ID_LENGTH:].encode())


def _request(path: str, body: bytes, secret: str, now: int) -> bytes:
    mac = hmac.new(secret.encode(), b"%d." % now + body, hashlib.sha256).hexdigest()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
        f"Accept: */*; q=0.5, application/xml\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Cache-Control: no-cache\r\nContent-Length: {len(body)}\r\nStripe-Signature: t={now},v1={mac}\r\n\r\n"
    )
    return head.encode() + body


def _template() -> str:
    event = _event()
    event["data"]["object"]["description"] = "x" * (BODY_BYTES - len(json.dumps(event, indent=2)))
    text = json.dumps(event, indent=2)
    assert len(text) == BODY_BYTES
    return text


def _event() -> dict[str, Any]:
    period = {"start": 1_790_000_000, "end": 1_792_592_000}
    line = {
        "id": "il_1Benchmark",
        "object": "line_item",
        "amount": 4900,
        "currency": "usd",
        "description": "1 × Plan (at $49.00 / month)",
        "discountable": True,
        "livemode": False,
        "metadata": {},
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {"proration": False, "subscription": "sub_1Benchmark"},
        },
        "period": period,
        "pricing": {"type": "price_details", "unit_amount_decimal": "4900", "price_details": {"price": "price_1"}},
        "quantity": 1,
    }
    invoice = {
        "id": f"in_{_OBJECT_MARK}",
        "object": "invoice",
        "account_country": "US",
        "amount_due": 4900,
        "amount_paid": 4900,
        "attempt_count": 1,
        "attempted": True,
        "auto_advance": False,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": period["start"],
        "currency": "usd",
        "customer": "cus_Benchmark",
        "customer_email": "ada@example.com",
        "description": "",
        "lines": {"object": "list", "data": [line], "has_more": False, "total_count": 1},
        "livemode": False,
        "metadata": {"workspace_id": "ws_benchmark"},
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1Benchmark"}},
        "status": "paid",
        "status_transitions": {"finalized_at": period["start"], "paid_at": period["start"] + 3600},
        "subtotal": 4900,
        "total": 4900,
        "total_taxes": [],
    }
    return {
        "id": f"evt_{_ID_MARK}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": period["start"],
        "data": {"object": invoice},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": "invoice.paid",
    }
