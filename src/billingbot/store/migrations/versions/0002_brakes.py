"""The brakes: notices and their deliveries, the breaker of an account, and two approvals for one large refund."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON notices, notice_deliveries, breakers, approvals TO billingbot_app;
    END IF;
END $$;
"""


def upgrade() -> None:
    _notices()
    _breakers()
    _approvals()
    op.execute(_GRANTS)


def _time(name: str, *, now: bool = False, optional: bool = False) -> sa.Column[object]:
    default = sa.text("clock_timestamp()") if now else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=optional, server_default=default)


def _notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("headline", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        _time("told_at", now=True),
        _time("tried_at", optional=True),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'failed', 'kept')", name=op.f("ck_notices_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    op.create_index("ix_notices_tried", "notices", ["kind", "tried_at"])
    op.create_index(
        "ix_notices_open", "notices", ["kind", "told_at"], postgresql_where=sa.text("state IN ('waiting', 'failed')")
    )
    op.create_index("ix_notices_subject", "notices", ["subject"])
    op.create_table(
        "notice_deliveries",
        sa.Column("notice_id", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        _time("at", now=True),
        sa.CheckConstraint("state IN ('sending', 'sent', 'failed')", name=op.f("ck_notice_deliveries_state")),
        sa.ForeignKeyConstraint(["notice_id"], ["notices.id"], name=op.f("fk_notice_deliveries_notice_id")),
        sa.PrimaryKeyConstraint("notice_id", "route", name=op.f("pk_notice_deliveries")),
    )


def _breakers() -> None:
    op.create_table(
        "breakers",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("tripped_by", sa.Text(), nullable=False),
        sa.Column("observed", sa.Text(), nullable=False),
        sa.Column("allowed", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=True),
        _time("opened_at", now=True),
        _time("closed_at", optional=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_breakers_case_id")),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_breakers")),
    )

    op.create_index("ix_cases_decided", "cases", ["account", "decided_at"])


def _approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("maker", sa.Text(), nullable=False),
        sa.Column("maker_key", sa.Text(), nullable=False),
        _time("made_at", now=True),
        sa.Column("checker", sa.Text(), nullable=True),
        sa.Column("checker_key", sa.Text(), nullable=True),
        _time("checked_at", optional=True),
        sa.Column("refund_id", sa.Text(), nullable=True),
        _time("ended_at", optional=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_approvals_amount")),
        sa.CheckConstraint(
            "checker_key <> maker_key AND lower(btrim(checker)) <> lower(btrim(maker))",
            name=op.f("ck_approvals_two_people"),
        ),
        sa.CheckConstraint("(refund_id IS NULL) = (checker_key IS NULL)", name=op.f("ck_approvals_checked")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_approvals_case_id")),
        sa.ForeignKeyConstraint(["refund_id"], ["refunds.id"], name=op.f("fk_approvals_refund_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index(
        "uq_approvals_open_case",
        "approvals",
        ["case_id"],
        unique=True,
        postgresql_where=sa.text("refund_id IS NULL AND ended_at IS NULL"),
    )
    op.create_index("ix_approvals_refund_id", "approvals", ["refund_id"])
