"""What a Stripe event means to us: a closed union of hints, each naming the object to read afresh."""

from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePaid:
    """An invoice was paid: it may be the charge at the end of a trial."""

    invoice_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePaymentPaid:
    """One payment of an invoice was made; the invoice is to be found through it."""

    invoice_payment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChanged:
    """A subscription began, changed or ended: its trial belongs in our history."""

    subscription_id: str
    trial_end_before: int | None
    """Unix seconds, where the event says the trial's end was moved: what it was before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerChanged:
    """A customer changed: their mailbox belongs to the trials we know of them."""

    customer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAttached:
    """A payment method was attached: its card belongs to the trials we know of its customer."""

    payment_method_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundChanged:
    """A refund was created or changed, by us, in the Dashboard, or by its bank."""

    refund_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeChanged:
    """A charge was made, or refunded in part or whole: read its refunds afresh."""

    charge_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeChanged:
    """A dispute was opened, moved or closed."""

    dispute_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningRaised:
    """An early fraud warning was raised or changed."""

    warning_id: str


Signal: TypeAlias = (
    InvoicePaid
    | InvoicePaymentPaid
    | SubscriptionChanged
    | CustomerChanged
    | CardAttached
    | RefundChanged
    | ChargeChanged
    | DisputeChanged
    | WarningRaised
)

# Event types we act on; each also exists as a thin event with the prefix `v1.`. Not here on purpose:
# `invoice.created` (an endpoint that is slow to answer it delays every renewal by up to three days).
# https://docs.stripe.com/api/events/types
SIGNALS: Final[dict[str, type[Signal]]] = {
    "invoice.paid": InvoicePaid,
    "invoice.payment_succeeded": InvoicePaid,
    "invoice_payment.paid": InvoicePaymentPaid,
    "customer.subscription.created": SubscriptionChanged,
    "customer.subscription.updated": SubscriptionChanged,
    "customer.subscription.deleted": SubscriptionChanged,
    "customer.updated": CustomerChanged,
    "payment_method.attached": CardAttached,
    "refund.created": RefundChanged,
    "refund.updated": RefundChanged,
    "refund.failed": RefundChanged,
    "charge.refund.updated": RefundChanged,
    "charge.succeeded": ChargeChanged,
    "charge.refunded": ChargeChanged,
    "charge.dispute.created": DisputeChanged,
    "charge.dispute.updated": DisputeChanged,
    "charge.dispute.closed": DisputeChanged,
    "charge.dispute.funds_withdrawn": DisputeChanged,
    "charge.dispute.funds_reinstated": DisputeChanged,
    "radar.early_fraud_warning.created": WarningRaised,
    "radar.early_fraud_warning.updated": WarningRaised,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A verified event, decoded just far enough to store it. `object_id` is the object it is about."""

    account: str
    event_id: str
    type: str
    """As delivered: `invoice.paid`, or `v1.invoice.paid` for a thin event."""
    thin: bool
    livemode: bool
    api_version: str | None
    """The endpoint's version that rendered the body; thin events have none."""
    created: int
    """Unix seconds, as Stripe says; not an order (https://docs.stripe.com/webhooks)."""
    object_id: str | None
    trial_end_before: int | None
    """`data.previous_attributes.trial_end`, where the event carries it."""
    body: bytes


def base_type(event_type: str) -> str:
    """The type without the `v1.` of thin events."""
    return event_type.removeprefix("v1.")


def signal_of(event_type: str, object_id: str, trial_end_before: int | None) -> Signal | None:
    """What an event of this type means, or None where nobody here needs it."""
    match SIGNALS.get(base_type(event_type)):
        case None:
            return None
        case kind if kind is SubscriptionChanged:
            return SubscriptionChanged(subscription_id=object_id, trial_end_before=trial_end_before)
        case kind if kind is InvoicePaid:
            return InvoicePaid(invoice_id=object_id)
        case kind if kind is InvoicePaymentPaid:
            return InvoicePaymentPaid(invoice_payment_id=object_id)
        case kind if kind is CustomerChanged:
            return CustomerChanged(customer_id=object_id)
        case kind if kind is CardAttached:
            return CardAttached(payment_method_id=object_id)
        case kind if kind is RefundChanged:
            return RefundChanged(refund_id=object_id)
        case kind if kind is ChargeChanged:
            return ChargeChanged(charge_id=object_id)
        case kind if kind is DisputeChanged:
            return DisputeChanged(dispute_id=object_id)
        case _:
            return WarningRaised(warning_id=object_id)
