"""Refunds: the log with its sums and plots, one refund from intent to settlement, and the log as a file."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from pydantic import Field, field_validator
from starlette.responses import Response, StreamingResponse

from billingbot.core.books.month import Month
from billingbot.core.errors import NotFoundError
from billingbot.core.form import Form
from billingbot.core.ids import Kind
from billingbot.core.refund import Origin, RefundState
from billingbot.flows.books.case_file import case_file
from billingbot.flows.books.exports import refunds_sheet
from billingbot.papers.sheets import MEDIA, written
from billingbot.store import cancellations, views
from billingbot.store.refunds import attempts_of
from billingbot.store.views import finance
from billingbot.store.views.finance import LogFilter
from billingbot.web.api.fields import Cursor, Word, id_of
from billingbot.web.console import finance_plots
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here, Visit

router = APIRouter(route_class=ConsoleRoute)

TONES: Final[Mapping[RefundState, str]] = {
    RefundState.INTENDED: "wait",
    RefundState.SUBMITTING: "work",
    RefundState.UNKNOWN: "unknown",
    RefundState.REFUSED: "stop",
    RefundState.WITHDRAWN: "none",
    RefundState.PENDING: "work",
    RefundState.REQUIRES_ACTION: "wait",
    RefundState.SUCCEEDED: "done",
    RefundState.FAILED: "stop",
    RefundState.CANCELED: "stop",
}
# How far back the list of months reaches; older ones are reached by address.
_MONTHS: Final = 18
WITHOUT: Final = "none"
"""How an address names refunds that no clause of the policy made."""
ALL: Final = "all"


class LogQuery(Asked):
    """Which refunds: all that are given must hold. Without a month it is this one."""

    month: Annotated[str | None, Field(pattern=r"^(20\d\d-(0[1-9]|1[0-2])|all)$")] = None
    day: date | None = None
    currency: Annotated[str | None, Field(pattern=r"^[a-z]{3}$")] = None
    account: Word | None = None
    clause: Word | None = None
    person: Word | None = None
    state: RefundState | None = None
    origin: Origin | None = None

    @field_validator("day")
    @classmethod
    def _in_our_time(cls, value: date | None) -> date | None:
        if value is not None and not 2000 <= value.year < 2100:
            raise ValueError("expected a day between 2000 and 2100")
        return value

    def filters(self, zone: str, now: datetime) -> LogFilter:
        """As the read model takes it; days and months are those of the books."""
        since, until = self.span(zone, now)
        return LogFilter(
            since=since,
            until=until,
            account=self.account,
            currency=self.currency,
            clause="" if self.clause == WITHOUT else self.clause,
            person=self.person,
            state=self.state,
            origin=self.origin,
        )

    def span(self, zone: str, now: datetime) -> tuple[datetime | None, datetime | None]:
        """From when until when."""
        if self.day is not None:
            first = datetime.combine(self.day, time(), tzinfo=ZoneInfo(zone))
            return first.astimezone(UTC), (first + timedelta(days=1)).astimezone(UTC)
        if self.month == ALL:
            return None, None
        month = self.which(zone, now)
        return month.begins(zone), month.ends(zone)

    def which(self, zone: str, now: datetime) -> Month:
        """The month that is looked at."""
        if self.day is not None:
            return Month(self.day.year, self.day.month)
        return Month.parse(self.month) if self.month and self.month != ALL else Month.of(now, zone)


class PageQuery(LogQuery):
    """A page of them."""

    after: Cursor | None = None


class ExportQuery(LogQuery):
    """All of them: as a file, or drawn."""


@router.get("/refunds")
def log(here: Here, query: Annotated[PageQuery, Query()]) -> Response:
    """The refund log: rows by filter, and sums that follow it."""
    filters = query.filters(here.desk.books.zone, here.reader.now)
    page = here.read(finance.log_page, filters, after=query.after)
    given = _but(query.given, "after")
    return here.show(
        "refunds/list.html",
        page=page,
        # Sums of a month are read with it; those of all time take a while, and follow.
        totals=here.read(finance.log_totals, filters) if filters.since else None,
        tones=TONES,
        more=f"/refunds?{urlencode({**given, 'after': page.next})}" if page.next else None,
        exports=[(form.value, f"/refunds/export/{form.value}?{urlencode(given)}") for form in Form],
        **_sentence(here, query, filters, "/refunds"),
    )


@router.get("/refunds/totals")
def totals(here: Here, query: Annotated[ExportQuery, Query()]) -> Response:
    """The sums alone, for a page that is shown before them."""
    filters = query.filters(here.desk.books.zone, here.reader.now)
    return here.show("refunds/totals.html", totals=here.read(finance.log_totals, filters))


@router.get("/refunds/plots")
def plots(here: Here, query: Annotated[ExportQuery, Query()]) -> Response:
    """The same refunds drawn; a bar leads to its rows. They follow the page: reading takes a while."""
    filters = query.filters(here.desk.books.zone, here.reader.now)
    return here.show("refunds/plots.html", **_sentence(here, query, filters, "/refunds/plots"))


@router.get("/refunds/plots/drawn")
def drawn(here: Here, query: Annotated[ExportQuery, Query()]) -> Response:
    """The drawings alone."""
    filters = query.filters(here.desk.books.zone, here.reader.now)
    return here.show(
        "refunds/drawn.html",
        plots=_plots(here, query, query.given),
        settled=here.read(finance.settled_totals, filters),
    )


@router.get("/refunds/export/{form}")
def export(here: Here, form: Form, query: Annotated[ExportQuery, Query()]) -> Response:
    """The same rows as a file, while they are read."""
    zone = here.desk.books.zone
    sheet = refunds_sheet(here.desk, query.filters(zone, here.reader.now), form)
    span = str(query.day or (ALL if query.month == ALL else query.which(zone, here.reader.now)))
    return download(written(sheet, form), f"refunds-{span}.{form.value}", MEDIA[form])


@router.get("/refunds/{refund_id}")
def refund(here: Here, refund_id: str) -> Response:
    """The life of one refund."""
    found = here.read(finance.log_line, id_of(Kind.REFUND, refund_id))
    if found is None:
        raise NotFoundError(f"refund {refund_id}: there is none")
    entries = here.read(views.ledger_page, views.LedgerFilter(subject=refund_id), limit=200)
    return here.show(
        "refunds/page.html",
        line=found,
        refund=found.refund,
        attempts=here.read(attempts_of, refund_id),
        cancellation=here.read(cancellations.of_refund, refund_id),
        entries=entries.items,
        tones=TONES,
    )


@router.get("/cases/{case_id}/file.pdf")
def file_of_case(here: Here, case_id: str) -> Response:
    """The case file for an auditor."""
    content = case_file(here.desk, id_of(Kind.CASE, case_id))
    headers = {"Content-Disposition": f'inline; filename="{case_id}.pdf"'}
    return Response(content, media_type="application/pdf", headers=headers)


def download(pieces: Any, name: str, media_type: str) -> Response:
    """A file to be saved."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return StreamingResponse(pieces, media_type=media_type, headers=headers)


def _but(given: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in given.items() if name not in names}


def _sentence(here: Visit, query: LogQuery, filters: LogFilter, action: str) -> dict[str, Any]:
    """The filters with what there is to choose from in that time, read in one statement."""
    zone, now = here.desk.books.zone, here.reader.now
    given = _but(query.given, "after")
    there = here.read(finance.facets, since=filters.since, until=filters.until)
    clauses = {name for name in there.clauses if name} | ({query.clause} - {WITHOUT} if query.clause else set())
    people = {*there.deciders, *([query.person] if query.person else [])}
    currencies = {*there.currencies, *([query.currency] if query.currency else [])}
    month = query.which(zone, now)
    return {
        "action": action,
        "asked": f"?{urlencode(given)}" if given else "",
        "query_": query,
        "months": _months(query, zone, now),
        "chosen_month": _chosen(query, zone, now),
        "currencies": [(name, name.upper()) for name in sorted(currencies)],
        "accounts": [(name, name) for name in sorted(here.desk.accounts)],
        "clauses": [*((name, name.replace("-", " ")) for name in sorted(clauses)), (WITHOUT, "no rule at all")],
        "deciders": [(name, name.removeprefix("policy:")) for name in sorted(people)],
        "states": [(one.value, one.value.replace("_", " ")) for one in RefundState],
        "origins": [("policy", "the policy"), ("person", "a person"), ("external", "somebody outside billingbot")],
        "without_day": f"{action}?{urlencode({**_but(given, 'day'), 'month': month})}",
    }


def _chosen(query: LogQuery, zone: str, now: datetime) -> str:
    return ALL if query.month == ALL and query.day is None else str(query.which(zone, now))


def _months(query: LogQuery, zone: str, now: datetime) -> list[tuple[str, str]]:
    month, found = Month.of(now, zone), []
    for _ in range(_MONTHS):
        found.append(month)
        month = month.previous()
    chosen = query.which(zone, now)
    named = sorted({*found, chosen}, reverse=True)
    return [*((str(one), f"{date(one.year, one.number, 1):%B %Y}") for one in named), (ALL, "all time")]


def _bounds(here: Visit, wide: LogQuery) -> tuple[datetime, ...]:
    """Where each day of a month begins, or each month of all time; and where the last one ends."""
    zone, now = here.desk.books.zone, here.reader.now
    if wide.month != ALL:
        month = wide.which(zone, now)
        return (*finance_plots.days_of(month, zone), month.ends(zone))
    first = here.read(finance.first_month, sorted(here.desk.accounts))
    if first is None:
        return ()
    months = [Month.of(first, zone)]
    while months[-1].ends(zone) <= now:
        months.append(months[-1].next())
    return (*(month.begins(zone) for month in months), months[-1].ends(zone))


def _plots(here: Visit, query: LogQuery, given: Mapping[str, str]) -> Mapping[str, Any]:
    zone, now = here.desk.books.zone, here.reader.now
    # A single day is shown within its month: where it stands among the others is what the plots are for.
    unit = "month" if query.month == ALL and query.day is None else "day"
    month = ALL if unit == "month" else str(query.which(zone, now))
    wide = query.model_copy(update={"day": None, "month": month})
    asked = wide.filters(zone, now)
    bounds = _bounds(here, wide)
    by_clause = here.read(finance.by_clause, asked, bounds)
    seconds = here.read(finance.request_to_decision, asked, bounds)
    kept = here.read(finance.kept_by_review, asked, bounds)
    cost = here.read(finance.dispute_cost, asked, bounds)

    def href(at: datetime, clause: str | None) -> str:
        local = at.astimezone(ZoneInfo(zone))
        bucket = {"day": f"{local:%Y-%m-%d}"} if unit == "day" else {"month": f"{local:%Y-%m}"}
        rest = _but(given, "day", "month", "clause")
        named = {"clause": clause or WITHOUT} if clause is not None else {}
        return f"/refunds?{urlencode({**rest, **bucket, **named})}"

    axis = finance_plots.Axis(starts=bounds[:-1], unit=unit, zone=zone, reader=here.reader, href=href)
    return {
        "rules": finance_plots.rules(axis, by_clause),
        "time": finance_plots.decision_time(axis, seconds),
        "kept": finance_plots.money(axis, kept, told="Review kept {amount}", empty="What people decline appears here."),
        "cost": finance_plots.money(
            axis, cost, told="Disputes cost {amount}, fees included", empty="What disputes take appears here."
        ),
    }
