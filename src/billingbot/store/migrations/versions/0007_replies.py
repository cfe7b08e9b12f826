"""Replies: subject and language beside the text on a case, and the letters that were sent."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON letters TO billingbot_app;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.add_column("cases", sa.Column("reply_subject", sa.Text(), nullable=True))
    op.add_column("cases", sa.Column("reply_language", sa.Text(), nullable=True))
    op.create_table(
        "letters",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("text_digest", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("written_by", sa.Text(), nullable=False),
        sa.Column("recipient_digest", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column(
            "written_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'sending', 'sent', 'failed', 'unknown')", name=op.f("ck_letters_state")
        ),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_letters_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_letters")),
    )
    op.create_index(
        "uq_letters_text",
        "letters",
        ["case_id", "text_digest"],
        unique=True,
        postgresql_where=sa.text("state <> 'failed'"),
    )
    op.create_index("ix_letters_case_id", "letters", ["case_id"])
    op.execute(_GRANTS)
