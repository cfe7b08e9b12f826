"""Events: what Stripe told us, from the raw bytes to what came of it; and reading what never arrived."""

import json
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from starlette.responses import Response

from billingbot.core.backfill import BackfillState
from billingbot.core.ids import Kind
from billingbot.core.job import JobState
from billingbot.flows.replay import backfill as backfilling
from billingbot.store import backfills
from billingbot.store.views.events import event_body, event_list, event_page
from billingbot.web.api.events import EventWanted
from billingbot.web.api.fields import Cursor, Instant, Word, id_of
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here

router = APIRouter(route_class=ConsoleRoute)

# Nobody reads more on a page; the rest is in the download.
_SHOWN_BYTES: Final = 100_000
_PASSES_SHOWN: Final = 50


class Span(Asked):
    """A span of Stripe's list of events; to now where no end is given."""

    account: Word
    since: Instant
    until: Instant | None = None


class EventQuery(Asked, EventWanted):
    """A page of events."""

    after: Cursor | None = None


@router.get("/events")
def events(here: Here, query: Annotated[EventQuery, Query()]) -> Response:
    """What arrived, newest first, each with the state of its newest job."""
    page = here.read(event_list, query.filter(), after=query.after)
    asked = {name: value for name, value in query.given.items() if name != "after"}
    return here.show(
        "events/list.html",
        page=page,
        filters=query,
        asked=asked,
        accounts=[(name, name) for name in sorted(here.desk.accounts)],
        states=[(state.value, _CAME[state]) for state in JobState],
        more=f"/events?{urlencode({**asked, 'after': page.next})}" if page.next else None,
        replay=f"/events/replay?{urlencode(asked)}",
    )


@router.get("/events/backfills")
def passes(here: Here) -> Response:
    """Passes over Stripe's list of events, and the form that begins one."""
    return here.show(
        "events/backfills.html",
        passes=here.read(backfills.latest, limit=_PASSES_SHOWN),
        accounts=sorted(here.desk.accounts),
    )


@router.post("/events/backfills")
def begin(here: Here, wanted: Annotated[Span, Form()]) -> Response:
    """Has the workers read a span of Stripe's list."""
    begun = backfilling.ask(here.desk, wanted.account, wanted.since, wanted.until, by=here.name)
    return here.go(f"/events/backfills/{begun.id}", said="The pass has begun; known events do nothing.")


@router.get("/events/backfills/{backfill_id}")
def one_pass(here: Here, backfill_id: str) -> Response:
    """How far one pass is, and what was missing."""
    found = here.read(backfills.get, id_of(Kind.BACKFILL, backfill_id))
    whole = (found.until - found.since).total_seconds() or 1
    done = whole if found.state is BackfillState.DONE else (found.read_to - found.since).total_seconds()
    template = "events/progress.html" if "hx-request" in here.request.headers else "events/backfill.html"
    return here.show(template, read=found, done=max(0.0, done), whole=whole)


@router.get("/events/{event_id}")
def event(here: Here, event_id: str) -> Response:
    """One event, by our id or Stripe's. The body is as Stripe sent it; it may hold personal data."""
    page, body = here.read(event_page, event_id), here.read(event_body, event_id)
    text = _pretty(body)
    return here.show(
        "events/page.html", page=page, body=text[:_SHOWN_BYTES], is_cut=len(text) > _SHOWN_BYTES, size=len(body)
    )


@router.get("/events/{event_id}/raw")
def raw(here: Here, event_id: str) -> Response:
    """The very bytes, to keep."""
    page, body = here.read(event_page, event_id), here.read(event_body, event_id)
    name = "".join(char for char in page.event.event_id if char.isalnum() or char == "_")
    headers = {"Content-Disposition": f'attachment; filename="{name}.json"'}
    return Response(body, media_type="application/json", headers=headers)


def _pretty(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:  # stored as it came, whatever it was
        return body.decode("utf-8", "replace")


_CAME: Final = {
    JobState.READY: "is still to be read",
    JobState.DONE: "was read",
    JobState.FAILED: "could not be read",
    JobState.DISMISSED: "was put away",
}
