"""Reads who bought what, beside a charge: what a bank may be told, and nothing else ever needs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from billingbot.core.disputes.purchase import Purchase
from billingbot.gateway.fields import Fields
from billingbot.gateway.transport import Transport

_ADDRESS: Final = ("line1", "line2", "postal_code", "city", "state", "country")


def read_purchase(transport: Transport, charge_id: str, now: datetime) -> Purchase:
    """The purchase of a charge, with its customer where there is one. Raises the faults of a read."""
    return translated(transport.get("charges", charge_id, expand=["customer"]), now)


def translated(raw: object, now: datetime) -> Purchase:
    """From a charge with its customer expanded (https://docs.stripe.com/api/charges/object)."""
    it = Fields(raw, "charge")
    billing = it.inside("billing_details")
    customer = it.expanded("customer")
    if customer is not None and customer.optional_flag("deleted"):
        customer = None  # Stripe keeps no more than the id
    method = it.inside("payment_method_details")
    card = method.inside("card") if method else None
    address = billing.inside("address") if billing else None
    return Purchase(
        read_at=now,
        name=_text(billing, "name") or _text(customer, "name"),
        billing_address=_one_line(address) or _one_line(customer.inside("address") if customer else None),
        brand=card.optional_text("brand") if card else None,
        last4=card.optional_text("last4") if card else None,
        descriptor=_text(it, "calculated_statement_descriptor"),
        description=_text(it, "description"),
        receipt_number=_text(it, "receipt_number"),
        receipt_email=_text(it, "receipt_email"),
        metadata=_metadata(it, customer),
    )


def _metadata(charge: Fields, customer: Fields | None) -> Mapping[str, str]:
    return (customer.metadata() if customer else {}) | charge.metadata()


def _one_line(address: Fields | None) -> str | None:
    parts = [held for part in _ADDRESS if (held := _text(address, part))]
    return ", ".join(parts) or None


def _text(it: Fields | None, field: str) -> str | None:
    held = it.free_text(field) if it is not None else None
    return (held or "").strip() or None
