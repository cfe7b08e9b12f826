"""Replies: texts for the customer as templates, by language, with nothing in reach but what the customer may know."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency
from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from billingbot.core.money import Money, minor_unit_digits

DEFAULT_LANGUAGE: Final = "en"
# A code of letters stands apart from its number, as CLDR has it and Babel does not: KWD 4.900, but $4.90.
_CODE_THEN_NUMBER: Final = re.compile(r"(?<=[A-Za-z])(?=\d)")
# What a reply may say: only what the customer knows already. Never a link, a note, a score or a reason of fraud.
PLACEHOLDERS: Final[Mapping[str, str]] = {
    "amount": "the amount that was charged, as in `$49.00` or `49,00 €`",
    "charged_on": "the day of the charge, as in `March 1, 2026` or `1. März 2026`",
    "trial_started_on": "the day the trial began; empty where there was none",
    "trial_ended_on": "the day the trial ended; empty where there was none",
    "case": "our case id, for the customer to quote",
}

# Enough to write a sentence one way or another. No calls, loops, macros or imports: a template that could do more
# could also reach more, and nobody reviews a program as a letter.
_ALLOWED: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.If, nodes.Const, nodes.Not, nodes.And,
    nodes.Or, nodes.Compare, nodes.Operand,
)  # fmt: skip
_ENVIRONMENT: Final = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One reply in one language: templates of its subject and its text."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply in its languages, by tags such as `en` or `pt-br`; `default` is one of them."""

    letters: Mapping[str, Letter]
    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A reply as the customer would read it. `language` is a tag such as `en`."""

    language: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a reply may tell, before it is written out in a language. Amounts in minor units, times in UTC."""

    case: str
    money: Money | None = None
    charged_at: datetime | None = None
    trial_started_at: datetime | None = None
    trial_ended_at: datetime | None = None


def template_faults(text: str) -> Iterator[str]:
    """What is wrong with a template, a sentence each: its syntax, an unknown placeholder, anything but text and if."""
    try:
        parsed = _ENVIRONMENT.parse(text)
    except TemplateSyntaxError as error:
        yield f"line {error.lineno}: {error.message}"
        return
    known = ", ".join(PLACEHOLDERS)
    for node in parsed.find_all(nodes.Node):
        if isinstance(node, nodes.Name) and node.name not in PLACEHOLDERS:
            yield f"expected one of {known}, got {node.name!r}"
        elif not isinstance(node, _ALLOWED):
            yield f"expected only text, placeholders and if, got {type(node).__name__.lower()}"
            return


def is_language(tag: str) -> bool:
    """Whether texts can be written out in this language: a lower-case tag that the locale tables know."""
    return tag == tag.lower() and _locale(tag) is not None


def choose_language(reply: Reply, preferred: Sequence[str]) -> str:
    """The first language the reader prefers that the reply is written in; a region gives way to its language."""
    for tag in preferred:
        lowered = tag.lower().replace("_", "-")
        for candidate in (lowered, lowered.partition("-")[0]):
            if candidate in reply.letters:
                return candidate
    return reply.default


def render(reply: Reply, told: Told, *, preferred: Sequence[str] = ()) -> Rendered:
    """The reply in the reader's language, as far as it is written in it, with amounts and dates as it writes them."""
    language = choose_language(reply, preferred)
    letter, values = reply.letters[language], _values(told, language)
    return Rendered(
        language=language,
        subject=" ".join(_template(letter.subject).render(values).split()),  # a header has one line
        text=_template(letter.text).render(values).strip() + "\n",
    )


def _values(told: Told, language: str) -> dict[str, str]:
    return {
        "amount": _amount(told.money, language),
        "charged_on": _day(told.charged_at, language),
        "trial_started_on": _day(told.trial_started_at, language),
        "trial_ended_on": _day(told.trial_ended_at, language),
        "case": told.case,
    }


def _amount(money: Money | None, language: str) -> str:
    if money is None:
        return ""
    # Stripe's decimals, not the table's: the same number has to stand here, in the Dashboard and in the ledger.
    number = Decimal(money.amount_minor).scaleb(-minor_unit_digits(money.currency))
    locale = _locale(language) or Locale(DEFAULT_LANGUAGE)
    decimals = "." + "0" * minor_unit_digits(money.currency)
    pattern = locale.currency_formats["standard"].pattern.replace("0.00", "0" + decimals.rstrip("."))
    written = format_currency(number, money.currency.upper(), pattern, locale=locale, currency_digits=False)
    return _CODE_THEN_NUMBER.sub("\u00a0", written)


def _day(at: datetime | None, language: str) -> str:
    return format_date(at.date(), format="long", locale=_locale(language)) if at is not None else ""


@lru_cache(maxsize=64)  # a company writes in a handful of languages
def _locale(tag: str) -> Locale | None:
    try:
        return Locale.parse(tag, sep="-")
    except (UnknownLocaleError, ValueError):
        return None


@lru_cache(maxsize=512)  # two templates for each reply and language of the versions in use
def _template(text: str) -> Template:
    return _ENVIRONMENT.from_string(text)
