"""`/v1/charges` and `/v1/payment_intents`."""

from typing import Final

from billingbot.sandbox import forms
from billingbot.sandbox.billing import recovered
from billingbot.sandbox.errors import StripeError, refused
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.invoices import receive
from billingbot.sandbox.payment_methods import resolve
from billingbot.sandbox.payments import attempt, capture, new_intent
from billingbot.sandbox.router import Call, endpoint, listable, retrievable
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

retrievable("/v1/charges", "charge", "charge")
_CHARGES: Final = {"customer": forms.name_of, "payment_intent": forms.name_of, "transfer_group": forms.name_of}
listable("/v1/charges", "charge", _CHARGES)
retrievable("/v1/payment_intents", "payment_intent", "payment_intent")
listable("/v1/payment_intents", "payment_intent", {"customer": forms.name_of})

_MINIMUM: Final = (
    "The amount must be greater than or equal to the minimum charge amount allowed for your account and the currency"
    " set (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts). If you want to save a Payment"
    " Method for future use without an immediate payment, use a Setup Intent instead:"
    " https://docs.stripe.com/payments/setup-intents"
)
_IGNORED: Final = dict.fromkeys(
    ("return_url", "off_session", "statement_descriptor_suffix", "statement_descriptor", "application_fee_amount",
     "transfer_data", "on_behalf_of", "use_stripe_sdk", "mandate_data", "error_on_requires_action", "shipping",
     "payment_method_options", "payment_method_data"),
    forms.anything,
)  # fmt: skip
_INTENT: Final = {
    **_IGNORED,
    "amount": forms.integer(),
    "currency": forms.name_of,
    "customer": forms.name_of,
    "payment_method": forms.name_of,
    "payment_method_types": forms.many(forms.name_of),
    "automatic_payment_methods": forms.nested(enabled=forms.boolean, allow_redirects=forms.text),
    "capture_method": forms.one_of("automatic", "automatic_async", "manual"),
    "confirmation_method": forms.one_of("automatic", "manual"),
    "confirm": forms.boolean,
    "description": forms.text,
    "metadata": forms.metadata,
    "receipt_email": forms.text,
    "setup_future_usage": forms.text,
    "transfer_group": forms.text,
}


@endpoint("POST", "/v1/payment_intents", _INTENT, ("amount", "currency"))
def create(call: Call) -> Obj:
    """A payment of its own, outside any subscription."""
    box, given = call.box, call.params
    if given["amount"] < 1:
        raise StripeError(400, _MINIMUM, stored=False, code="parameter_invalid_integer", param="amount")
    if "customer" in given:
        box.need("customer", given["customer"], "customer", "customer")
    method = resolve(box, given["payment_method"]) if "payment_method" in given else None
    intent = new_intent(box, given["amount"], given["currency"].lower(), given.get("customer"), **_fields(given))
    if method is not None:
        intent.update(payment_method=method["id"], status="requires_confirmation")
    return _confirm(box, intent, method) if given.get("confirm") else intent


def _fields(given: Obj) -> Obj:
    named = ("description", "receipt_email", "setup_future_usage", "transfer_group", "confirmation_method")
    fields: Obj = {name: given[name] for name in named if name in given}
    fields["metadata"] = forms.merge_metadata({}, given.get("metadata"))
    fields["capture_method"] = given.get("capture_method", "automatic_async")
    if "payment_method_types" in given:
        fields["payment_method_types"] = given["payment_method_types"]
    else:
        enabled = given.get("automatic_payment_methods") or {}
        fields["automatic_payment_methods"] = {"allow_redirects": enabled.get("allow_redirects", "always"),
                                               "enabled": True}  # fmt: skip
    return fields


def _confirm(box: Sandbox, intent: Obj, method: Obj | None) -> Obj:
    if method is None:
        message = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise refused(message, code="payment_intent_unexpected_state")
    error = attempt(box, intent, method)
    if error is not None:
        raise error
    return intent


@endpoint("POST", "/v1/payment_intents/{id}/confirm", {**_IGNORED, "payment_method": forms.name_of})
def confirm(call: Call) -> Obj:
    """Try to pay; an intent that belongs to an invoice pays it."""
    box = call.box
    intent = box.need("payment_intent", call.ids["id"], "payment_intent", "intent")
    if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
        message = f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}."
        raise refused(message, code="payment_intent_unexpected_state")
    name = call.params.get("payment_method") or intent["payment_method"]
    confirmed = _confirm(box, intent, resolve(box, name) if name else None)
    settle_invoice(box, intent)
    return confirmed


def settle_invoice(box: Sandbox, intent: Obj) -> None:
    """Where a succeeded intent is a payment of an invoice, the invoice and its subscription learn of it."""
    if intent["status"] != "succeeded":
        return
    for payment in box.tables["invoice_payment"].find("payment_intent", intent["id"]):
        invoice = box.tables["invoice"].rows[payment["invoice"]]
        receive(box, invoice, payment)
        details = (invoice["parent"] or {}).get("subscription_details")
        if details and invoice["status"] == "paid":
            recovered(box, box.tables["subscription"].rows[details["subscription"]])


@endpoint("POST", "/v1/payment_intents/{id}/capture", {"amount_to_capture": forms.integer(1), **_IGNORED})
def capture_intent(call: Call) -> Obj:
    """Take held money."""
    intent = call.box.need("payment_intent", call.ids["id"], "payment_intent", "intent")
    if intent["status"] != "requires_capture":
        message = (
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a"
            " PaymentIntent with one of the following statuses may be captured: requires_capture."
        )
        raise refused(message, code="payment_intent_unexpected_state")
    amount: int = call.params.get("amount_to_capture") or intent["amount_capturable"]
    if amount > intent["amount_capturable"]:
        raise refused("The amount to capture is greater than the capturable amount.", "amount_to_capture")
    capture(call.box, intent, amount)
    return intent


@endpoint("POST", "/v1/payment_intents/{id}/cancel", {"cancellation_reason": forms.text})
def cancel_intent(call: Call) -> Obj:
    """Call an intent off; held money is released."""
    intent = call.box.need("payment_intent", call.ids["id"], "payment_intent", "intent")
    if intent["status"] in ("succeeded", "canceled"):
        message = f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}."
        raise refused(message, code="payment_intent_unexpected_state")
    reason = call.params.get("cancellation_reason")
    intent.update(status="canceled", canceled_at=call.box.now(), cancellation_reason=reason, amount_capturable=0)
    emit(call.box, "payment_intent.canceled", intent)
    return intent


_INTENT_CHANGES: Final = {
    "metadata": forms.metadata, "description": forms.text, "payment_method": forms.name_of, **_IGNORED,
}  # fmt: skip
_CHARGE_CHANGES: Final = {
    "metadata": forms.metadata, "description": forms.text, "receipt_email": forms.text, "fraud_details": forms.anything,
}  # fmt: skip


@endpoint("POST", "/v1/payment_intents/{id}", _INTENT_CHANGES)
def update_intent(call: Call) -> Obj:
    """Metadata and description; the payment method of an intent that waits for one."""
    intent = call.box.need("payment_intent", call.ids["id"], "payment_intent", "intent")
    intent["metadata"] = forms.merge_metadata(intent["metadata"], call.params.get("metadata"))
    if "description" in call.params:
        intent["description"] = call.params["description"]
    if "payment_method" in call.params:
        method = resolve(call.box, call.params["payment_method"])
        intent.update(payment_method=method["id"], status="requires_confirmation")
    return intent


@endpoint("POST", "/v1/charges/{id}", _CHARGE_CHANGES)
def update_charge(call: Call) -> Obj:
    """Metadata, description and receipt address."""
    charge = call.box.need("charge", call.ids["id"], "charge")
    with changing(call.box, charge, "charge.updated"):
        charge["metadata"] = forms.merge_metadata(charge["metadata"], call.params.get("metadata"))
        for name in ("description", "receipt_email"):
            if name in call.params:
                charge[name] = call.params[name]
    return charge
