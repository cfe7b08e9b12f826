"""`/api/v1/queue`: what waits for people, as the console lists it; and the lists that people keep of it."""

from datetime import UTC, datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from billingbot.core.errors import InputError
from billingbot.flows.casework import queue
from billingbot.store import database, queue_views
from billingbot.store.queue_views import QueueView
from billingbot.store.views.paging import PAGE_ROWS
from billingbot.store.views.worklist import Who, WorkLine, worklist
from billingbot.web.api.fields import Body, ByName, Person, Prose, Rows, Word
from billingbot.web.api.shown import CaseShown, Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.queue_query import QueueQuery
from billingbot.web.reading import read

router = APIRouter(prefix="/queue", tags=["cases"], route_class=SignedInRoute, dependencies=[bearer])


class WorkQuery(QueueQuery):
    """Which cases, in the words of a kept list's `query`; `person` is who looks, for `who=mine`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    person: Person | None = None
    limit: Rows = PAGE_ROWS


class WorkShown(BaseModel):
    """One case of the queue; `open_with` are those who have it open in a browser right now."""

    case: CaseShown
    bank_due_by: Annotated[datetime | None, Field(description="The first deadline of a bank that waits")]
    open_with: list[str]

    @classmethod
    def of(cls, line: WorkLine) -> Self:
        """The line from outside."""
        names = [visitor.person for visitor in line.visitors]
        return cls(case=CaseShown.of(line.case), bank_due_by=line.bank_due_by, open_with=names)


class Keeping(ByName):
    """A list to keep under a name; an earlier one of the same person and name becomes it."""

    name: Word
    query: Annotated[Prose, Field(description="The part of the queue's address behind the question mark")]


class Owner(Body):
    """Whose lists."""

    owner: Person


@router.get("", summary="What waits, as the console lists it")
def show_queue(query: Annotated[WorkQuery, Query()], desk: TheDesk) -> Listed[WorkShown]:
    """By due time, then urgency; what was closed today (UTC) newest first."""
    if query.who is Who.MINE and query.person is None:
        raise InputError("person", "expected beside who=mine")
    midnight = read(desk, database.now).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    filters = query.filter(me=query.person or "", midnight=midnight)
    page = read(desk, worklist, filters, after=query.after, limit=query.limit)
    return Listed(items=[WorkShown.of(line) for line in page.items], next=page.next)


@router.get("/lists", summary="Lists that somebody keeps")
def show_lists(whose: Annotated[Owner, Query()], desk: TheDesk) -> Listed[QueueView]:
    """By name; `GET /queue?` and a list's `query` are its cases."""
    return Listed(items=list(read(desk, queue_views.of_owner, whose.owner)), next=None)


@router.post("/lists", summary="Keep a list under a name")
def keep_list(wanted: Keeping, desk: TheDesk) -> QueueView:
    """It stands beside the queue in the console of whoever keeps it."""
    return queue.save_view(desk, wanted.by, name=wanted.name, query=wanted.query)


@router.post("/lists/{list_id}/drop", summary="Forget a list")
def drop_list(list_id: Word, who: ByName, desk: TheDesk) -> QueueView:
    """Its cases are where they were. 404 where it is not theirs."""
    found = read(desk, queue_views.get, list_id)
    queue.drop_view(desk, who.by, list_id)
    return found
