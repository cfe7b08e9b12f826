"""Ticks: when each regular task last ran, in Postgres, so that any number of schedulers make one clock."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.store.schema import ticks

_NOW = sa.func.clock_timestamp()


def is_due(connection: Connection, name: str, every: timedelta) -> bool:
    """True for exactly one caller per period: the one whose transaction takes the tick."""
    taken = connection.execute(
        insert(ticks)
        .values(name=name, last_run_at=_NOW)
        .on_conflict_do_update(
            index_elements=["name"], set_={"last_run_at": _NOW}, where=ticks.c.last_run_at <= _NOW - every
        )
        .returning(ticks.c.name)
    )
    return taken.one_or_none() is not None


def beat(connection: Connection, name: str) -> datetime | None:
    """Notes that whoever has this name is alive; returns when that was noted last, None for the first time."""
    last: datetime | None = connection.execute(
        sa.select(ticks.c.last_run_at).where(ticks.c.name == name).with_for_update()
    ).scalar_one_or_none()
    row = insert(ticks).values(name=name, last_run_at=_NOW)
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"last_run_at": _NOW}))
    return last
