"""The desk itself: its ledger, modes, breakers, keys and notices."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)

from billingbot.core.access.powers import Power
from billingbot.core.notice import NoticeState
from billingbot.store.schema.base import metadata, one_of, time

_POWERS = "ARRAY[" + ", ".join(f"'{power}'" for power in Power) + "]::text[]"

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    time("at"),
    Column("kind", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Index("ix_ledger_entries_subject", "subject"),
    Index("ix_ledger_entries_kind", "kind", "seq"),
    Index("ix_ledger_entries_actor", "actor", "seq"),
)

modes = Table(
    "modes",
    metadata,
    Column("account", Text, primary_key=True),
    Column("mode", Text, CheckConstraint("mode IN ('off', 'shadow', 'assist', 'auto')", name="mode"), nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("why", Text),
    time("changed_at", now=True),
)

# One row per account once its breaker has ever opened; open while `closed_at` is empty.
breakers = Table(
    "breakers",
    metadata,
    Column("account", Text, primary_key=True),
    Column("tripped_by", Text, nullable=False),
    Column("observed", Text, nullable=False),
    Column("allowed", Text, nullable=False),
    Column("case_id", Text, ForeignKey("cases.id")),
    time("opened_at", now=True),
    time("closed_at", optional=True),
    Column("closed_by", Text),
    Column("why", Text),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("powers", ARRAY(Text), CheckConstraint(f"powers <@ {_POWERS}", name="powers"), nullable=False),
    time("created_at", now=True),
    time("last_used_at", optional=True),
    time("revoked_at", optional=True),
)

notices = Table(
    "notices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("headline", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, CheckConstraint(one_of("state", NoticeState), name="state"), nullable=False),
    time("told_at", now=True),
    time("tried_at", optional=True),
    Index("ix_notices_tried", "kind", "tried_at"),
    Index("ix_notices_open", "kind", "told_at", postgresql_where=text("state IN ('waiting', 'failed')")),
    Index("ix_notices_subject", "subject"),
)

# What became of each notice at each destination: sent once, or why not.
notice_deliveries = Table(
    "notice_deliveries",
    metadata,
    Column("notice_id", Text, ForeignKey("notices.id"), primary_key=True),
    Column("route", Text, primary_key=True),
    Column("state", Text, CheckConstraint("state IN ('sending', 'sent', 'failed')", name="state"), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("why", Text),
    time("at", now=True),
)
