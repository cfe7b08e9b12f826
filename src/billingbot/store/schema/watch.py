"""What is watched: the queue by the minute, the sources by the hour, backtests, and what people have seen."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Index,
    LargeBinary,
    Table,
    Text,
    text,
)

from billingbot.core.trying import BacktestState
from billingbot.store.schema.base import metadata, one_of, time

# One row a minute, kept for eight days: what the plots of the queue are drawn from.
queue_samples = Table(
    "queue_samples",
    metadata,
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("due", BigInteger, nullable=False),
    Column("oldest_due_seconds", Float, nullable=False),
    Column("failed", BigInteger, nullable=False),
    # Since the sample before.
    Column("received", BigInteger, nullable=False),
    Column("finished", BigInteger, nullable=False),
    Column("faults", BigInteger, nullable=False),
)

# A source as it last answered, or did not.
source_states = Table(
    "source_states",
    metadata,
    Column("account", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("kind", Text, CheckConstraint("kind IN ('usage', 'support')", name="kind"), nullable=False),
    time("asked_at"),
    time("answered_at", optional=True),
    time("silent_since", optional=True),
    Column("why", Text),
    Column("took_ms", BigInteger, nullable=False),
    time("covered_from", optional=True),
    time("covered_to", optional=True),
    Column("max_age_seconds", BigInteger, nullable=False),
)

# The same by the hour, kept for thirty days: how often it was asked, how often it answered, how long that took.
source_hours = Table(
    "source_hours",
    metadata,
    Column("account", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("asked", BigInteger, nullable=False),
    Column("answered", BigInteger, nullable=False),
    Column("took_ms", BigInteger, nullable=False),
    Column("most_ms", BigInteger, nullable=False),
)

# A backtest that was asked for here: what it tries, how far it is, and what came of it.
backtests = Table(
    "backtests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, CheckConstraint(one_of("state", BacktestState), name="state"), nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("new_name", Text, nullable=False),
    Column("new_source", Text, nullable=False),
    Column("against_name", Text),
    Column("against_source", Text),
    Column("as_mode", Text),
    Column("account", Text),
    time("since", optional=True),
    time("until", optional=True),
    Column("cases_total", BigInteger),
    Column("cases_done", BigInteger, nullable=False, server_default="0"),
    Column("stop_asked", Boolean, nullable=False, server_default=text("false")),
    Column("result", LargeBinary),
    Column("flips", LargeBinary),
    Column("why", Text),
    time("began_at", now=True),
    time("ended_at", optional=True),
    Index("ix_backtests_began_at", "began_at"),
)

# Up to which notice each person has seen them.
notice_marks = Table(
    "notice_marks",
    metadata,
    Column("person", Text, primary_key=True),
    Column("seen_to", Text, nullable=False),
    time("at", now=True),
)
