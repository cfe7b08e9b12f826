"""Answers to banks: drafts with their versions, papers that were uploaded, and each act at Stripe: intent first."""

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

from billingbot.core.disputes.answer_draft import DraftChange
from billingbot.core.disputes.answering import BINDING, FINAL_KINDS, LIVE, AnswerKind, AnswerState
from billingbot.core.disputes.life import Stage
from billingbot.core.disputes.purchase_facts import PurchaseFact
from billingbot.store.schema.base import metadata, one_of, time

# One draft for a dispute, for ever; `version` 0 is one that is wanted and not drafted yet.
dispute_drafts = Table(
    "dispute_drafts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("dispute_id", Text, nullable=False),
    Column("charge_id", Text, nullable=False),
    Column("version", Integer, CheckConstraint("version >= 0", name="version"), nullable=False, server_default="0"),
    time("opened_at", now=True),
    UniqueConstraint("account", "dispute_id"),
    Index("ix_dispute_drafts_wanted", "opened_at", postgresql_where=text("version = 0")),
)

# What a draft said, and who made it say so. The texts can be erased; their digest stays, here and in the ledger.
dispute_draft_versions = Table(
    "dispute_draft_versions",
    metadata,
    Column("draft_id", Text, ForeignKey("dispute_drafts.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("change", Text, CheckConstraint(one_of("change", DraftChange), name="change"), nullable=False),
    Column("field", Text),
    Column("made_by", Text, nullable=False),
    time("made_at", now=True),
    Column("digest", Text, nullable=False),
    Column("content", Text),
)

# Papers at Stripe, by what they hold: staged and sent answers name the same file.
dispute_papers = Table(
    "dispute_papers",
    metadata,
    Column("account", Text, primary_key=True),
    Column("dispute_id", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("field", Text, nullable=False),
    Column("file_id", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("pages", Integer, nullable=False),
    time("uploaded_at", now=True),
)

# What the product pushed about purchases. Personal, so that null can take a value away.
purchase_facts = Table(
    "purchase_facts",
    metadata,
    Column("account", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("name", Text, CheckConstraint(one_of("name", PurchaseFact), name="name"), primary_key=True),
    Column("value", Text),
    time("told_at", now=True),
)

dispute_answers = Table(
    "dispute_answers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("dispute_id", Text, nullable=False),
    Column("charge_id", Text, nullable=False),
    Column("kind", Text, CheckConstraint(one_of("kind", AnswerKind), name="kind"), nullable=False),
    Column("stage", Text, CheckConstraint(one_of("stage", Stage), name="stage"), nullable=False),
    Column("state", Text, CheckConstraint(one_of("state", AnswerState), name="state"), nullable=False),
    Column("draft_id", Text, ForeignKey("dispute_drafts.id")),
    Column("draft_version", Integer),
    # The frozen texts as JSON; null once erased, and for an acceptance.
    Column("fields", Text),
    Column("cleared", Text, nullable=False, server_default="[]"),
    Column("files", Text, nullable=False, server_default="{}"),
    Column("digest", Text),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor >= 0", name="amount"), nullable=False),
    Column("currency", Text, nullable=False),
    Column("key", Text, unique=True),
    Column("sends", Integer, nullable=False, server_default="0"),
    Column("why", Text),
    Column("decided_by", Text, nullable=False),
    Column("decided_key", Text),
    Column("decided_through", Text),
    Column("first_by", Text),
    Column("first_key", Text),
    Column("first_through", Text),
    Column("needs_second", Boolean, nullable=False, server_default="false"),
    time("confirm_by_at", optional=True),
    time("intended_at", now=True),
    time("last_sent_at", optional=True),
    time("ended_at", optional=True),
    # Above the second approval's amount nobody asks and confirms, not even by writing the name another way.
    CheckConstraint("NOT needs_second OR state IN ('asked', 'lapsed') OR first_key <> decided_key", name="two_people"),
    # Nor by writing two names through one API key.
    CheckConstraint("NOT needs_second OR first_through <> decided_through", name="two_ways"),
    # One answer goes to the bank, or the dispute is given up: once, whoever wants it; a chargeback that was an inquiry
    # wants an answer of its own.
    Index(
        "uq_dispute_answers_final",
        "account",
        "dispute_id",
        "stage",
        unique=True,
        postgresql_where=text(one_of("kind", FINAL_KINDS) + " AND " + one_of("state", BINDING)),
    ),
    # Of all acts on one dispute, in either stage, one is under way.
    Index(
        "uq_dispute_answers_under_way",
        "account",
        "dispute_id",
        unique=True,
        postgresql_where=text(one_of("state", LIVE)),
    ),
    Index("uq_dispute_answers_asked", "account", "dispute_id", unique=True, postgresql_where=text("state = 'asked'")),
    Index("ix_dispute_answers_dispute_id", "account", "dispute_id"),
    Index("ix_dispute_answers_live", "intended_at", postgresql_where=text(one_of("state", LIVE))),
)
