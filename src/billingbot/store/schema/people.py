"""Cases and all that people say on them: requests, notes, approvals, and letters to customers."""

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

from billingbot.core.case import OPEN_STATES, CaseState
from billingbot.core.letter import LetterState
from billingbot.store.schema.base import metadata, one_of, time

requests = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("account", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("named_by", Text, nullable=False),
    Column("named", Text, nullable=False),
    Column("claims_unused", Boolean, nullable=False),
    Column("claims_cancelled", Boolean, nullable=False),
    time("claims_cancelled_at", optional=True),
    Column("text", Text),
    Column("external_ref", Text),
    Column("asked_by", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("input_digest", Text, nullable=False),
    time("asked_at", now=True),
    Index("ix_requests_case_id", "case_id"),
    # What a request of a bank came from: the dispute or the warning.
    Index("ix_requests_external_ref", "account", "external_ref", postgresql_where=text("external_ref IS NOT NULL")),
    UniqueConstraint("asked_by", "idempotency_key"),
)

cases = Table(
    "cases",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("state", Text, CheckConstraint(one_of("state", CaseState), name="state"), nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("charge_id", Text),
    Column("customer_id", Text),
    Column("subscription_id", Text),
    Column("invoice_id", Text),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    Column("reason", Text),
    Column("clause", Text),
    Column("recommendation", Text),
    Column("priority", Text, nullable=False, server_default="normal"),
    Column("decision_id", Text),
    Column("assignee", Text),
    Column("joined_case_id", Text, ForeignKey("cases.id")),
    Column("outcome", Text),
    Column("reply", Text),
    Column("reply_subject", Text),
    Column("reply_language", Text),
    time("opened_at", now=True),
    time("decided_at", optional=True),
    time("due_at", optional=True),
    time("closed_at", optional=True),
    # When what people wrote on it was erased, at the request of whom it was about.
    time("erased_at", optional=True),
    time("recheck_at", optional=True),
    Column("rechecks", Integer, nullable=False, server_default="0"),
    time("snoozed_until", optional=True),
    # One open case per charge: two requests at the same moment meet here.
    Index(
        "uq_cases_open_charge",
        "account",
        "charge_id",
        unique=True,
        postgresql_where=text(one_of("state", OPEN_STATES)),
    ),
    # With what the queue's counts, sums and filters read: they come from the index alone.
    Index(
        "ix_cases_queue",
        "due_at",
        postgresql_where=text("state = 'review'"),
        postgresql_include=[
            "account",
            "reason",
            "priority",
            "currency",
            "amount_minor",
            "assignee",
            "opened_at",
            "snoozed_until",
        ],
    ),
    Index("ix_cases_assignee", "assignee", postgresql_where=text("state = 'review'")),
    Index("ix_cases_closed", "closed_at", postgresql_where=text("state = 'closed'")),
    Index(
        "ix_cases_denied",
        "closed_at",
        postgresql_where=text("state = 'closed' AND outcome = 'denied'"),
        postgresql_include=["account", "currency", "amount_minor"],
    ),
    Index("ix_cases_recheck", "recheck_at", postgresql_where=text("state = 'review' AND recheck_at IS NOT NULL")),
    Index("ix_cases_charge_id", "account", "charge_id"),
    Index("ix_cases_customer_id", "account", "customer_id"),
    Index("ix_cases_joined", "joined_case_id", postgresql_where=text("joined_case_id IS NOT NULL")),
    Index("ix_cases_decided", "account", "decided_at"),
    # Somebody looks for an amount, and has nothing else.
    Index("ix_cases_amount_minor", "amount_minor", "id"),
)

notes = Table(
    "notes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("author", Text, nullable=False),
    Column("text", Text, nullable=False),
    time("written_at", now=True),
    # Whether an answer to a bank may quote it.
    Column("for_bank", Boolean, nullable=False, server_default="false"),
    Index("ix_notes_case_id", "case_id"),
)

# What was sent to customers. The same text never goes out twice for one case, unless it certainly did not arrive.
letters = Table(
    "letters",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("account", Text, nullable=False),
    Column("language", Text),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("text_digest", Text, nullable=False),
    Column("state", Text, CheckConstraint(one_of("state", LetterState), name="state"), nullable=False),
    Column("written_by", Text, nullable=False),
    Column("recipient_digest", Text),
    Column("why", Text),
    time("written_at", now=True),
    time("sent_at", optional=True),
    Index(
        "uq_letters_text",
        "case_id",
        "text_digest",
        unique=True,
        postgresql_where=text("state <> 'failed'"),
    ),
    Index("ix_letters_case_id", "case_id"),
)

# Two people for one large refund: who approved first, and who second.
approvals = Table(
    "approvals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.id"), nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor > 0", name="amount"), nullable=False),
    Column("currency", Text, nullable=False),
    Column("maker", Text, nullable=False),
    Column("maker_key", Text, nullable=False),
    Column("maker_through", Text),
    time("made_at", now=True),
    Column("checker", Text),
    Column("checker_key", Text),
    Column("checker_through", Text),
    time("checked_at", optional=True),
    Column("refund_id", Text, ForeignKey("refunds.id")),
    time("ended_at", optional=True),
    Column("ended_by", Text),
    # Nobody is maker and checker of one refund, not even by writing the name another way.
    CheckConstraint("checker_key <> maker_key AND lower(btrim(checker)) <> lower(btrim(maker))", name="two_people"),
    # Nor by writing two names through one API key.
    CheckConstraint("checker_through <> maker_through", name="two_ways"),
    CheckConstraint("(refund_id IS NULL) = (checker_key IS NULL)", name="checked"),
    Index(
        "uq_approvals_open_case",
        "case_id",
        unique=True,
        postgresql_where=text("refund_id IS NULL AND ended_at IS NULL"),
    ),
    Index("ix_approvals_refund_id", "refund_id"),
)
