"""Reads all that Stripe says about one charge, in parallel where one answer does not need another."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import datetime

from billingbot.core.errors import StripeAnswerError, StripeNotFoundError
from billingbot.core.evidence.dossier import Charge, Customer, Dossier, Invoice, Subscription
from billingbot.gateway.lineage import is_successful, main_payment, subscription_by_payment, subscription_of
from billingbot.gateway.reading import Reader


def read_dossier(
    reader: Reader, pool: Executor, charge_id: str, now: datetime, *, heard_of: Collection[str] = ()
) -> Dossier:
    """The dossier of a charge as of `now`. Raises StripeNotFoundError where there is no such charge.

    `heard_of` are disputes that have to be among the charge's, and that Stripe's list of them may lack for a while.
    Nothing that runs in the pool waits for it, so that any number of callers can share a small one.
    """
    charge, named_invoice_id = reader.charge_with_invoice(charge_id)
    refunds = pool.submit(reader.refunds_of_charge, charge_id)
    disputes = pool.submit(reader.disputes_of_charge, charge_id, heard_of=(charge.dispute_id, *heard_of))
    warnings = pool.submit(reader.warnings_of_charge, charge_id)
    customer = pool.submit(_customer, reader, charge.customer_id)
    later = pool.submit(_later, reader, charge)
    with _must_exist(charge_id):
        invoice = _invoice(reader, charge, named_invoice_id)
        subscription, siblings = _subscription(reader, pool, invoice)
        disputed = disputes.result()
    return Dossier(
        read_at=now,
        charge=charge,
        invoice=invoice,
        other_paid=tuple(one for one in siblings if invoice and one.id != invoice.id and one.amount_paid_minor > 0),
        subscription=subscription,
        customer=customer.result(),
        refunds=refunds.result(),
        disputes=disputed,
        warnings=warnings.result(),
        newer_charges=_newer(reader, charge, later.result(), subscription, siblings),
    )


@contextmanager
def _must_exist(charge_id: str) -> Iterator[None]:
    """What a charge leads to exists; where it does not, that must not read as if the charge itself did not."""
    try:
        yield
    except StripeNotFoundError as error:
        raise StripeAnswerError(f"charge {charge_id} leads to what cannot be found: {error}") from error


def _customer(reader: Reader, customer_id: str | None) -> Customer | None:
    if customer_id is None:
        return None
    try:
        return reader.customer(customer_id)
    except StripeNotFoundError:
        return None  # a customer wiped with its test data: nothing is known of it, which never helps a refund


def _invoice(reader: Reader, charge: Charge, named_invoice_id: str | None) -> Invoice | None:
    """The invoice the charge paid: found through its payment intent, or named by a charge of an older version."""
    if charge.payment_intent_id is not None:
        payment = main_payment(reader.payments_of_intent(charge.payment_intent_id))
        if payment is not None:
            return reader.invoice(payment.invoice_id)
    return reader.invoice(named_invoice_id) if named_invoice_id is not None else None


def _subscription(
    reader: Reader, pool: Executor, invoice: Invoice | None
) -> tuple[Subscription | None, tuple[Invoice, ...]]:
    """The invoice's subscription with all its invoices."""
    if invoice is None or invoice.subscription_id is None:
        return None, ()
    found = pool.submit(reader.subscription, invoice.subscription_id)
    siblings = reader.invoices(subscription=invoice.subscription_id)
    return found.result(), siblings


def _later(reader: Reader, charge: Charge) -> tuple[Charge, ...]:
    """The customer's other successful charges that are not older.

    Stripe counts whole seconds. Of two charges within one second each counts as later than the other, so that
    neither passes for the last one by chance.
    """
    if charge.customer_id is None:
        return ()
    since = int(charge.created_at.timestamp())
    found = reader.charges(customer=charge.customer_id, created={"gte": since})
    return tuple(other for other in found if other.id != charge.id and is_successful(other))


def _newer(
    reader: Reader,
    charge: Charge,
    later: Sequence[Charge],
    subscription: Subscription | None,
    siblings: Sequence[Invoice],
) -> tuple[str, ...]:
    """Those of the later charges that belong to the same subscription, or to none if this one has none."""
    if not later:
        return ()
    invoices = siblings if subscription else reader.invoices(customer=charge.customer_id)
    by_payment = subscription_by_payment(invoices)
    wanted = subscription.id if subscription else None
    return tuple(other.id for other in later if subscription_of(other, by_payment) == wanted)
