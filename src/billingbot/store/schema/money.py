"""Refunds, their keyed attempts, and the ends of refunded subscriptions: intent before effect."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from billingbot.core.aftercare import LIVE as LIVE_CANCELLATIONS
from billingbot.core.aftercare import CancellationState
from billingbot.core.refund import LIVE_STATES, AttemptOutcome, Origin, RefundState
from billingbot.core.refund_terms import CancelWhen, RefundWith
from billingbot.store.schema.base import metadata, one_of, time

refunds = Table(
    "refunds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id")),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("charge_id", Text, nullable=False),
    Column("customer_id", Text),
    Column("card_digest", Text),
    Column("email_digest", Text),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor > 0", name="amount"), nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, CheckConstraint(one_of("state", RefundState), name="state"), nullable=False),
    Column("origin", Text, CheckConstraint(one_of("origin", Origin), name="origin"), nullable=False),
    Column("decision_id", Text, ForeignKey("decisions.id")),
    Column("clause", Text),
    Column("decided_by", Text, nullable=False),
    Column("stripe_refund_id", Text),
    Column("why", Text),
    time("intended_at", now=True),
    # When its case was opened; null for refunds made elsewhere.
    time("asked_at", optional=True),
    time("settled_at", optional=True),
    Column("invoice_id", Text),
    Column("subscription_id", Text),
    Column(
        "refund_with",
        Text,
        CheckConstraint(one_of("refund_with", RefundWith), name="refund_with"),
        nullable=False,
        server_default="refund",
    ),
    Column(
        "cancel_subscription",
        Text,
        CheckConstraint(one_of("cancel_subscription", CancelWhen), name="cancel_subscription"),
        nullable=False,
        server_default="no",
    ),
    Column("credit_note_id", Text),
    Column("credit_note_number", Text),
    # When a pass of reconcile last saw it at Stripe.
    time("seen_at", optional=True),
    # The state in which its balance transactions were last read.
    Column("settlement_of", Text),
    UniqueConstraint("account", "stripe_refund_id"),
    # Law 1 with teeth: one live intent of ours per charge, whoever wants it.
    Index(
        "uq_refunds_live_charge",
        "account",
        "charge_id",
        unique=True,
        postgresql_where=text("origin <> 'external' AND " + one_of("state", LIVE_STATES)),
    ),
    Index("ix_refunds_case_id", "case_id"),
    Index("ix_refunds_day", "account", "currency", "intended_at", postgresql_where=text("origin = 'policy'")),
    Index("ix_refunds_customer_id", "account", "customer_id"),
    Index("ix_refunds_charge_id", "account", "charge_id"),
    Index("ix_refunds_intended_at", "account", "intended_at"),
    # The sums of a month and the plots of all time, from the index alone.
    Index(
        "ix_refunds_log",
        "intended_at",
        postgresql_include=[
            "id",
            "account",
            "currency",
            "state",
            "amount_minor",
            "clause",
            "decided_by",
            "origin",
            "asked_at",
        ],
    ),
    # What is on its way is little and asked for often; what has ended is much and asked for by other names.
    Index("ix_refunds_open", "state", postgresql_where=text("state NOT IN ('succeeded', 'refused', 'withdrawn')")),
    Index(
        "ix_refunds_settlement",
        "account",
        "id",
        postgresql_where=text(
            "stripe_refund_id IS NOT NULL AND state IN ('pending', 'succeeded', 'failed', 'canceled')"
            " AND settlement_of IS DISTINCT FROM state"
        ),
    ),
    Index("ix_refunds_card_digest", "account", "card_digest"),
    Index("ix_refunds_email_digest", "account", "email_digest"),
)

refund_attempts = Table(
    "refund_attempts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("refund_id", Text, ForeignKey("refunds.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("params", Text, nullable=False),
    Column("outcome", Text, CheckConstraint(one_of("outcome", AttemptOutcome), name="outcome"), nullable=False),
    Column("answer", Text),
    Column("sends", Integer, nullable=False, server_default="1"),
    time("first_sent_at", now=True),
    time("last_sent_at", now=True),
    time("answered_at", optional=True),
    UniqueConstraint("refund_id", "number"),
    # Never a second key while an earlier one may still pay.
    Index(
        "uq_refund_attempts_unresolved",
        "refund_id",
        unique=True,
        postgresql_where=text("outcome IN ('open', 'unknown')"),
    ),
)

cancellations = Table(
    "cancellations",
    metadata,
    Column("id", Text, primary_key=True),
    # One for its cause, for ever: whoever comes twice finds the first.
    Column("refund_id", Text, ForeignKey("refunds.id"), unique=True),
    Column("dispute_id", Text),
    Column("case_id", Text, ForeignKey("cases.id")),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("charge_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("cancel_when", Text, CheckConstraint("cancel_when IN ('now', 'period_end')", name="when"), nullable=False),
    Column("state", Text, CheckConstraint(one_of("state", CancellationState), name="state"), nullable=False),
    Column("key", Text),
    Column("sends", Integer, nullable=False, server_default="0"),
    Column("why", Text),
    Column("waits_for", Text),
    time("intended_at", now=True),
    time("last_sent_at", optional=True),
    time("ended_at", optional=True),
    CheckConstraint("(refund_id IS NULL) <> (dispute_id IS NULL)", name="one_cause"),
    UniqueConstraint("account", "dispute_id"),
    Index("ix_cancellations_case_id", "case_id"),
    Index("ix_cancellations_subscription_id", "account", "subscription_id"),
    Index("ix_cancellations_live", "intended_at", postgresql_where=text(one_of("state", LIVE_CANCELLATIONS))),
    Index("ix_cancellations_waiting", "id", postgresql_where=text("waits_for IS NOT NULL")),
)
