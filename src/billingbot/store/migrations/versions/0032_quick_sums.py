"""What disputes did to the balance is summed from an index."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    op.create_index(
        "ix_balance_transactions_disputes",
        "balance_transactions",
        ["created_at"],
        postgresql_where=sa.text("movement IN ('withdrawn', 'reinstated')"),
    )
