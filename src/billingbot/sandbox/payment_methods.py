"""`/v1/payment_methods`: test cards, created, attached to customers, listed and detached."""

from typing import Any

from billingbot.sandbox import forms, pages
from billingbot.sandbox.cards import BY_NUMBER, BY_TOKEN, card_of_method
from billingbot.sandbox.errors import declined, invalid, missing, refused
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.plans import CardPlan
from billingbot.sandbox.router import Call, endpoint, list_of, retrievable
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

_ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")
_OTHERS = ("acss_debit", "boleto", "eps", "fpx", "ideal", "p24", "sepa_debit", "us_bank_account", "paypal", "link")
_BILLING = forms.nested(
    address=forms.nested(**dict.fromkeys(_ADDRESS, forms.text)),
    email=forms.text,
    name=forms.text,
    phone=forms.text,
    tax_id=forms.text,
)
_CREATE = {
    "type": forms.one_of("card", *_OTHERS),
    "card": forms.nested(
        number=forms.name_of,
        exp_month=forms.integer(1, 12),
        exp_year=forms.integer(2000),
        cvc=forms.text,
        token=forms.name_of,
        networks=forms.anything,
    ),
    "billing_details": _BILLING,
    "metadata": forms.metadata,
    "customer": forms.name_of,
    "allow_redisplay": forms.one_of("always", "limited", "unspecified"),
    **dict.fromkeys(_OTHERS, forms.anything),
}

retrievable("/v1/payment_methods", "payment_method", "PaymentMethod")


def billing_details(given: Obj | None = None) -> Obj:
    """Billing details with every field present."""
    given = given or {}
    address = given.get("address") or {}
    whole: Obj = {"address": {name: address.get(name) for name in _ADDRESS}}
    return whole | {name: given.get(name) for name in ("email", "name", "phone", "tax_id")}


@endpoint("POST", "/v1/payment_methods", _CREATE, ("type",))
def create(call: Call) -> Obj:
    """A payment method of its own, not yet attached."""
    kind = call.params["type"]
    plan = _plan_of(call.params) if kind == "card" else None
    method = new_method(call.box, plan, kind, call.params)
    if kind != "card":
        method[kind] = dict.fromkeys(call.params.get(kind) or {})
    if "metadata" in call.params:
        method["metadata"] = forms.merge_metadata({}, call.params["metadata"])
    return method


def _plan_of(params: Obj) -> CardPlan:
    card = params.get("card")
    if not card or not ("number" in card or "token" in card):
        raise invalid("Missing required param: card.", "card", "parameter_missing")
    if token := card.get("token"):
        plan = BY_TOKEN.get(token.replace("tok_", "pm_card_", 1))
        if plan is None:
            raise missing("token", token, "card[token]", 400)
        return plan
    found = BY_NUMBER.get(card["number"].replace(" ", ""))
    if found is None:
        raise declined("generic_decline", code="incorrect_number", param="number")
    return found


def new_method(box: Sandbox, plan: CardPlan | None, kind: str = "card", params: Obj | None = None) -> Obj:
    """A payment method in the tables, attached to nobody."""
    method: Obj = {
        "id": box.new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": (params or {}).get("allow_redisplay", "unspecified"),
        "billing_details": billing_details((params or {}).get("billing_details")),
        "created": box.now(),
        "customer": None,
        "customer_account": None,
        "livemode": box.livemode,
        "metadata": {},
        "type": kind,
    }
    if plan is not None:
        method["card"] = card_of_method(box, plan)
        given = (params or {}).get("card") or {}
        method["card"] |= {name: given[name] for name in ("exp_month", "exp_year") if name in given}
        box.cards[method["id"]] = plan
    return box.tables["payment_method"].add(method)


def resolve(box: Sandbox, name: str, param: str = "payment_method") -> Obj:
    """The payment method of this id; a test token such as `pm_card_visa` makes a new one."""
    if name in BY_TOKEN:
        return new_method(box, BY_TOKEN[name])
    found = box.tables["payment_method"].get(name)
    if found is None:
        raise missing("PaymentMethod", name, param)
    return found


def attach_to(box: Sandbox, method: Obj, customer: Obj) -> Obj:
    """Give a payment method to a customer. Raises StripeError 402 for a card that declines already here."""
    plan = box.cards.get(method["id"])
    if plan is not None and plan.attach_decline:
        raise declined(plan.attach_decline)
    if method["customer"] not in (None, customer["id"]):
        message = "The payment method you provided has already been attached to a customer."
        raise refused(message, "payment_method", "payment_method_unexpected_state")
    if method["customer"] is None:
        method["customer"] = customer["id"]
        box.tables["payment_method"].refile(method)
        emit(box, "payment_method.attached", method)
    return method


@endpoint("POST", "/v1/payment_methods/{id}/attach", {"customer": forms.name_of}, ("customer",))
def attach(call: Call) -> Obj:
    """Attach; a test token becomes a payment method of its own each time."""
    method = resolve(call.box, call.ids["id"])
    customer = call.box.need("customer", call.params["customer"], "customer", "customer")
    return attach_to(call.box, method, customer)


@endpoint("POST", "/v1/payment_methods/{id}/detach")
def detach(call: Call) -> Obj:
    """Take a payment method from its customer."""
    method = call.box.need("payment_method", call.ids["id"], "PaymentMethod")
    with changing(call.box, method, "payment_method.detached"):
        method["customer"] = None
        call.box.tables["payment_method"].refile(method)
    return method


@endpoint("POST", "/v1/payment_methods/{id}", {"billing_details": _BILLING, "metadata": forms.metadata,
                                               "card": forms.anything})  # fmt: skip
def update(call: Call) -> Obj:
    """Change billing details or metadata."""
    method = call.box.need("payment_method", call.ids["id"], "PaymentMethod")
    with changing(call.box, method, "payment_method.updated"):
        method["metadata"] = forms.merge_metadata(method["metadata"], call.params.get("metadata"))
        if "billing_details" in call.params:
            method["billing_details"] = billing_details(call.params["billing_details"])
    return method


_LIST = {**pages.PAGING, "customer": forms.name_of, "type": forms.one_of("card", *_OTHERS)}


@endpoint("GET", "/v1/payment_methods", _LIST)
def listing(call: Call) -> Obj:
    """A customer's payment methods."""
    return list_of(call, "payment_method", ("customer", "type"))


@endpoint("GET", "/v1/customers/{id}/payment_methods", {**pages.PAGING, "type": forms.text})
def of_customer(call: Call) -> Obj:
    """The same, by the customer's address."""
    customer = call.box.need("customer", call.ids["id"], "customer")
    found: Any = call.box.tables["payment_method"].newest_first("customer", customer["id"])
    same = pages.equals(call.params, ("type",))
    return pages.page(call.box.tables["payment_method"], found, call.params, call.path, same)
