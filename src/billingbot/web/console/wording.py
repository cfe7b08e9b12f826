"""Wording: money, times and ids as the viewer reads them; the filters of every template."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime
from babel.numbers import format_decimal
from markupsafe import Markup, escape

from billingbot.core.job import Actor
from billingbot.core.money import minor_unit_digits

_KINDS = {
    "case": "/cases/",
    "rfd": "/refunds/",
    "job": "/jobs/",
    "evt": "/events/",
    "ch": "/charges/",
    "py": "/charges/",
    "du": "/disputes/",
    "dp": "/disputes/",
}
"""Ids by their prefix: each has one address for ever. Others are shown and link nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How this viewer reads: language and formats, zone, and the moment of the page."""

    locale: Locale
    zone: ZoneInfo
    now: datetime

    def number(self, value: int | float | Decimal) -> str:
        """A number with the locale's separators."""
        return format_decimal(value, locale=self.locale)

    def amount(self, amount_minor: int, currency: str) -> str:
        """The number alone, with the decimals that Stripe counts in this currency."""
        digits = minor_unit_digits(currency)
        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        return format_decimal(Decimal(amount_minor).scaleb(-digits), format=pattern, locale=self.locale)

    def money(self, amount_minor: int | None, currency: str | None) -> Markup:
        """Amount with its currency muted; a dash where there is none (yet)."""
        if amount_minor is None or currency is None:
            return Markup('<span class="none">–</span>')
        return Markup('<span class="money">{} <span class="currency">{}</span></span>').format(
            self.amount(amount_minor, currency), currency.upper()
        )

    def money_text(self, amount_minor: int | None, currency: str | None) -> str:
        """The same without markup: for buttons, titles and confirmations."""
        if amount_minor is None or currency is None:
            return "–"
        return f"{self.amount(amount_minor, currency)} {currency.upper()}"

    def exact(self, at: datetime) -> str:
        """The instant in full, in the viewer's zone and in UTC."""
        local = format_datetime(at, "d MMM y HH:mm:ss zzz", tzinfo=self.zone, locale=self.locale)
        return f"{local} ({at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC)"

    def when(self, at: datetime | None) -> Markup:
        """Date and time to the minute in the viewer's zone; exact on hover. The year only where it is another."""
        if at is None:
            return Markup('<span class="none">–</span>')
        same_year = at.astimezone(self.zone).year == self.now.astimezone(self.zone).year
        shown = format_datetime(
            at, "d MMM HH:mm" if same_year else "d MMM y HH:mm", tzinfo=self.zone, locale=self.locale
        )
        return self._time(at, shown)

    def day(self, at: datetime) -> str:
        """The date alone, within a sentence."""
        return format_datetime(at, "d MMM y", tzinfo=self.zone, locale=self.locale)

    def short(self, at: datetime) -> str:
        """The instant as briefly as it can be told apart within a week, for the axis of a chart."""
        return format_datetime(at, "EEE HH:mm", tzinfo=self.zone, locale=self.locale)

    def ago(self, at: datetime | None) -> Markup:
        """How long ago, in words; exact on hover."""
        if at is None:
            return Markup('<span class="none">never</span>')
        return self._time(
            at, f"{span_words(self.now - at)} ago" if at <= self.now else f"in {span_words(at - self.now)}"
        )

    def due(self, at: datetime | None) -> Markup:
        """A deadline as words: how much is left, or how long it has been missed."""
        if at is None:
            return Markup('<span class="none">no deadline</span>')
        if at < self.now:
            return self._time(at, f"{span_words(self.now - at)} overdue", "overdue")
        tone = "soon" if at - self.now < timedelta(hours=24) else ""  # a working day: somebody should look today
        return self._time(at, f"{span_words(at - self.now)} left", tone)

    def _time(self, at: datetime, shown: str, tone: str = "") -> Markup:
        return Markup('<time class="{}" datetime="{}" title="{}">{}</time>').format(
            tone, at.astimezone(UTC).isoformat(), self.exact(at), shown
        )


def span_words(span: timedelta) -> str:
    """A span in its largest unit: `42 s`, `5 min`, `3 h`, `12 days`."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 90:
        return f"{seconds} s"
    if seconds < 90 * 60:
        return f"{seconds // 60} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} h"
    return f"{seconds // 86400} days"


def seconds_words(seconds: float) -> str:
    """The same of a number of seconds; less than one is told as such."""
    if 0 < seconds < 1:
        return "under 1 s"
    return span_words(timedelta(seconds=seconds))


def ident(value: str | None, *, short: bool = False) -> Markup:
    """An id: monospaced, linked to its one address, with a copy mark. `short` shows its tail only."""
    if not value:
        return Markup('<span class="none">–</span>')
    path = _KINDS.get(value.partition("_")[0])
    shown = escape(f"…{value[-6:]}" if short and len(value) > 12 else value)
    text = Markup('<code class="id">{}</code>').format(shown)
    if path:
        text = Markup('<a class="id-link" href="{}{}" title="{}">{}</a>').format(path, value, value, text)
    if short:
        return text
    return text + copy_mark(value)


def copy_mark(value: str) -> Markup:
    """A button that copies this value."""
    return _COPY.format(value, value)


# Drawn, since not every machine's fonts have a sign for it.
_COPY: Final = Markup(
    '<button type="button" class="copy" data-copy="{}" aria-label="Copy {}">'
    '<svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">'
    '<rect x="5.5" y="5.5" width="8" height="8" rx="1.5"/><path d="M10.5 3v-.5h-8v8h.5"/></svg></button>'
)


_DOES: Final[Mapping[Actor, str]] = {
    Actor.INTERPRET: "read an event",
    Actor.ASSESS: "assess a case",
    Actor.RECHECK: "look at a case again",
    Actor.SUBMIT: "pay a refund",
    Actor.SETTLE: "settle a refund",
    Actor.CANCEL: "end a subscription",
    Actor.NOTIFY: "send notices",
    Actor.DELIVER: "send a reply",
    Actor.DRAFT_ANSWER: "draft an answer to a bank",
    Actor.ANSWER: "answer a bank",
    Actor.BACKFILL: "read missed events",
    Actor.RECONCILE: "compare with Stripe",
    Actor.BACKTEST: "backtest a policy",
    Actor.CLOSE_MONTH: "close a month",
    Actor.REPLAY: "replay jobs",
}
"""What jobs do; others say it by their names."""
_REQUEST: Final = re.compile(r"^/v\d/\S+: (?=.)")


def does(actor: str) -> str:
    """What a job of this kind does: `submit` → `pay a refund`."""
    return _DOES.get(Actor(actor)) or words(actor)


def reason(error: str | None) -> str:
    """An error without the request that met it, where little room is: the reason stands behind it."""
    return _REQUEST.sub("", error or "")


_BROWSERS: Final = ("Firefox", "Edg", "OPR", "Chrome", "Safari")  # most of them claim to be those behind them too
_CALLED: Final = {"Edg": "Edge", "OPR": "Opera"}
_SYSTEMS: Final = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")


def browser(user_agent: str | None) -> Markup:
    """A browser in words, with all that it says of itself on hover; whatever it says where that is no browser's."""
    told = user_agent or "unknown"
    name = next((one for one in _BROWSERS if f"{one}/" in told), None)
    system = next((one for one in _SYSTEMS if one in told), None)
    shown = f"{_CALLED.get(name, name)} on {system}" if name and system else told
    return Markup('<span title="{}">{}</span>').format(told, shown)


def words(name: str | None) -> str:
    """A name from the code as words: `unused-trial` → `unused trial`."""
    return (name or "–").replace("_", " ").replace("-", " ")
