"""Links between customers: what each was seen with, and what people said is no link."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE ON customer_identities, link_marks TO billingbot_app;
        GRANT SELECT, INSERT ON digest_keys TO billingbot_app;
    END IF;
END $$;
"""
# What was known of trials, now by customer: the earliest trial that carries a card or a mailbox.
_MOVED = """
INSERT INTO customer_identities (account, customer_id, kind, digest, since, trial_since)
SELECT i.account, t.customer_id, i.kind, i.digest, min(t.trial_start_at), min(t.trial_start_at)
FROM trial_identities i JOIN trials t ON t.account = i.account AND t.subscription_id = i.subscription_id
GROUP BY i.account, t.customer_id, i.kind, i.digest
"""
_KINDS = "kind IN ('card', 'email', 'device', 'ip', 'domain')"
_NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "customer_identities",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trial_since", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(_KINDS, name=op.f("ck_customer_identities_kind")),
        sa.PrimaryKeyConstraint("account", "customer_id", "kind", "digest", name=op.f("pk_customer_identities")),
    )
    op.execute(_MOVED)
    op.create_index(
        "ix_customer_identities_digest", "customer_identities", ["account", "kind", "digest", "since", "customer_id"]
    )
    op.drop_table("trial_identities")
    op.create_table(
        "link_marks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("one", sa.Text(), nullable=True),
        sa.Column("other", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("marked_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("marked_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("taken_back_by", sa.Text(), nullable=True),
        sa.Column("taken_back_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(_KINDS, name=op.f("ck_link_marks_kind")),
        sa.CheckConstraint(
            "(one IS NULL) = (other IS NULL) AND (one IS NULL) <> (digest IS NULL)", name=op.f("ck_link_marks_what")
        ),
        sa.CheckConstraint('one COLLATE "C" < other COLLATE "C"', name=op.f("ck_link_marks_pair")),
        sa.CheckConstraint("(taken_back_by IS NULL) = (taken_back_at IS NULL)", name=op.f("ck_link_marks_taken_back")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_link_marks_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_marks")),
    )
    op.create_index(
        "uq_link_marks_pair",
        "link_marks",
        ["account", "kind", "one", "other"],
        unique=True,
        postgresql_where=sa.text("taken_back_at IS NULL AND digest IS NULL"),
    )
    op.create_index(
        "ix_link_marks_other",
        "link_marks",
        ["account", "other"],
        postgresql_where=sa.text("taken_back_at IS NULL"),
    )
    op.create_index(
        "uq_link_marks_digest",
        "link_marks",
        ["account", "kind", "digest"],
        unique=True,
        postgresql_where=sa.text("taken_back_at IS NULL AND digest IS NOT NULL"),
    )
    op.create_table(
        "digest_keys",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column(
            "key",
            sa.LargeBinary(),
            server_default=sa.text("sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea)"),
            nullable=False,
        ),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_digest_keys")),
    )
    op.execute(_GRANTS)
