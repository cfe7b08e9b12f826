"""`/v1/refunds`: what may be given back, and what begins with it. How a refund goes on stands in `refund_life`."""

from typing import Final

from billingbot.core.money import minor_unit_digits
from billingbot.sandbox import forms
from billingbot.sandbox.dispute_life import charge_is_refundable, resolve_inquiry
from billingbot.sandbox.early_fraud import refresh_warnings
from billingbot.sandbox.errors import StripeError, invalid, refused
from billingbot.sandbox.events import changing, emit
from billingbot.sandbox.plans import Outcome
from billingbot.sandbox.refund_life import WAIT_FOR_FUNDS_SECONDS, count, give_up, given_back, move_money, turn
from billingbot.sandbox.refund_outcomes import next_outcome
from billingbot.sandbox.router import Call, endpoint, listable, retrievable
from billingbot.sandbox.settlement import covers
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj

_SYMBOLS: Final = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}

_CREATE: Final = {
    "charge": forms.name_of,
    "payment_intent": forms.name_of,
    "amount": forms.integer(1),
    "reason": forms.one_of("duplicate", "fraudulent", "requested_by_customer"),
    "metadata": forms.metadata,
    "instructions_email": forms.text,
    "refund_application_fee": forms.boolean,
    "reverse_transfer": forms.boolean,
    "currency": forms.name_of,
    "customer": forms.name_of,
    "origin": forms.one_of("customer_balance"),
}

retrievable("/v1/refunds", "refund", "refund")
listable("/v1/refunds", "refund", {"charge": forms.name_of, "payment_intent": forms.name_of})


@endpoint("POST", "/v1/refunds", _CREATE)
def create(call: Call) -> Obj:
    """Give back a charge, all that remains or a part."""
    box, given = call.box, call.params
    charge = _charge_of(box, given)
    remaining = check_refundable(box, charge, given.get("amount"))
    return give_back(box, charge, given.get("amount", remaining), given)


def _charge_of(box: Sandbox, given: Obj) -> Obj:
    if "charge" in given:
        return box.need("charge", given["charge"], "charge", "charge") if "payment_intent" not in given else _both()
    if "payment_intent" not in given:
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    intent = box.need("payment_intent", given["payment_intent"], "payment_intent", "payment_intent")
    if intent["latest_charge"] is None or intent["status"] not in ("succeeded", "requires_capture"):
        message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        raise refused(message, "payment_intent", "payment_intent_unexpected_state")
    return box.tables["charge"].rows[intent["latest_charge"]]


def _both() -> Obj:
    raise invalid("You may only specify one of these parameters: payment_intent, charge.")


def check_refundable(box: Sandbox, charge: Obj, amount: int | None) -> int:
    """What may still be given back of a charge. Raises StripeError where it, or this amount of it, may not."""
    remaining: int = charge["amount_captured"] - given_back(box, charge)
    if not charge_is_refundable(box, charge):
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise refused(message, code="charge_disputed")
    if charge["status"] != "succeeded":
        message = f"Charge {charge['id']} has failed and cannot be refunded."
        raise refused(message, code="charge_not_refundable")
    if not charge["captured"]:
        message = f"Charge {charge['id']} has not been captured; cancel its PaymentIntent instead."
        raise refused(message, code="charge_not_refundable")
    if remaining <= 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise refused(message, code="charge_already_refunded")
    if amount is not None and amount > remaining:
        said = f"({spoken(amount, charge)}) is greater than unrefunded amount on charge ({spoken(remaining, charge)})"
        raise refused(f"Refund amount {said}", "amount")
    return remaining


def spoken(amount: int, charge: Obj) -> str:
    """An amount as Stripe's messages spell it, in the currency of the charge or invoice."""
    digits = minor_unit_digits(charge["currency"])
    whole, part = divmod(amount, 10**digits)
    number = f"{whole:,}.{part:0{digits}d}" if digits else f"{whole:,}"
    symbol = _SYMBOLS.get(charge["currency"])
    return f"{symbol}{number}" if symbol else f"{number} {charge['currency'].upper()}"


def give_back(box: Sandbox, charge: Obj, amount: int, given: Obj) -> Obj:
    """A refund that has been checked, with the status that money and command give it."""
    outcome = next_outcome(box, charge)
    if outcome.status == "succeeded" and not covers(box, amount, charge["currency"]):
        outcome = Outcome(status="pending", pending_reason="insufficient_funds")
    refund = _blank(box, charge, amount, given)
    refund["status"] = outcome.status
    box.tables["refund"].add(refund)
    if outcome.status == "pending":
        refund["pending_reason"] = outcome.pending_reason
    if outcome.status == "requires_action":
        _ask_for_details(refund, given)
    if not (outcome.status == "pending" and outcome.pending_reason == "insufficient_funds"):
        move_money(box, charge, refund)
    else:
        box.at(box.now() + WAIT_FOR_FUNDS_SECONDS, lambda: give_up(box, refund))
    with changing(box, charge, "charge.refunded"):
        count(box, charge)
    emit(box, "refund.created", refund)
    _consequences(box, charge, refund)
    if outcome.then is not None:
        box.at(box.now() + outcome.after_seconds, lambda: _as_planned(box, refund, outcome))
    return refund


def _as_planned(box: Sandbox, refund: Obj, outcome: Outcome) -> None:
    """What was planned, unless a dispute or a command came first."""
    if outcome.then is not None and refund["status"] == outcome.status:
        turn(box, refund, outcome.then, outcome.failure_reason)


def _ask_for_details(refund: Obj, given: Obj) -> None:
    email = given.get("instructions_email")
    refund["instructions_email"] = email
    sent = {"email_sent": {"email_sent_at": refund["created"], "email_sent_to": email}, "expires_at": None}
    refund["next_action"] = {"display_details": sent, "type": "display_details"}


def _consequences(box: Sandbox, charge: Obj, refund: Obj) -> None:
    """A full refund resolves an inquiry; a warning about a charge that is fully refunded asks for nothing."""
    if charge["refunded"] and refund["status"] in ("pending", "succeeded"):
        resolve_inquiry(box, charge)
    refresh_warnings(box, charge)


def _blank(box: Sandbox, charge: Obj, amount: int, given: Obj) -> Obj:
    refund: Obj = {
        "id": box.new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": box.now(),
        "currency": charge["currency"],
        "destination_details": {
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card",
        },
        "metadata": forms.merge_metadata({}, given.get("metadata")),
        "payment_intent": charge["payment_intent"],
        "reason": given.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending",
        "transfer_reversal": None,
    }
    return refund


@endpoint("POST", "/v1/refunds/{id}", {"metadata": forms.metadata})
def update(call: Call) -> Obj:
    """Metadata is all that can be changed."""
    refund = call.box.need("refund", call.ids["id"], "refund")
    with changing(call.box, refund, "refund.updated", "charge.refund.updated"):
        refund["metadata"] = forms.merge_metadata(refund["metadata"], call.params.get("metadata"))
    return refund


@endpoint("POST", "/v1/refunds/{id}/cancel")
def cancel(call: Call) -> Obj:
    """Only a refund that waits for the customer can be cancelled by the API."""
    refund = call.box.need("refund", call.ids["id"], "refund")
    if refund["status"] != "requires_action":
        message = f"You cannot cancel this refund because it has a status of {refund['status']}."
        raise StripeError(400, message, param="refund")
    turn(call.box, refund, "canceled")
    return refund
