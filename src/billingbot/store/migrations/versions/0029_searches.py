"""Searches for a customer's personal data, each a job with a page of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON personal_data_searches TO billingbot_app;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.create_table(
        "personal_data_searches",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("agreed_by", sa.Text(), nullable=True),
        sa.Column("rows_total", sa.BigInteger(), nullable=True),
        sa.Column("rows_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held", sa.Text(), nullable=True),
        sa.Column("finds", sa.Text(), nullable=True),
        sa.Column("erased", sa.Text(), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('looking', 'found', 'erasing', 'erased', 'dropped', 'failed')",
            name=op.f("ck_personal_data_searches_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_personal_data_searches")),
    )
    op.execute(_GRANTS)
