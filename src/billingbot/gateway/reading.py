"""Reads Stripe's objects whole: an invoice with all its lines and payments, a dispute with its transactions."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from billingbot.core.books.settlement import BalanceTransaction
from billingbot.core.errors import StripeAnswerError, StripeNotFoundError
from billingbot.core.evidence.dossier import (
    Charge,
    CreditNote,
    Customer,
    Dispute,
    FraudWarning,
    Invoice,
    InvoicePayment,
    Refund,
    Subscription,
)
from billingbot.gateway import translate
from billingbot.gateway.fields import Fields
from billingbot.gateway.lineage import main_payment
from billingbot.gateway.transport import Transport

# What identifies who pays: the subscription's own method and its customer's default one.
_METHODS = ("default_payment_method", "customer.invoice_settings.default_payment_method")


class Reader:
    """One method per question; each answers in core types, complete over all pages."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def charge_with_invoice(self, charge_id: str) -> tuple[Charge, str | None]:
        """A charge, and the invoice it names itself (older API versions only)."""
        raw = self._transport.get("charges", charge_id)
        return translate.charge(raw), translate.charge_invoice_id(raw)

    def charges(self, **filters: Any) -> tuple[Charge, ...]:
        """All charges that the filters name, newest first."""
        return tuple(translate.charge(raw) for raw in self._transport.listed("charges", **filters))

    def invoice(self, invoice_id: str) -> Invoice:
        """An invoice with all its lines and payments."""
        return self._whole(self._transport.get("invoices", invoice_id, expand=["payments"]))  # else a second call

    def invoices(self, **filters: Any) -> tuple[Invoice, ...]:
        """All invoices that the filters name, each with its lines and payments."""
        listed = self._transport.listed("invoices", expand=["data.payments"], **filters)
        return tuple(self._whole(raw) for raw in listed)

    def _whole(self, raw: Mapping[str, Any]) -> Invoice:
        it = Fields(raw, "invoice")
        invoice_id = it.text("id")
        lines, more_lines = it.first_page("lines") or ([], True)
        payments, more_payments = it.first_page("payments") or ([], True)
        if more_lines:
            lines = list(self._transport.listed(f"invoices/{invoice_id}/lines"))
        if more_payments:
            payments = list(self._transport.listed("invoice_payments", invoice=invoice_id))
        return translate.invoice(raw, lines, [translate.invoice_payment(payment) for payment in payments])

    def payments_of_intent(self, payment_intent_id: str) -> tuple[InvoicePayment, ...]:
        """The invoice payments of a payment intent: since 2025-03-31 the only way from charge to invoice."""
        by_intent = {"type": "payment_intent", "payment_intent": payment_intent_id}
        listed = self._transport.listed("invoice_payments", payment=by_intent)
        payments = tuple(translate.invoice_payment(raw) for raw in listed)
        if any(payment.reference_id != payment_intent_id for payment in payments):
            raise StripeAnswerError(f"invoice_payments: payment: expected those of {payment_intent_id} only")
        return payments

    def invoice_of_payment(self, invoice_payment_id: str) -> str:
        """The id of the invoice that an invoice payment belongs to."""
        raw = self._transport.get("invoice_payments", invoice_payment_id)
        return translate.invoice_payment(raw).invoice_id

    def invoice_of_charge(self, charge_id: str) -> str | None:
        """The id of the invoice that a charge paid, or tried to; None for a charge of none."""
        charge, named = self.charge_with_invoice(charge_id)
        payments = self.payments_of_intent(charge.payment_intent_id) if charge.payment_intent_id else ()
        payment = main_payment(payments)
        return payment.invoice_id if payment else named

    def subscription(self, subscription_id: str) -> Subscription:
        """A subscription, with the fingerprint of its default payment method."""
        raw = self._transport.get("subscriptions", subscription_id, expand=list(_METHODS))
        return translate.subscription(raw)

    def customer(self, customer_id: str) -> Customer:
        """A customer, perhaps a deleted one."""
        return translate.customer(self._transport.get("customers", customer_id))

    def customer_of_payment_method(self, payment_method_id: str) -> str | None:
        """The id of the customer that a payment method is attached to, if any."""
        raw = self._transport.get("payment_methods", payment_method_id)
        return Fields(raw, "payment_method").optional_ref("customer")

    def customers(self, email: str) -> tuple[Customer, ...]:
        """Customers with exactly this e-mail; a list, since the search index may be an hour behind."""
        return tuple(translate.customer(raw) for raw in self._transport.listed("customers", email=email))

    def refund(self, refund_id: str) -> Refund:
        """A refund by its id."""
        return translate.refund(self._transport.get("refunds", refund_id))

    def refunds_of_charge(self, charge_id: str) -> tuple[Refund, ...]:
        """All refunds of a charge, newest first."""
        refunds = tuple(translate.refund(raw) for raw in self._transport.listed("refunds", charge=charge_id))
        if any(refund.charge_id != charge_id for refund in refunds):
            raise StripeAnswerError(f"refunds: charge: expected those of {charge_id} only")
        return refunds

    def credit_notes(self, invoice_id: str) -> tuple[CreditNote, ...]:
        """All credit notes of an invoice, newest first."""
        notes = tuple(translate.credit_note(raw) for raw in self._transport.listed("credit_notes", invoice=invoice_id))
        if any(note.invoice_id != invoice_id for note in notes):
            raise StripeAnswerError(f"credit_notes: invoice: expected those of {invoice_id} only")
        return notes

    def dispute(self, dispute_id: str) -> Dispute:
        """A dispute with the fee of its withdrawal."""
        return self._dispute(self._transport.get("disputes", dispute_id))

    def disputes_of_charge(self, charge_id: str, *, heard_of: Iterable[str | None] = ()) -> tuple[Dispute, ...]:
        """All disputes of a charge. One that was heard of and that the list lacks is read by itself: a list may lag."""
        listed = [self._dispute(raw) for raw in self._transport.listed("disputes", charge=charge_id)]
        ids = {dispute.id for dispute in listed}
        lacking = [name for name in dict.fromkeys(heard_of) if name is not None and name not in ids]
        found = (*listed, *map(self.dispute, lacking))
        if any(dispute.charge_id != charge_id for dispute in found):
            raise StripeAnswerError(f"disputes: charge: expected those of {charge_id} only")
        return found

    def _dispute(self, raw: Mapping[str, Any]) -> Dispute:
        listed = raw.get("balance_transactions") or []
        if not isinstance(listed, list):
            raise StripeAnswerError("dispute: balance_transactions: expected a list")
        return translate.dispute(raw, [self._transaction(entry) for entry in listed])

    def transactions_of(self, source_id: str) -> tuple[BalanceTransaction, ...]:
        """All balance transactions that this refund or dispute caused, newest first."""
        listed = self._transport.listed("balance_transactions", source=source_id)
        found = tuple(translate.balance_transaction(raw) for raw in listed)
        if any(one.source != source_id for one in found):
            raise StripeAnswerError(f"balance_transactions: source: expected those of {source_id} only")
        return found

    def _transaction(self, entry: object) -> object:
        if not isinstance(entry, str):
            return entry
        try:
            return self._transport.get("balance_transactions", entry)
        except StripeNotFoundError as error:  # the dispute is there all the same, and so is its deadline
            raise StripeAnswerError(f"dispute: balance_transactions: {error}") from error

    def warning(self, warning_id: str) -> FraudWarning:
        """An early fraud warning by its id."""
        raw = self._transport.get("radar/early_fraud_warnings", warning_id)
        return translate.fraud_warning(raw)

    def warnings_of_charge(self, charge_id: str) -> tuple[FraudWarning, ...]:
        """All early fraud warnings on a charge."""
        listed = self._transport.listed("radar/early_fraud_warnings", charge=charge_id)
        return tuple(translate.fraud_warning(raw) for raw in listed)

    def identity(self, subscription_id: str) -> tuple[Subscription, Customer]:
        """A subscription and its customer, with any fingerprint that can be had."""
        raw = self._transport.get("subscriptions", subscription_id, expand=["customer", *_METHODS])
        found, customer = self._identified(raw)
        return found, customer or self.customer(found.customer_id)

    def identities(
        self, *, after: str | None, limit: int, since: datetime | None = None
    ) -> tuple[list[tuple[Subscription, Customer | None]], bool]:
        """One page of all subscriptions created since, each with its customer, and whether there are more."""
        expand = ["data.customer", *(f"data.{method}" for method in _METHODS)]
        created = {"created": {"gte": int(since.timestamp())}} if since else {}
        raws, following = self._transport.page(
            "subscriptions", after=after, limit=limit, status="all", expand=expand, **created
        )
        return [self._identified(raw) for raw in raws], following is not None

    def _identified(self, raw: Mapping[str, Any]) -> tuple[Subscription, Customer | None]:
        expanded = raw.get("customer")
        customer = translate.customer(expanded) if isinstance(expanded, Mapping) else None
        found = translate.subscription(raw)
        if found.fingerprint is not None or (customer is not None and customer.deleted):
            return found, customer
        listed = self._newest_fingerprint(found.customer_id)
        return translate.subscription(raw, listed_fingerprint=listed), customer

    def _newest_fingerprint(self, customer_id: str) -> str | None:
        """Of the customer's newest payment method that has one; a customer that is gone has none."""
        try:
            methods, _ = self._transport.page("payment_methods", customer=customer_id)
        except StripeNotFoundError:
            return None
        return next(filter(None, map(translate.method_fingerprint, methods)), None)
