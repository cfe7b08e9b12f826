"""The charge that a trial turned into is found by its subscription, for what was said before it."""

from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    op.create_index("ix_conversions_subscription_id", "conversions", ["account", "subscription_id"])
