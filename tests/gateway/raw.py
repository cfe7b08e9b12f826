"""Stripe's JSON as small as our reading of it allows, and a peer that serves it with filters and pages."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.gateway.peer import Asked, Peer, answered, listening, refused

Raw = dict[str, Any]
START = 1_780_000_000
TRIAL_END = START + 14 * 86_400


def charge(number: int = 1, **changes: Any) -> Raw:
    return {
        "id": f"ch_{number}",
        "object": "charge",
        "livemode": False,
        "status": "succeeded",
        "paid": True,
        "captured": True,
        "disputed": False,
        "amount": 4900,
        "amount_captured": 4900,
        "amount_refunded": 0,
        "currency": "usd",
        "created": TRIAL_END + number * 3600,
        "customer": "cus_1",
        "payment_intent": f"pi_{number}",
        "payment_method_details": {"type": "card", "card": {"fingerprint": "fp_1"}},
        "billing_details": {"email": "ada@example.com"},
    } | changes


def payment(number: int = 1, **changes: Any) -> Raw:
    return {
        "id": f"inpay_{number}",
        "object": "invoice_payment",
        "livemode": False,
        "amount_paid": 4900,
        "amount_requested": 4900,
        "currency": "usd",
        "invoice": f"in_{number}",
        "payment": {"type": "payment_intent", "payment_intent": f"pi_{number}"},
        "status": "paid",
    } | changes


def line(number: int = 1, **changes: Any) -> Raw:
    details = {"subscription": "sub_1", "subscription_item": "si_1", "proration": False}
    return {
        "id": f"il_{number}",
        "object": "line_item",
        "livemode": False,
        "amount": 4900,
        "parent": {"type": "subscription_item_details", "subscription_item_details": details},
        "period": {"start": TRIAL_END, "end": TRIAL_END + 30 * 86_400},
    } | changes


def invoice(number: int = 1, subscription: str | None = "sub_1", **changes: Any) -> Raw:
    details = {"type": "subscription_details", "subscription_details": {"subscription": subscription}}
    return {
        "id": f"in_{number}",
        "object": "invoice",
        "livemode": False,
        "status": "paid",
        "billing_reason": "subscription_cycle",
        "currency": "usd",
        "amount_paid": 4900,
        "customer": "cus_1",
        "created": TRIAL_END + number * 3600,
        "parent": details if subscription else None,
        "status_transitions": {"paid_at": TRIAL_END + number * 3600},
        "lines": pages([line(number)]),
        "payments": pages([payment(number)]),
    } | changes


def subscription(number: int = 1, **changes: Any) -> Raw:
    return {
        "id": f"sub_{number}",
        "object": "subscription",
        "livemode": False,
        "status": "active",
        "customer": "cus_1",
        "collection_method": "charge_automatically",
        "start_date": START,
        "trial_start": START,
        "trial_end": TRIAL_END,
        "cancel_at_period_end": False,
        "cancel_at": None,
        "canceled_at": None,
        "ended_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "default_payment_method": None,
        "items": pages([{"id": "si_1", "object": "subscription_item"}]),
    } | changes


def customer(number: int = 1, **changes: Any) -> Raw:
    return {
        "id": f"cus_{number}",
        "object": "customer",
        "livemode": False,
        "email": "ada@example.com",
        "metadata": {},
    } | changes


def method(number: int = 1, **changes: Any) -> Raw:
    return {
        "id": f"pm_{number}",
        "object": "payment_method",
        "livemode": False,
        "type": "card",
        "card": {"fingerprint": f"fp_{number}"},
        "customer": "cus_1",
    } | changes


def refund(number: int = 1, **changes: Any) -> Raw:
    return {
        "id": f"re_{number}",
        "object": "refund",
        "amount": 4900,
        "charge": "ch_1",
        "created": TRIAL_END + 7200,
        "currency": "usd",
        "metadata": {},
        "status": "succeeded",
    } | changes


def transaction(number: int = 1, **changes: Any) -> Raw:
    return {"id": f"txn_{number}", "object": "balance_transaction", "amount": -4900, "fee": 1500} | changes


def dispute(number: int = 1, **changes: Any) -> Raw:
    return {
        "id": f"dp_{number}",
        "object": "dispute",
        "livemode": False,
        "amount": 4900,
        "balance_transactions": [transaction()],
        "charge": "ch_1",
        "created": TRIAL_END + 7200,
        "currency": "usd",
        "evidence_details": {"due_by": TRIAL_END + 86_400},
        "is_charge_refundable": False,
        "payment_method_details": {"type": "card", "card": {"case_type": "chargeback"}},
        "reason": "fraudulent",
        "status": "needs_response",
    } | changes


def warning(number: int = 1, **changes: Any) -> Raw:
    return {
        "id": f"issfr_{number}",
        "object": "radar.early_fraud_warning",
        "livemode": False,
        "actionable": True,
        "charge": "ch_1",
        "created": TRIAL_END + 7200,
        "fraud_type": "misc",
    } | changes


def pages(items: Sequence[Raw], *, more: bool = False) -> Raw:
    return {"object": "list", "data": list(items), "has_more": more, "url": "/v1/somewhere"}


# Which of an object's fields a list's filter looks at, where it is not the one of the same name.
_FILTERS: dict[str, Callable[[Raw], object]] = {
    "subscription": lambda raw: ((raw.get("parent") or {}).get("subscription_details") or {}).get("subscription"),
    "payment[type]": lambda raw: raw["payment"]["type"],
    "payment[payment_intent]": lambda raw: raw["payment"].get("payment_intent"),
}
_PATHS = {
    "charge": "charges",
    "customer": "customers",
    "dispute": "disputes",
    "invoice": "invoices",
    "invoice_payment": "invoice_payments",
    "payment_method": "payment_methods",
    "radar.early_fraud_warning": "radar/early_fraud_warnings",
    "refund": "refunds",
    "subscription": "subscriptions",
    "balance_transaction": "balance_transactions",
    "event": "events",
}


@contextlib.contextmanager
def serving(*objects: Raw, page: int = 100, instead: dict[str, bytes] | None = None) -> Iterator[Peer]:
    """A peer with these objects, newest first as given; `instead` answers some paths as told."""

    def answer(asked: Asked) -> bytes:
        if instead and asked.path in instead:
            return instead[asked.path]
        path = asked.path.removeprefix("/v1/")
        if path in _PATHS.values():
            return _listed([raw for raw in objects if _PATHS[raw["object"]] == path], asked, page)
        for raw in objects:
            if path == f"{_PATHS[raw['object']]}/{raw['id']}":
                return answered(raw)
        return refused(404, code="resource_missing", message=f"No such object: '{path}'", param="id")

    with listening(answer) as peer:
        yield peer


def _listed(found: list[Raw], asked: Asked, page: int) -> bytes:
    for name, wanted in asked.query.items():
        if name in ("limit", "starting_after", "status") or name.startswith("expand"):
            continue
        if name == "created[gte]":
            found = [raw for raw in found if raw["created"] >= int(wanted)]
        else:
            found = [raw for raw in found if _FILTERS.get(name, lambda raw, name=name: raw.get(name))(raw) == wanted]
    ids = [raw["id"] for raw in found]
    after = asked.query.get("starting_after")
    begin = ids.index(after) + 1 if after else 0
    end = begin + min(page, int(asked.query["limit"]))
    return answered(pages(found[begin:end], more=end < len(found)))


def copy(raw: Raw) -> Raw:
    return json.loads(json.dumps(raw))
