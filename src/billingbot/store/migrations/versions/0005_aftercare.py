"""Aftercare: what a refund's policy said of credit notes and of the subscription, and cancellations with their life."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

# As for refunds: rows are written and moved on, never removed.
_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON cancellations TO billingbot_app;
    END IF;
END $$;
"""


def upgrade() -> None:
    for name in ("invoice_id", "subscription_id", "credit_note_id", "credit_note_number"):
        op.add_column("refunds", sa.Column(name, sa.Text(), nullable=True))
    for name, default, known in (
        ("refund_with", "refund", "'refund', 'credit_note'"),
        ("cancel_subscription", "no", "'now', 'period_end', 'no'"),  # those decided before this asked for nothing
    ):
        op.add_column("refunds", sa.Column(name, sa.Text(), server_default=default, nullable=False))
        op.create_check_constraint(op.f(f"ck_refunds_{name}"), "refunds", f"{name} IN ({known})")
    op.create_table(
        "cancellations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("refund_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=True),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("charge_id", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("cancel_when", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("sends", sa.Integer(), server_default="0", nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("waits_for", sa.Text(), nullable=True),
        sa.Column(
            "intended_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("last_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("cancel_when IN ('now', 'period_end')", name=op.f("ck_cancellations_when")),
        sa.CheckConstraint(
            "state IN ('intended', 'submitting', 'unknown', 'done', 'not_needed', 'withdrawn', 'refused', "
            "'handed_over')",
            name=op.f("ck_cancellations_state"),
        ),
        sa.ForeignKeyConstraint(["refund_id"], ["refunds.id"], name=op.f("fk_cancellations_refund_id")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_cancellations_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cancellations")),
        sa.UniqueConstraint("refund_id", name=op.f("uq_cancellations_refund_id")),
    )
    op.create_index("ix_cancellations_case_id", "cancellations", ["case_id"])
    op.create_index("ix_cancellations_subscription_id", "cancellations", ["account", "subscription_id"])
    op.create_index(
        "ix_cancellations_live",
        "cancellations",
        ["intended_at"],
        postgresql_where=sa.text("state IN ('intended', 'submitting', 'unknown')"),
    )
    op.create_index(
        "ix_cancellations_waiting", "cancellations", ["id"], postgresql_where=sa.text("waits_for IS NOT NULL")
    )
    op.execute(_GRANTS)
