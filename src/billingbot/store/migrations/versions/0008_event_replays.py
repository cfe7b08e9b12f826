"""Replays of events: jobs that ended well may be run again too."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("replay_runs", sa.Column("of_events", sa.Boolean(), server_default=sa.text("false"), nullable=False))
