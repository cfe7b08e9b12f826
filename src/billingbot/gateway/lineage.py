"""Which charge belongs to which subscription: since 2025-03-31 only their invoices' payments tell."""

from collections.abc import Iterable

from billingbot.core.evidence.dossier import Charge, Invoice, InvoicePayment


def subscription_by_payment(invoices: Iterable[Invoice]) -> dict[str, str]:
    """Subscription ids by the payment intents and charges that paid, or tried to pay, their invoices.

    Payments of every status count: one that is still open here may have succeeded a moment ago.
    """
    return {
        payment.reference_id: invoice.subscription_id
        for invoice in invoices
        if invoice.subscription_id is not None
        for payment in invoice.payments
        if payment.reference_id is not None
    }


def subscription_of(charge: Charge, by_payment: dict[str, str]) -> str | None:
    """The charge's subscription, or None for a charge of none."""
    by_intent = by_payment.get(charge.payment_intent_id) if charge.payment_intent_id is not None else None
    return by_intent or by_payment.get(charge.id)


def main_payment(payments: Iterable[InvoicePayment]) -> InvoicePayment | None:
    """Of one intent's payments the one that counts: a paid one before others, then the largest.

    One intent may pay several invoices; that the largest part is less than the charge then shows in the facts.
    """
    ranked = sorted(payments, key=lambda one: (one.status != "paid", -one.amount_paid_minor, one.id))
    return ranked[0] if ranked else None


def is_successful(charge: Charge) -> bool:
    """True where the charge took money, whether or not it was given back since."""
    return charge.status == "succeeded" and charge.captured


def newest(charges: Iterable[Charge]) -> Charge:
    """The newest of at least one charge; ids break ties, so that the answer never depends on the order."""
    return max(charges, key=lambda charge: (charge.created_at, charge.id))
