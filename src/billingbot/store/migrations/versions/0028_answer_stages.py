"""An inquiry and the chargeback that it becomes are one dispute, and each takes an answer of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"

_LIVE = "state IN ('intended', 'submitting', 'unknown')"
_FINAL = "kind IN ('send', 'accept') AND state IN ('intended', 'submitting', 'unknown', 'done')"


def upgrade() -> None:
    op.add_column("disputes", sa.Column("inquiry_submissions", sa.Integer(), nullable=True))
    op.execute("UPDATE disputes SET inquiry_submissions = submission_count WHERE kind = 'inquiry'")
    # In doubt it answered the chargeback: then there is no second one.
    op.add_column("dispute_answers", sa.Column("stage", sa.Text(), nullable=False, server_default="chargeback"))
    op.execute(
        """
        UPDATE dispute_answers AS answer SET stage = 'inquiry'
        WHERE EXISTS (
            SELECT FROM disputes
            WHERE account = answer.account AND dispute_id = answer.dispute_id AND kind = 'inquiry'
        ) OR EXISTS (
            SELECT FROM dispute_draft_versions
            WHERE draft_id = answer.draft_id AND version = answer.draft_version
                AND content::jsonb ->> 'status' LIKE 'warning_%'
        )
        """
    )
    op.alter_column("dispute_answers", "stage", server_default=None)
    op.create_check_constraint(
        op.f("ck_dispute_answers_stage"), "dispute_answers", "stage IN ('inquiry', 'chargeback')"
    )
    op.drop_index("uq_dispute_answers_final", "dispute_answers")
    op.create_index(
        "uq_dispute_answers_final",
        "dispute_answers",
        ["account", "dispute_id", "stage"],
        unique=True,
        postgresql_where=sa.text(_FINAL),
    )
    op.drop_index("uq_dispute_answers_staging", "dispute_answers")
    op.create_index(
        "uq_dispute_answers_under_way",
        "dispute_answers",
        ["account", "dispute_id"],
        unique=True,
        postgresql_where=sa.text(_LIVE),
    )
