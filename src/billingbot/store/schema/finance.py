"""What finance reads: Stripe's balance transactions about refunds and disputes, and the months that were closed."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from billingbot.core.books.month import MonthState
from billingbot.core.books.settlement import Movement
from billingbot.store.schema.base import metadata, one_of, time

# Signed amounts in minor units of the account's own currency. Stripe never changes those of one that exists.
balance_transactions = Table(
    "balance_transactions",
    metadata,
    Column("account", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("movement", Text, CheckConstraint(one_of("movement", Movement), name="movement"), nullable=False),
    Column("type", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("source", Text),
    Column("amount_minor", BigInteger, nullable=False),
    Column("fee_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("exchange_rate", Numeric),
    time("created_at"),
    time("available_on"),
    Column("status", Text, nullable=False),
    time("read_at", now=True),
    # The signed month whose statement holds it: in there for good, and in no other.
    Column("booked_in", Text),
    Index("ix_balance_transactions_source", "account", "source"),
    Index("ix_balance_transactions_created_at", "account", "created_at"),
    # What disputes did, a few among many refunds.
    Index(
        "ix_balance_transactions_disputes",
        "created_at",
        postgresql_where=text("movement IN ('withdrawn', 'reinstated')"),
    ),
    Index("ix_balance_transactions_unbooked", "account", "created_at", postgresql_where=text("booked_in IS NULL")),
)

# One statement for an account and a month; until it is signed it may be drawn again.
months = Table(
    "months",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("month", Text, CheckConstraint(r"month ~ '^\d{4}-(0[1-9]|1[0-2])$'", name="month"), nullable=False),
    Column("zone", Text, nullable=False),
    time("since"),
    time("until"),
    Column("state", Text, CheckConstraint(one_of("state", MonthState), name="state"), nullable=False),
    # Where the reading of Stripe's list has come to.
    Column("type", Text),
    Column("cursor", Text),
    Column("transactions", Integer, nullable=False, server_default="0"),
    Column("unreadable", Integer, nullable=False, server_default="0"),
    Column("asked_by", Text, nullable=False),
    time("began_at", now=True),
    time("advanced_at", now=True),
    time("drawn_at", optional=True),
    # Canonical bytes, packed; the digest is that of the bytes before they were packed.
    Column("statement", LargeBinary),
    Column("digest", Text),
    Column("breaks", Integer),
    Column("signed_by", Text),
    time("signed_at", optional=True),
    Column("ledger_seq", BigInteger),
    Column("ledger_hash", Text),
    Column("why", Text),
    UniqueConstraint("account", "month"),
    CheckConstraint("(state = 'signed') = (signed_by IS NOT NULL)", name="signed"),
    CheckConstraint("state NOT IN ('drawn', 'signed') OR digest IS NOT NULL", name="drawn"),
)
