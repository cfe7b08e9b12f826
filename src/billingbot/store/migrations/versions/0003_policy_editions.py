"""Published versions of the policy: which counts from which charge on, by whom, for good."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# A customer is judged by the version in force when charged: a version that could change later would judge nobody.
_GUARD = """
CREATE FUNCTION refuse_policy_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'policies are never changed: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER policies_are_never_changed BEFORE UPDATE OR DELETE ON policies
    FOR EACH ROW EXECUTE FUNCTION refuse_policy_change();
CREATE TRIGGER policies_are_never_truncated BEFORE TRUNCATE ON policies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_policy_change();
CREATE TRIGGER policy_editions_are_never_changed BEFORE UPDATE OR DELETE ON policy_editions
    FOR EACH ROW EXECUTE FUNCTION refuse_policy_change();
CREATE TRIGGER policy_editions_are_never_truncated BEFORE TRUNCATE ON policy_editions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_policy_change();
"""

_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT ON policy_editions TO billingbot_app;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.create_table(
        "policy_editions",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "published_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("published_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["policies.digest"], name=op.f("fk_policy_editions_digest")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_policy_editions")),
        sa.UniqueConstraint("version", name=op.f("uq_policy_editions_version")),
        sa.UniqueConstraint("digest", name=op.f("uq_policy_editions_digest")),
    )
    for statement in (_GUARD, _GRANTS):
        op.execute(statement)
