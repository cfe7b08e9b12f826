"""What was before: trials, who was seen with what, conversions, and activity that the product pushes."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from billingbot.core.evidence.history import LinkKind
from billingbot.store.schema.base import metadata, one_of, time

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
    Index("ix_conversions_subscription_id", "account", "subscription_id"),
)

# Who had a trial; by which card and mailbox stands in customer_identities.
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

# What each customer was seen with, as digests: cards, mailboxes, devices, addresses, company domains. `trial_since` is
# the start of the earliest trial that carries it, which is what makes a repeated trial; without it a sighting alone.
customer_identities = Table(
    "customer_identities",
    metadata,
    Column("account", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("kind", Text, CheckConstraint(one_of("kind", LinkKind), name="kind"), primary_key=True),
    Column("digest", Text, primary_key=True),
    time("since"),
    time("trial_since", optional=True),
    # Whoever looks who else has a card reads the first few of this and stops, however many there are.
    Index("ix_customer_identities_digest", "account", "kind", "digest", "since", "customer_id"),
)

# What customers wrote when they cancelled and asked for money back: read by people, once, on a case.
cancellation_comments = Table(
    "cancellation_comments",
    metadata,
    Column("account", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("feedback", Text),
    Column("comment", Text, nullable=False),
    Column("matched", ARRAY(Text), nullable=False),
    Column("case_id", Text, ForeignKey("cases.id")),
    time("noticed_at", now=True),
    Index("ix_cancellation_comments_case_id", "case_id"),
)

# What people said is no link: a pair of customers by one kind, or one card (mailbox, device) for everybody.
link_marks = Table(
    "link_marks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("kind", Text, CheckConstraint(one_of("kind", LinkKind), name="kind"), nullable=False),
    Column("one", Text),
    Column("other", Text),
    Column("digest", Text),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("marked_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    time("marked_at", now=True),
    Column("taken_back_by", Text),
    time("taken_back_at", optional=True),
    CheckConstraint("(one IS NULL) = (other IS NULL) AND (one IS NULL) <> (digest IS NULL)", name="what"),
    CheckConstraint('one COLLATE "C" < other COLLATE "C"', name="pair"),
    CheckConstraint("(taken_back_by IS NULL) = (taken_back_at IS NULL)", name="taken_back"),
    Index(
        "uq_link_marks_pair",
        "account",
        "kind",
        "one",
        "other",
        unique=True,
        postgresql_where=text("taken_back_at IS NULL AND digest IS NULL"),
    ),
    Index("ix_link_marks_other", "account", "other", postgresql_where=text("taken_back_at IS NULL")),
    Index(
        "uq_link_marks_digest",
        "account",
        "kind",
        "digest",
        unique=True,
        postgresql_where=text("taken_back_at IS NULL AND digest IS NOT NULL"),
    ),
)

# What digests of devices and addresses are keyed with, made by the database itself: without the key a list of all
# four billion addresses would tell which was meant.
digest_keys = Table(
    "digest_keys",
    metadata,
    Column("account", Text, primary_key=True),
    Column(
        "key",
        LargeBinary,
        nullable=False,
        server_default=text("sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea)"),
    ),
    time("made_at", now=True),
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
