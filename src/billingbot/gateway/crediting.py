"""The other call that pays: a credit note for an invoice, which makes the refund itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import stripe

from billingbot.core.credit import with_its_note
from billingbot.core.errors import InputError, StripeFaultError
from billingbot.core.evidence.dossier import CreditNote
from billingbot.gateway import translate
from billingbot.gateway.answers import Accepted, RefundAnswer, UnknownOutcome
from billingbot.gateway.payment import Ask, answer_of, differences
from billingbot.gateway.reading import Reader
from billingbot.gateway.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditAsk:
    """One attempt at a refund by credit note, frozen. `refund` says what it must come to; InputError as for a refund.

    The whole amount is refunded: nothing goes to the customer's balance, and nothing counts as paid outside Stripe.
    """

    invoice_id: str
    refund: Ask

    def __post_init__(self) -> None:
        if not self.invoice_id:
            raise InputError("invoice_id", "expected the id of an invoice")

    def params(self) -> dict[str, Any]:
        """The body. `amount` holds the tax (lines would be net of it, and a sum of rounded parts may differ by one);
        without `email_type` Stripe would write to the customer."""
        amount = self.refund.amount_minor
        return {
            "invoice": self.invoice_id,
            "amount": amount,
            "refund_amount": amount,
            "email_type": "none",
            "metadata": dict(sorted(self.refund.metadata.items())),
        }


def credit(transport: Transport, reader: Reader, ask: CreditAsk) -> RefundAnswer:
    """Ask Stripe for the credit note, once, and read the refund that it made. The outcome is a value, always.

    A note whose refund cannot be read is an unknown outcome: the note is found again by our metadata.
    """
    try:
        body, headers = transport.post_once("credit_notes", ask.params(), ask.refund.key)
    except stripe.StripeError as error:
        return answer_of(error, transport)
    except Exception as error:  # noqa: BLE001 - the request may be out already: whatever broke here, it is unknown
        return UnknownOutcome(why=f"the answer could not be taken in ({type(error).__name__})")
    try:
        return _accepted(translate.credit_note(body), headers, ask, reader)
    except StripeFaultError as error:
        return UnknownOutcome(why=f"Stripe made the credit note, and its refund could not be read: {error}")
    except Exception as error:  # noqa: BLE001 - as above
        return UnknownOutcome(why=f"the answer could not be taken in ({type(error).__name__})")


def _accepted(note: CreditNote, headers: Mapping[str, str], ask: CreditAsk, reader: Reader) -> RefundAnswer:
    if note.invoice_id != ask.invoice_id or len(note.refunds) != 1:
        return UnknownOutcome(
            why=f"A PERSON MUST LOOK: credit note {note.id} is of {note.invoice_id}, with {len(note.refunds)} refunds"
        )
    refund = with_its_note(reader.refund(note.refunds[0]), (note,))
    strange = differences(refund, ask.refund)
    if strange:
        return UnknownOutcome(why=f"A PERSON MUST LOOK: {note.id} made {refund.id}, but {'; '.join(strange)}")
    return Accepted(refund=refund, replayed=headers.get("Idempotent-Replayed") == "true")
