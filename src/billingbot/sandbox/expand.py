"""`expand[]`: ids replaced by their objects, and the fields that exist only when they are asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from billingbot.sandbox import versions
from billingbot.sandbox.errors import StripeError, invalid
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj, snapshot

MAX_DEPTH: Final = 4  # https://docs.stripe.com/expand: no deeper than four levels

# The field that holds an id, and the table it points into.
_TABLE_OF: Final = {
    "balance_transaction": "balance_transaction",
    "charge": "charge",
    "coupon": "coupon",
    "credit_note": "credit_note",
    "customer": "customer",
    "default_payment_method": "payment_method",
    "default_price": "price",
    "discount": "discount",
    "discounts": "discount",
    "dispute": "dispute",
    "failure_balance_transaction": "balance_transaction",
    "invoice": "invoice",
    "latest_charge": "charge",
    "latest_invoice": "invoice",
    "payment_intent": "payment_intent",
    "payment_method": "payment_method",
    "price": "price",
    "product": "product",
    "subscription": "subscription",
}
# Expandable in Stripe, always null or foreign here.
_EMPTY: Final = frozenset(
    ("application", "application_fee", "default_source", "on_behalf_of", "pending_setup_intent", "review", "schedule",
     "source_transfer", "test_clock", "transfer", "transfer_reversal", "source_transfer_reversal", "account_tax_ids",
     "latest_revision", "default_tax_rates", "customer_account")
)  # fmt: skip
_SOURCES: Final = {"ch": "charge", "re": "refund", "dp": "dispute", "pyr": "refund", "py": "charge"}


@dataclass(frozen=True, slots=True)
class _View:
    """The sandbox as seen at one API version."""

    box: Sandbox
    version: str | None

    def show(self, obj: Obj) -> Obj:
        """A copy of an object, in the version's shape."""
        shown: Obj = versions.render(self.box, snapshot(obj), self.version)
        return shown


def show(box: Sandbox, obj: Obj, paths: list[str], version: str | None) -> Obj:
    """A copy of the object in the shape of this version, with these paths expanded. Raises StripeError 400."""
    view = _View(box, version)
    shown = view.show(obj)
    for path in paths:
        pieces = path.split(".")
        if len(pieces) > MAX_DEPTH:
            message = f"You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}"
            raise invalid(message, "expand")
        _open(view, shown, pieces, path)
    return shown


def _open(view: _View, value: Any, pieces: list[str], path: str) -> None:
    if value is None or not pieces:
        return
    if isinstance(value, list):
        for item in value:
            _open(view, item, pieces, path)
        return
    if not isinstance(value, dict):
        raise _cannot(path)
    name, rest = pieces[0], pieces[1:]
    include = INCLUDED.get((value.get("object"), name))
    if include is not None and name not in value:
        value[name] = include(view, value)
    elif name not in value and not _absent_is_fine(value, name):
        raise _cannot(path)
    elif isinstance(value.get(name), (str, list)):
        value[name] = _fetch(view, name, value[name], path)
    elif not rest and name not in _TABLE_OF and name not in _EMPTY and name != "source" and not _is_object(value[name]):
        raise _cannot(path)
    _open(view, value.get(name), rest, path)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and "object" in value


def _absent_is_fine(value: Obj, name: str) -> bool:
    return "deleted" in value or name == "failure_balance_transaction" or (
        value.get("type") == "payment_intent" and name in ("charge", "payment_record")
    )  # fmt: skip


def _fetch(view: _View, name: str, value: Any, path: str) -> Any:
    if isinstance(value, list):
        return [_fetch(view, name, item, path) if isinstance(item, str) else item for item in value]
    table = _SOURCES.get(value.partition("_")[0]) if name == "source" else _TABLE_OF.get(name)
    if table is None and name not in _EMPTY:
        raise _cannot(path)
    found = view.box.tables[table].get(value) if table else None
    return value if found is None else view.show(found)


def _cannot(path: str) -> StripeError:
    return invalid(f"This property cannot be expanded ({path}).", "expand")


def _list_of(items: list[Obj], url: str, **more: Any) -> Obj:
    return {"object": "list", "data": items, "has_more": False, **more, "url": url}


def _refunds(view: _View, charge: Obj) -> Obj:
    found = [view.show(refund) for refund in view.box.tables["refund"].newest_first("charge", charge["id"])]
    return _list_of(found, f"/v1/charges/{charge['id']}/refunds", total_count=len(found))


def _payments(view: _View, invoice: Obj) -> Obj:
    found = [
        view.show(payment) for payment in view.box.tables["invoice_payment"].newest_first("invoice", invoice["id"])
    ]
    return _list_of(found, "/v1/invoices/payments")


def _confirmation_secret(view: _View, invoice: Obj) -> Obj | None:
    payments = view.box.tables["invoice_payment"].find("invoice", invoice["id"])
    if not payments or "payment_intent" not in payments[-1]["payment"]:
        return None
    intent = view.box.tables["payment_intent"].rows[payments[-1]["payment"]["payment_intent"]]
    return {"client_secret": intent["client_secret"], "type": "payment_intent"}


def _subscriptions(view: _View, customer: Obj) -> Obj:
    live = [
        view.show(subscription)
        for subscription in view.box.tables["subscription"].newest_first("customer", customer["id"])
        if subscription["status"] not in ("canceled", "incomplete_expired")
    ]
    return _list_of(live, f"/v1/customers/{customer['id']}/subscriptions", total_count=len(live))


INCLUDED: Final[dict[tuple[str | None, str], Callable[[_View, Obj], Any]]] = {
    ("charge", "refunds"): _refunds,
    ("customer", "invoice_credit_balance"): lambda _view, _customer: {},
    ("customer", "sources"): lambda _view, customer: _list_of([], f"/v1/customers/{customer['id']}/sources"),
    ("customer", "subscriptions"): _subscriptions,
    ("customer", "tax"): lambda _view, _customer: {
        "automatic_tax": "unrecognized_location", "ip_address": None, "location": None, "provider": "stripe",
    },
    ("invoice", "confirmation_secret"): _confirmation_secret,
    ("invoice", "payments"): _payments,
}  # fmt: skip
