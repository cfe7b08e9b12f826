"""Cancellations that follow from a dispute, beside those that follow from a refund."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.alter_column("cancellations", "refund_id", existing_type=sa.Text(), nullable=True)
    op.add_column("cancellations", sa.Column("dispute_id", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_cancellations_one_cause"), "cancellations", "(refund_id IS NULL) <> (dispute_id IS NULL)"
    )
    op.create_unique_constraint(op.f("uq_cancellations_account_dispute_id"), "cancellations", ["account", "dispute_id"])
