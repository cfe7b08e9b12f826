"""Cancellations: what a refund of ours does to its subscription, one row for each refund."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.aftercare import LIVE, Cancellation, CancellationState, become
from billingbot.core.errors import NotFoundError
from billingbot.core.job import Actor, JobState
from billingbot.core.refund_terms import CancelWhen
from billingbot.store.schema import cancellations, jobs

_NOW = sa.func.clock_timestamp()
_FIELDS: Final = tuple(Cancellation.__slots__)
_FROM_DATABASE: Final = {"intended_at", "last_sent_at", "ended_at"}


def intend(connection: Connection, cancellation: Cancellation) -> bool:
    """Writes the intent, once for its refund. False where it is there already."""
    written = connection.execute(
        insert(cancellations)
        .values(**{name: getattr(cancellation, name) for name in _FIELDS if name not in _FROM_DATABASE})
        .on_conflict_do_nothing()
        .returning(cancellations.c.id)
    )
    return written.one_or_none() is not None


def get(connection: Connection, cancellation_id: str) -> Cancellation:
    """The cancellation. Raises NotFoundError."""
    return _found(connection.execute(_of(cancellation_id)).one_or_none(), cancellation_id)


def lock(connection: Connection, cancellation_id: str) -> Cancellation:
    """The cancellation, locked until the transaction ends. Raises NotFoundError."""
    return _found(connection.execute(_of(cancellation_id).with_for_update()).one_or_none(), cancellation_id)


def of_refund(connection: Connection, refund_id: str) -> Cancellation | None:
    """The cancellation that the refund brought with it, if it brought one."""
    row = connection.execute(_select().where(cancellations.c.refund_id == refund_id)).one_or_none()
    return _cancellation(row) if row else None


def of_case(connection: Connection, case_id: str) -> Sequence[Cancellation]:
    """All cancellations of a case, oldest first."""
    rows = connection.execute(_select().where(cancellations.c.case_id == case_id).order_by(cancellations.c.id))
    return [_cancellation(row) for row in rows]


def waiting(connection: Connection, *, limit: int) -> Sequence[Cancellation]:
    """Those that wait for a person, oldest first."""
    rows = connection.execute(
        _select().where(cancellations.c.waits_for.is_not(None)).order_by(cancellations.c.id).limit(limit)
    )
    return [_cancellation(row) for row in rows]


def set_state(
    connection: Connection, cancellation: Cancellation, state: CancellationState, **values: Any
) -> Cancellation:
    """Moves a locked cancellation through its table and sets `values`. ConflictError where it cannot."""
    ended = {"ended_at": None if state in LIVE else _NOW}
    return _change(connection, cancellation, state=become(cancellation.state, state), **ended, **values)


def send(connection: Connection, cancellation: Cancellation, key: str) -> Cancellation:
    """Counts one more call and notes its key, before it happens (law 1)."""
    state = become(cancellation.state, CancellationState.SUBMITTING)
    return _change(connection, cancellation, state=state, key=key, sends=cancellations.c.sends + 1, last_sent_at=_NOW)


def put_before_person(connection: Connection, cancellation: Cancellation, waits_for: str | None) -> Cancellation:
    """Notes why a person has to look, or with None that nobody has to any more."""
    return _change(connection, cancellation, waits_for=waits_for)


def unresolved(connection: Connection, *, older_than: timedelta, limit: int) -> Sequence[str]:
    """Live cancellations with no job left to bring them on: the sweeper gives them a new one."""
    busy = sa.exists().where(
        jobs.c.subject == cancellations.c.id, jobs.c.actor == Actor.CANCEL, jobs.c.state == JobState.READY
    )
    found = connection.execute(
        sa.select(cancellations.c.id)
        .where(cancellations.c.state.in_(LIVE), cancellations.c.intended_at < _NOW - older_than, ~busy)
        .order_by(cancellations.c.intended_at)
        .limit(limit)
    )
    return found.scalars().all()


def _change(connection: Connection, cancellation: Cancellation, **values: Any) -> Cancellation:
    row = connection.execute(
        cancellations.update()
        .where(cancellations.c.id == cancellation.id)
        .values(**values)
        .returning(*(cancellations.c[name] for name in _FIELDS))
    ).one()
    return _cancellation(row)


def _select() -> sa.Select[Any]:
    return sa.select(*(cancellations.c[name] for name in _FIELDS))


def _of(cancellation_id: str) -> sa.Select[Any]:
    return _select().where(cancellations.c.id == cancellation_id)


def _found(row: sa.Row[Any] | None, cancellation_id: str) -> Cancellation:
    if row is None:
        raise NotFoundError(f"cancellation {cancellation_id}: there is none")
    return _cancellation(row)


def _cancellation(row: sa.Row[Any]) -> Cancellation:
    fields = dict(row._mapping)
    fields["state"] = CancellationState(fields["state"])
    fields["cancel_when"] = CancelWhen(fields["cancel_when"])
    return Cancellation(**fields)
