"""API keys may do what they were made for; those that exist keep what they could do."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"

# Until now every key could do all that the API offers: everything but to sign months and to manage people.
_BEFORE = "'{see,ask,push,decide,check,run,switch,publish}'"


def upgrade() -> None:
    op.add_column(
        "api_keys", sa.Column("powers", postgresql.ARRAY(sa.Text()), server_default=sa.text(_BEFORE), nullable=False)
    )
    op.alter_column("api_keys", "powers", server_default=None)
    op.create_check_constraint(
        op.f("ck_api_keys_powers"),
        "api_keys",
        "powers <@ ARRAY['see', 'ask', 'push', 'decide', 'check', 'run', 'switch', 'sign', 'publish', 'manage']"
        "::text[]",
    )
