"""What Stripe says about one charge, read fresh: Stripe's objects, reduced to what a refund decision needs."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

# Stripe's statuses by what they mean for money; anything else is unknown to us and goes to a person.
# https://docs.stripe.com/disputes/how-disputes-work
INQUIRY_OPEN: Final = frozenset({"warning_needs_response", "warning_under_review"})
INQUIRY_CLOSED: Final = frozenset({"warning_closed"})
CHARGEBACK_OPEN: Final = frozenset({"needs_response", "under_review", "appeal_needs_response", "appeal_under_review"})
MONEY_RETURNED: Final = frozenset({"lost", "prevented"})
WON: Final = frozenset({"won"})
DISPUTE_STATUSES: Final = INQUIRY_OPEN | INQUIRY_CLOSED | CHARGEBACK_OPEN | MONEY_RETURNED | WON


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A charge. Amounts in minor units of `currency`; `amount_refunded_minor` counts pending refunds too."""

    id: str
    livemode: bool
    status: str
    paid: bool
    captured: bool
    disputed: bool
    amount_minor: int
    amount_captured_minor: int
    amount_refunded_minor: int
    currency: str
    created_at: datetime
    customer_id: str | None
    payment_intent_id: str | None
    payment_method_type: str | None
    """`card`, `sepa_debit`, ...; None where Stripe gives no details."""
    fingerprint: str | None
    """Of the card (or of the bank account, where the method has one); None proves nothing."""
    billing_email: str | None
    dispute_id: str | None = None
    """The dispute that the charge names itself, where it names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePayment:
    """One payment of an invoice. `type` is payment_intent, charge or payment_record (outside Stripe)."""

    id: str
    invoice_id: str
    status: str
    type: str
    reference_id: str | None
    """Id of the payment intent, charge or payment record, by `type`."""
    amount_paid_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """A line of an invoice; its period is the service period (the invoice's own looks backwards)."""

    subscription_id: str | None
    proration: bool
    amount_minor: int
    period_start: datetime
    period_end: datetime
    price_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An invoice. `payments` holds all its payments, whatever their status."""

    id: str
    status: str
    billing_reason: str | None
    currency: str
    amount_paid_minor: int
    amount_paid_off_stripe_minor: int
    customer_id: str | None
    subscription_id: str | None
    created_at: datetime
    paid_at: datetime | None
    lines: tuple[InvoiceLine, ...]
    payments: tuple[InvoicePayment, ...]
    credited_minor: int = 0
    """What credit notes have taken off it, before and after it was paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription with its trial and every field that can record a cancellation."""

    id: str
    livemode: bool
    status: str
    customer_id: str
    collection_method: str
    started_at: datetime
    trial_start_at: datetime | None
    trial_end_at: datetime | None
    trial_offer: bool
    """True where an item carries a trial offer: then `trial_end_at` cannot be relied on."""
    cancel_at_period_end: bool
    cancel_at: datetime | None
    canceled_at: datetime | None
    """When the cancellation was last asked for, not when it took effect."""
    ended_at: datetime | None
    cancellation_reason: str | None
    """`cancellation_requested`, `payment_failed`, `payment_disputed`, ...: who or what cancelled."""
    fingerprint: str | None
    """Of its default payment method (or the customer's), where Stripe gives one."""
    price_ids: tuple[str, ...] = ()
    """What it is a subscription to."""
    cancellation_feedback: str | None = None
    """One of Stripe's words for why: `too_expensive`, `unused`, ..."""
    cancellation_comment: str | None = field(default=None, repr=False)
    """What the customer wrote: personal text, for people alone."""
    our_cancellation_id: str | None = None
    """The cancellation of ours that ended it or set it to end, by the comment that we left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A customer; a deleted one has an id and nothing else."""

    id: str
    email: str | None
    deleted: bool
    metadata: tuple[tuple[str, str], ...]
    """Sorted key and value pairs: usage sources may be asked by one of them."""
    preferred_locales: tuple[str, ...] = ()
    """The languages the customer prefers, first choice first, as Stripe keeps them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A refund as Stripe has it, ours or not."""

    id: str
    charge_id: str
    """Empty for a refund from a customer's balance, which has no charge."""
    amount_minor: int
    currency: str
    status: str
    failure_reason: str | None
    pending_reason: str | None
    created_at: datetime
    our_refund_id: str | None
    """`metadata.billingbot_refund`: the intent of ours that caused it."""
    our_attempt_key: str | None
    """`metadata.billingbot_key`: the idempotency key of the attempt that caused it."""
    credit_note_id: str | None = None
    """The credit note that made it, where we asked Stripe for that (a refund does not name it)."""
    credit_note_number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    """A credit note of an invoice. Amounts in minor units; `refunds` are the refunds it made, or was tied to."""

    id: str
    number: str | None
    invoice_id: str
    amount_minor: int
    currency: str
    refunds: tuple[str, ...]
    our_refund_id: str | None
    """`metadata.billingbot_refund`, which Stripe keeps on the note and not on the refund that the note makes."""
    our_attempt_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeMoney:
    """What the balance transactions of a dispute moved, in minor units of the account's `currency`.

    `fees_minor` is what Stripe kept: a countered fee that was given back on a win is taken off.
    """

    withdrawn_minor: int
    reinstated_minor: int
    fees_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A dispute of any kind. `fee_minor` is that of the withdrawal, None where none withdrew money."""

    id: str
    charge_id: str
    status: str
    reason: str
    case_type: str | None
    amount_minor: int
    currency: str
    is_charge_refundable: bool
    fee_minor: int | None
    created_at: datetime
    due_by: datetime | None
    """None where Stripe writes 0 or null: no answer is possible."""
    has_evidence: bool = False
    submission_count: int = 0
    """How often an answer went to the bank, by whomever."""
    submission_method: str | None = None
    """`manual`, `smart_disputes` or `not_submitted`; None before Stripe told of it."""
    intended_method: str | None = None
    """Whether Stripe means to answer by itself: `smart_disputes`, `prefer_smart_disputes`, `manual`, ..."""
    past_due: bool = False
    """Whether the last answer was sent after the deadline: it may not have arrived."""
    moved: DisputeMoney | None = None
    """None where no money moved, or in several currencies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FraudWarning:
    """An early fraud warning; `actionable` while there is no dispute and no full refund."""

    id: str
    charge_id: str
    actionable: bool
    fraud_type: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """All that Stripe says about one charge, read within one assessment.

    `invoice` and `subscription` are None for a one-off charge. `other_paid` holds the subscription's other
    invoices with an amount paid above zero (without it, of no subscription, empty); `newer_charges` the ids of
    the customer's newer successful charges that belong to the same subscription, or to none if this has none.
    """

    read_at: datetime
    charge: Charge
    invoice: Invoice | None
    other_paid: tuple[Invoice, ...]
    subscription: Subscription | None
    customer: Customer | None
    refunds: tuple[Refund, ...]
    disputes: tuple[Dispute, ...]
    warnings: tuple[FraudWarning, ...]
    newer_charges: tuple[str, ...]
