"""Plots of the refund log: each answers one question, and each bar leads to its rows."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from markupsafe import Markup

from billingbot.core.books.month import Month
from billingbot.store.views.finance import Bucket
from billingbot.web.console import charts
from billingbot.web.console.wording import Reader, span_words, words

# So many rules get a plot of their own; the table beside them has all.
_MOST_RULES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The days of a month, or the months of a longer time, in the books' zone; `href` leads to a bucket's rows."""

    starts: tuple[datetime, ...]
    unit: str
    zone: str
    reader: Reader
    href: Callable[[datetime, str | None], str]

    def label(self, at: datetime) -> str:
        """A bucket's name below its bar."""
        pattern = "d MMM" if self.unit == "day" else "MMM y"
        return format_datetime(at, pattern, tzinfo=ZoneInfo(self.zone), locale=self.reader.locale)


def days_of(month: Month, zone: str) -> tuple[datetime, ...]:
    """The first instant of each day of a month."""
    first, after = month.begins(zone), month.ends(zone)
    found, at = [], first.astimezone(ZoneInfo(zone))
    while at < after:
        found.append(at)
        at += timedelta(days=1)  # by the calendar: a day of 23 hours is one day
    return tuple(found)


def rules(axis: Axis, found: Sequence[Bucket]) -> tuple[Markup, ...]:
    """Refunds by rule over time, a plot for each of the most frequent."""
    by_rule: dict[str, dict[datetime, int]] = defaultdict(dict)
    for one in found:
        by_rule[one.name][one.at] = one.count
    largest = sorted(by_rule, key=lambda name: (-sum(by_rule[name].values()), name))[:_MOST_RULES]
    return tuple(_rule(axis, name, by_rule[name]) for name in largest)


def _rule(axis: Axis, name: str, counts: dict[datetime, int]) -> Markup:
    total, shown = sum(counts.values()), words(name) if name else "without a rule"
    bars = []
    for at in axis.starts:
        count = counts.get(at, 0)
        told = f"{count} {'refund' if count == 1 else 'refunds'} on {axis.label(at)}"
        href = axis.href(at, name) if count else None
        bars.append(charts.Bar(label=axis.label(at), value=count, told=told, href=href))
    title = f"{shown.capitalize()}: {axis.reader.number(total)} {'refund' if total == 1 else 'refunds'}"
    return charts.bars(title, bars)


def decision_time(axis: Axis, found: Sequence[Bucket]) -> Markup:
    """How long people waited for the decision."""
    if not found:
        return charts.bars("Request to decision", [], empty="Appears with the first refund that was asked for.")
    took = {one.at: one.seconds or 0.0 for one in found}
    bars = [
        charts.Bar(
            label=axis.label(at),
            value=took.get(at, 0.0),
            told=f"{span_words(timedelta(seconds=took.get(at, 0.0)))} on {axis.label(at)}",
            href=axis.href(at, None) if at in took else None,
        )
        for at in axis.starts
    ]
    weighted = sorted((one.seconds or 0.0) for one in found for _ in range(min(one.count, 1000)))
    middle = timedelta(seconds=weighted[len(weighted) // 2])
    return charts.bars(f"From request to decision it took {span_words(middle)}, the median", bars)


def money(axis: Axis, found: Sequence[Bucket], *, told: str, empty: str) -> tuple[Markup, ...]:
    """Money over time, a plot for each currency: amounts of two currencies are never added."""
    currencies = Counter[str]()
    for one in found:
        currencies[one.name] += one.count
    if not currencies:
        return (charts.bars(told.format(amount="nothing"), [], empty=empty),)
    return tuple(_money(axis, currency, found, told) for currency, _ in currencies.most_common(2))


def _money(axis: Axis, currency: str, found: Iterable[Bucket], told: str) -> Markup:
    minor = {one.at: one.minor for one in found if one.name == currency}
    bars = [
        charts.Bar(
            label=axis.label(at),
            value=max(0, minor.get(at, 0)),
            told=f"{axis.reader.money_text(minor.get(at, 0), currency)} on {axis.label(at)}",
        )
        for at in axis.starts
    ]
    total = axis.reader.money_text(sum(minor.values()), currency)
    return charts.bars(told.format(amount=total), bars)
