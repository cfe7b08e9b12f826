"""What was before: trials by card and mailbox, conversions, and activity that the product pushes."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, Index, Table, Text, UniqueConstraint

from billingbot.store.schema.base import metadata, time

conversions = Table(
    "conversions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("invoice_id", Text, nullable=False),
    Column("charge_id", Text, nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor > 0", name="amount"), nullable=False),
    Column("currency", Text, nullable=False),
    time("trial_start_at"),
    time("trial_end_at"),
    time("charged_at"),
    time("noticed_at", now=True),
    UniqueConstraint("account", "charge_id"),
    Index("ix_conversions_invoice_id", "account", "invoice_id"),
)

# Who had a trial, by card and by mailbox: digests, so that the links work and the address book does not exist.
trials = Table(
    "trials",
    metadata,
    Column("account", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    time("trial_start_at"),
    time("first_trial_end_at"),
    time("trial_end_at"),
    time("noticed_at", now=True),
    Index("ix_trials_customer_id", "account", "customer_id"),
)

trial_identities = Table(
    "trial_identities",
    metadata,
    Column("account", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Index("ix_trial_identities_digest", "account", "kind", "digest"),
)

history_imports = Table(
    "history_imports",
    metadata,
    Column("account", Text, primary_key=True),
    Column("cursor", Text),
    Column("seen", BigInteger, nullable=False, server_default="0"),
    time("began_at", now=True),
    time("finished_at", optional=True),
    time("caught_up_at", optional=True),
    time("read_to", optional=True),
)

activity = Table(
    "activity",
    metadata,
    Column("account", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("kind", Text, CheckConstraint("kind IN ('tag', 'api')", name="kind"), primary_key=True),
    Column("events", BigInteger, CheckConstraint("events >= 0", name="events"), nullable=False),
    time("first_at", optional=True),
    time("last_at", optional=True),
    time("in_place_at", optional=True),
    time("updated_at", now=True),
)

activity_coverage = Table(
    "activity_coverage",
    metadata,
    Column("account", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("start_at", DateTime(timezone=True), primary_key=True),
    time("end_at"),
    CheckConstraint("end_at >= start_at", name="span"),
    time("updated_at", now=True),
)
