"""Answers to banks: drafts with their versions, uploaded papers, each act at Stripe, and notes that a bank may read."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

# As for refunds: rows are written and moved on, never removed.
_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON dispute_drafts, dispute_draft_versions, dispute_papers, dispute_answers
            TO billingbot_app;
        GRANT UPDATE (for_bank) ON notes TO billingbot_app;
    END IF;
END $$;
"""

_STATES = (
    "state IN ('asked', 'intended', 'submitting', 'unknown', 'done', 'overtaken', 'absent', 'refused', "
    "'stood_back', 'lapsed')"
)
_LIVE = "state IN ('intended', 'submitting', 'unknown')"
_TWO_PEOPLE = "NOT needs_second OR state IN ('asked', 'lapsed') OR first_key <> decided_key"
_FINAL = "kind IN ('send', 'accept') AND state IN ('intended', 'submitting', 'unknown', 'done')"


def upgrade() -> None:
    op.add_column("notes", sa.Column("for_bank", sa.Boolean(), server_default="false", nullable=False))
    op.create_table(
        "dispute_drafts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("charge_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("version >= 0", name=op.f("ck_dispute_drafts_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispute_drafts")),
        sa.UniqueConstraint("account", "dispute_id", name=op.f("uq_dispute_drafts_account_dispute_id")),
    )
    op.create_index(
        "ix_dispute_drafts_wanted",
        "dispute_drafts",
        ["opened_at"],
        unique=False,
        postgresql_where=sa.text("version = 0"),
    )
    op.create_table(
        "dispute_draft_versions",
        sa.Column("draft_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "change IN ('drafted', 'edited', 'dropped', 'restored')", name=op.f("ck_dispute_draft_versions_change")
        ),
        sa.ForeignKeyConstraint(["draft_id"], ["dispute_drafts.id"], name=op.f("fk_dispute_draft_versions_draft_id")),
        sa.PrimaryKeyConstraint("draft_id", "version", name=op.f("pk_dispute_draft_versions")),
    )
    op.create_table(
        "dispute_papers",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column(
            "uploaded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("account", "dispute_id", "digest", name=op.f("pk_dispute_papers")),
    )
    op.create_table(
        "dispute_answers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("charge_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("draft_id", sa.Text(), nullable=True),
        sa.Column("draft_version", sa.Integer(), nullable=True),
        sa.Column("fields", sa.Text(), nullable=True),
        sa.Column("cleared", sa.Text(), server_default="[]", nullable=False),
        sa.Column("files", sa.Text(), server_default="{}", nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("sends", sa.Integer(), server_default="0", nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_key", sa.Text(), nullable=True),
        sa.Column("first_by", sa.Text(), nullable=True),
        sa.Column("first_key", sa.Text(), nullable=True),
        sa.Column("needs_second", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("confirm_by_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "intended_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("last_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('stage', 'send', 'accept')", name=op.f("ck_dispute_answers_kind")),
        sa.CheckConstraint(_STATES, name=op.f("ck_dispute_answers_state")),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_dispute_answers_amount")),
        sa.CheckConstraint(
            "NOT needs_second OR state IN ('asked', 'lapsed') OR first_key <> decided_key",
            name=op.f("ck_dispute_answers_two_people"),
        ),
        sa.ForeignKeyConstraint(["draft_id"], ["dispute_drafts.id"], name=op.f("fk_dispute_answers_draft_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispute_answers")),
        sa.UniqueConstraint("key", name=op.f("uq_dispute_answers_key")),
    )
    op.create_index("ix_dispute_answers_dispute_id", "dispute_answers", ["account", "dispute_id"], unique=False)
    op.create_index(
        "ix_dispute_answers_live",
        "dispute_answers",
        ["intended_at"],
        unique=False,
        postgresql_where=sa.text(_LIVE),
    )
    op.create_index(
        "uq_dispute_answers_asked",
        "dispute_answers",
        ["account", "dispute_id"],
        unique=True,
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.create_index(
        "uq_dispute_answers_final",
        "dispute_answers",
        ["account", "dispute_id"],
        unique=True,
        postgresql_where=sa.text(
            "kind IN ('send', 'accept') AND state IN ('intended', 'submitting', 'unknown', 'done')"
        ),
    )
    op.create_index(
        "uq_dispute_answers_staging",
        "dispute_answers",
        ["account", "dispute_id"],
        unique=True,
        postgresql_where=sa.text(f"kind = 'stage' AND {_LIVE}"),
    )
    op.execute(_GRANTS)
