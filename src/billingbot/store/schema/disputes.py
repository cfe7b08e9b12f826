"""Disputes: what the banks ask and take, as we last read it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from billingbot.core.disputes.life import DisputeKind, DisputeOutcome
from billingbot.store.schema.base import metadata, one_of, time

# Each as we last looked at it: what tells a missed event from one that was acted on, and what lists, deadlines and
# figures read. What stands below `seen_at` is null in rows of before it was kept, until the next pass reads them.
disputes = Table(
    "disputes",
    metadata,
    Column("account", Text, primary_key=True),
    Column("dispute_id", Text, primary_key=True),
    Column("charge_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    time("looked_at", now=True),
    # When a pass of reconcile last saw it at Stripe.
    time("seen_at", optional=True),
    # When the read began whose answer stands here: a slower, older one never overwrites it.
    time("read_at", optional=True),
    Column("case_id", Text, ForeignKey("cases.id")),
    Column("kind", Text, CheckConstraint(one_of("kind", DisputeKind), name="kind")),
    Column("outcome", Text, CheckConstraint(one_of("outcome", DisputeOutcome), name="outcome")),
    # When we learnt of the outcome that stands there.
    time("closed_at", optional=True),
    time("created_at", optional=True),
    Column("reason", Text),
    Column("case_type", Text),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    Column("is_charge_refundable", Boolean),
    # Null: no answer is possible.
    time("due_by", optional=True),
    Column("has_evidence", Boolean),
    Column("submission_count", Integer),
    # As it stood when the dispute was last seen as an inquiry: what an answer to the chargeback is counted from.
    Column("inquiry_submissions", Integer),
    Column("submission_method", Text),
    Column("intended_method", Text),
    Column("past_due", Boolean),
    Column("fee_minor", BigInteger),
    # Of the balance transactions, in minor units of the account's own currency.
    Column("withdrawn_minor", BigInteger),
    Column("reinstated_minor", BigInteger),
    Column("fees_minor", BigInteger),
    Column("settled_currency", Text),
    # The status in which its balance transactions were last read.
    Column("settlement_of", Text),
    # The deadline that its case follows, when something is next to be told of it, and when we saw that it was missed.
    time("followed_due_by", optional=True),
    time("next_alarm_at", optional=True),
    time("missed_at", optional=True),
    Index("ix_disputes_charge_id", "account", "charge_id"),
    Index("ix_disputes_case_id", "case_id"),
    Index(
        "ix_disputes_settlement",
        "account",
        "dispute_id",
        postgresql_where=text("settlement_of IS DISTINCT FROM status"),
    ),
    # The open ones are few, and asked for by their deadline every ten seconds.
    Index("ix_disputes_due_by", "due_by", postgresql_where=text("outcome IS NULL")),
    Index("ix_disputes_next_alarm_at", "next_alarm_at", postgresql_where=text("next_alarm_at IS NOT NULL")),
)

# What was told of which deadline: once, whoever looks, and again only where Stripe has moved it.
dispute_alarms = Table(
    "dispute_alarms",
    metadata,
    Column("account", Text, primary_key=True),
    Column("dispute_id", Text, primary_key=True),
    Column("due_by", DateTime(timezone=True), primary_key=True),
    Column("mark", Text, primary_key=True),
    time("told_at", now=True),
    ForeignKeyConstraint(["account", "dispute_id"], ["disputes.account", "disputes.dispute_id"]),
)
