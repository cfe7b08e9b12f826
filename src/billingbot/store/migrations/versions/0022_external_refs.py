"""Requests are found by what they came from: an event's page asks for those of its object."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_index(
        "ix_requests_external_ref",
        "requests",
        ["account", "external_ref"],
        postgresql_where=sa.text("external_ref IS NOT NULL"),
    )
