"""Money in: payment intents and the charges that try to collect them."""

from typing import Final

from billingbot.sandbox.cards import card_of_charge
from billingbot.sandbox.disputes import open_dispute
from billingbot.sandbox.early_fraud import warn
from billingbot.sandbox.errors import StripeError, declined
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.payment_methods import billing_details
from billingbot.sandbox.plans import CardPlan
from billingbot.sandbox.settlement import book_charge
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj, snapshot

_CARD_OPTIONS: Final = {
    "installments": None,
    "mandate_options": None,
    "network": None,
    "request_three_d_secure": "automatic",
}
_APPROVED: Final[Obj] = {
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
    "network_status": "approved_by_network",
    "reason": None,
    "risk_level": "normal",
    "risk_score": 30,
    "seller_message": "Payment complete.",
    "type": "authorized",
}


def new_intent(box: Sandbox, amount: int, currency: str, customer: str | None, **more: object) -> Obj:
    """A payment intent in the tables, waiting for a payment method; `more` replaces fields."""
    intent_id = box.new_id("pi")
    intent: Obj = {
        "id": intent_id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": f"{intent_id}_secret_{box.letters(25)}",
        "confirmation_method": "automatic",
        "created": box.now(),
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": box.livemode,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": dict(_CARD_OPTIONS)},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **more,
    }
    box.tables["payment_intent"].add(intent)
    emit(box, "payment_intent.created", intent)
    return intent


def attempt(box: Sandbox, intent: Obj, method: Obj, *, off_session: bool = False) -> StripeError | None:
    """Try to collect an intent. Returns the card's refusal, or None: succeeded, held for capture, or waiting for
    the customer (`requires_action`), as the intent's status says."""
    plan = box.cards.get(method["id"]) or CardPlan(number="0")
    intent["payment_method"] = method["id"]
    if plan.needs_action and not off_session:
        _ask_customer(box, intent)
        return None
    decline = "authentication_required" if plan.needs_action else plan.charge_decline or plan.attach_decline
    if decline:
        return _fail(box, intent, method, decline)
    charge = _charge(box, intent, method)
    box.tables["charge"].add(charge)
    intent.update(latest_charge=charge["id"], last_payment_error=None, next_action=None)
    if intent["capture_method"] == "manual":
        charge.update(captured=False, amount_captured=0)
        intent.update(status="requires_capture", amount_capturable=intent["amount"])
        emit(box, "charge.succeeded", charge)
        emit(box, "payment_intent.amount_capturable_updated", intent)
        return None
    _take(box, intent, charge, intent["amount"])
    emit(box, "charge.succeeded", charge)
    emit(box, "payment_intent.succeeded", intent)
    _afterwards(box, charge, plan)
    return None


def _take(box: Sandbox, intent: Obj, charge: Obj, amount: int) -> None:
    charge.update(captured=True, amount_captured=amount)
    charge["balance_transaction"] = book_charge(box, charge, amount)["id"]
    intent.update(status="succeeded", amount_received=amount, amount_capturable=0)


def capture(box: Sandbox, intent: Obj, amount: int) -> None:
    """Take the held money, all or less; the rest is released and counts as refunded, as Stripe shows it."""
    charge = box.tables["charge"].rows[intent["latest_charge"]]
    with changing(box, charge, "charge.captured"):
        _take(box, intent, charge, amount)
        charge["amount_refunded"] = charge["amount"] - amount
    emit(box, "payment_intent.succeeded", intent)


def _afterwards(box: Sandbox, charge: Obj, plan: CardPlan) -> None:
    if plan.afterwards == "warning":
        warn(box, charge)
    elif plan.afterwards:
        for _ in range(plan.disputes):
            open_dispute(box, charge, status=plan.afterwards, reason=plan.dispute_reason, **plan.claim)


def _ask_customer(box: Sandbox, intent: Obj) -> None:
    hook = {"redirect_to_url": {"return_url": None, "url": "https://hooks.stripe.com/3d_secure"}}
    intent.update(status="requires_action", next_action={**hook, "type": "redirect_to_url"})
    emit(box, "payment_intent.requires_action", intent)


def _fail(box: Sandbox, intent: Obj, method: Obj, decline: str) -> StripeError:
    error = declined(decline)
    charge = _charge(box, intent, method)
    outcome = {"advice_code": error.fields["advice_code"], "network_advice_code": None}
    charge.update(
        status="failed",
        paid=False,
        captured=False,
        amount_captured=0,
        failure_code=error.fields["code"],
        failure_message=error.fields["message"],
        outcome={
            **outcome,
            "network_decline_code": error.fields["network_decline_code"],
            "network_status": "declined_by_network",
            "reason": decline,
            "risk_level": "normal",
            "risk_score": 30,
            "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        },
    )
    box.tables["charge"].add(charge)
    intent.update(status="requires_payment_method", latest_charge=charge["id"], payment_method=None)
    intent["last_payment_error"] = {**error.fields, "charge": charge["id"], "payment_method": snapshot(method)}
    emit(box, "charge.failed", charge)
    emit(box, "payment_intent.payment_failed", intent)
    error.fields |= {"charge": charge["id"], "payment_intent": snapshot(intent), "payment_method": snapshot(method)}
    return error


def _charge(box: Sandbox, intent: Obj, method: Obj) -> Obj:
    kind = method["type"]
    card = card_of_charge(box, method, intent["amount"]) if kind == "card" else {}
    charge_id = box.new_id("ch")
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"],
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": snapshot(method.get("billing_details")) or billing_details(),
        "calculated_statement_descriptor": "SANDBOX",
        "captured": True,
        "created": box.now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "destination": None,
        "dispute": None,
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": box.livemode,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "order": None,
        "outcome": dict(_APPROVED),
        "paid": True,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {kind: card, "type": kind},
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"https://pay.stripe.com/receipts/{charge_id}",
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
    }
