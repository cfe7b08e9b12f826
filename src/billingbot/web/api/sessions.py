"""`/api/v1/sessions`: the browsers in which people are signed in, and ending that."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from billingbot.flows.access import people
from billingbot.store.views.access import SessionLine
from billingbot.store.views.paging import PAGE_ROWS
from billingbot.web.api.fields import Body, ByName, Cursor, Person, Rows, Word
from billingbot.web.api.shown import Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer

router = APIRouter(prefix="/sessions", tags=["access"], route_class=SignedInRoute, dependencies=[bearer])


class SessionQuery(Body):
    """Whose sessions; `ended` shows those as well that nobody could go on with."""

    person: Person | None = None
    ended: bool = False
    after: Cursor | None = None
    limit: Rows = PAGE_ROWS


class Ending(ByName):
    """Who ends whose session: one by its id, or all of theirs."""

    person: Annotated[Person, Field(description="A name, an address or an id")]
    session: Word | None = None


class Ended(BaseModel):
    """How many sessions that ended."""

    count: int


@router.get("", summary="List sessions")
def show_sessions(query: Annotated[SessionQuery, Query()], desk: TheDesk) -> Listed[SessionLine]:
    """Newest first. Takes the power `manage`."""
    page = people.list_sessions(desk, who=query.person, live=not query.ended, after=query.after, limit=query.limit)
    return Listed(items=list(page.items), next=page.next)


@router.post("/revoke", summary="End sessions")
def revoke(wanted: Ending, desk: TheDesk) -> Ended:
    """At once. 404 for nobody, or a session that is none of theirs. Takes the power `manage`."""
    return Ended(count=people.revoke(desk, wanted.person, by=wanted.by, session_id=wanted.session))
