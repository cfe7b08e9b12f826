"""Backfills: passes over Stripe's list of events, how far each has come, and up to when nothing is missing."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.backfill import Backfill, BackfillReason, BackfillState
from billingbot.core.errors import NotFoundError
from billingbot.store.schema import backfills, event_marks, inbox

_NOW = sa.func.clock_timestamp()
_COLUMNS: Final = [backfills.c[name] for name in Backfill.__slots__]


def begin(connection: Connection, wanted: Backfill) -> None:
    """Writes a new pass; its times of beginning and end are Postgres's own."""
    own = ("began_at", "finished_at", "missing_types")
    row = {name: getattr(wanted, name) for name in Backfill.__slots__ if name not in own}
    connection.execute(backfills.insert().values(row))


def get(connection: Connection, backfill_id: str) -> Backfill:
    """The pass. Raises NotFoundError."""
    row = connection.execute(sa.select(*_COLUMNS).where(backfills.c.id == backfill_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"backfill {backfill_id}: there is none")
    return _backfill(row)


def latest(connection: Connection, *, account: str | None = None, limit: int) -> Sequence[Backfill]:
    """The newest passes."""
    query = sa.select(*_COLUMNS).order_by(backfills.c.id.desc()).limit(limit)
    if account is not None:
        query = query.where(backfills.c.account == account)
    return [_backfill(row) for row in connection.execute(query)]


def is_running(connection: Connection, account: str) -> bool:
    """Whether a pass over this account's events is under way."""
    running = sa.exists().where(backfills.c.account == account, backfills.c.state == BackfillState.RUNNING)
    return bool(connection.execute(sa.select(running)).scalar_one())


def advance(
    connection: Connection,
    before: Backfill,
    *,
    slice_seconds: int,
    missing: Mapping[str, int],
    known: int,
    unreadable: int,
) -> Backfill:
    """Books one slice that is dealt with; `missing` by type. At the end of the span the pass is done."""
    types = {
        name: before.missing_types.get(name, 0) + missing.get(name, 0) for name in {*before.missing_types, *missing}
    }
    whole = before.slice_end == before.until
    row = connection.execute(
        backfills.update()
        .where(backfills.c.id == before.id)
        .values(
            read_to=before.slice_end,
            slice_seconds=slice_seconds,
            missing=backfills.c.missing + sum(missing.values()),
            known=backfills.c.known + known,
            unreadable=backfills.c.unreadable + unreadable,
            missing_types=json.dumps(types, sort_keys=True),
            state=BackfillState.DONE if whole else BackfillState.RUNNING,
            finished_at=_NOW if whole else None,
        )
        .returning(*_COLUMNS)
    ).one()
    return _backfill(row)


def fail(connection: Connection, backfill_id: str) -> None:
    """Marks a pass whose job has given up; it goes on where it was when the job is replayed."""
    connection.execute(
        backfills.update()
        .where(backfills.c.id == backfill_id, backfills.c.state == BackfillState.RUNNING)
        .values(state=BackfillState.FAILED)
    )


def mark(connection: Connection, account: str) -> datetime:
    """Up to when all events of the account are known to be here.

    Set at the first question: to the account's first event, or to now, since nothing can be missing from before
    billingbot was there.
    """
    query = sa.select(event_marks.c.read_to).where(event_marks.c.account == account)
    known: datetime | None = connection.execute(query).scalar_one_or_none()
    if known is not None:
        return known
    first = sa.select(sa.func.min(inbox.c.received_at)).where(inbox.c.account == account).scalar_subquery()
    connection.execute(
        insert(event_marks).values(account=account, read_to=sa.func.coalesce(first, _NOW)).on_conflict_do_nothing()
    )
    found: datetime = connection.execute(query).scalar_one()
    return found


def move_mark(connection: Connection, account: str, read_to: datetime, *, from_: datetime | None) -> None:
    """All events up to `read_to` are here; with `from_` only where nothing between the mark and it is left out."""
    statement = event_marks.update().where(event_marks.c.account == account, event_marks.c.read_to < read_to)
    if from_ is not None:
        statement = statement.where(event_marks.c.read_to >= from_)
    connection.execute(statement.values(read_to=read_to))


def _backfill(row: sa.Row[Any]) -> Backfill:
    own = {
        "reason": BackfillReason(row.reason),
        "state": BackfillState(row.state),
        "missing_types": json.loads(row.missing_types),
    }
    return Backfill(**{**row._mapping, **own})
