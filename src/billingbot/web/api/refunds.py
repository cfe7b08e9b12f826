"""`/api/v1/refunds`: every refund that was intended, tried, paid, or made elsewhere."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from billingbot.core.refund import Origin, RefundState
from billingbot.store import views
from billingbot.web.api.fields import Body, Cursor, Instant, Rows, Word
from billingbot.web.api.shown import Listed, RefundShown
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/refunds", tags=["refunds"], route_class=SignedInRoute, dependencies=[bearer])


class RefundQuery(Body):
    """Which refunds: all that are given must hold."""

    state: RefundState | None = None
    origin: Origin | None = None
    account: Word | None = None
    case: Word | None = None
    charge: Word | None = None
    customer: Word | None = None
    currency: Word | None = None
    clause: Word | None = None
    since: Annotated[Instant | None, Field(description="Intended at or after")] = None
    until: Annotated[Instant | None, Field(description="Intended before")] = None
    after: Cursor | None = None
    limit: Rows = views.PAGE_ROWS


@router.get("", summary="List refunds")
def list_refunds(query: Annotated[RefundQuery, Query()], desk: TheDesk) -> Listed[RefundShown]:
    """Newest first, each with its attempts."""
    filters = views.RefundFilter(
        state=query.state,
        origin=query.origin,
        account=query.account,
        case_id=query.case,
        charge_id=query.charge,
        customer_id=query.customer,
        currency=query.currency,
        clause=query.clause,
        since=query.since,
        until=query.until,
    )
    page = read(desk, views.refund_log, filters, after=query.after, limit=query.limit)
    return Listed(items=[RefundShown.of(line) for line in page.items], next=page.next)
