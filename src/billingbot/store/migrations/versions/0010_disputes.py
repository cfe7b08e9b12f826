"""Disputes as a read model: kind, reason, money, deadline and answer, beside the status we acted on."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_TEXTS = (
    "kind",
    "outcome",
    "reason",
    "case_type",
    "currency",
    "submission_method",
    "intended_method",
    "settled_currency",
    "case_id",
)
_TIMES = ("read_at", "closed_at", "created_at", "due_by")
_AMOUNTS = ("amount_minor", "fee_minor", "withdrawn_minor", "reinstated_minor", "fees_minor")
_FLAGS = ("is_charge_refundable", "has_evidence", "past_due")
_KINDS = "kind IN ('inquiry', 'chargeback', 'resolution', 'compliance', 'block')"
_OUTCOMES = "outcome IN ('won', 'lost', 'resolved', 'prevented', 'inquiry_closed')"


def upgrade() -> None:
    for name in _TEXTS:
        op.add_column("disputes", sa.Column(name, sa.Text(), nullable=True))
    for name in _TIMES:
        op.add_column("disputes", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    for name in _AMOUNTS:
        op.add_column("disputes", sa.Column(name, sa.BigInteger(), nullable=True))
    for name in _FLAGS:
        op.add_column("disputes", sa.Column(name, sa.Boolean(), nullable=True))
    op.add_column("disputes", sa.Column("submission_count", sa.Integer(), nullable=True))
    op.create_check_constraint(op.f("ck_disputes_kind"), "disputes", _KINDS)
    op.create_check_constraint(op.f("ck_disputes_outcome"), "disputes", _OUTCOMES)
    op.create_foreign_key(op.f("fk_disputes_case_id"), "disputes", "cases", ["case_id"], ["id"])
    op.create_index("ix_disputes_case_id", "disputes", ["case_id"])
    op.create_index("ix_disputes_due_by", "disputes", ["due_by"], postgresql_where=sa.text("outcome IS NULL"))
