"""Reconcile: passes over an account, the breaks that they find, and disputes as we last looked at them."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON disputes, reconcile_passes, breaks TO billingbot_app;
    END IF;
END $$;
"""
_NOW = sa.text("clock_timestamp()")


def _time(name: str, *, now: bool = False, optional: bool = False) -> sa.Column[object]:
    default = _NOW if now else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=optional)


def upgrade() -> None:
    """Adds the tables, and when each refund was last seen at Stripe."""
    op.add_column("refunds", _time("seen_at", optional=True))
    op.create_index("ix_refunds_intended_at", "refunds", ["account", "intended_at"], unique=False)
    _disputes()
    _passes()
    _breaks()
    op.execute(_GRANTS)


def _disputes() -> None:
    op.create_table(
        "disputes",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("charge_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        _time("looked_at", now=True),
        _time("seen_at", optional=True),
        sa.PrimaryKeyConstraint("account", "dispute_id", name=op.f("pk_disputes")),
    )
    op.create_index("ix_disputes_charge_id", "disputes", ["account", "charge_id"], unique=False)


def _passes() -> None:
    op.create_table(
        "reconcile_passes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("scheduled", sa.Boolean(), nullable=False),
        sa.Column("deep", sa.Boolean(), nullable=False),
        _time("refunds_since"),
        _time("since"),
        _time("until"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        *(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in ("seen", "found")),
        *(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in ("settled", "to_person")),
        _time("began_at", now=True),
        _time("advanced_at", now=True),
        _time("finished_at", optional=True),
        sa.CheckConstraint("state IN ('running', 'whole')", name=op.f("ck_reconcile_passes_state")),
        sa.CheckConstraint(
            "stage IN ('refunds', 'charges', 'disputes', 'open_disputes', 'ours', 'breaks')",
            name=op.f("ck_reconcile_passes_stage"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconcile_passes")),
    )
    op.create_index(
        "uq_reconcile_passes_scheduled",
        "reconcile_passes",
        ["account"],
        unique=True,
        postgresql_where=sa.text("scheduled AND state = 'running'"),
    )
    op.create_index("ix_reconcile_passes_account", "reconcile_passes", ["account", "finished_at"], unique=False)


def _breaks() -> None:
    kinds = (
        "'refund_unknown_to_us', 'refund_missing_at_stripe', 'second_refund', 'amount', 'currency', 'status', "
        "'outcome_unknown_past_key', 'ledger_missing_entry', 'charge_unknown', 'charge_refunded_amount', "
        "'dispute_unknown', 'dispute_status', 'unreadable'"
    )
    texts = ("expected_currency", "expected_status", "found_currency", "found_status", "how")
    op.create_table(
        "breaks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("charge_id", sa.Text(), nullable=True),
        sa.Column("refund_id", sa.Text(), nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("expected_minor", "found_minor")),
        *(sa.Column(name, sa.Text(), nullable=True) for name in texts),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=True),
        sa.Column("pass_id", sa.Text(), nullable=True),
        _time("first_seen_at", now=True),
        _time("last_seen_at", now=True),
        _time("settled_at", optional=True),
        sa.CheckConstraint(f"kind IN ({kinds})", name=op.f("ck_breaks_kind")),
        sa.CheckConstraint("state IN ('open', 'settled', 'case')", name=op.f("ck_breaks_state")),
        sa.ForeignKeyConstraint(["refund_id"], ["refunds.id"], name=op.f("fk_breaks_refund_id")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_breaks_case_id")),
        sa.ForeignKeyConstraint(["pass_id"], ["reconcile_passes.id"], name=op.f("fk_breaks_pass_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_breaks")),
        sa.UniqueConstraint("account", "kind", "object_id", name=op.f("uq_breaks_account_kind_object_id")),
    )
    op.create_index(
        "ix_breaks_unsettled", "breaks", ["account", "id"], unique=False, postgresql_where=sa.text("state <> 'settled'")
    )
