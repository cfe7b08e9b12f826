"""Reading the inbox: the events that Stripe delivered, what each meant, its jobs, and what came of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.errors import NotFoundError
from billingbot.core.ids import Kind, first_id, is_id
from billingbot.core.job import Actor, JobState
from billingbot.core.signals import signal_of
from billingbot.store.schema import cases, conversions, inbox, jobs, refunds, requests
from billingbot.store.views.jobs import EventLine, JobFilter, JobLine, job_list
from billingbot.store.views.paging import PAGE_ROWS, Page, newest_first

# Ids carry the clock of the process that stored the event, rows Postgres's own.
_CLOCKS_APART: Final = timedelta(minutes=10)
_EVER: Final = (datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))
_LINE: Final = tuple(EventLine.__slots__)
_MORE: Final = ("thin", "livemode", "api_version", "created", "trial_end_before")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEvent:
    """One event, and how its newest job stands."""

    id: str
    account: str
    event_id: str
    type: str
    object_id: str
    received_at: datetime
    job_id: str | None
    job_state: JobState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events to show: all that are set must hold. `since` and `until` are about when they were stored."""

    account: str | None = None
    type: str | None = None
    event_id: str | None = None
    object_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    job_state: JobState | None = None
    """That of its newest job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """Something of ours about the object that an event names: a conversion, case or refund."""

    kind: str
    id: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """One event with its jobs, newest first. `created` is Stripe's own time in unix seconds."""

    event: EventLine
    thin: bool
    livemode: bool
    api_version: str | None
    created: int
    signal: str | None
    """What it means to us, such as `InvoicePaid`; None where nobody here needs its type."""
    names: Mapping[str, object]
    """What the signal names, to be read afresh."""
    jobs: tuple[JobLine, ...]
    came_of_it: tuple[Consequence, ...]
    """What is there by now about the same object, by this event or by another."""


ALL_EVENTS: Final = EventFilter()


def event_list(
    connection: Connection, filters: EventFilter = ALL_EVENTS, *, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[ListedEvent]:
    """Events by these filters, newest first. InputError for a bad cursor."""
    return newest_first(connection, _listed(filters), inbox.c.id, _event, after=after, limit=limit)


def event_page(connection: Connection, name: str) -> EventPage:
    """The event of this id, ours (inb_...) or Stripe's (evt_...; the newest where accounts share it).

    Raises NotFoundError.
    """
    row = _named(connection, name, *(inbox.c[column] for column in (*_LINE, *_MORE)))
    signal = signal_of(row.type, row.object_id, row.trial_end_before)
    more: Mapping[str, Any] = {column: row._mapping[column] for column in _MORE if column in EventPage.__slots__}
    return EventPage(
        event=EventLine(**{column: row._mapping[column] for column in _LINE}),
        signal=type(signal).__name__ if signal else None,
        names=asdict(signal) if signal else {},
        jobs=job_list(connection, JobFilter(actor=Actor.INTERPRET, subject=row.id)).items,
        came_of_it=tuple(_consequences(connection, row.account, row.object_id)),
        **more,
    )


def event_body(connection: Connection, name: str) -> bytes:
    """The body as Stripe sent it, byte for byte; personal data included. Raises NotFoundError."""
    return bytes(_named(connection, name, inbox.c.body).body)


def jobs_of_events(
    connection: Connection, filters: EventFilter, *, ids: Sequence[str] | None, limit: int | None = None
) -> Sequence[str]:
    """The newest job of each of these events, oldest first. NotFoundError for an id that no event has."""
    query = _listed(filters)
    if ids is not None:
        for name in ids:
            _named(connection, name, inbox.c.id)
        query = query.where(sa.or_(inbox.c.id.in_(ids), inbox.c.event_id.in_(ids)))
    rows = connection.execute(query.order_by(inbox.c.id).limit(limit))
    return [row.job_id for row in rows if row.job_id is not None]


def _listed(filters: EventFilter) -> sa.Select[Any]:
    newest = (
        sa.select(jobs.c.id, jobs.c.state)
        .where(jobs.c.subject == inbox.c.id, jobs.c.actor == Actor.INTERPRET)
        .order_by(jobs.c.id.desc())
        .limit(1)
        .lateral("newest")
    )
    columns = [inbox.c[name] for name in _LINE]
    query = sa.select(*columns, newest.c.id.label("job_id"), newest.c.state.label("job_state")).select_from(
        inbox.outerjoin(newest, sa.true())
    )
    for name in ("account", "type", "event_id", "object_id"):
        if (value := getattr(filters, name)) is not None:
            query = query.where(inbox.c[name] == value)
    # Ids are in the order of arrival: they lead to a span, and the times in it say which rows are meant.
    if filters.since is not None:
        bound = first_id(Kind.INBOX, filters.since - _CLOCKS_APART)
        query = query.where(inbox.c.received_at >= filters.since, inbox.c.id >= bound)
    if filters.until is not None:
        bound = first_id(Kind.INBOX, filters.until + _CLOCKS_APART)
        query = query.where(inbox.c.received_at < filters.until, inbox.c.id < bound)
    if filters.job_state is not None:
        query = query.where(newest.c.state == filters.job_state)
    if filters.job_state is JobState.DONE:
        # Most events have such a job, so the walk is short; where the newest or the oldest have none, it starts there.
        query = query.where(inbox.c.id.between(_done(sa.func.min), _done(sa.func.max)))
    if filters.job_state not in {None, JobState.DONE}:
        # Few jobs are anything but done: an index has them.
        few = sa.select(jobs.c.subject).where(jobs.c.state == filters.job_state, jobs.c.actor == Actor.INTERPRET)
        query = query.where(inbox.c.id.in_(few))
    return query


def _done(end: Callable[[sa.Column[str]], sa.ColumnElement[str]]) -> sa.ScalarSelect[str]:
    """The first or last event that was read, from the end of the index by subject where the ids of events begin."""
    of_events = jobs.c.subject.between(first_id(Kind.INBOX, _EVER[0]), first_id(Kind.INBOX, _EVER[1]))
    done = sa.select(end(jobs.c.subject)).where(of_events, jobs.c.state == JobState.DONE)
    return done.where(jobs.c.actor == Actor.INTERPRET).scalar_subquery()


def _named(connection: Connection, name: str, *columns: sa.Column[Any]) -> sa.Row[Any]:
    meant = inbox.c.id == name
    if not is_id(Kind.INBOX, name):
        # Stripe's id: the index has it by account, and of accounts there are a few.
        meant = sa.and_(inbox.c.account.in_(_accounts()), inbox.c.event_id == name)
    row = connection.execute(sa.select(*columns).where(meant).order_by(inbox.c.id.desc())).first()
    if row is None:
        raise NotFoundError(f"event {name}: there is none")
    return row


def _accounts() -> sa.Select[Any]:
    """Every account that events came for, from one to the next in the index, and never row by row."""
    first = sa.select(sa.func.min(inbox.c.account).label("account"))
    each = first.cte("accounts", recursive=True)
    behind = sa.select(sa.func.min(inbox.c.account)).where(inbox.c.account > each.c.account).scalar_subquery()
    each = each.union_all(sa.select(behind).where(each.c.account.is_not(None)))
    return sa.select(each.c.account).where(each.c.account.is_not(None))


def _consequences(connection: Connection, account: str, object_id: str) -> Iterator[Consequence]:
    """Each by the id that Stripe's object has with us, all of them behind an index."""
    about = sa.or_(conversions.c.invoice_id == object_id, conversions.c.charge_id == object_id)
    noticed = connection.execute(sa.select(conversions.c.id).where(conversions.c.account == account, about))
    yield from (Consequence(kind="conversion", id=row.id, state="noticed") for row in noticed)
    asked = sa.select(requests.c.case_id).where(requests.c.account == account, requests.c.external_ref == object_id)
    of_charge = sa.select(cases.c.id).where(cases.c.account == account, cases.c.charge_id == object_id)
    ids = connection.execute(asked.union(of_charge)).scalars().all()
    opened = connection.execute(
        sa.select(cases.c.id, cases.c.state).where(cases.c.account == account, cases.c.id.in_(ids)).order_by(cases.c.id)
    )
    yield from (Consequence(kind="case", id=row.id, state=row.state) for row in opened)
    paid = connection.execute(
        sa.select(refunds.c.id, refunds.c.state).where(
            refunds.c.account == account,
            sa.or_(refunds.c.charge_id == object_id, refunds.c.stripe_refund_id == object_id),
        )
    )
    yield from (Consequence(kind="refund", id=row.id, state=row.state) for row in paid)


def _event(row: sa.Row[Any]) -> ListedEvent:
    state = JobState(row.job_state) if row.job_state else None
    return ListedEvent(**{**row._mapping, "job_state": state})
