"""The sums of a month's refunds come from an index alone."""

from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.create_index(
        "ix_refunds_log",
        "refunds",
        ["intended_at"],
        postgresql_include=["id", "account", "currency", "state", "amount_minor", "clause", "decided_by", "origin"],
    )
