"""Steps on the way in, and how often somebody tried."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

# These two hold nothing that must stay: what is over is deleted.
_GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'billingbot_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_steps, sign_in_tries TO billingbot_app;
    END IF;
END $$;
"""


def upgrade() -> None:
    op.create_table(
        "sign_in_steps",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=True),
        sa.Column("kept", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("purpose IN ('second_factor', 'enrolment', 'oidc')", name=op.f("ck_sign_in_steps_purpose")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_sign_in_steps_person_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sign_in_steps")),
    )
    op.create_index("ix_sign_in_steps_expires_at", "sign_in_steps", ["expires_at"])
    op.create_table(
        "sign_in_tries",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_tries")),
    )
    op.create_index("ix_sign_in_tries_since", "sign_in_tries", ["since"])
    op.execute(_GRANTS)
