"""Where two people are wanted, their words do not come through one API key, whatever names it writes."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    for name in ("maker_through", "checker_through"):
        op.add_column("approvals", sa.Column(name, sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_approvals_two_ways"), "approvals", "checker_through <> maker_through")
    for name in ("first_through", "decided_through"):
        op.add_column("dispute_answers", sa.Column(name, sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_dispute_answers_two_ways"), "dispute_answers", "NOT needs_second OR first_through <> decided_through"
    )
