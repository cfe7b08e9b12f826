"""Pages at a million cases: a refund knows when it was asked for, and cases are found by their amount from an index."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.add_column("refunds", sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE refunds SET asked_at = c.opened_at FROM cases c WHERE c.id = refunds.case_id AND origin <> 'external'"
    )
    op.drop_index("ix_refunds_log", "refunds")
    op.create_index(
        "ix_refunds_log",
        "refunds",
        ["intended_at"],
        postgresql_include=[
            "id",
            "account",
            "currency",
            "state",
            "amount_minor",
            "clause",
            "decided_by",
            "origin",
            "asked_at",
        ],
    )
    op.create_index("ix_cases_amount_minor", "cases", ["amount_minor", "id"])
