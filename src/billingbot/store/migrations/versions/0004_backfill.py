"""Passes over Stripe's list of events, up to when each account's are known, and replays by their names."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON backfills, event_marks, replay_runs, replay_items TO billingbot_app;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.create_table(
        "backfills",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("slice_seconds", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("missing", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("known", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unreadable", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("missing_types", sa.Text(), server_default="{}", nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("slice_seconds > 0", name=op.f("ck_backfills_slice")),
        sa.CheckConstraint("reason IN ('asked', 'daily', 'downtime', 'quiet')", name=op.f("ck_backfills_reason")),
        sa.CheckConstraint("state IN ('running', 'done', 'failed')", name=op.f("ck_backfills_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfills")),
    )
    op.create_index(
        "ix_backfills_running", "backfills", ["account"], unique=False, postgresql_where=sa.text("state = 'running'")
    )
    op.create_table(
        "event_marks",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("read_to", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_event_marks")),
    )
    op.create_table(
        "replay_runs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=False),
        sa.Column("confirmed", sa.Text(), nullable=False),
        sa.Column("confirmed_unknown", sa.Integer(), nullable=False),
        sa.Column("is_capped", sa.Boolean(), nullable=False),
        sa.Column("stop_asked_by", sa.Text(), nullable=True),
        sa.Column("stopped_why", sa.Text(), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('running', 'stopped', 'done')", name=op.f("ck_replay_runs_state")),
        sa.CheckConstraint("rate > 0", name=op.f("ck_replay_runs_rate")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_replay_runs")),
    )
    op.create_table(
        "replay_items",
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'replayed', 'gone', 'left')", name=op.f("ck_replay_items_state")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_replay_items_job_id")),
        sa.ForeignKeyConstraint(["run"], ["replay_runs.name"], name=op.f("fk_replay_items_run")),
        sa.PrimaryKeyConstraint("run", "job_id", name=op.f("pk_replay_items")),
    )
    op.create_index("ix_replay_items_job_id", "replay_items", ["job_id"], unique=False)
    op.execute(_GRANTS)
