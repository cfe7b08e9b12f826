"""`/api/v1/months`: closing a month, its statement, and the signature under it."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from billingbot.core.books.month import Closing
from billingbot.core.errors import NotFoundError
from billingbot.core.form import Form
from billingbot.flows.books import months
from billingbot.flows.books.exports import journal_sheet, statement_sheet
from billingbot.papers.sheets import MEDIA, written
from billingbot.store import months as closings
from billingbot.web.api.fields import Body, Person, Prose, Word
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

T = TypeVar("T")

router = APIRouter(prefix="/months", tags=["months"], route_class=SignedInRoute, dependencies=[bearer])

Named = Annotated[str, Path(pattern=r"^20\d\d-(0[1-9]|1[0-2])$")]


class ClosingsListed(BaseModel):
    """Closed months, newest first; there are twelve a year, so all of them."""

    items: list[Closing]


class CloseBody(Body):
    """Whose month, and who closes it."""

    account: Word
    by: Person


class SignBody(CloseBody):
    """A signature; `digest` is that of the statement which was read, `why` is wanted where breaks stand."""

    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    why: Prose | None = None


@router.get("", summary="List closed months")
def listed(desk: TheDesk, account: Annotated[Word | None, Query()] = None) -> ClosingsListed:
    """All of them, newest first."""
    return ClosingsListed(items=list(read(desk, closings.of_account, account)))


@router.post("/{month}/close", summary="Close a month", status_code=202)
def close(month: Named, body: CloseBody, desk: TheDesk) -> Closing:
    """Has the workers read the month from Stripe and draw its statement; again where it is not signed."""
    return months.close(desk, body.account, month, by=body.by)


@router.post("/{month}/sign", summary="Sign a month")
def sign(month: Named, body: SignBody, desk: TheDesk) -> Closing:
    """Freezes it; the ledger keeps the digest and its own head."""
    return months.sign(desk, body.account, month, digest=body.digest, by=body.by, why=body.why)


@router.get("/{month}/statement", summary="Read a statement")
def statement(month: Named, account: Annotated[Word, Query()], desk: TheDesk) -> Response:
    """Its canonical bytes: their SHA-256 is the digest that was signed."""
    return Response(_drawn(desk, closings.content, account, month), media_type="application/json")


class ExportQuery(Body):
    """Whose, how it is written, and whether the journal is wanted instead of the rows."""

    account: Word
    format: Form = Form.CSV
    journal: bool = False


@router.get("/{month}/export", summary="Export a statement or its journal", response_class=StreamingResponse)
def export(month: Named, query: Annotated[ExportQuery, Query()], desk: TheDesk) -> StreamingResponse:
    """Columns as in docs/finance.md."""
    found = _drawn(desk, closings.statement, query.account, month)
    sheet = journal_sheet(found, desk.books.codes) if query.journal else statement_sheet(found)
    name = f"{'journal' if query.journal else 'statement'}-{query.account}-{month}.{query.format.value}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(written(sheet, query.format), media_type=MEDIA[query.format], headers=headers)


def _drawn(desk: TheDesk, view: Callable[[Connection, str], T | None], account: str, month: str) -> T:
    """What the view reads of a month's statement. NotFoundError before it is drawn."""
    at = read(desk, closings.find, desk.account(account).name, month)
    found = read(desk, view, at.id) if at else None
    if found is None:
        raise NotFoundError(f"month {month} of {account}: its statement is not drawn")
    return found
