"""Backtests: what another policy would have made of the past, asked for here, with a result that stays."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form
from pydantic import Field
from starlette.responses import Response

from billingbot.core.backtest_report import MoneyLine, Report
from billingbot.core.errors import InputError, NotFoundError
from billingbot.core.ids import Kind
from billingbot.core.mode import Mode
from billingbot.core.policy import PolicyError, load_policy
from billingbot.core.policy.file import SOURCE_BYTES_MAX
from billingbot.core.trying import Backtest, BacktestState
from billingbot.flows.policy import backtests
from billingbot.flows.policy.publish import read_version
from billingbot.store import backtests as stored
from billingbot.web.api.fields import Instant, Word, id_of
from billingbot.web.console import charts
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here, Visit

router = APIRouter(route_class=ConsoleRoute)

_SHOWN: Final = 50
_FLIPS_SHOWN: Final = 50
# The currencies in which most money moves; the table has all.
_PLOTTED: Final = 4


class Wanted(Asked):
    """A text to be tried on the past, and on which cases of it."""

    text: Annotated[str, Field(min_length=1, max_length=SOURCE_BYTES_MAX)]
    against: Word | None = None
    """A published version; what was decided then where none is named."""
    as_mode: Mode | None = None
    account: Word | None = None
    since: Instant | None = None
    until: Instant | None = None


@router.get("/policy/backtests")
def overview(here: Here) -> Response:
    """The newest of them."""
    return here.show("policy/backtests.html", runs=here.read(stored.latest, limit=_SHOWN))


@router.post("/policy/backtests")
def begin(here: Here, wanted: Annotated[Wanted, Form()]) -> Response:
    """Has a worker decide the past again on paper."""
    try:
        new = load_policy(wanted.text.replace("\r\n", "\n"), filename="policy.toml")
    except PolicyError as fault:
        raise InputError("text", "; ".join(fault.problems)) from None
    trial = backtests.Trial(
        new=new,
        against=read_version(here.desk, wanted.against)[1] if wanted.against else None,
        as_mode=wanted.as_mode,
        account=wanted.account,
        since=wanted.since,
        until=wanted.until,
    )
    asked = backtests.ask(here.desk, trial, by=here.name)
    return here.go(f"/policy/backtests/{asked.id}")


@router.get("/policy/backtests/{backtest_id}")
def one(here: Here, backtest_id: str) -> Response:
    """How far it is, and what came of it."""
    found = here.read(stored.get, id_of(Kind.BACKTEST, backtest_id))
    result = backtests.result_of(here.desk, found.id) if found.state is BacktestState.DONE else None
    part = "hx-request" in here.request.headers
    return here.show(
        "policy/backtest_result.html" if part else "policy/backtest.html",
        run=found,
        result=result,
        seconds=stored.seconds(found),
        shown=_FLIPS_SHOWN,
        **(_told(here, found, result.report) if result else {}),
    )


@router.post("/policy/backtests/{backtest_id}/stop")
def stop(here: Here, backtest_id: str) -> Response:
    """At its next stretch of cases."""
    backtests.stop(here.desk, id_of(Kind.BACKTEST, backtest_id), by=here.name)
    return here.go(f"/policy/backtests/{backtest_id}", said="It stops in a moment.")


@router.get("/policy/backtests/{backtest_id}/flips.csv")
def flips(here: Here, backtest_id: str) -> Response:
    """Every case that goes another way, for a spreadsheet."""
    content = backtests.flips_of(here.desk, id_of(Kind.BACKTEST, backtest_id))
    if content is None:
        raise NotFoundError(f"backtest {backtest_id}: has no result (yet)")
    headers = {"Content-Disposition": f'attachment; filename="{backtest_id}.csv"'}
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


def _told(here: Visit, found: Backtest, told: Report) -> dict[str, Any]:
    changed = [line for line in told.money if line.gained.cases or line.lost.cases]
    return {
        "told": told,
        "headline": _headline(here, told),
        "changed": changed,
        "plots": [_plot(here, line, told.money_by_month) for line in _busiest(changed)],
        "outcomes": _outcomes(told),
        "notes": _notes(here, found, told),
    }


def _headline(here: Visit, told: Report) -> str:
    number = here.reader.number
    if not told.cases:
        return "No case of that time was decided by a policy"
    if not told.flips:
        return f"None of {number(told.cases)} cases goes another way"
    return f"{number(told.flips)} of {number(told.cases)} cases go another way"


def _busiest(lines: Sequence[MoneyLine]) -> list[MoneyLine]:
    return sorted(lines, key=lambda line: (-max(line.before.cases, line.after.cases), line.currency))[:_PLOTTED]


def _plot(here: Visit, whole: MoneyLine, lines: Sequence[MoneyLine]) -> Any:
    """Refunds that leave by themselves, by month: after, with what came on top of before hatched."""
    currency, text = whole.currency, here.reader.money_text
    more = whole.gained.amount_minor - whole.lost.amount_minor
    moved = "as much as before" if not more else f"{text(abs(more), currency)} {'more' if more > 0 else 'less'}"
    bars = [
        charts.Bar(
            label=f"{line.month} {side}",
            value=amount,
            told=f"{line.month} {side}: {text(amount, currency)}",
        )
        for line in lines
        if line.currency == currency
        for side, amount in (("before", line.before.amount_minor), ("after", line.after.amount_minor))
    ]
    return charts.bars(f"{currency.upper()}: {moved} leaves by itself", bars)


def _outcomes(told: Report) -> list[tuple[str, list[tuple[str, int]]]]:
    """Cases by outcome, before and after."""
    rows = []
    for side in ("before", "after"):
        counts: Counter[str] = Counter()
        for line in told.outcomes:
            counts[getattr(line, side).partition(" ")[0]] += line.cases
        rows.append((side, [(kind, counts[kind]) for kind in ("refund", "review", "close")]))
    return rows


def _notes(here: Visit, found: Backtest, told: Report) -> list[str]:
    """What has to be known to read the figures right."""
    number = here.reader.number
    lines = [
        f"{number(count)} cases were stored before {name} was a fact: unknown to this policy, and so decided."
        for name, count in told.lacking.items()
    ]
    if told.unreadable:
        lines.append(f"{number(told.unreadable)} cases have stored facts that cannot be read; they are in no figure.")
    if told.day_limited:
        held = number(told.day_limited)
        lines.append(f"{held} cases were only held back by the day's budget: compared as the refunds they were.")
    if found.as_mode:
        lines.append(f"Every case is decided as if the mode had been {found.as_mode}.")
    lines.append(
        "Each case is decided by itself, on the facts of then: neither the day's budget is replayed, nor what a refund"
        " more or less would have changed in later cases of the same customer, card or mailbox."
    )
    return lines
