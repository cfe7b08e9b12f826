"""Indexes for sums: what one person decided, and what disputes did to the balance."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    op.create_index("ix_refunds_decided_by", "refunds", ["decided_by", "id"])
    op.create_index(
        "ix_balance_transactions_disputes",
        "balance_transactions",
        ["created_at"],
        postgresql_where=sa.text("movement IN ('withdrawn', 'reinstated')"),
    )
