"""The queue as people work it: cases put off, who looks at which, saved lists, and where people were named."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON queue_views, mentions TO billingbot_app;
        -- Who has a page open is forgotten within the minute.
        GRANT SELECT, INSERT, UPDATE, DELETE ON case_visits TO billingbot_app;
    END IF;
END $$;
"""


def _now(name: str) -> sa.Column[object]:
    default = sa.text("clock_timestamp()")
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=False)


def upgrade() -> None:
    op.add_column("cases", sa.Column("snoozed_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_cases_assignee", "cases", ["assignee"], postgresql_where=sa.text("state = 'review'"))
    op.create_index("ix_cases_closed", "cases", ["closed_at"], postgresql_where=sa.text("state = 'closed'"))
    op.create_table(
        "case_visits",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("doing", sa.Text(), nullable=False),
        _now("seen_at"),
        sa.CheckConstraint("doing IN ('looking', 'writing')", name=op.f("ck_case_visits_doing")),
        sa.PrimaryKeyConstraint("case_id", "person", name=op.f("pk_case_visits")),
        prefixes=["UNLOGGED"],
    )
    op.create_index("ix_case_visits_seen_at", "case_visits", ["seen_at"])
    op.create_table(
        "queue_views",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        _now("saved_at"),
        sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue_views")),
    )
    op.create_index(
        "uq_queue_views_owner_name",
        "queue_views",
        ["owner", "name"],
        unique=True,
        postgresql_where=sa.text("dropped_at IS NULL"),
    )
    op.create_table(
        "mentions",
        sa.Column("note_id", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        _now("named_at"),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_mentions_case_id")),
        sa.ForeignKeyConstraint(["note_id"], ["notes.id"], name=op.f("fk_mentions_note_id")),
        sa.PrimaryKeyConstraint("note_id", "person", name=op.f("pk_mentions")),
    )
    op.create_index("ix_mentions_person", "mentions", ["person", "named_at"])
    op.create_index(
        "ix_mentions_unseen", "mentions", ["person", "case_id"], postgresql_where=sa.text("seen_at IS NULL")
    )
    op.execute(_GRANTS)
