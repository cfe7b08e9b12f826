"""Indexes for pages at a million cases.

The queue's counts and sums, the ledger by kind and by actor, and what people declined come from indexes alone; cases
that joined another are found by it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.drop_index("ix_cases_queue", "cases")
    op.create_index(
        "ix_cases_queue",
        "cases",
        ["due_at"],
        postgresql_where=sa.text("state = 'review'"),
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
    )
    op.create_index(
        "ix_cases_denied",
        "cases",
        ["closed_at"],
        postgresql_where=sa.text("state = 'closed' AND outcome = 'denied'"),
        postgresql_include=["account", "currency", "amount_minor"],
    )
    op.create_index(
        "ix_cases_joined", "cases", ["joined_case_id"], postgresql_where=sa.text("joined_case_id IS NOT NULL")
    )
    op.create_index("ix_ledger_entries_kind", "ledger_entries", ["kind", "seq"])
    op.create_index("ix_ledger_entries_actor", "ledger_entries", ["actor", "seq"])
