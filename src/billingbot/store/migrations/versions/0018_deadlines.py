"""Deadlines of disputes: what was told of each, what was missed, and a break for money that was returned twice."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT ON dispute_alarms TO billingbot_app;
    END IF;
END $$;
"""
_BREAKS = (
    "kind IN ('refund_unknown_to_us', 'refund_missing_at_stripe', 'second_refund', 'amount', 'currency', 'status',"
    " 'outcome_unknown_past_key', 'ledger_missing_entry', 'charge_unknown', 'charge_refunded_amount',"
    " 'dispute_unknown', 'dispute_status', 'returned_twice', 'unreadable')"
)


def upgrade() -> None:
    for name in ("followed_due_by", "next_alarm_at", "missed_at"):
        op.add_column("disputes", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_disputes_next_alarm_at",
        "disputes",
        ["next_alarm_at"],
        postgresql_where=sa.text("next_alarm_at IS NOT NULL"),
    )
    op.create_table(
        "dispute_alarms",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("due_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["account", "dispute_id"],
            ["disputes.account", "disputes.dispute_id"],
            name=op.f("fk_dispute_alarms_account_dispute_id"),
        ),
        sa.PrimaryKeyConstraint("account", "dispute_id", "due_by", "mark", name=op.f("pk_dispute_alarms")),
    )
    op.drop_constraint(op.f("ck_breaks_kind"), "breaks", type_="check")
    op.create_check_constraint(op.f("ck_breaks_kind"), "breaks", _BREAKS)
    op.execute(_GRANTS)
