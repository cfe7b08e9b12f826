"""Shadows: a candidate policy beside the live one, and what it says of each verdict."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON shadows TO billingbot_app;
        GRANT SELECT, INSERT ON shadow_verdicts TO billingbot_app;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.create_table(
        "shadows",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column(
            "started_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("followed_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_by", sa.Text(), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["digest"], ["policies.digest"], name=op.f("fk_shadows_digest")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadows")),
    )
    op.create_index(
        "uq_shadows_running",
        "shadows",
        [sa.text("(true)")],
        unique=True,
        postgresql_where=sa.text("stopped_at IS NULL"),
    )
    op.create_table(
        "shadow_verdicts",
        sa.Column("shadow_id", sa.Text(), nullable=False),
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("recommendation", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_shadow_verdicts_decision_id")),
        sa.ForeignKeyConstraint(["shadow_id"], ["shadows.id"], name=op.f("fk_shadow_verdicts_shadow_id")),
        sa.PrimaryKeyConstraint("shadow_id", "decision_id", name=op.f("pk_shadow_verdicts")),
    )
    op.create_index("ix_decisions_decided_at", "decisions", ["decided_at"])
    op.execute(_GRANTS)
