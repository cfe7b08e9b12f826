"""Notices: what people were told, what became of each at each destination, and what each person has not seen yet."""

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from starlette.responses import Response

from billingbot.core.notice import Notice, NoticeKind, NoticeState, page_of
from billingbot.flows import notify
from billingbot.store.views.notices import MOST_UNREAD, NoticeFilter, NoticeLine, in_groups, notice_list, unread
from billingbot.web.api.fields import Cursor, Word
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here

router = APIRouter(route_class=ConsoleRoute)

# They stand in groups, so that many are few rows.
_ROWS: Final = 200


class NoticeQuery(Asked):
    """Which notices: all that are given must hold."""

    kind: NoticeKind | None = None
    state: NoticeState | None = None
    subject: Word | None = None
    after: Cursor | None = None


class Seen(Asked):
    """Up to which notice somebody has seen them."""

    seen_to: Word


@router.get("/notices")
def notices(here: Here, query: Annotated[NoticeQuery, Query()]) -> Response:
    """What was told, newest first."""
    filters = NoticeFilter(**query.model_dump(exclude={"after"}))
    page = here.read(notice_list, filters, after=query.after, limit=_ROWS)
    asked = {name: value for name, value in query.given.items() if name != "after"}
    return here.show(
        "notices/page.html",
        page=page,
        groups=[[(line, _page_of(line)) for line in group] for group in in_groups(page.items)],
        filters=query,
        kinds=[(kind.value, kind.value.replace("_", " ")) for kind in NoticeKind],
        states=[(state.value, _STATES[state]) for state in NoticeState],
        routes=here.desk.routes,
        newest=page.items[0].id if page.items and not asked and not query.after else None,
        unread=here.read(unread, here.name),
        most=MOST_UNREAD,
        more=f"/notices?{urlencode({**asked, 'after': page.next})}" if page.next else None,
    )


@router.get("/notices/bell")
def bell(here: Here) -> Response:
    """The bell of every page: how many notices this person has not seen."""
    return here.show("notices/bell.html", unread=here.read(unread, here.name), most=MOST_UNREAD)


@router.post("/notices/seen")
def seen(here: Here, wanted: Annotated[Seen, Form()]) -> Response:
    """All of them are seen."""
    notify.saw_notices(here.desk, wanted.seen_to, by=here.name)
    return here.go("/notices")


@router.post("/notices/test")
def test(here: Here) -> Response:
    """Sends a test to every destination."""
    failed = [f"{name}: {why}" for name, why in notify.try_routes(here.desk, by=here.name) if why]
    return here.go("/notices", said="; ".join(failed) or "The test arrived everywhere.")


def _page_of(line: NoticeLine) -> str:
    return page_of(
        Notice(kind=line.kind, account=line.account, subject=line.subject, headline=line.headline, body=line.body)
    )


_STATES = {
    NoticeState.WAITING: "wait to be sent",
    NoticeState.SENT: "were sent",
    NoticeState.FAILED: "did not arrive",
    NoticeState.KEPT: "were sent nowhere",
}
