"""Reading the inbox: the events that Stripe delivered, and the job that each one became."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.errors import NotFoundError
from billingbot.core.job import Actor
from billingbot.store.schema import inbox
from billingbot.store.views.jobs import EventLine, JobFilter, JobLine, job_list
from billingbot.store.views.paging import PAGE_ROWS, Page, newest_first

_LINE: Final = tuple(EventLine.__slots__)
# What the body holds beside these is Stripe's object, personal data included: it is re-fetched, never shown.
_MORE: Final = ("thin", "livemode", "api_version", "created")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events to show: all that are set must hold."""

    account: str | None = None
    type: str | None = None
    event_id: str | None = None
    object_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """One event with its jobs, newest first. `created` is Stripe's own time in unix seconds."""

    event: EventLine
    thin: bool
    livemode: bool
    api_version: str | None
    created: int
    jobs: tuple[JobLine, ...]


ALL_EVENTS: Final = EventFilter()


def event_list(
    connection: Connection, filters: EventFilter = ALL_EVENTS, *, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[EventLine]:
    """Events by these filters, newest first. InputError for a bad cursor."""
    query = sa.select(*(inbox.c[name] for name in _LINE))
    for name in EventFilter.__slots__:
        if (value := getattr(filters, name)) is not None:
            query = query.where(inbox.c[name] == value)
    return newest_first(connection, query, inbox.c.id, _line, after=after, limit=limit)


def event_page(connection: Connection, name: str) -> EventPage:
    """The event of this id, ours (inb_...) or Stripe's (evt_...; the newest where accounts share it).

    Raises NotFoundError.
    """
    columns = [inbox.c[column] for column in (*_LINE, *_MORE)]
    row = connection.execute(
        sa.select(*columns).where(sa.or_(inbox.c.id == name, inbox.c.event_id == name)).order_by(inbox.c.id.desc())
    ).first()
    if row is None:
        raise NotFoundError(f"event {name}: there is none")
    more: Mapping[str, Any] = {column: row._mapping[column] for column in _MORE}
    jobs = job_list(connection, JobFilter(actor=Actor.INTERPRET, subject=row.id)).items
    return EventPage(event=_line(row), jobs=jobs, **more)


def _line(row: sa.Row[Any]) -> EventLine:
    return EventLine(**{name: row._mapping[name] for name in _LINE})
