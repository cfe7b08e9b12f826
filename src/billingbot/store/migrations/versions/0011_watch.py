"""What is watched: the queue by the minute, sources by the hour, backtests, seen notices; and where a job broke."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, DELETE ON queue_samples TO billingbot_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON source_hours TO billingbot_app;
        GRANT SELECT, INSERT, UPDATE ON source_states, backtests, notice_marks TO billingbot_app;
    END IF;
END $$;
"""
# The deepest call of our own in what was kept so far, as `core.frames.own_frame` finds it.
_FRAMES = r"""
UPDATE job_failures SET frame = coalesce((
    SELECT f.found[1] || ' in ' || f.found[2]
    FROM regexp_matches(traceback, 'File "[^"]*billingbot/([^"]+)", line \d+, in ([^\n]+)', 'g')
        WITH ORDINALITY AS f (found, n)
    WHERE f.found[1] NOT LIKE '%site-packages/%' ORDER BY f.n DESC LIMIT 1
), '')
"""


def upgrade() -> None:
    _watched()
    _backtests()
    op.create_table(
        "notice_marks",
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("seen_to", sa.Text(), nullable=False),
        _now("at"),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_notice_marks")),
    )
    op.add_column("job_failures", sa.Column("frame", sa.Text(), server_default="", nullable=False))
    op.execute(_FRAMES)
    op.create_index("ix_job_failures_at", "job_failures", ["at"])
    op.create_index("ix_jobs_finished", "jobs", ["finished_at"], postgresql_where=sa.text("finished_at IS NOT NULL"))
    op.create_index("ix_jobs_open", "jobs", ["state", "id"], postgresql_where=sa.text("state <> 'done'"))
    op.create_index("ix_inbox_type", "inbox", ["type", "id"])
    op.execute(_GRANTS)


def _watched() -> None:
    op.create_table(
        "queue_samples",
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("oldest_due_seconds", sa.Float(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("failed", "received", "finished", "faults")),
        sa.PrimaryKeyConstraint("at", name=op.f("pk_queue_samples")),
    )
    op.create_table(
        "source_states",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("silent_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("took_ms", sa.BigInteger(), nullable=False),
        sa.Column("covered_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("covered_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("max_age_seconds", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('usage', 'support')", name=op.f("ck_source_states_kind")),
        sa.PrimaryKeyConstraint("account", "source", name=op.f("pk_source_states")),
    )
    op.create_table(
        "source_hours",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("asked", "answered", "took_ms", "most_ms")),
        sa.PrimaryKeyConstraint("account", "source", "hour", name=op.f("pk_source_hours")),
    )


def _backtests() -> None:
    op.create_table(
        "backtests",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "state", "asked_by", "new_name", "new_source")),
        *(
            sa.Column(name, sa.Text(), nullable=True)
            for name in ("against_name", "against_source", "as_mode", "account", "why")
        ),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cases_total", sa.BigInteger(), nullable=True),
        sa.Column("cases_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stop_asked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("flips", sa.LargeBinary(), nullable=True),
        _now("began_at"),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('running', 'done', 'stopped', 'failed')", name=op.f("ck_backtests_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backtests")),
    )
    op.create_index("ix_backtests_began_at", "backtests", ["began_at"])


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False)
