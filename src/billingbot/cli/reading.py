"""Reading what people type: instants, and values that must be one of a few."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from billingbot.core.errors import InputError
from billingbot.core.money import Money, minor_unit_digits
from billingbot.core.wording import YEARS

Choice = TypeVar("Choice", bound=StrEnum)


def instant(option: str, text: str) -> datetime:
    """An instant in UTC. InputError where it is none, or has no zone: nobody should guess whose midnight it is."""
    return _instant(option, text, "expected a time with a zone, such as 2026-03-01T09:00:00Z")


def _instant(option: str, text: str, expected: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InputError(option, expected)
    if at.year not in YEARS:
        raise InputError(option, "expected a time between 2000 and 2100")
    return at.astimezone(UTC)


_SPAN = re.compile(r"(\d{1,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def instant_or_ago(option: str, text: str) -> datetime:
    """An instant in UTC, written as one or as how long ago it was: `90m`, `36h`, `7d`. InputError for neither."""
    return _instant_or_span(option, text, -1, "how long ago")


def ago_if_told(option: str, text: str | None) -> datetime | None:
    """The same; None where nothing was said."""
    return instant_or_ago(option, text) if text else None


def instant_or_ahead(option: str, text: str) -> datetime:
    """An instant in UTC, written as one or as how far ahead it is: `90m`, `36h`, `7d`. InputError for neither."""
    return _instant_or_span(option, text, 1, "how far ahead")


def _instant_or_span(option: str, text: str, sign: int, meaning: str) -> datetime:
    span = _SPAN.fullmatch(text)
    if span is not None:
        return datetime.now(UTC) + sign * timedelta(**{_UNITS[span[2]]: int(span[1])})
    return _instant(
        option, text, f"expected a time with a zone, such as 2026-03-01T09:00:00Z, or {meaning}: 90m, 36h, 7d"
    )


def day_or_instant(option: str, text: str) -> datetime:
    """An instant, how long ago it was, or the beginning of a day in UTC, as the days of limits are. InputError else."""
    if len(text) == len("2026-03-01"):
        expected = "expected a day such as 2026-03-01, a time with a zone, or how long ago: 90d"
        return _instant(option, f"{text}T00:00:00Z", expected)
    return instant_or_ago(option, text)


def one_of(option: str, choices: type[Choice], text: str) -> Choice:
    """One of a few words. InputError that names them all."""
    try:
        return choices(text)
    except ValueError:
        raise InputError(option, f"expected one of {', '.join(choices)}, got {text!r}") from None


def text_file(option: str, path: Path) -> str:
    """The text of a file. InputError where it cannot be read, or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(option, f"expected a UTF-8 text ({type(fault).__name__})") from None


_AMOUNT = re.compile(r"([A-Za-z]{3}) ?(\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.(\d{1,3}))?", re.ASCII)


def amount(option: str, text: str) -> Money:
    """An amount as lists show it, such as `USD 1,234.50`. InputError where it is none, or finer than its currency."""
    found = _AMOUNT.fullmatch(text.strip())
    currency = found[1].lower() if found else ""
    digits = minor_unit_digits(currency)
    if found is None or len(found[3] or "") > digits:
        raise InputError(option, "expected a currency and an amount in it, such as 'USD 4900.00' or 'JPY 4900'")
    whole = Decimal(f"{found[2].replace(',', '')}.{found[3] or 0}")
    return Money(amount_minor=int(whole.scaleb(digits)), currency=currency)
