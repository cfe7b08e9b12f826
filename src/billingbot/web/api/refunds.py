"""`/api/v1/refunds`: every refund that was intended, tried, paid, or made elsewhere."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import StreamingResponse

from billingbot.core.form import Form
from billingbot.core.refund import Origin, RefundState
from billingbot.flows.books.exports import refunds_sheet
from billingbot.papers.sheets import MEDIA, written
from billingbot.store import views
from billingbot.store.views.finance import LogFilter
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


class ExportQuery(Body):
    """Which refunds, as for the list; `person` is whoever decided or approved."""

    format: Form = Form.CSV
    state: RefundState | None = None
    origin: Origin | None = None
    account: Word | None = None
    currency: Word | None = None
    clause: Word | None = None
    person: Word | None = None
    since: Annotated[Instant | None, Field(description="Intended at or after")] = None
    until: Annotated[Instant | None, Field(description="Intended before")] = None


@router.get("/export", summary="Export the refund log", response_class=StreamingResponse)
def export(query: Annotated[ExportQuery, Query()], desk: TheDesk) -> StreamingResponse:
    """The log as CSV, XLSX or Parquet, streamed; columns as in docs/finance.md."""
    sheet = refunds_sheet(desk, LogFilter(**query.model_dump(exclude={"format"})), query.format)
    headers = {"Content-Disposition": f'attachment; filename="refunds.{query.format.value}"'}
    return StreamingResponse(written(sheet, query.format), media_type=MEDIA[query.format], headers=headers)
