"""Passes: how far each comparison with Stripe has come, so that a killed one goes on at the page it was at."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.books.breaks import Pass, PassState, Stage, Tally
from billingbot.core.errors import NotFoundError
from billingbot.store.schema import reconcile_passes

_NOW = sa.func.clock_timestamp()
_TALLY = tuple(Tally.__slots__)
_FIELDS = tuple(name for name in Pass.__slots__ if name != "tally")


def begin(connection: Connection, began: Pass, *, scheduled: bool) -> bool:
    """Writes a new pass. False where it is one of the schedule, and another of this account is still running."""
    values = {name: getattr(began, name) for name in _FIELDS if name not in {"began_at", "advanced_at", "finished_at"}}
    written = connection.execute(
        insert(reconcile_passes)
        .values(**values, scheduled=scheduled)
        .on_conflict_do_nothing()
        .returning(reconcile_passes.c.id)
    )
    return written.one_or_none() is not None


def get(connection: Connection, pass_id: str) -> Pass:
    """The pass. Raises NotFoundError."""
    row = connection.execute(select().where(reconcile_passes.c.id == pass_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"pass {pass_id}: there is none")
    return from_row(row)


def advance(connection: Connection, at: Pass, *, stage: Stage | None, cursor: str | None, tally: Tally) -> bool:
    """Moves the pass on from where `at` saw it; without a stage to go on to, it is whole.

    False where somebody else has moved it on meanwhile: then this page was done twice, and counts once.
    """
    known = reconcile_passes.c
    values: dict[str, Any] = {name: known[name] + getattr(tally, name) for name in _TALLY}
    values |= {"cursor": cursor, "advanced_at": _NOW}
    values |= {"stage": stage} if stage is not None else {"state": PassState.WHOLE, "finished_at": _NOW}
    moved = connection.execute(
        reconcile_passes.update()
        .where(known.id == at.id, known.state == PassState.RUNNING, known.stage == at.stage)
        .where(known.cursor.is_not_distinct_from(at.cursor))
        .values(**values)
    )
    return moved.rowcount == 1


def last_whole(connection: Connection, account: str, *, deep: bool = False) -> Pass | None:
    """The newest pass of the account by the schedule's own windows that came to its end; only deep ones if `deep`."""
    query = select().where(
        reconcile_passes.c.account == account,
        reconcile_passes.c.state == PassState.WHOLE,
        reconcile_passes.c.scheduled,
    )
    if deep:
        query = query.where(reconcile_passes.c.deep)
    row = connection.execute(query.order_by(reconcile_passes.c.until.desc()).limit(1)).one_or_none()
    return from_row(row) if row else None


def running(connection: Connection, account: str, *, silent_for: timedelta) -> Sequence[Pass]:
    """The account's passes that are not whole and have not moved for so long, oldest first."""
    rows = connection.execute(
        select()
        .where(reconcile_passes.c.account == account, reconcile_passes.c.state == PassState.RUNNING)
        .where(reconcile_passes.c.advanced_at <= _NOW - silent_for)
        .order_by(reconcile_passes.c.id)
    )
    return [from_row(row) for row in rows]


def same_window(connection: Connection, account: str, *, since: datetime, until: datetime) -> Pass | None:
    """A pass by hand over exactly this window that was cut short: the same command goes on with it."""
    row = connection.execute(
        select()
        .where(reconcile_passes.c.account == account, reconcile_passes.c.state == PassState.RUNNING)
        .where(~reconcile_passes.c.scheduled, reconcile_passes.c.since == since, reconcile_passes.c.until == until)
        .order_by(reconcile_passes.c.id)
        .limit(1)
    ).one_or_none()
    return from_row(row) if row else None


def select() -> sa.Select[Any]:
    """All that a pass is made of."""
    return sa.select(*(reconcile_passes.c[name] for name in (*_FIELDS, *_TALLY)))


def from_row(row: sa.Row[Any]) -> Pass:
    """The pass that a row of `select` is."""
    fields = {name: row._mapping[name] for name in _FIELDS}
    fields |= {"state": PassState(row.state), "stage": Stage(row.stage)}
    return Pass(**fields, tally=Tally(**{name: row._mapping[name] for name in _TALLY}))
