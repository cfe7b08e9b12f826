"""A backtest as a page: one file with its plots in it, no script, for screens light and dark and for paper."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from billingbot.cli.output import clean, money
from billingbot.cli.policy.backtest_tables import amounts, headline, net, notes
from billingbot.cli.policy.backtested import SHOWN_FLIPS, Backtest
from billingbot.cli.policy.plots import LEFT, WIDTH, Columns, Row, columns, shares
from billingbot.core.backtest_report import MoneyLine, PeopleLine, Report

# Reasons beyond these are rare, and in the table.
_PLOTTED_CAUSES: Final = 10
# The currencies in which most refunds leave; the others are in the table.
_PLOTTED_CURRENCIES: Final = 6
_OUTCOMES: Final = ("refund", "review", "close")


def render(found: Backtest) -> str:
    """The page as HTML; every text of ours or of others' in it is escaped."""
    environment = Environment(
        loader=PackageLoader("billingbot.cli.policy", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"money": lambda amount, currency: money(amount, currency or None), "told": _told}
    told = found.report
    return environment.get_template("backtest.html").render(
        found=found,
        told=told,
        headline=headline(found),
        notes=notes(found),
        outcomes=_outcome_rows(told),
        months=_month_columns(told),
        causes=_cause_rows(told),
        people=_people_rows(told.people),
        amounts=amounts,
        net=net,
        width=WIDTH,
        left=LEFT,
        shown=SHOWN_FLIPS,
        written=datetime.now(UTC),
    )


def _told(value: object) -> str:
    return clean(str(value)) if value not in {None, ""} else "–"


def _outcome_rows(told: Report) -> list[Row]:
    rows = []
    for name in ("before", "after"):
        counts: Counter[str] = Counter()
        for line in told.outcomes:
            counts[getattr(line, name).partition(" ")[0]] += line.cases
        rows.append(shares(name, [(kind, counts[kind]) for kind in _OUTCOMES], most=sum(counts.values())))
    return rows


def _month_columns(told: Report) -> list[Columns]:
    return [_columns(line, told.money_by_month) for line in _busiest(told.money)[:_PLOTTED_CURRENCIES]]


def _columns(whole: MoneyLine, lines: Sequence[MoneyLine]) -> Columns:
    currency = whole.currency
    by_month = {
        line.month: (line.before.amount_minor, line.after.amount_minor)
        for line in lines
        if line.currency == currency and line.month is not None
    }
    return columns(currency.upper(), by_month, told=lambda amount: money(amount, currency), names=("before", "after"))


def _busiest(lines: Sequence[MoneyLine]) -> list[MoneyLine]:
    return sorted(lines, key=lambda line: (-max(line.before.cases, line.after.cases), line.currency))


def _cause_rows(told: Report) -> list[Row]:
    most = max((line.cases for line in told.causes), default=0)
    return [
        shares(
            f"{line.rule}: {', '.join(line.conditions) or line.change} ({line.before} → {line.after})",
            [("flip", line.cases)],
            most=most,
        )
        for line in told.causes[:_PLOTTED_CAUSES]
    ]


def _people_rows(lines: Sequence[PeopleLine]) -> list[Row]:
    most = max((line.cases for line in lines), default=0)
    rows = []
    for line in lines:
        for name, same, opposite in (
            ("before", line.same_before, line.opposite_before),
            ("after", line.same_after, line.opposite_after),
        ):
            parts = [("same", same), ("opposite", opposite), ("silent", line.cases - same - opposite)]
            rows.append(shares(f"{line.person}, {name}", parts, most=most))
    return rows
