"""The queue as people work it: who looks at which case, the lists they keep, and where they were named."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text, text

from billingbot.core.case import Doing
from billingbot.store.schema.base import metadata, one_of, time

# Who has a case open right now. Nothing depends on it: a crash may empty it, and rows that are not renewed count no
# longer within seconds.
case_visits = Table(
    "case_visits",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("doing", Text, CheckConstraint(one_of("doing", Doing), name="doing"), nullable=False),
    time("seen_at", now=True),
    Index("ix_case_visits_seen_at", "seen_at"),
    prefixes=["UNLOGGED"],
)

# Filters of the queue under a name of their owner's.
queue_views = Table(
    "queue_views",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("query", Text, nullable=False),
    time("saved_at", now=True),
    time("dropped_at", optional=True),
    Index("uq_queue_views_owner_name", "owner", "name", unique=True, postgresql_where=text("dropped_at IS NULL")),
)

# Whom a note names, and whether they have seen it.
mentions = Table(
    "mentions",
    metadata,
    Column("note_id", Text, ForeignKey("notes.id"), primary_key=True),
    Column("person", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    time("named_at", now=True),
    time("seen_at", optional=True),
    Index("ix_mentions_person", "person", "named_at"),
    Index("ix_mentions_unseen", "person", "case_id", postgresql_where=text("seen_at IS NULL")),
)
