"""Invoices: drafted from lines, finalized, paid by payment intents, marked, voided."""

from typing import Any, Final

from billingbot.core.money import minor_unit_digits
from billingbot.sandbox.discounts import discount_lines
from billingbot.sandbox.errors import StripeError, refused
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.payments import attempt, new_intent
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

_MINIMUM_CENTS: Final = 50  # https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts


def line(box: Sandbox, price: Obj, quantity: int, period: tuple[int, int], **more: Any) -> Obj:
    """An invoice line for a price over a period (Unix seconds). `more` replaces fields, such as `amount`."""
    amount = price["unit_amount"] * quantity
    made: Obj = {
        "id": box.new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": None,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": box.livemode,
        "metadata": {},
        "parent": None,
        "period": {"end": period[1], "start": period[0]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subtotal": amount,
        "taxes": [],
        **more,
    }
    made["subtotal"] = made["amount"]
    return made


def item_parent(subscription: str, item: str, *, proration: bool = False) -> Obj:
    """The `parent` of a line that a subscription's item caused."""
    details = {"invoice_item": None, "proration": proration, "proration_details": {"credited_items": None}}
    return {
        "invoice_item_details": None,
        "subscription_item_details": {**details, "subscription": subscription, "subscription_item": item},
        "type": "subscription_item_details",
    }


def once_parent(invoice_item: str, subscription: str | None) -> Obj:
    """The `parent` of a line that was added by hand."""
    details = {"invoice_item": invoice_item, "proration": False, "proration_details": {"credited_items": None}}
    return {
        "invoice_item_details": {**details, "subscription": subscription},
        "subscription_item_details": None,
        "type": "invoice_item_details",
    }


def draft(box: Sandbox, customer: Obj, lines: list[Obj], **more: Any) -> Obj:
    """A draft invoice of these lines; `more` replaces fields such as `parent`, `billing_reason`, `discounts`."""
    invoice_id = box.new_id("in")
    invoice = _blank(box, customer, invoice_id)
    invoice.update(more)
    currency = lines[0]["currency"] if lines else customer["currency"] or box.options.currency
    invoice["currency"] = customer["currency"] = currency
    for each in lines:
        each["invoice"] = invoice_id
    invoice["lines"]["data"] = lines
    invoice["lines"]["total_count"] = len(lines)
    _add_up(box, invoice)
    box.tables["invoice"].add(invoice)
    emit(box, "invoice.created", invoice)
    return invoice


def _add_up(box: Sandbox, invoice: Obj) -> None:
    lines = invoice["lines"]["data"]
    subtotal = sum(each["amount"] for each in lines)
    invoice["total_discount_amounts"] = discount_lines(box, invoice["discounts"], lines)
    total = subtotal - sum(each["amount"] for each in invoice["total_discount_amounts"])
    invoice.update(subtotal=subtotal, subtotal_excluding_tax=subtotal, total=total, total_excluding_tax=total)
    customer = box.tables["customer"].rows[invoice["customer"]]
    invoice["starting_balance"] = customer.get("balance", 0)
    due = max(0, total + invoice["starting_balance"])
    invoice.update(amount_due=due, amount_remaining=due - invoice["amount_paid"])


def _blank(box: Sandbox, customer: Obj, invoice_id: str) -> Obj:
    zeros = ("amount_due", "amount_overpaid", "amount_paid", "amount_remaining", "amount_shipping", "attempt_count",
             "post_payment_credit_notes_amount", "pre_payment_credit_notes_amount", "starting_balance", "subtotal",
             "subtotal_excluding_tax", "total", "total_excluding_tax")  # fmt: skip
    nulls = ("account_tax_ids", "application", "automatically_finalizes_at", "custom_fields", "customer_account",
             "default_payment_method", "default_source", "description", "due_date", "effective_at", "ending_balance",
             "footer", "from_invoice", "hosted_invoice_url", "invoice_pdf", "last_finalization_error",
             "latest_revision", "next_payment_attempt", "number", "on_behalf_of", "parent", "receipt_number",
             "rendering", "shipping_cost", "shipping_details", "statement_descriptor", "test_clock")  # fmt: skip
    empty = ("customer_tax_ids", "default_tax_rates", "discounts", "total_discount_amounts",
             "total_pretax_credit_amounts", "total_taxes")  # fmt: skip
    lines: Obj = {"object": "list", "data": [], "has_more": False, "total_count": 0}
    return {
        "id": invoice_id,
        "object": "invoice",
        **dict.fromkeys(zeros, 0),
        **dict.fromkeys(nulls),
        **{name: [] for name in empty},
        "account_country": "US",
        "account_name": "Sandbox",
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": dict.fromkeys(("disabled_reason", "liability", "provider", "status")) | {"enabled": False},
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "created": box.now(),
        "currency": None,
        "customer": customer["id"],
        **{f"customer_{name}": customer.get(name) for name in ("address", "email", "name", "phone", "shipping")},
        "customer_tax_exempt": "none",
        "issuer": {"type": "self"},
        "lines": {**lines, "url": f"/v1/invoices/{invoice_id}/lines"},
        "livemode": box.livemode,
        "metadata": {},
        "payment_settings": dict.fromkeys(("default_mandate", "payment_method_options", "payment_method_types")),
        "period_end": box.now(),
        "period_start": box.now(),
        "status": "draft",
        "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        "webhooks_delivered_at": box.now(),
    }


def finalize(box: Sandbox, invoice: Obj) -> None:
    """Make a draft payable: a number, and a payment intent where there is something to pay. What is free, covered
    by credit or below the smallest charge is paid at once, without any intent."""
    customer = box.tables["customer"].rows[invoice["customer"]]
    if not invoice["amount_paid"]:
        _add_up(box, invoice)
    _number(box, invoice, customer)
    _use_credit(invoice, customer)
    emit(box, "invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        mark_paid(box, invoice)
    else:
        request_payment(box, invoice, invoice["amount_due"])


def _number(box: Sandbox, invoice: Obj, customer: Obj) -> None:
    sequence = customer.get("next_invoice_sequence", 1)
    customer["next_invoice_sequence"] = sequence + 1
    invoice.update(
        status="open",
        number=f"{customer.get('invoice_prefix', 'DELETED')}-{sequence:04d}",
        effective_at=box.now(),
        automatically_finalizes_at=None,
        hosted_invoice_url=f"https://invoice.stripe.com/i/{invoice['id']}",
        invoice_pdf=f"https://pay.stripe.com/invoice/{invoice['id']}/pdf",
    )
    invoice["status_transitions"]["finalized_at"] = box.now()
    box.tables["invoice"].refile(invoice)


def _use_credit(invoice: Obj, customer: Obj) -> None:
    ending = invoice["starting_balance"] + invoice["total"] - invoice["amount_due"]
    smallest = _MINIMUM_CENTS if minor_unit_digits(invoice["currency"]) == 2 else 0
    if 0 < invoice["amount_due"] < smallest:
        ending += invoice["amount_due"]  # carried to the next invoice
        invoice.update(amount_due=0, amount_remaining=0)
    invoice["ending_balance"] = customer["balance"] = ending


def request_payment(box: Sandbox, invoice: Obj, amount: int, *, default: bool = True) -> Obj:
    """An open invoice payment with its intent, for all or a part of the invoice. Returns the payment."""
    creation = invoice["billing_reason"] == "subscription_create"
    described = "Subscription creation" if creation else "Subscription update"
    intent = new_intent(
        box,
        amount,
        invoice["currency"],
        invoice["customer"],
        description=described if invoice["parent"] else f"Payment for Invoice {invoice['number']}",
        payment_details={"customer_reference": None, "order_reference": invoice["id"]},
        setup_future_usage="off_session" if creation else None,
    )
    payment: Obj = {
        "id": box.new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": amount,
        "created": box.now(),
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": default,
        "livemode": box.livemode,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
    return box.tables["invoice_payment"].add(payment)


def open_payments(box: Sandbox, invoice: Obj) -> list[Obj]:
    """The invoice's payments that have not been made or cancelled."""
    return [each for each in box.tables["invoice_payment"].find("invoice", invoice["id"]) if each["status"] == "open"]


def collect(box: Sandbox, invoice: Obj, method: Obj | None, *, off_session: bool = True) -> StripeError | None:
    """Try to charge everything that is open on the invoice. Returns the refusal, if there was one."""
    invoice.update(attempted=True, attempt_count=invoice["attempt_count"] + 1, next_payment_attempt=None)
    if method is None:
        emit(box, "invoice.payment_failed", invoice)
        return _nothing_to_charge()
    for payment in open_payments(box, invoice):
        intent = box.tables["payment_intent"].rows[payment["payment"]["payment_intent"]]
        error = attempt(box, intent, method, off_session=off_session)
        if error is not None or intent["status"] != "succeeded":
            emit(box, "invoice.payment_failed" if error else "invoice.payment_action_required", invoice)
            return error
        receive(box, invoice, payment)
    return None


def _nothing_to_charge() -> StripeError:
    message = "This customer has no attached payment source or default payment method."
    return refused(message, code="resource_missing")


def receive(box: Sandbox, invoice: Obj, payment: Obj) -> None:
    """An intent of the invoice has succeeded: its payment is made, and perhaps the whole invoice."""
    payment.update(status="paid", amount_paid=payment["amount_requested"])
    payment["status_transitions"]["paid_at"] = box.now()
    invoice["amount_paid"] += payment["amount_paid"]
    invoice["amount_remaining"] = invoice["amount_due"] - invoice["amount_paid"]
    emit(box, "invoice_payment.paid", payment)
    if invoice["amount_remaining"] <= 0:
        mark_paid(box, invoice)


def mark_paid(box: Sandbox, invoice: Obj, *, out_of_band: bool = False) -> None:
    """The invoice is paid. Out of band, no attempt succeeded, so `invoice.payment_succeeded` is not sent."""
    with changing(box, invoice, "invoice.updated"):
        invoice.update(status="paid", attempted=True, auto_advance=False, next_payment_attempt=None)
        invoice["status_transitions"]["paid_at"] = box.now()
        box.tables["invoice"].refile(invoice)
    if not out_of_band:
        emit(box, "invoice.payment_succeeded", invoice)
    emit(box, "invoice.paid", invoice)


def cancel_payments(box: Sandbox, invoice: Obj) -> None:
    """Call off what is still open: payments and their intents."""
    for payment in open_payments(box, invoice):
        payment["status"] = "canceled"
        payment["status_transitions"]["canceled_at"] = box.now()
        intent = box.tables["payment_intent"].rows[payment["payment"]["payment_intent"]]
        intent.update(status="canceled", canceled_at=box.now(), cancellation_reason="void_invoice")
        emit(box, "payment_intent.canceled", intent)


def pay_out_of_band(box: Sandbox, invoice: Obj) -> None:
    """Mark as paid outside Stripe: no charge, no refundable payment; a payment record says so."""
    cancel_payments(box, invoice)
    amount = invoice["amount_remaining"]
    record: Obj = {
        "id": box.new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": amount,
        "amount_requested": amount,
        "created": box.now(),
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": box.livemode,
        "payment": {"payment_record": box.new_id("pr"), "type": "payment_record"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": box.now()},
    }
    box.tables["invoice_payment"].add(record)
    invoice.update(amount_paid=invoice["amount_paid"] + amount, amount_remaining=0, amount_paid_off_stripe=amount)
    mark_paid(box, invoice, out_of_band=True)
