"""Whether a charge is the one that the end of a free trial caused, told from the invoice and never from the clock."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from billingbot.core.evidence.answer import Answer, unknown, yes_or_no
from billingbot.core.evidence.dossier import Dossier, Invoice, InvoiceLine, InvoicePayment, Subscription

# Stripe stamps a trial and the periods around it within seconds of each other; no plan has a period this short.
SAME_INSTANT: Final = timedelta(seconds=300)
# The reason Stripe gives an invoice that a new billing period caused: the natural end of a trial is one, and so is
# every renewal. https://docs.stripe.com/api/invoices/object#invoice_object-billing_reason
NEW_PERIOD: Final = "subscription_cycle"
# The reason it gives where somebody changed the subscription: ending the trial now is such a change.
CHANGED: Final = "subscription_update"
CHARGED_BY_ITSELF: Final = "charge_automatically"


def began_with_trial(subscription: Subscription | None) -> Answer:
    """Whether the subscription began with a free trial.

    Trials also serve to move billing dates of paying customers, so it must start where the subscription does.
    https://docs.stripe.com/billing/subscriptions/trials
    """
    if subscription is None:
        return yes_or_no(holds=False)
    if subscription.trial_offer:
        return unknown("the trial is a trial offer, of which Stripe gives no end to rely on")
    start, end = subscription.trial_start_at, subscription.trial_end_at
    if start is None or end is None or end <= start:
        return yes_or_no(holds=False)
    return yes_or_no(holds=near(start, subscription.started_at))


def charged_at_end(dossier: Dossier, *, at: datetime) -> Answer:
    """Whether this charge paid the invoice of the period that starts where the trial ended.

    Not whether it was the first or the last one, nor in how many payments: those are facts of their own.
    """
    invoice, subscription = dossier.invoice, dossier.subscription
    trial = began_with_trial(subscription)
    if invoice is None or subscription is None or trial.holds is False:
        return yes_or_no(holds=False)
    end = subscription.trial_end_at
    if trial.holds is None or end is None:
        return trial
    by_itself = subscription.collection_method == CHARGED_BY_ITSELF
    if end > at or not by_itself or invoice.subscription_id != subscription.id or invoice.amount_paid_minor <= 0:
        return yes_or_no(holds=False)
    if invoice.billing_reason != NEW_PERIOD:
        return yes_or_no(holds=False)
    starting = sum(not line.proration and near(line.period_start, end) for line in _own_lines(invoice, subscription))
    if starting > 1:
        return unknown("several lines of the invoice start where the trial ended")
    return yes_or_no(holds=starting == 1)


def ended_early(dossier: Dossier, *, first_seen_end_at: datetime | None) -> Answer:
    """Whether the trial's end was moved forward: this invoice says so, or we saw a later end before."""
    subscription = dossier.subscription
    trial = began_with_trial(subscription)
    if subscription is None or subscription.trial_end_at is None or not trial.holds:
        return trial if trial.holds is None else yes_or_no(holds=False)
    end = subscription.trial_end_at
    if first_seen_end_at is not None and first_seen_end_at - end > SAME_INSTANT:
        return yes_or_no(holds=True)
    invoice = dossier.invoice
    changed = invoice is not None and invoice.billing_reason == CHANGED
    lines = _own_lines(invoice, subscription) if invoice else ()
    return yes_or_no(holds=changed and any(near(line.period_start, end) for line in lines))


def earlier_paid(dossier: Dossier) -> tuple[Invoice, ...]:
    """The subscription's other invoices that were paid before this charge, or came before its invoice."""
    invoice = dossier.invoice
    if invoice is None:
        return ()
    return tuple(
        other
        for other in dossier.other_paid
        if other.created_at <= invoice.created_at or _paid_before(other, dossier.charge.created_at)
    )


def later_paid(dossier: Dossier) -> tuple[Invoice, ...]:
    """The subscription's other invoices that came after this one and were not paid before this charge."""
    earlier = {other.id for other in earlier_paid(dossier)}
    return tuple(other for other in dossier.other_paid if other.id not in earlier)


def is_last(dossier: Dossier) -> Answer:
    """Whether no newer successful charge followed on the same subscription.

    A second payment of the same invoice is a newer charge too, and no renewal: then it cannot be told.
    """
    if later_paid(dossier):
        return yes_or_no(holds=False)
    if not dossier.newer_charges:
        return yes_or_no(holds=True)
    payments = [payment for payment in _paid_payments(dossier.invoice) if payment.amount_paid_minor > 0]
    if len(payments) > len(dossier.newer_charges):
        return unknown("newer charges may be other payments of the same invoice")
    return yes_or_no(holds=False)


def near(one: datetime, other: datetime) -> bool:
    """Whether two of Stripe's instants mean the same moment."""
    return abs(one - other) <= SAME_INSTANT


def _paid_payments(invoice: Invoice | None) -> Sequence[InvoicePayment]:
    return [payment for payment in invoice.payments if payment.status == "paid"] if invoice else []


def _own_lines(invoice: Invoice, subscription: Subscription) -> Sequence[InvoiceLine]:
    return [line for line in invoice.lines if line.subscription_id == subscription.id]


def _paid_before(invoice: Invoice, instant: datetime) -> bool:
    return invoice.paid_at is not None and invoice.paid_at < instant
