"""`/v1/customers`."""

from billingbot.sandbox import forms, pages
from billingbot.sandbox.billing import end_subscription
from billingbot.sandbox.errors import missing
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.payment_methods import attach_to, resolve
from billingbot.sandbox.router import Call, endpoint, list_of
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

_ADDRESS = forms.nested(**dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"), forms.text))
_FIELDS = {
    "email": forms.text,
    "name": forms.text,
    "phone": forms.text,
    "description": forms.text,
    "address": _ADDRESS,
    "balance": forms.integer(),
    "metadata": forms.metadata,
    "invoice_settings": forms.nested(
        default_payment_method=forms.text, custom_fields=forms.anything, footer=forms.text,
        rendering_options=forms.anything,
    ),
    "preferred_locales": forms.many(forms.name_of),
    "tax_exempt": forms.one_of("exempt", "none", "reverse"),
    **dict.fromkeys(("shipping", "tax", "source", "default_source", "tax_id_data", "cash_balance"), forms.anything),
}  # fmt: skip
_PLAIN = ("email", "name", "phone", "description", "address", "balance", "preferred_locales", "tax_exempt")
_CREATE = {**_FIELDS, "payment_method": forms.name_of, "test_clock": forms.anything}


@endpoint("GET", "/v1/customers", {**pages.PAGING, "email": forms.name_of, "created": forms.created})
def listing(call: Call) -> Obj:
    """Customers, also by their exact address."""
    return list_of(call, "customer", ("email",), lambda customer: "deleted" not in customer)


def new_customer(box: Sandbox) -> Obj:
    """A customer of whom nothing is known yet, not in the tables."""
    return {
        "id": box.new_id("cus", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": box.now(),
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": box.letters(8).upper(),
        "invoice_settings": {
            "custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None,
        },
        "livemode": box.livemode,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }  # fmt: skip


@endpoint("POST", "/v1/customers", _CREATE)
def create(call: Call) -> Obj:
    """A new customer, perhaps with a payment method."""
    customer = new_customer(call.box)
    method = None
    if name := call.params.get("payment_method"):
        method = resolve(call.box, name)
    _apply(call, customer)
    if method is not None:
        attach_to(call.box, method, customer)
    call.box.tables["customer"].add(customer)
    emit(call.box, "customer.created", customer)
    return customer


def _apply(call: Call, customer: Obj) -> None:
    for name in _PLAIN:
        if name in call.params:
            customer[name] = call.params[name]
    customer["metadata"] = forms.merge_metadata(customer["metadata"], call.params.get("metadata"))
    given = call.params.get("invoice_settings") or {}
    if default := given.get("default_payment_method"):
        default = resolve(call.box, default, "invoice_settings[default_payment_method]")["id"]
    if "default_payment_method" in given:
        customer["invoice_settings"]["default_payment_method"] = default
    if "footer" in given:
        customer["invoice_settings"]["footer"] = given["footer"]


@endpoint("GET", "/v1/customers/{id}")
def retrieve(call: Call) -> Obj:
    """The customer; one that was deleted says so."""
    customer = call.box.need("customer", call.ids["id"], "customer")
    if customer.get("deleted"):
        return {"id": customer["id"], "object": "customer", "deleted": True}
    return customer


@endpoint("POST", "/v1/customers/{id}", _FIELDS)
def update(call: Call) -> Obj:
    """Change a customer."""
    customer = call.box.need("customer", call.ids["id"], "customer")
    if customer.get("deleted"):
        raise missing("customer", customer["id"])
    with changing(call.box, customer, "customer.updated"):
        _apply(call, customer)
    call.box.tables["customer"].refile(customer)
    return customer


@endpoint("DELETE", "/v1/customers/{id}")
def delete(call: Call) -> Obj:
    """Delete a customer and end its subscriptions; its charges stay."""
    customer = call.box.need("customer", call.ids["id"], "customer")
    for subscription in call.box.tables["subscription"].find("customer", customer["id"]):
        if subscription["ended_at"] is None:
            end_subscription(call.box, subscription, "cancellation_requested")
    emit(call.box, "customer.deleted", customer)
    customer_id = customer["id"]
    customer.clear()
    customer.update({"id": customer_id, "object": "customer", "deleted": True, "created": 0})
    call.box.tables["customer"].refile(customer)
    return {"id": customer_id, "object": "customer", "deleted": True}
