"""`/api/v1/events`: what Stripe told us and what came of it; interpreting events again, and reading what we missed."""

import json
from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from billingbot.core.backfill import Backfill, BackfillReason, BackfillState
from billingbot.core.errors import InputError
from billingbot.core.ids import Kind
from billingbot.core.job import JobState
from billingbot.flows.replay import backfill as backfilling
from billingbot.flows.replay import replay_runs
from billingbot.store import backfills, views
from billingbot.store.views.events import Consequence, EventFilter, ListedEvent, event_body, event_list, event_page
from billingbot.web.api.fields import Body, Cursor, Instant, Person, Rows, Word, id_of
from billingbot.web.api.jobs import MOST_IDS, Act, ReplayAnswer, answer_to
from billingbot.web.api.shown import Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/events", tags=["events"], route_class=SignedInRoute, dependencies=[bearer])


class EventWanted(Body):
    """Which events: all that are given must hold."""

    account: Word | None = None
    type: Word | None = None
    object_id: Annotated[Word | None, Field(description="Stripe's id of what it is about")] = None
    job_state: Annotated[JobState | None, Field(description="That of its newest job")] = None
    since: Annotated[Instant | None, Field(description="Stored at or after")] = None
    until: Annotated[Instant | None, Field(description="Stored before")] = None

    def filter(self) -> EventFilter:
        """As the tables know it."""
        return EventFilter(**{name: getattr(self, name) for name in EventWanted.model_fields})


class EventQuery(EventWanted):
    """A page of events."""

    after: Cursor | None = None
    limit: Rows = views.PAGE_ROWS


class EventShown(BaseModel):
    """One event: what it means, its jobs, what is there about the same object, and its body as Stripe sent it."""

    event: views.EventLine
    thin: bool
    livemode: bool
    api_version: str | None
    created: Annotated[int, Field(description="Unix seconds, by Stripe")]
    signal: str | None
    names: dict[str, Any]
    jobs: tuple[views.JobLine, ...]
    came_of_it: tuple[Consequence, ...]
    body: Any


class EventReplay(Act):
    """Events to interpret again, by their ids (ours or Stripe's) or by a filter."""

    ids: Annotated[tuple[Word, ...] | None, Field(max_length=MOST_IDS)] = None
    filter: EventWanted | None = None


class BackfillWanted(Body):
    """A span of Stripe's list of events to read: at most 29 days back, to now where no end is given."""

    account: Word = "default"
    since: Instant
    until: Instant | None = None
    by: Person


class BackfillShown(BaseModel):
    """A pass over Stripe's list of events: how far it is, and how much of it was missing."""

    id: str
    account: str
    state: BackfillState
    reason: BackfillReason
    asked_by: str
    since: datetime
    until: datetime
    read_to: datetime
    missing: int
    missing_types: dict[str, int]
    known: int
    unreadable: int
    began_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, found: Backfill) -> Self:
        """The pass from outside."""
        return cls(**{name: getattr(found, name) for name in cls.model_fields})


class BackfillQuery(Body):
    """How many passes, and whose."""

    account: Word | None = None
    limit: Rows = views.PAGE_ROWS


@router.get("", summary="List events")
def list_events(query: Annotated[EventQuery, Query()], desk: TheDesk) -> Listed[ListedEvent]:
    """Newest first, each with the state of its newest job."""
    page = read(desk, event_list, query.filter(), after=query.after, limit=query.limit)
    return Listed(items=list(page.items), next=page.next)


@router.get("/backfills", summary="List passes over Stripe's list of events")
def list_backfills(query: Annotated[BackfillQuery, Query()], desk: TheDesk) -> Listed[BackfillShown]:
    """Newest first: those by themselves and those that were asked for."""
    found = read(desk, backfills.latest, account=query.account, limit=query.limit)
    return Listed(items=[BackfillShown.of(one) for one in found], next=None)


@router.get("/backfills/{backfill_id}", summary="One pass")
def show_backfill(backfill_id: str, desk: TheDesk) -> BackfillShown:
    """How far it is."""
    return BackfillShown.of(read(desk, backfills.get, id_of(Kind.BACKFILL, backfill_id)))


@router.post("/backfill", summary="Take in what Stripe lists and we never got", status_code=202)
def begin_backfill(wanted: BackfillWanted, desk: TheDesk) -> BackfillShown:
    """The workers read; known events do nothing."""
    return BackfillShown.of(backfilling.ask(desk, wanted.account, wanted.since, wanted.until, by=wanted.by))


@router.post("/replay", summary="Interpret events again, or see what that would do")
def replay_events(wanted: EventReplay, desk: TheDesk) -> ReplayAnswer:
    """Up to 10,000 events (500 by their ids), oldest first, as failed jobs are replayed; `next` tells of more."""
    if (wanted.ids is None) == (wanted.filter is None):
        raise InputError("ids", "expected either ids or a filter")
    chosen = wanted.filter.filter() if wanted.filter else EventFilter()
    jobs = replay_runs.jobs_of_events(desk, chosen, ids=wanted.ids)
    return answer_to(desk, wanted, jobs, of_events=True)


@router.get("/{event_id}", summary="One event")
def show_event(event_id: Word, desk: TheDesk) -> EventShown:
    """By our id or Stripe's. The body may hold personal data."""
    page, body = read(desk, event_page, event_id), read(desk, event_body, event_id)
    same = {name: getattr(page, name) for name in EventShown.model_fields if name != "body"}
    return EventShown(**same, body=json.loads(body))
