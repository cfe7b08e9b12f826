"""Stripe compared with our books: passes, and the breaks they found."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from billingbot.core.books.breaks import BreakKind, BreakState, PassState, Stage
from billingbot.store.schema.base import metadata, one_of, time

reconcile_passes = Table(
    "reconcile_passes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("scheduled", Boolean, nullable=False),
    Column("deep", Boolean, nullable=False),
    time("refunds_since"),
    time("since"),
    time("until"),
    Column("state", Text, CheckConstraint(one_of("state", PassState), name="state"), nullable=False),
    Column("stage", Text, CheckConstraint(one_of("stage", Stage), name="stage"), nullable=False),
    Column("cursor", Text),
    Column("seen", BigInteger, nullable=False, server_default="0"),
    Column("found", BigInteger, nullable=False, server_default="0"),
    Column("settled", BigInteger, nullable=False, server_default="0"),
    Column("to_person", BigInteger, nullable=False, server_default="0"),
    time("began_at", now=True),
    time("advanced_at", now=True),
    time("finished_at", optional=True),
    # One pass of the schedule at a time for each account, however many schedulers there are.
    Index(
        "uq_reconcile_passes_scheduled",
        "account",
        unique=True,
        postgresql_where=text("scheduled AND state = 'running'"),
    ),
    Index("ix_reconcile_passes_account", "account", "finished_at"),
)

breaks = Table(
    "breaks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("kind", Text, CheckConstraint(one_of("kind", BreakKind), name="kind"), nullable=False),
    Column("object_id", Text, nullable=False),
    Column("charge_id", Text),
    Column("refund_id", Text, ForeignKey("refunds.id")),
    Column("expected_minor", BigInteger),
    Column("expected_currency", Text),
    Column("expected_status", Text),
    Column("found_minor", BigInteger),
    Column("found_currency", Text),
    Column("found_status", Text),
    Column("state", Text, CheckConstraint(one_of("state", BreakState), name="state"), nullable=False),
    Column("how", Text),
    Column("case_id", Text, ForeignKey("cases.id")),
    Column("pass_id", Text, ForeignKey("reconcile_passes.id")),
    time("first_seen_at", now=True),
    time("last_seen_at", now=True),
    time("settled_at", optional=True),
    # A second pass meets the same break again, and never makes a second one of it.
    UniqueConstraint("account", "kind", "object_id"),
    Index("ix_breaks_unsettled", "account", "id", postgresql_where=text("state <> 'settled'")),
)
