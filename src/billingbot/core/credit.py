"""Refunds by credit note: whether an invoice can be credited by a machine, and which refund a note of ours made."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from billingbot.core.evidence.dossier import CreditNote, Dossier, Refund


class CreditObstacle(StrEnum):
    """Why no credit note can be made for a refund by a machine: a person sees to money and books together."""

    NO_INVOICE = "no-invoice"
    NOT_PAID = "invoice-not-paid"
    SEVERAL_PAYMENTS = "invoice-has-several-payments"
    """Stripe chooses which payment a note refunds, and it may not be this charge."""
    PAID_OUTSIDE = "invoice-paid-outside-stripe"
    CREDITED_BEFORE = "invoice-credited-before"
    """Somebody keeps these books by hand; a second note could credit the same twice."""
    TOO_LITTLE = "too-little-left-to-credit"


def credit_obstacle(dossier: Dossier | None, amount_minor: int) -> CreditObstacle | None:
    """What stands against a credit note for this refund (minor units); None where nothing does.

    Stripe takes refunds made without a note off what may be credited, so what is left is the paid amount less these.
    https://docs.stripe.com/api/credit_notes/create
    """
    invoice = dossier.invoice if dossier else None
    if dossier is None or invoice is None:
        return CreditObstacle.NO_INVOICE
    paid = [one for one in invoice.payments if one.status == "paid"]
    named = {dossier.charge.id, dossier.charge.payment_intent_id}
    if invoice.status != "paid":
        return CreditObstacle.NOT_PAID
    if invoice.amount_paid_off_stripe_minor:
        return CreditObstacle.PAID_OUTSIDE
    if len(paid) != 1 or paid[0].reference_id not in named:
        return CreditObstacle.SEVERAL_PAYMENTS
    if invoice.credited_minor:
        return CreditObstacle.CREDITED_BEFORE
    if invoice.amount_paid_minor - dossier.charge.amount_refunded_minor < amount_minor:
        return CreditObstacle.TOO_LITTLE
    return None


def with_its_note(refund: Refund, notes: Sequence[CreditNote]) -> Refund:
    """The refund with the marks of the credit note that made it: Stripe keeps our metadata on the note alone."""
    note = next((note for note in notes if refund.id in note.refunds and note.our_refund_id is not None), None)
    if note is None or refund.our_refund_id is not None:
        return refund
    return replace(
        refund,
        our_refund_id=note.our_refund_id,
        our_attempt_key=note.our_attempt_key,
        credit_note_id=note.id,
        credit_note_number=note.number,
    )
