"""What customers wrote when they cancelled and asked for money back."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON cancellation_comments TO billingbot_app;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.create_table(
        "cancellation_comments",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("feedback", sa.Text(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("matched", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=True),
        sa.Column(
            "noticed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_cancellation_comments_case_id")),
        sa.PrimaryKeyConstraint("account", "subscription_id", "digest", name=op.f("pk_cancellation_comments")),
    )
    op.create_index("ix_cancellation_comments_case_id", "cancellation_comments", ["case_id"])
    op.execute(_GRANTS)
