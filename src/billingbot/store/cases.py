"""Cases: one open case per charge, every change under a row lock and through the transition table."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.case import OPEN_STATES, Case, CaseMove, CaseState, after
from billingbot.core.decision import Priority, Recommendation
from billingbot.core.errors import NotFoundError
from billingbot.core.job import Actor, JobState
from billingbot.store import approvals, database
from billingbot.store.schema import approvals as approvals_table
from billingbot.store.schema import cases, jobs

_NOW = sa.func.clock_timestamp()
_FIELDS = tuple(Case.__slots__)
RANK: Final = {Priority.URGENT: 0, Priority.HIGH: 1, Priority.NORMAL: 2}
"""Priorities as the queue sorts them."""


def open_case(
    connection: Connection, case_id: str, *, account: str, livemode: bool, charge_id: str | None
) -> tuple[Case, bool]:
    """The open case of this charge, new under `case_id` or the one there was; and whether it is new.

    Without a charge id the case is always new: its request is still to be resolved.
    """
    while True:
        written = connection.execute(
            insert(cases)
            .values(id=case_id, account=account, livemode=livemode, state=CaseState.ASSESSING, charge_id=charge_id)
            .on_conflict_do_nothing()
            .returning(*_columns())
        ).one_or_none()
        if written is not None:
            return case_of(written), True
        found = find_open(connection, account, str(charge_id))
        if found is not None:
            return found, False
        # The one that stood in the way was closed between the two statements: try again.


def lock_charge(connection: Connection, account: str, charge_id: str) -> None:
    """Holds the charge until the transaction ends: to be taken before any case of it is opened, named or reopened.

    The same order everywhere, charge before case, so that two that race for one charge wait instead of colliding.
    """
    database.advisory_lock(connection, f"charge:{account}:{charge_id}")


def find_open(connection: Connection, account: str, charge_id: str) -> Case | None:
    """The open case of this charge, locked until the transaction ends, if there is one."""
    row = connection.execute(
        sa.select(*_columns())
        .where(cases.c.account == account, cases.c.charge_id == charge_id, cases.c.state.in_(OPEN_STATES))
        .with_for_update()
    ).one_or_none()
    return case_of(row) if row else None


def lock_last(connection: Connection, account: str, charge_id: str) -> Case | None:
    """The newest case of this charge, open or closed, locked; those whose requests were moved away do not count."""
    row = connection.execute(
        sa.select(*_columns())
        .where(cases.c.account == account, cases.c.charge_id == charge_id, cases.c.joined_case_id.is_(None))
        .order_by(cases.c.opened_at.desc())
        .limit(1)
        .with_for_update()
    ).one_or_none()
    return case_of(row) if row else None


def newest_of_charge(connection: Connection, account: str, charge_id: str) -> Case | None:
    """As `lock_last`, only to be read."""
    row = connection.execute(
        sa.select(*_columns())
        .where(cases.c.account == account, cases.c.charge_id == charge_id, cases.c.joined_case_id.is_(None))
        .order_by(cases.c.opened_at.desc(), cases.c.id.desc())
        .limit(1)
    ).one_or_none()
    return case_of(row) if row else None


def get(connection: Connection, case_id: str) -> Case:
    """The case. Raises NotFoundError."""
    row = connection.execute(sa.select(*_columns()).where(cases.c.id == case_id)).one_or_none()
    return _found(row, case_id)


def some(connection: Connection, case_ids: Collection[str]) -> Mapping[str, Case]:
    """Those of these cases that there are."""
    if not case_ids:
        return {}
    rows = connection.execute(sa.select(*_columns()).where(cases.c.id.in_(case_ids)))
    return {row.id: case_of(row) for row in rows}


def lock(connection: Connection, case_id: str) -> Case:
    """The case, locked until the transaction ends. Raises NotFoundError."""
    row = connection.execute(sa.select(*_columns()).where(cases.c.id == case_id).with_for_update()).one_or_none()
    return _found(row, case_id)


def move(connection: Connection, case: Case, how: CaseMove, **values: Any) -> Case:
    """Moves a locked case through the transition table and sets `values`. ConflictError where it cannot move.

    A first approval that waits for a second one was given to the case as it was: every move ends it. And whoever put
    it off did so as it was: every move brings it back.
    """
    approvals.end(connection, case.id, by=how.value)
    return change(connection, case, state=after(case.state, how), snoozed_until=None, **values)


def change(connection: Connection, case: Case, **values: Any) -> Case:
    """Sets `values` on a locked case and counts the change."""
    row = connection.execute(
        cases.update().where(cases.c.id == case.id).values(version=cases.c.version + 1, **values).returning(*_columns())
    ).one()
    return case_of(row)


def lock_next(connection: Connection, *, account: str | None, second_key: str | None) -> Case | None:
    """The most urgent case in nobody's hands, locked; those that another transaction holds are passed over.

    A case that has had its first approval is for whoever may give the second: for nobody where `second_key` is None,
    else for anybody but the one who gave the first (`person_key`).
    """
    mine = approvals_table.c.maker_key == second_key if second_key is not None else sa.true()
    not_mine = sa.exists().where(
        approvals_table.c.case_id == cases.c.id,
        approvals_table.c.refund_id.is_(None),
        approvals_table.c.ended_at.is_(None),
        mine,
    )
    query = sa.select(*_columns()).where(cases.c.state == CaseState.REVIEW, cases.c.assignee.is_(None), ~not_mine)
    query = query.where(sa.or_(cases.c.snoozed_until.is_(None), cases.c.snoozed_until <= _NOW))
    if account is not None:
        query = query.where(cases.c.account == account)
    order = (cases.c.due_at.asc().nulls_last(), urgency(), cases.c.id)
    row = connection.execute(query.order_by(*order).limit(1).with_for_update(skip_locked=True)).one_or_none()
    return case_of(row) if row else None


def urgency() -> sa.ColumnElement[int]:
    """How urgent a case is as a number: the lower comes first among cases due at the same moment."""
    return sa.case(*((cases.c.priority == priority.value, at) for priority, at in RANK.items()), else_=len(RANK))


def due_for_recheck(connection: Connection, *, limit: int) -> Sequence[str]:
    """Cases in nobody's hands whose evidence was incomplete, and whose next look is due."""
    found = connection.execute(
        sa.select(cases.c.id)
        .where(cases.c.state == CaseState.REVIEW, cases.c.assignee.is_(None), cases.c.recheck_at <= _NOW)
        .order_by(cases.c.recheck_at)
        .limit(limit)
    )
    return found.scalars().all()


def forgotten(connection: Connection, *, limit: int) -> Sequence[str]:
    """Cases being assessed that no job carries, oldest first.

    None in an ordinary life, since job and state change in one commit; a restored copy or a hand at the tables can
    leave one behind.
    """
    busy = sa.exists().where(jobs.c.subject == cases.c.id, jobs.c.actor == Actor.ASSESS, jobs.c.state == JobState.READY)
    found = connection.execute(
        sa.select(cases.c.id)
        .where(cases.c.state == CaseState.ASSESSING, ~busy)
        .order_by(cases.c.opened_at)
        .limit(limit)
    )
    return found.scalars().all()


def recheck_in(connection: Connection, case_id: str, delay: timedelta | None) -> None:
    """When to look again whether the missing evidence has come; None for never. Does not count as a change."""
    when = None if delay is None else _NOW + delay
    connection.execute(
        cases.update().where(cases.c.id == case_id).values(recheck_at=when, rechecks=cases.c.rechecks + 1)
    )


def rechecks(connection: Connection, case_id: str) -> int:
    """How often the machine has looked again for missing evidence."""
    count: int = connection.execute(sa.select(cases.c.rechecks).where(cases.c.id == case_id)).scalar_one()
    return count


def denied_before(connection: Connection, account: str, charge_id: str) -> bool:
    """Whether a person denied a refund of this charge in an earlier case."""
    found = sa.exists().where(cases.c.account == account, cases.c.charge_id == charge_id, cases.c.outcome == "denied")
    return bool(connection.execute(sa.select(found)).scalar_one())


def _columns() -> list[sa.Column[Any]]:
    return [cases.c[name] for name in _FIELDS]


def _found(row: sa.Row[Any] | None, case_id: str) -> Case:
    if row is None:
        raise NotFoundError(f"case {case_id}: there is none")
    return case_of(row)


def case_of(row: sa.Row[Any]) -> Case:
    """The case of a row that holds all its columns, and perhaps others."""
    fields = {name: row._mapping[name] for name in _FIELDS}
    fields["state"] = CaseState(fields["state"])
    fields["priority"] = Priority(fields["priority"])
    if fields["recommendation"] is not None:
        fields["recommendation"] = Recommendation(fields["recommendation"])
    return Case(**fields)
