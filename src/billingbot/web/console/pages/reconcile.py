"""Reconcile: how Stripe and our books agree, the breaks that were found, and the passes that looked."""

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from starlette.responses import Response

from billingbot.core.books.breaks import BreakKind, BreakState
from billingbot.flows import reconcile as reconciling
from billingbot.store.views import reconcile
from billingbot.web.api.fields import Cursor, Instant, Word
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here

router = APIRouter(route_class=ConsoleRoute)

_PASSES_SHOWN: Final = 10


class BreakQuery(Asked):
    """Which breaks: all that are given must hold."""

    account: Word | None = None
    kind: BreakKind | None = None
    state: BreakState | None = None
    after: Cursor | None = None


class PassWanted(Asked):
    """An account to be compared with Stripe, and what of it."""

    account: Word
    since: Instant | None = None
    until: Instant | None = None


@router.get("/reconcile")
def overview(here: Here, query: Annotated[BreakQuery, Query()]) -> Response:
    """Where they differ, for how long, and what was settled."""
    filters = reconcile.BreakFilter(
        account=query.account, kind=query.kind, state=query.state, unsettled=query.state is None
    )
    page = here.read(reconcile.break_list, filters, after=query.after)
    asked = {name: value for name, value in query.given.items() if name != "after"}
    return here.show(
        "reconcile/page.html",
        agreement=here.read(reconcile.agreement),
        passes=here.read(reconcile.pass_list, limit=_PASSES_SHOWN).items,
        page=page,
        filters=query,
        kinds=[(kind.value, kind.value.replace("_", " ")) for kind in BreakKind],
        states=[(state.value, state.value.replace("_", " ")) for state in BreakState],
        accounts=sorted(here.desk.accounts),
        more=f"/reconcile?{urlencode({**asked, 'after': page.next})}" if page.next else None,
    )


@router.post("/reconcile")
def begin(here: Here, wanted: Annotated[PassWanted, Form()]) -> Response:
    """Has the workers compare one account with Stripe; it pays nothing itself."""
    reconciling.ask(here.desk, wanted.account, by=here.name, since=wanted.since, until=wanted.until)
    return here.go("/reconcile", said="A pass has begun.")
