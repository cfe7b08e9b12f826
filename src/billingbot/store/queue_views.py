"""Saved lists of the queue: a filter under a name of its owner's; whoever has its address sees the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.errors import NotFoundError
from billingbot.store.schema import queue_views

_NOW: Final = sa.func.clock_timestamp()
_KEPT: Final = queue_views.c.dropped_at.is_(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """A saved list. `query` is the part of the queue's address behind the question mark."""

    id: str
    owner: str
    name: str
    query: str
    saved_at: datetime


def save(connection: Connection, view_id: str, *, owner: str, name: str, query: str) -> QueueView:
    """Keeps the list under this name; the owner's earlier one of the same name becomes this one."""
    written = connection.execute(
        insert(queue_views)
        .values(id=view_id, owner=owner, name=name, query=query)
        .on_conflict_do_update(
            index_elements=["owner", "name"], index_where=_KEPT, set_={"query": query, "saved_at": _NOW}
        )
        .returning(*_columns())
    ).one()
    return QueueView(**written._mapping)


def of_owner(connection: Connection, owner: str) -> Sequence[QueueView]:
    """This person's lists, by name."""
    query = sa.select(*_columns()).where(queue_views.c.owner == owner, _KEPT).order_by(queue_views.c.name)
    return [QueueView(**row._mapping) for row in connection.execute(query)]


def get(connection: Connection, view_id: str) -> QueueView:
    """The list of this id, whoever keeps it. Raises NotFoundError."""
    row = connection.execute(sa.select(*_columns()).where(queue_views.c.id == view_id, _KEPT)).one_or_none()
    if row is None:
        raise NotFoundError(f"list {view_id}: there is none, or its owner has dropped it")
    return QueueView(**row._mapping)


def drop(connection: Connection, view_id: str, owner: str) -> bool:
    """Drops this person's list; False where they have none of this id."""
    done = connection.execute(
        queue_views.update()
        .where(queue_views.c.id == view_id, queue_views.c.owner == owner, _KEPT)
        .values(dropped_at=_NOW)
        .returning(queue_views.c.id)
    )
    return done.one_or_none() is not None


def _columns() -> list[sa.Column[object]]:
    return [queue_views.c[name] for name in QueueView.__slots__]
