"""Older shapes: what an object looks like to an endpoint or a request that is pinned to a version before basil."""

from collections.abc import Callable
from typing import Any, Final

from billingbot.sandbox.state import API_VERSION, Sandbox
from billingbot.sandbox.tables import Obj

# https://docs.stripe.com/changelog: the release that let an invoice have several payments, and moved these fields.
BASIL: Final = "2025-03-31"


def is_older(version: str | None) -> bool:
    """True for a version whose shapes differ from the sandbox's own."""
    return version is not None and version != API_VERSION and version[:10] < BASIL


def render(box: Sandbox, value: Any, version: str | None) -> Any:
    """The value in the shapes of this version; nested objects too. Changes what it is given."""
    if is_older(version):
        _walk(box, value)
    return value


def _walk(box: Sandbox, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _walk(box, item)
    if not isinstance(value, dict):
        return
    for inner in list(value.values()):
        _walk(box, inner)
    old = _OLD.get(value.get("object", "")) if isinstance(value.get("object"), str) else None
    if old is not None and "deleted" not in value:
        old(box, value)


def _invoice(box: Sandbox, invoice: Obj) -> None:
    intents = [
        box.tables["payment_intent"].rows[each["payment"]["payment_intent"]]
        for each in box.tables["invoice_payment"].find("invoice", invoice["id"])
        if each["payment"].get("payment_intent") and each["status"] != "canceled"
    ]
    details = (invoice.pop("parent", None) or {}).get("subscription_details")
    off_stripe = bool(invoice.pop("amount_paid_off_stripe", 0))
    invoice.pop("amount_overpaid", None)
    invoice.update(
        charge=intents[-1]["latest_charge"] if intents else None,
        discount=None,
        paid=invoice["status"] == "paid",
        paid_out_of_band=off_stripe,
        payment_intent=intents[-1]["id"] if intents else None,
        quote=None,
        subscription=details["subscription"] if details else None,
        subscription_details={"metadata": details["metadata"] if details else None},
        tax=None,
        total_tax_amounts=invoice.pop("total_taxes", []),
        transfer_data=None,
    )


def _line(box: Sandbox, line: Obj) -> None:
    parent = line.pop("parent", None) or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    pricing = line.pop("pricing", None) or {}
    price = box.tables["price"].get((pricing.get("price_details") or {}).get("price") or "")
    line.pop("taxes", None)
    line.update(
        invoice_item=details.get("invoice_item"),
        plan=None,
        price=price,
        proration=details.get("proration", False),
        proration_details=details.get("proration_details"),
        subscription=details.get("subscription"),
        tax_amounts=[],
        tax_rates=[],
        type="subscription" if parent.get("subscription_item_details") else "invoiceitem",
    )
    if details.get("subscription_item"):
        line["subscription_item"] = details["subscription_item"]


def _of_intent(box: Sandbox, intent_id: str | None) -> str | None:
    payments = box.tables["invoice_payment"].find("payment_intent", intent_id)
    return payments[0]["invoice"] if payments else None


def _charge(box: Sandbox, charge: Obj) -> None:
    intent = charge["payment_intent"]
    charge["invoice"] = _of_intent(box, intent["id"] if isinstance(intent, dict) else intent)


def _intent(box: Sandbox, intent: Obj) -> None:
    intent.pop("payment_details", None)
    intent["invoice"] = _of_intent(box, intent["id"])


def _subscription(box: Sandbox, subscription: Obj) -> None:
    del box
    items = subscription["items"]["data"]
    for item in items:
        start, end = item.pop("current_period_start"), item.pop("current_period_end")
        subscription.update(current_period_start=start, current_period_end=end)
    subscription["discount"] = subscription["discounts"][0] if subscription["discounts"] else None
    subscription.pop("billing_mode", None)


_OLD: Final[dict[str, Callable[[Sandbox, Obj], None]]] = {
    "charge": _charge,
    "invoice": _invoice,
    "line_item": _line,
    "payment_intent": _intent,
    "subscription": _subscription,
}
