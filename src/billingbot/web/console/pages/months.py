"""Month close: which months are closed and signed, a month's statement with its breaks, and its files."""

from datetime import date
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Form, Path, Query
from pydantic import Field
from starlette.responses import Response

from billingbot.core.books.month import Closing, Month, MonthState
from billingbot.core.books.settlement import TYPES
from billingbot.core.books.statement import Statement
from billingbot.core.errors import InputError, NotFoundError
from billingbot.core.form import Form as FileForm
from billingbot.flows.books import months
from billingbot.flows.books.exports import journal_sheet, statement_sheet
from billingbot.papers.sheets import MEDIA, Sheet, written
from billingbot.store import months as closings
from billingbot.web.api.fields import Word
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.pages.refunds import TONES as REFUND_TONES
from billingbot.web.console.pages.refunds import download
from billingbot.web.console.visit import Here, Visit

T = TypeVar("T")

router = APIRouter(route_class=ConsoleRoute)

TONES: Final = {
    MonthState.READING: "work",
    MonthState.DRAWN: "wait",
    MonthState.SIGNED: "done",
    MonthState.FAILED: "stop",
}
# So many are offered: a year, and the month that runs.
_OFFERED: Final = 13
# Of a statement's rows the page shows so many; all of them are in its files.
_ROWS: Final = 200

Named = Annotated[str, Path(pattern=r"^20\d\d-(0[1-9]|1[0-2])$")]
FileName = Annotated[str, Path(pattern="^(csv|xlsx|parquet|journal|json)$")]


class MonthQuery(Asked):
    """Whose month."""

    account: Word | None = None


class SignForm(Asked):
    """A signature under the statement that was read."""

    account: Word
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    why: Annotated[str | None, Field(max_length=1000)] = None


@router.get("/months")
def listed(here: Here, query: Annotated[MonthQuery, Query()]) -> Response:
    """All months of all accounts, and what is next."""
    found = here.read(closings.of_account, query.account)
    zone = here.desk.books.zone
    month, offered = Month.of(here.reader.now, zone), []
    for _ in range(_OFFERED):
        offered.append((str(month), name_of(str(month))))
        month = month.previous()
    return here.show(
        "months/list.html",
        closings=found,
        offered=offered,
        chosen=offered[1][0],
        accounts=[(name, name) for name in sorted(here.desk.accounts)],
        zone=zone,
        tones=TONES,
        name_of=name_of,
    )


@router.post("/months/close")
def close(here: Here, account: Annotated[str, Form()], month: Annotated[str, Form()]) -> Response:
    """Has the month read from Stripe and its statement drawn."""
    began = months.close(here.desk, account, month, by=here.name)
    return here.go(f"/months/{began.month}?account={account}", said="Stripe's balance transactions are being read.")


@router.get("/months/{month}")
def page(here: Here, month: Named, query: Annotated[MonthQuery, Query()]) -> Response:
    """The statement of a month."""
    at = _closing(here, month, query.account)
    begun = here.read(closings.beginning, at.id, rows=_ROWS)
    return here.show(
        "months/page.html",
        statement=begun.statement if begun else None,
        rows=begun.rows if begun else 0,
        **_about(here, at),
    )


@router.get("/months/{month}/progress")
def progress(here: Here, month: Named, query: Annotated[MonthQuery, Query()]) -> Response:
    """How far the reading has come; the whole page once it is over."""
    at = _closing(here, month, query.account)
    if at.state is not MonthState.READING:
        return here.go(f"/months/{month}?account={at.account}")
    return here.show("months/progress.html", **_about(here, at))


@router.post("/months/{month}/sign")
def sign(here: Here, month: Named, form: Annotated[SignForm, Form()]) -> Response:
    """A person's signature."""
    signed = months.sign(here.desk, form.account, month, digest=form.digest, by=here.name, why=form.why)
    return here.go(f"/months/{month}?account={signed.account}", said=f"{name_of(month)} is signed and frozen.")


@router.get("/months/{month}/export/{form}")
def export(here: Here, month: Named, form: FileName, query: Annotated[MonthQuery, Query()]) -> Response:
    """The statement's rows, its journal, or its bytes as they were signed."""
    at = _closing(here, month, query.account)
    name = f"{at.account}-{month}"
    if form == "json":
        content = _drawn(here.read(closings.content, at.id), at)
        return download(iter([content]), f"statement-{name}.json", "application/json")
    statement = _drawn(here.read(closings.statement, at.id), at)
    kind, sheet, what = _sheet(here, statement, form)
    return download(written(sheet, kind), f"{what}-{name}.{kind.value}", MEDIA[kind])


def name_of(month: str) -> str:
    """`2026-03` as `March 2026`."""
    found = Month.parse(month)
    return f"{date(found.year, found.number, 1):%B %Y}"


def _drawn(found: T | None, at: Closing) -> T:
    if found is None:
        raise NotFoundError(
            f"month {at.month} of {at.account}: its statement is not drawn; draw it under Refunds, Month close"
        )
    return found


def _sheet(here: Visit, statement: Statement, form: str) -> tuple[FileForm, Sheet, str]:
    if form == "journal":
        return FileForm.CSV, journal_sheet(statement, here.desk.books.codes), "journal"
    return FileForm(form), statement_sheet(statement), "statement"


def _about(here: Visit, at: Closing) -> dict[str, Any]:
    done = len(TYPES) if at.type is None else TYPES.index(at.type)
    of = f"account={at.account}"
    return {
        "at": at,
        "name": name_of(at.month),
        "tones": TONES,
        "refund_tones": {state.value: tone for state, tone in REFUND_TONES.items()},
        "ended": here.reader.now >= at.until,
        "done": done,
        "of": len(TYPES),
        "account_query": of,
        "exports": [
            (form, f"/months/{at.month}/export/{form}?{of}") for form in ("csv", "xlsx", "parquet", "journal", "json")
        ],
        "before": str(Month.parse(at.month).previous()),
        "after": str(Month.parse(at.month).next()),
    }


def _closing(here: Visit, month: str, account: str | None) -> Closing:
    names = sorted(here.desk.accounts)
    if account is None:
        if len(names) != 1:
            raise InputError("account", f"expected one of {', '.join(names)}")
        account = names[0]
    found = here.read(closings.find, account, month)
    if found is None:
        raise NotFoundError(f"{name_of(month)} of {account}: it has not been closed yet")
    return found
