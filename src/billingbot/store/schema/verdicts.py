"""Policies, whole and for good, and what they decided: live and in the shadow."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from billingbot.store.schema.base import metadata, time

# Every policy that ever decided, whole: a decision can be reproduced years later.
policies = Table(
    "policies",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("policy_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("source", Text, nullable=False),
    time("first_used_at", now=True),
)

# Versions as they were published, in order; a charge is judged by the one in force when it was made.
policy_editions = Table(
    "policy_editions",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("policy_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, ForeignKey("policies.digest"), nullable=False),
    time("effective_from"),
    time("published_at", now=True),
    Column("published_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    UniqueConstraint("version"),
    UniqueConstraint("digest"),
)

# Canonical bytes as they were hashed, not JSONB, which would reorder them.
decisions = Table(
    "decisions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("purpose", Text, CheckConstraint("purpose IN ('assess', 'before_pay')", name="purpose"), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("clause", Text),
    Column("recommendation", Text, nullable=False),
    Column("facts", LargeBinary, nullable=False),
    Column("facts_digest", Text, nullable=False),
    Column("policy_digest", Text, ForeignKey("policies.digest"), nullable=False),
    Column("decision", LargeBinary, nullable=False),
    Column("decision_digest", Text, nullable=False),
    time("decided_at", now=True),
    Index("ix_decisions_case_id", "case_id"),
    Index("ix_decisions_decided_at", "decided_at"),
)

# A candidate policy beside the live one: at most one at a time.
shadows = Table(
    "shadows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", Text, ForeignKey("policies.digest"), nullable=False),
    Column("why", Text, nullable=False),
    Column("started_by", Text, nullable=False),
    time("started_at", now=True),
    time("followed_to", optional=True),
    Column("stopped_by", Text),
    time("stopped_at", optional=True),
    Index("uq_shadows_running", text("(true)"), unique=True, postgresql_where=text("stopped_at IS NULL")),
)

# What it says to the facts of each live verdict; without an outcome where they could not be read.
shadow_verdicts = Table(
    "shadow_verdicts",
    metadata,
    Column("shadow_id", Text, ForeignKey("shadows.id"), primary_key=True),
    Column("decision_id", Text, ForeignKey("decisions.id"), primary_key=True),
    Column("outcome", Text),
    Column("rule", Text),
    Column("reason", Text),
    Column("recommendation", Text),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
)
