"""Purchase facts: what the product pushes about a purchase for a bank to be told."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

# Pushed again and again, the newest counts; never removed, but a value can be taken away.
_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON purchase_facts TO billingbot_app;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.create_table(
        "purchase_facts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint(
            "name IN ('customer_name', 'customer_purchase_ip', 'billing_address', 'terms_shown_at')",
            name=op.f("ck_purchase_facts_name"),
        ),
        sa.PrimaryKeyConstraint("account", "customer_id", "name", name=op.f("pk_purchase_facts")),
    )
    op.execute(_GRANTS)
