"""What finance reads: Stripe's balance transactions, and months with their statements."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON balance_transactions, months TO billingbot_app;
    END IF;
END $$;
"""
_TIME = sa.DateTime(timezone=True)
_NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "balance_transactions",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("movement", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("exchange_rate", sa.Numeric(), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("available_on", _TIME, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("read_at", _TIME, server_default=_NOW, nullable=False),
        sa.Column("booked_in", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "movement IN ('refund', 'returned', 'withdrawn', 'reinstated', 'other')",
            name=op.f("ck_balance_transactions_movement"),
        ),
        sa.PrimaryKeyConstraint("account", "id", name=op.f("pk_balance_transactions")),
    )
    op.create_index("ix_balance_transactions_source", "balance_transactions", ["account", "source"])
    op.create_index("ix_balance_transactions_created_at", "balance_transactions", ["account", "created_at"])
    op.create_index(
        "ix_balance_transactions_unbooked",
        "balance_transactions",
        ["account", "created_at"],
        postgresql_where=sa.text("booked_in IS NULL"),
    )
    op.create_table(
        "months",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("until", _TIME, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("transactions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unreadable", sa.Integer(), server_default="0", nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("began_at", _TIME, server_default=_NOW, nullable=False),
        sa.Column("advanced_at", _TIME, server_default=_NOW, nullable=False),
        sa.Column("drawn_at", _TIME, nullable=True),
        sa.Column("statement", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("breaks", sa.Integer(), nullable=True),
        sa.Column("signed_by", sa.Text(), nullable=True),
        sa.Column("signed_at", _TIME, nullable=True),
        sa.Column("ledger_seq", sa.BigInteger(), nullable=True),
        sa.Column("ledger_hash", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.CheckConstraint(r"month ~ '^\d{4}-(0[1-9]|1[0-2])$'", name=op.f("ck_months_month")),
        sa.CheckConstraint("state IN ('reading', 'drawn', 'signed', 'failed')", name=op.f("ck_months_state")),
        sa.CheckConstraint("(state = 'signed') = (signed_by IS NOT NULL)", name=op.f("ck_months_signed")),
        sa.CheckConstraint("state NOT IN ('drawn', 'signed') OR digest IS NOT NULL", name=op.f("ck_months_drawn")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_months")),
        sa.UniqueConstraint("account", "month", name=op.f("uq_months_account_month")),
    )
    op.add_column("refunds", sa.Column("settlement_of", sa.Text(), nullable=True))
    op.create_index(
        "ix_refunds_settlement",
        "refunds",
        ["account", "id"],
        postgresql_where=sa.text(
            "stripe_refund_id IS NOT NULL AND state IN ('pending', 'succeeded', 'failed', 'canceled')"
            " AND settlement_of IS DISTINCT FROM state"
        ),
    )
    op.add_column("disputes", sa.Column("settlement_of", sa.Text(), nullable=True))
    op.create_index(
        "ix_disputes_settlement",
        "disputes",
        ["account", "dispute_id"],
        postgresql_where=sa.text("settlement_of IS DISTINCT FROM status"),
    )
    op.execute(_GRANTS)
