"""`/api/v1/notices`: what people were told, and whether it arrived."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from billingbot.core.notice import NoticeKind, NoticeState
from billingbot.store import views
from billingbot.web.api.fields import Body, Cursor, Rows, Word
from billingbot.web.api.shown import Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/notices", tags=["notices"], route_class=SignedInRoute, dependencies=[bearer])


class NoticeQuery(Body):
    """Which notices: all that are given must hold."""

    kind: NoticeKind | None = None
    state: NoticeState | None = None
    account: Word | None = None
    subject: Word | None = None
    after: Cursor | None = None
    limit: Rows = views.PAGE_ROWS


class DeliveryShown(BaseModel):
    """What became of a notice at one destination; `why` is null unless it did not arrive."""

    route: str
    state: str
    tries: int
    why: str | None
    at: datetime


class NoticeShown(BaseModel):
    """One notice; `state` is `kept` where no destination asks for its kind."""

    id: str
    kind: NoticeKind
    account: str
    subject: str
    headline: str
    body: str
    state: NoticeState
    told_at: datetime
    deliveries: list[DeliveryShown]


@router.get("", summary="List notices")
def list_notices(query: Annotated[NoticeQuery, Query()], desk: TheDesk) -> Listed[NoticeShown]:
    """Newest first."""
    filters = views.NoticeFilter(**{name: getattr(query, name) for name in views.NoticeFilter.__slots__})
    page = read(desk, views.notice_list, filters, after=query.after, limit=query.limit)
    return Listed(items=[_shown(line) for line in page.items], next=page.next)


def _shown(line: views.NoticeLine) -> NoticeShown:
    same = {name: getattr(line, name) for name in NoticeShown.model_fields if name != "deliveries"}
    deliveries = [
        DeliveryShown(**{name: getattr(one, name) for name in DeliveryShown.model_fields}) for one in line.deliveries
    ]
    return NoticeShown(**same, deliveries=deliveries)
