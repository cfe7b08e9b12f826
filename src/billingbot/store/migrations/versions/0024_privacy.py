"""Personal data can be erased: when it was, and the right to write over exactly what holds it."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT UPDATE (named, text, external_ref) ON requests TO billingbot_app;
        GRANT UPDATE (text) ON notes TO billingbot_app;
        GRANT UPDATE (body) ON inbox TO billingbot_app;
        GRANT DELETE ON customer_identities TO billingbot_app;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.add_column("cases", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(_GRANTS)
