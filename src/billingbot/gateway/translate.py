"""Turns Stripe's JSON into our types: strict about what decides over money, tolerant about what may be left out.

Stripe leaves out some fields that are null, adds values to its enums without notice, and expands an id into its
object where asked: a reference may be either. Fields of API versions before 2025-03-31 are read where the newer
ones are missing.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from billingbot.core.books.settlement import BalanceTransaction, movement_of
from billingbot.core.evidence.dossier import (
    Charge,
    CreditNote,
    Customer,
    Dispute,
    DisputeMoney,
    FraudWarning,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    Refund,
    Subscription,
)
from billingbot.gateway.fields import Fields

OUR_REFUND: Final = "billingbot_refund"
OUR_KEY: Final = "billingbot_key"
_OUR_CANCELLATION: Final = "Cancelled by billingbot after a refund: "
# Stripe's types allow no status at all; ours do not, and "unknown" goes to a person as every new value does.
_UNKNOWN: Final = "unknown"


def charge(raw: object) -> Charge:
    """A charge (https://docs.stripe.com/api/charges/object)."""
    it = Fields(raw, "charge")
    method = it.inside("payment_method_details")
    return Charge(
        id=it.text("id"),
        livemode=it.flag("livemode"),
        status=it.text("status"),
        paid=it.flag("paid"),
        captured=it.flag("captured"),
        disputed=it.flag("disputed"),
        amount_minor=it.amount("amount"),
        amount_captured_minor=it.amount("amount_captured"),
        amount_refunded_minor=it.amount("amount_refunded"),
        currency=it.currency("currency"),
        created_at=it.moment("created"),
        customer_id=it.optional_ref("customer"),
        payment_intent_id=it.optional_ref("payment_intent"),
        payment_method_type=method.optional_text("type") if method else None,
        fingerprint=_fingerprint(method),
        billing_email=_email(it.inside("billing_details")),
        dispute_id=it.optional_ref("dispute"),
    )


def charge_invoice_id(raw: object) -> str | None:
    """The invoice that a charge names itself: only before 2025-03-31."""
    return Fields(raw, "charge").optional_ref("invoice")


def invoice_payment(raw: object) -> InvoicePayment:
    """A payment of an invoice (https://docs.stripe.com/api/invoice-payment/object); unpaid ones have paid 0."""
    it = Fields(raw, "invoice_payment")
    payment = it.within("payment")
    kind = payment.text("type")
    return InvoicePayment(
        id=it.text("id"),
        invoice_id=it.ref("invoice"),
        status=it.text("status"),
        type=kind,
        reference_id=payment.optional_ref(kind),
        amount_paid_minor=it.optional_amount("amount_paid") or 0,
    )


def invoice(raw: object, lines: Iterable[object], payments: Sequence[InvoicePayment]) -> Invoice:
    """An invoice (https://docs.stripe.com/api/invoices/object) with all its lines and payments, fetched apart."""
    it = Fields(raw, "invoice")
    changes = it.inside("status_transitions")
    return Invoice(
        id=it.text("id"),
        status=it.optional_text("status") or _UNKNOWN,
        billing_reason=it.optional_text("billing_reason"),
        currency=it.currency("currency"),
        amount_paid_minor=it.amount("amount_paid"),
        amount_paid_off_stripe_minor=_off_stripe(it),
        customer_id=it.optional_ref("customer"),
        subscription_id=invoice_subscription_id(raw),
        created_at=it.moment("created"),
        paid_at=changes.optional_moment("paid_at") if changes else None,
        lines=tuple(invoice_line(line) for line in lines),
        payments=tuple(payments),
        credited_minor=sum(it.optional_amount(f"{when}_payment_credit_notes_amount") or 0 for when in ("pre", "post")),
    )


def invoice_subscription_id(raw: object) -> str | None:
    """The subscription an invoice was made for, in the newer place or the older one."""
    it = Fields(raw, "invoice")
    parent = it.inside("parent")
    details = parent.inside("subscription_details") if parent else None
    return details.optional_ref("subscription") if details else it.optional_ref("subscription")


def _off_stripe(it: Fields) -> int:
    """What was paid outside Stripe; older versions only say that all of it was."""
    amount = it.optional_amount("amount_paid_off_stripe")
    if amount is None:
        return it.amount("amount_paid") if it.optional_flag("paid_out_of_band") else 0
    return amount


def invoice_line(raw: object) -> InvoiceLine:
    """A line of an invoice (https://docs.stripe.com/api/invoice-line-item/object)."""
    it = Fields(raw, "line_item")
    period = it.within("period")
    parent = it.inside("parent")
    details = _line_details(parent) if parent else it
    return InvoiceLine(
        subscription_id=details.optional_ref("subscription") if details else None,
        # Newer lines always say it; of an older one that does not, nobody asks.
        proration=details.flag("proration") if details and (parent or it.has("proration")) else False,
        amount_minor=it.signed_amount("amount"),
        period_start=period.moment("start"),
        period_end=period.moment("end"),
        price_id=_price_id(it),
    )


def _price_id(it: Fields) -> str | None:
    """The price of a line: inside `pricing` since 2025-03-31, of its own before."""
    pricing = it.inside("pricing")
    details = pricing.inside("price_details") if pricing else it
    return details.optional_ref("price") if details else None


def _line_details(parent: Fields) -> Fields | None:
    return parent.inside("subscription_item_details") or parent.inside("invoice_item_details")


def subscription(raw: object, *, listed_fingerprint: str | None = None) -> Subscription:
    """A subscription (https://docs.stripe.com/api/subscriptions/object).

    The fingerprint is of the default payment method, else of the customer's, where these are expanded, else
    `listed_fingerprint`.
    """
    it = Fields(raw, "subscription")
    why = it.inside("cancellation_details")
    return Subscription(
        id=it.text("id"),
        livemode=it.flag("livemode"),
        status=it.text("status"),
        customer_id=it.ref("customer"),
        collection_method=it.text("collection_method"),
        started_at=it.moment("start_date"),
        trial_start_at=it.optional_moment("trial_start"),
        trial_end_at=it.optional_moment("trial_end"),
        trial_offer=any(item.inside("current_trial") for item in it.embedded("items")),
        cancel_at_period_end=it.flag("cancel_at_period_end"),
        cancel_at=it.optional_moment("cancel_at"),
        canceled_at=it.optional_moment("canceled_at"),
        ended_at=it.optional_moment("ended_at"),
        cancellation_reason=why.optional_text("reason") if why else None,
        fingerprint=default_fingerprint(raw) or listed_fingerprint,
        price_ids=tuple(sorted({price for item in it.embedded("items") if (price := item.optional_ref("price"))})),
        cancellation_feedback=why.optional_text("feedback") if why else None,
        cancellation_comment=why.free_text("comment") if why else None,
        our_cancellation_id=_our_cancellation(why),
    )


def cancellation_comment(cancellation_id: str) -> str:
    """What we write beside a cancellation, so that whoever comes back knows it for ours."""
    return f"{_OUR_CANCELLATION}{cancellation_id}"


def _our_cancellation(why: Fields | None) -> str | None:
    """Ours by our comment."""
    comment = why.free_text("comment") if why else None
    return comment.removeprefix(_OUR_CANCELLATION) if comment and comment.startswith(_OUR_CANCELLATION) else None


def default_fingerprint(raw: object) -> str | None:
    """Fingerprint of a subscription's default payment method, or of its customer's, where they are expanded."""
    it = Fields(raw, "subscription")
    own = _fingerprint(it.expanded("default_payment_method"))
    customer = it.expanded("customer")
    settings = customer.inside("invoice_settings") if customer else None
    return own or (_fingerprint(settings.expanded("default_payment_method")) if settings else None)


def method_fingerprint(raw: object) -> str | None:
    """Fingerprint of a payment method (https://docs.stripe.com/api/payment_methods/object)."""
    return _fingerprint(Fields(raw, "payment_method"))


def _fingerprint(method: Fields | None) -> str | None:
    """Of the card or bank account: both charges and payment methods keep it under the name of their type."""
    kind = method.optional_text("type") if method else None
    details = method.inside(kind) if method and kind else None
    return details.optional_text("fingerprint") if details else None


def customer(raw: object) -> Customer:
    """A customer (https://docs.stripe.com/api/customers/object); of a deleted one Stripe keeps the id only."""
    it = Fields(raw, "customer")
    deleted = it.optional_flag("deleted") or False
    metadata = {} if deleted else it.metadata()
    return Customer(
        id=it.text("id"),
        email=_email(it),
        deleted=deleted,
        metadata=tuple(sorted(metadata.items())),
        preferred_locales=it.words("preferred_locales"),
    )


def _email(it: Fields | None) -> str | None:
    return (it.free_text("email") or None) if it else None


def refund(raw: object) -> Refund:
    """A refund (https://docs.stripe.com/api/refunds/object), ours or not."""
    it = Fields(raw, "refund")
    metadata = it.metadata()
    return Refund(
        id=it.text("id"),
        charge_id=it.optional_ref("charge") or "",
        amount_minor=it.amount("amount"),
        currency=it.currency("currency"),
        status=it.optional_text("status") or _UNKNOWN,
        failure_reason=it.optional_text("failure_reason"),
        pending_reason=it.optional_text("pending_reason"),
        created_at=it.moment("created"),
        our_refund_id=metadata.get(OUR_REFUND),
        our_attempt_key=metadata.get(OUR_KEY),
    )


def credit_note(raw: object) -> CreditNote:
    """A credit note (https://docs.stripe.com/api/credit_notes/object); before 2025-03-31 one refund, in `refund`."""
    it = Fields(raw, "credit_note")
    metadata = it.metadata()
    older = it.optional_ref("refund")
    made = [entry.optional_ref("refund") for entry in it.objects("refunds")]
    return CreditNote(
        id=it.text("id"),
        number=it.optional_text("number"),
        invoice_id=it.ref("invoice"),
        amount_minor=it.amount("amount"),
        currency=it.currency("currency"),
        refunds=tuple(dict.fromkeys(name for name in (older, *made) if name is not None)),
        our_refund_id=metadata.get(OUR_REFUND),
        our_attempt_key=metadata.get(OUR_KEY),
    )


def dispute(raw: object, transactions: Iterable[object]) -> Dispute:
    """A dispute (https://docs.stripe.com/api/disputes/object) with its balance transactions, fetched apart."""
    it = Fields(raw, "dispute")
    method = it.inside("payment_method_details")
    card = method.inside("card") if method else None
    evidence = it.inside("evidence_details")
    entries = [Fields(raw, "balance_transaction") for raw in transactions]
    return Dispute(
        id=it.text("id"),
        charge_id=it.ref("charge"),
        status=it.text("status"),
        reason=it.text("reason"),
        case_type=card.optional_text("case_type") if card else None,
        amount_minor=it.amount("amount"),
        currency=it.currency("currency"),
        is_charge_refundable=it.flag("is_charge_refundable"),
        fee_minor=_withdrawal_fee(entries),
        created_at=it.moment("created"),
        # Stripe writes 0 where no response is allowed: no due time either.
        due_by=evidence.optional_moment("due_by", zero_is_none=True) if evidence else None,
        has_evidence=(evidence.optional_flag("has_evidence") or False) if evidence else False,
        submission_count=(evidence.optional_amount("submission_count") or 0) if evidence else 0,
        submission_method=evidence.optional_text("submission_method") if evidence else None,
        intended_method=it.optional_text("intended_submission_method"),
        past_due=(evidence.optional_flag("past_due") or False) if evidence else False,
        moved=_moved(entries),
    )


def _withdrawal_fee(entries: Sequence[Fields]) -> int | None:
    """The fee charged where the money was withdrawn; 0 marks a dispute that Visa's RDR settled by itself.

    A reinstatement gives the fee back as a negative one and says nothing about how the dispute began.
    """
    fees = [it.signed_amount("fee") for it in entries if it.signed_amount("amount") < 0]
    return sum(fees) if fees else None


def _moved(entries: Sequence[Fields]) -> DisputeMoney | None:
    """What went and came back; nothing where the transactions are in several currencies and cannot be added."""
    currencies = {it.optional_text("currency") for it in entries}
    currency = currencies.pop() if len(currencies) == 1 else None
    if currency is None:
        return None
    amounts = [it.signed_amount("amount") for it in entries]
    return DisputeMoney(
        withdrawn_minor=-sum(amount for amount in amounts if amount < 0),
        reinstated_minor=sum(amount for amount in amounts if amount > 0),
        fees_minor=sum(it.signed_amount("fee") for it in entries),
        currency=currency,
    )


def balance_transaction(raw: object) -> BalanceTransaction:
    """A balance transaction (https://docs.stripe.com/api/balance_transactions/object)."""
    it = Fields(raw, "balance_transaction")
    category = it.text("reporting_category")
    return BalanceTransaction(
        id=it.text("id"),
        movement=movement_of(category),
        type=it.text("type"),
        category=category,
        source=it.optional_ref("source"),
        amount_minor=it.signed_amount("amount"),
        fee_minor=it.signed_amount("fee"),
        currency=it.currency("currency"),
        exchange_rate=it.optional_decimal("exchange_rate"),
        created_at=it.moment("created"),
        available_on=it.moment("available_on"),
        status=it.optional_text("status") or _UNKNOWN,
    )


def fraud_warning(raw: object) -> FraudWarning:
    """An early fraud warning (https://docs.stripe.com/api/radar/early_fraud_warnings/object)."""
    it = Fields(raw, "radar.early_fraud_warning")
    return FraudWarning(
        id=it.text("id"),
        charge_id=it.ref("charge"),
        actionable=it.flag("actionable"),
        fraud_type=it.text("fraud_type"),
        created_at=it.moment("created"),
    )
