"""Statements that are asked again and again are planned for the values that they come with, however often they are."""

import sqlalchemy as sa

from billingbot.store.database import transaction
from billingbot.store.schema import cases


def test_what_is_asked_often_is_still_planned_for_its_values(db: sa.Engine) -> None:
    """A plan for any value cannot use an index that is for one state alone, and half of ours are."""
    counts = sa.text(
        "SELECT coalesce(sum(generic_plans), 0) AS generic, coalesce(sum(custom_plans), 0) AS custom"
        " FROM pg_prepared_statements WHERE statement LIKE '%cases%'"
    )
    with transaction(db) as connection:
        for _ in range(20):
            connection.execute(sa.select(cases.c.id).where(cases.c.state == "review", cases.c.due_at.is_(None)))
        row = connection.execute(counts).one()
    assert row.custom >= 10, "the driver has prepared it"
    assert row.generic == 0
