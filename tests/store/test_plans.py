"""Statements that are asked again and again are planned for the values that they come with, however often they are."""

from typing import Any

import sqlalchemy as sa

from billingbot.store import breakers, refunds
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


_TWO_YEARS = (
    """INSERT INTO cases (id, account, livemode, state, charge_id, decided_at)
       SELECT 'case_' || n, 'default', false, 'closed', 'ch_' || n, now() - n * interval '6 hours'
       FROM generate_series(1, 3000) AS n""",
    """INSERT INTO refunds (id, account, livemode, charge_id, amount_minor, currency, state, origin, decided_by,
                            intended_at)
       SELECT 'rfd_' || n, 'default', false, 'ch_' || n, 100, 'usd', 'succeeded', 'policy', 'policy:x@1',
              now() - n * interval '6 hours' FROM generate_series(1, 3000) AS n""",
    "ANALYZE cases, refunds",
)


def test_what_is_counted_under_a_lock_is_found_by_its_time(db: sa.Engine, owner: sa.Engine) -> None:
    """Every automatic payment waits for these sums: a day of refunds and cases, and not all that there ever were."""
    with owner.begin() as connection:
        for statement in _TWO_YEARS:
            connection.exec_driver_sql(statement)
    asked: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        asked.append((statement, values))

    sa.event.listen(db, "before_cursor_execute", note)
    with transaction(db) as connection:
        refunds.spent_today(connection, "default", "usd")
        breakers.pace(connection, "default")
    sa.event.remove(db, "before_cursor_execute", note)
    counts = [(statement, values) for statement, values in asked if "count(*)" in statement]
    assert len(counts) == 3
    with transaction(db) as connection:
        for statement, values in counts:
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", values).scalars().all()
            entered = [
                line for line in plan if "Index Cond" in line and ("intended_at >" in line or "decided_at >" in line)
            ]
            assert entered, plan
