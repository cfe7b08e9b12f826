"""`/v1/invoices`, `/v1/invoiceitems` and `/v1/invoice_payments`."""

from typing import Final

from billingbot.sandbox import forms, pages
from billingbot.sandbox.billing import recovered, void
from billingbot.sandbox.errors import invalid, missing, refused
from billingbot.sandbox.events import emit
from billingbot.sandbox.invoices import collect, draft, finalize, line, once_parent, pay_out_of_band
from billingbot.sandbox.payment_methods import resolve
from billingbot.sandbox.router import Call, endpoint, list_of, retrievable
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

retrievable("/v1/invoice_payments", "invoice_payment", "invoice payment")

_LIST: Final = {
    **pages.PAGING,
    "customer": forms.name_of,
    "subscription": forms.name_of,
    "status": forms.one_of("draft", "open", "paid", "uncollectible", "void"),
    "collection_method": forms.text,
    "created": forms.created,
    "due_date": forms.created,
}


def subscription_of(invoice: Obj) -> str | None:
    """The id of the subscription that caused the invoice."""
    details = (invoice["parent"] or {}).get("subscription_details")
    found: str | None = details["subscription"] if details else None
    return found


@endpoint("GET", "/v1/invoices", _LIST)
def listing(call: Call) -> Obj:
    """Invoices by subscription, customer, status or time."""
    wanted = call.params.get("subscription")
    if wanted is None:
        return list_of(call, "invoice", ("customer", "status", "collection_method"))
    same = pages.equals(call.params, ("customer", "status", "collection_method"))
    within = pages.created_within(call.params.get("created"))
    rows = call.box.tables["invoice"]
    found = rows.newest_first("subscription", wanted)
    return pages.page(rows, found, call.params, call.path, lambda obj: same(obj) and within(obj))


@endpoint("GET", "/v1/invoices/upcoming", {"customer": forms.name_of, "subscription": forms.name_of})
def upcoming(call: Call) -> Obj:
    """Gone from the API; the sandbox keeps only its refusal."""
    if not call.params.keys() & {"customer", "subscription"}:
        raise invalid("You must either provide a `customer` or a `subscription` to the upcoming invoice endpoint.")
    raise missing("invoice", "upcoming")


retrievable("/v1/invoices", "invoice", "invoice")


@endpoint("GET", "/v1/invoices/{id}/lines", pages.PAGING)
def lines(call: Call) -> Obj:
    """The lines, which are also embedded."""
    invoice = call.box.need("invoice", call.ids["id"], "invoice")
    data, limit = invoice["lines"]["data"], call.params.get("limit", pages.DEFAULT_LIMIT)
    ids = [each["id"] for each in data]
    start = ids.index(call.params["starting_after"]) + 1 if call.params.get("starting_after") in ids else 0
    rest = data[start:]
    return {"object": "list", "data": rest[:limit], "has_more": len(rest) > limit, "url": call.path}


_CREATE: Final = {
    "customer": forms.name_of,
    "subscription": forms.name_of,
    "auto_advance": forms.boolean,
    "description": forms.text,
    "metadata": forms.metadata,
    "collection_method": forms.one_of("charge_automatically", "send_invoice"),
    "days_until_due": forms.integer(0),
    "currency": forms.name_of,
    "pending_invoice_items_behavior": forms.one_of("exclude", "include"),
}


@endpoint("POST", "/v1/invoices", _CREATE, ("customer",))
def create(call: Call) -> Obj:
    """A manual invoice of what waits for the customer."""
    box, given = call.box, call.params
    customer = box.need("customer", given["customer"], "customer", "customer")
    waiting = box.tables["invoiceitem"].find("customer", customer["id"])
    take = [each for each in waiting if each["invoice"] is None]
    if given.get("pending_invoice_items_behavior", "exclude") == "exclude" and "subscription" not in given:
        take = []
    made = draft(
        box,
        customer,
        [_line_of(box, each) for each in take],
        auto_advance=given.get("auto_advance", False),
        description=given.get("description"),
        metadata=forms.merge_metadata({}, given.get("metadata")),
        collection_method=given.get("collection_method", "charge_automatically"),
    )
    for each in take:
        each["invoice"] = made["id"]
    return made


def _line_of(box: Sandbox, item: Obj) -> Obj:
    price: Obj = {"id": None, "product": None, "currency": item["currency"], "unit_amount": item["amount"],
                  "unit_amount_decimal": str(item["amount"])}  # fmt: skip
    span = (item["date"], item["date"])
    return line(box, price, 1, span, parent=once_parent(item["id"], None), description=item["description"])


_ITEM: Final = {
    "customer": forms.name_of,
    "amount": forms.integer(),
    "currency": forms.name_of,
    "description": forms.text,
    "metadata": forms.metadata,
    "price": forms.name_of,
    "pricing": forms.nested(price=forms.name_of),
    "quantity": forms.integer(1),
    "subscription": forms.name_of,
}


@endpoint("POST", "/v1/invoiceitems", _ITEM, ("customer",))
def create_item(call: Call) -> Obj:
    """Something to be billed with the customer's next manual invoice."""
    box, given = call.box, call.params
    box.need("customer", given["customer"], "customer", "customer")
    amount, currency = given.get("amount"), given.get("currency", box.options.currency)
    price_id = given.get("price") or (given.get("pricing") or {}).get("price")
    if price_id:
        price = box.need("price", price_id, "price", "price")
        amount, currency = price["unit_amount"] * given.get("quantity", 1), price["currency"]
    if amount is None:
        raise invalid("Missing required param: amount.", "amount", "parameter_missing")
    item: Obj = {
        "id": box.new_id("ii"),
        "object": "invoiceitem",
        "amount": amount,
        "currency": currency,
        "customer": given["customer"],
        "date": box.now(),
        "description": given.get("description"),
        "invoice": None,
        "livemode": box.livemode,
        "metadata": forms.merge_metadata({}, given.get("metadata")),
        "parent": _parent_of_item(box, given.get("subscription")),
        "period": {"end": box.now(), "start": box.now()},
        "quantity": given.get("quantity", 1),
    }
    return box.tables["invoiceitem"].add(item)


def _parent_of_item(box: Sandbox, subscription: str | None) -> Obj | None:
    if subscription is None:
        return None
    box.need("subscription", subscription, "subscription", "subscription")
    details = {"subscription": subscription, "subscription_item": None}
    return {"subscription_details": details, "type": "subscription_details"}


@endpoint(
    "GET",
    "/v1/invoiceitems",
    {**pages.PAGING, "customer": forms.name_of, "pending": forms.boolean, "invoice": forms.name_of},
)
def items(call: Call) -> Obj:
    """Items of a customer; `pending` ones wait for an invoice. Simplified: prorations are not listed."""
    pending = call.params.get("pending")
    return list_of(
        call,
        "invoiceitem",
        ("customer", "invoice"),
        lambda item: pending is None or (item["invoice"] is None) is pending,
    )


@endpoint("POST", "/v1/invoices/{id}/finalize", {"auto_advance": forms.boolean})
def finalize_now(call: Call) -> Obj:
    """Do not wait for the hour."""
    invoice = call.box.need("invoice", call.ids["id"], "invoice")
    if invoice["status"] != "draft":
        raise refused("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    finalize(call.box, invoice)
    return invoice


_PAY: Final = {
    "paid_out_of_band": forms.boolean,
    "payment_method": forms.name_of,
    "off_session": forms.boolean,
    "source": forms.anything,
    "forgive": forms.boolean,
    "mandate": forms.anything,
}


@endpoint("POST", "/v1/invoices/{id}/pay", _PAY)
def pay(call: Call) -> Obj:
    """Pay now, by card or by saying that it was paid elsewhere. Raises StripeError 402 when the card declines."""
    box = call.box
    invoice = box.need("invoice", call.ids["id"], "invoice")
    if invoice["status"] == "draft":
        finalize(box, invoice)
    elif invoice["status"] != "open":
        raise refused(f"Invoice is {invoice['status']}" if invoice["status"] != "paid" else "Invoice is already paid")
    if invoice["status"] == "open" and call.params.get("paid_out_of_band"):
        pay_out_of_band(box, invoice)
    elif invoice["status"] == "open":
        error = collect(box, invoice, _method(call, invoice), off_session=call.params.get("off_session", True))
        if error is not None:
            raise error
    _tell_subscription(box, invoice)
    return invoice


def _method(call: Call, invoice: Obj) -> Obj | None:
    if name := call.params.get("payment_method"):
        return resolve(call.box, name)
    customer = call.box.tables["customer"].rows[invoice["customer"]]
    default = (customer.get("invoice_settings") or {}).get("default_payment_method")
    subscription = call.box.tables["subscription"].get(subscription_of(invoice) or "")
    if subscription and subscription["default_payment_method"]:
        default = subscription["default_payment_method"]
    return call.box.tables["payment_method"].get(default) if default else None


def _tell_subscription(box: Sandbox, invoice: Obj) -> None:
    owner = subscription_of(invoice)
    if owner and invoice["status"] == "paid":
        recovered(box, box.tables["subscription"].rows[owner])


@endpoint("POST", "/v1/invoices/{id}/void")
def void_now(call: Call) -> Obj:
    """Void an open invoice."""
    invoice = call.box.need("invoice", call.ids["id"], "invoice")
    if invoice["status"] not in ("open", "uncollectible"):
        raise refused("You can only void open or uncollectible invoices.")
    void(call.box, invoice)
    return invoice


@endpoint("POST", "/v1/invoices/{id}/mark_uncollectible")
def give_up(call: Call) -> Obj:
    """Write an open invoice off."""
    invoice = call.box.need("invoice", call.ids["id"], "invoice")
    if invoice["status"] != "open":
        raise refused("You can only mark open invoices uncollectible.")
    invoice["status"] = "uncollectible"
    invoice["status_transitions"]["marked_uncollectible_at"] = call.box.now()
    call.box.tables["invoice"].refile(invoice)
    emit(call.box, "invoice.marked_uncollectible", invoice)
    return invoice


_PAYMENTS: Final = {
    **pages.PAGING,
    "invoice": forms.name_of,
    "status": forms.one_of("canceled", "open", "paid"),
    "payment": forms.nested(
        ("type",),
        type=forms.one_of("payment_intent", "payment_record"),
        payment_intent=forms.name_of,
        payment_record=forms.name_of,
    ),
    "created": forms.created,
}


@endpoint("GET", "/v1/invoice_payments", _PAYMENTS)
def payments(call: Call) -> Obj:
    """How invoices were paid, by invoice or by payment. There is no filter by charge."""
    payment = call.params.get("payment") or {}
    kind, intent = payment.get("type"), payment.get("payment_intent")
    rows = call.box.tables["invoice_payment"]
    index, value = ("payment_intent", intent) if intent else ("invoice", call.params.get("invoice"))
    found = rows.newest_first(index, value) if value else rows.newest_first()
    same = pages.equals(call.params, ("invoice", "status"))
    within = pages.created_within(call.params.get("created"))
    return pages.page(
        rows,
        found,
        call.params,
        call.path,
        lambda obj: same(obj) and within(obj) and kind in (None, obj["payment"]["type"]),
    )
