"""Sources: who answers, how fast, for which time; and asking them now about one customer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from billingbot.core.evidence.usage import SupportReport, UsageReport, shortfall
from billingbot.flows.sources import SINCE, ask_sources
from billingbot.store import sources
from billingbot.store.sources import SourceHour, SourceState
from billingbot.web.api.fields import Instant, Word
from billingbot.web.console import charts
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here, Visit

router = APIRouter(route_class=ConsoleRoute)

_SHOWN: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A source with its last day. `state` is None for one that is configured and was never asked."""

    name: str
    kind: str
    account: str
    state: SourceState | None
    hours: tuple[int, ...]
    failed: int
    asked: int
    mean_ms: int | None
    covered: str | None
    is_stale: bool


@router.get("/sources")
def overview(here: Here) -> Response:
    """How each source has answered."""
    lines = _lines(here)
    return here.show("sources/page.html", lines=lines, health=_health(lines), accounts=sorted(here.desk.accounts))


class SourceQuery(Asked):
    """About whom they are asked, and since when."""

    account: Word
    customer: Word | None = None
    since: Instant | None = None


@router.get("/sources/ask")
def ask(here: Here, query: Annotated[SourceQuery, Query()]) -> Response:
    """What they say of one customer now; within twenty seconds."""
    told = ask_sources(here.desk, query.account, customer=query.customer, since=query.since)
    began = told.subject.since

    def strip(report: UsageReport | SupportReport) -> str:
        return charts.strip([(span.start, span.end) for span in report.coverage], since=began, until=told.now)

    reports: Sequence[UsageReport | SupportReport] = (*told.usage, *told.support)
    rows = [(report, strip(report), shortfall(report, since=began, now=told.now)) for report in reports]
    template = "sources/answers.html" if "hx-request" in here.request.headers else "sources/asked.html"
    return here.show(template, told=told, rows=rows, days=SINCE.days)


def _lines(here: Visit) -> list[_Line]:
    states = {(one.account, one.source): one for one in here.read(sources.states)}
    since = here.reader.now - _SHOWN
    hours = here.read(sources.hours, since=since)
    configured = [("usage", source.name) for source in here.desk.usage]
    configured += [("support", source.name) for source in here.desk.support]
    accounts = sorted(here.desk.accounts)
    return [
        _line(here, kind, name, account, states.get((account, name)), hours)
        for account in accounts
        for kind, name in configured
    ]


def _line(
    here: Visit, kind: str, name: str, account: str, state: SourceState | None, hours: Sequence[SourceHour]
) -> _Line:
    own = [hour for hour in hours if (hour.account, hour.source) == (account, name)]
    asked, answered = sum(hour.asked for hour in own), sum(hour.answered for hour in own)
    now = here.reader.now
    covered, is_stale = None, False
    if state is not None and state.covered_from is not None and state.covered_to is not None:
        covered = charts.strip([(state.covered_from, state.covered_to)], since=now - SINCE, until=now)
        is_stale = state.covered_to < now - timedelta(seconds=state.max_age_seconds) - (now - state.asked_at)
    return _Line(
        name=name,
        kind=kind,
        account=account,
        state=state,
        hours=_by_hour(own, now),
        failed=asked - answered,
        asked=asked,
        mean_ms=round(sum(hour.took_ms for hour in own) / asked) if asked else None,
        covered=covered,
        is_stale=is_stale,
    )


def _by_hour(hours: Sequence[SourceHour], now: datetime) -> tuple[int, ...]:
    """Unanswered questions in each of the last 24 hours, oldest first."""
    counts = [0] * 24
    for hour in hours:
        back = int((now - hour.hour).total_seconds() // 3600)
        if 0 <= back < len(counts):
            counts[-1 - back] += hour.asked - hour.answered
    return tuple(counts)


def _health(lines: Sequence[_Line]) -> tuple[str, datetime | None]:
    """In words: everything answers, or who has been silent since when."""
    silent = sorted(
        ((line.state.silent_since, line.name) for line in lines if line.state and line.state.silent_since),
        key=lambda one: one[0],
    )
    if silent:
        return f"No answer from {silent[0][1]} since", silent[0][0]
    if not lines:
        return "No source is configured", None
    if all(line.state is None for line in lines):
        return "Nobody has been asked yet", None
    return "Everything answers", None
