"""Finds the charge that a request means: the last successful one of each subscription it can mean."""

from collections.abc import Iterable
from concurrent.futures import Executor
from typing import assert_never

from billingbot.core.errors import StripeNotFoundError
from billingbot.core.evidence.dossier import Charge, Invoice, InvoicePayment
from billingbot.core.request import Candidate, NamedBy
from billingbot.gateway.lineage import (
    is_successful,
    main_payment,
    newest,
    subscription_by_payment,
    subscription_of,
)
from billingbot.gateway.reading import Reader


def find_charges(reader: Reader, pool: Executor, named_by: NamedBy, value: str) -> tuple[Candidate, ...]:
    """The charges a request can mean, newest first; none where Stripe knows nothing of that name.

    A charge means itself, an invoice the charges that paid it, a subscription its last successful charge, a
    customer the last of each of its subscriptions (or its last one-off charge, where no subscription was ever
    charged), an e-mail the same for every customer that has it.
    """
    try:
        found = _found(reader, pool, named_by, value)
    except StripeNotFoundError:
        return ()
    unique = {candidate.charge_id: candidate for candidate in found}
    return tuple(sorted(unique.values(), key=lambda one: (one.created_at, one.charge_id), reverse=True))


def never_charged(reader: Reader, named_by: NamedBy, value: str) -> bool:
    """Whether what a request names exists, and nothing was ever paid for it: a free invoice, a running trial.

    A charge speaks for itself; what Stripe does not know was not found rather than never charged.
    """
    try:
        match named_by:
            case NamedBy.CHARGE:
                return False
            case NamedBy.INVOICE:
                return _all_free([reader.invoice(value)])
            case NamedBy.SUBSCRIPTION:
                reader.subscription(value)  # an unknown one lists no invoices either
                return _all_free(reader.invoices(subscription=value))
            case NamedBy.CUSTOMER:
                return not reader.customer(value).deleted and _was_free(reader, value)
            case NamedBy.EMAIL:
                people = reader.customers(value)
                return bool(people) and all(_was_free(reader, one.id) for one in people)
            case _:
                assert_never(named_by)
    except StripeNotFoundError:
        return False


def _was_free(reader: Reader, customer_id: str) -> bool:
    """Whether the customer has free invoices only, and no charge on its way: a bank debit is pending for days."""
    pending = any(charge.status == "pending" for charge in reader.charges(customer=customer_id))
    return not pending and _all_free(reader.invoices(customer=customer_id))


def _all_free(invoices: Iterable[Invoice]) -> bool:
    """Whether all of them are settled at zero; one that is still open may be paid yet."""
    return all(invoice.amount_paid_minor == 0 and invoice.status in {"paid", "void"} for invoice in invoices)


def _found(reader: Reader, pool: Executor, named_by: NamedBy, value: str) -> Iterable[Candidate]:
    match named_by:
        case NamedBy.CHARGE:
            return [_of_charge(reader, value)]
        case NamedBy.INVOICE:
            return _of_invoice(reader, reader.invoice(value))
        case NamedBy.SUBSCRIPTION:
            return _of_subscription(reader, value)
        case NamedBy.CUSTOMER:
            return _of_customer(reader, value)
        case NamedBy.EMAIL:
            return _of_email(reader, pool, value)
        case _:
            assert_never(named_by)


def _of_charge(reader: Reader, charge_id: str) -> Candidate:
    charge, invoice_id = reader.charge_with_invoice(charge_id)
    if charge.payment_intent_id is not None:
        payment = main_payment(reader.payments_of_intent(charge.payment_intent_id))
        invoice_id = payment.invoice_id if payment else invoice_id
    return _candidate(charge, reader.invoice(invoice_id).subscription_id if invoice_id is not None else None)


def _of_invoice(reader: Reader, invoice: Invoice) -> list[Candidate]:
    paid = [payment for payment in invoice.payments if payment.status == "paid"]
    charges = [charge for payment in paid for charge in _charges_of_payment(reader, payment)]
    return [_candidate(charge, invoice.subscription_id) for charge in charges if is_successful(charge)]


def _charges_of_payment(reader: Reader, payment: InvoicePayment) -> tuple[Charge, ...]:
    """The charges of one payment; what was paid outside Stripe (a payment record) has none."""
    if payment.reference_id is None:
        return ()
    if payment.type == "payment_intent":
        return reader.charges(payment_intent=payment.reference_id)
    return (reader.charge_with_invoice(payment.reference_id)[0],) if payment.type == "charge" else ()


def _of_subscription(reader: Reader, subscription_id: str) -> list[Candidate]:
    customer_id = reader.subscription(subscription_id).customer_id
    by_payment = subscription_by_payment(reader.invoices(subscription=subscription_id))
    charges = [charge for charge in reader.charges(customer=customer_id) if is_successful(charge)]
    own = [charge for charge in charges if subscription_of(charge, by_payment) == subscription_id]
    return [_candidate(newest(own), subscription_id)] if own else []


def _of_customer(reader: Reader, customer_id: str) -> list[Candidate]:
    charges = [charge for charge in reader.charges(customer=customer_id) if is_successful(charge)]
    if not charges:
        return []
    by_payment = subscription_by_payment(reader.invoices(customer=customer_id))
    grouped: dict[str | None, list[Charge]] = {}
    for charge in charges:
        grouped.setdefault(subscription_of(charge, by_payment), []).append(charge)
    one_off = grouped.pop(None, [])
    if not grouped:
        return [_candidate(newest(one_off), None)]
    return [_candidate(newest(group), subscription_id) for subscription_id, group in grouped.items()]


def _of_email(reader: Reader, pool: Executor, email: str) -> list[Candidate]:
    """Stripe compares e-mails letter by letter, so the lower-cased one is asked for too."""
    spellings = {email, email.lower()}
    found = {customer.id for spelling in sorted(spellings) for customer in reader.customers(spelling)}
    answers = pool.map(lambda customer_id: _of_listed_customer(reader, customer_id), sorted(found))
    return [candidate for answer in answers for candidate in answer]


def _of_listed_customer(reader: Reader, customer_id: str) -> list[Candidate]:
    try:
        return _of_customer(reader, customer_id)
    except StripeNotFoundError:
        return []  # deleted since it was listed; the others still count


def _candidate(charge: Charge, subscription_id: str | None) -> Candidate:
    return Candidate(
        charge_id=charge.id,
        customer_id=charge.customer_id,
        subscription_id=subscription_id,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        created_at=charge.created_at,
    )
