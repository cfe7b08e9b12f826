"""Turns the named values of any source into a typed reading, or says which field cannot be believed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from billingbot.core.errors import BillingbotError
from billingbot.core.evidence.usage import Span

USE_TIMES: Final = ("first_at", "last_at", "tag_installed_at", "api_connected_at")
USAGE_FIELDS: Final = ("used", "events", *USE_TIMES)
SUPPORT_FIELDS: Final = ("cancellation_asked_at",)
COVERAGE_FIELDS: Final = ("coverage_from", "coverage_to")

# Before any Stripe account existed (2010), so a source that covers everything covers every trial.
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
# No product of ours or theirs was used before; earlier instants are a zero or a default that means "never",
# and guessing which is not our business.
_EARLIEST_EVENT: Final = datetime(2000, 1, 1, tzinfo=UTC)
# Clocks of healthy machines differ by seconds; Stripe's webhook tolerance is five minutes as well.
_CLOCK_SKEW: Final = timedelta(minutes=5)


class UnansweredError(BillingbotError):
    """No usable answer about this customer; the text is for people and holds no value from the answer."""


class NotThereError(UnansweredError):
    """The source works and knows no such customer."""


class UnreachableError(UnansweredError):
    """The source itself is down or overloaded, whoever is asked about; counts towards its circuit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReading:
    """What a source said about one customer's usage; times in UTC."""

    used: bool = False
    first_at: datetime | None = None
    last_at: datetime | None = None
    events: int | None = None
    tag_installed_at: datetime | None = None
    api_connected_at: datetime | None = None
    coverage: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportReading:
    """What a support source said: the earliest wish to cancel, None where nobody asked; times in UTC."""

    cancellation_asked_at: datetime | None = None
    coverage: tuple[Span, ...] = ()


def always(now: datetime) -> tuple[Span, ...]:
    """Coverage from the beginning to the moment of asking, where the owner vouches for it."""
    return (Span(start=BEGINNING, end=max(now, BEGINNING)),)


def read_usage(fields: Mapping[str, object], *, now: datetime) -> UsageReading:
    """A usage reading from named values; only names that are present are read.

    `used` must be a boolean and `events` a whole number; a time may be None (it never happened). UnansweredError
    names the field that is of another type, has no zone, or lies where it cannot be true.
    """
    if not any(name in fields for name in USAGE_FIELDS):
        raise UnansweredError(f"says nothing about usage: expected one of {', '.join(USAGE_FIELDS)}")
    times = {name: _past(name, fields[name], now) for name in USE_TIMES if name in fields}
    return UsageReading(
        used=_boolean("used", fields["used"]) if "used" in fields else False,
        events=_count("events", fields["events"]) if "events" in fields else None,
        coverage=read_coverage(fields, now=now),
        **times,
    )


def read_support(fields: Mapping[str, object], *, now: datetime) -> SupportReading:
    """A support reading from named values. UnansweredError names the field that cannot be believed."""
    if "cancellation_asked_at" not in fields:
        raise UnansweredError("cancellation_asked_at: expected a time or nothing, but it is not there")
    asked_at = _past("cancellation_asked_at", fields["cancellation_asked_at"], now)
    return SupportReading(cancellation_asked_at=asked_at, coverage=read_coverage(fields, now=now))


def read_coverage(fields: Mapping[str, object], *, now: datetime) -> tuple[Span, ...]:
    """The span between coverage_from and coverage_to; none where either is absent or None.

    Nobody can speak for the future: an end a clock's skew after `now` is cut to `now`, a later one refused.
    """
    given = [fields.get(name) for name in COVERAGE_FIELDS]
    if given[0] is None or given[1] is None:
        return ()
    start, end = (read_time(name, value) for name, value in zip(COVERAGE_FIELDS, given, strict=True))
    if end > now + _CLOCK_SKEW:
        raise UnansweredError("coverage_to: lies in the future")
    end = min(end, now)
    if end < start:
        raise UnansweredError("coverage_from: lies after coverage_to or in the future")
    return (Span(start=start, end=end),)


def read_time(field: str, value: object) -> datetime:
    """An instant in UTC from ISO 8601 text with a zone, unix seconds, or an aware datetime.

    UnansweredError names the field otherwise: a time without a zone is never guessed at.
    """
    match value:
        case datetime():
            instant = value
        case str():
            instant = _iso(field, value)
        case bool():
            raise _wrong(field, _TIME, value)
        case int() | float():
            instant = _unix(field, value)
        case _:
            raise _wrong(field, _TIME, value)
    if instant.tzinfo is None or instant.utcoffset() is None:
        raise UnansweredError(f"{field}: expected a time with a zone, got one without")
    try:
        return instant.astimezone(UTC)
    except OverflowError:  # year 1 or 9999 in a zone that pushes it over the edge
        raise UnansweredError(f"{field}: expected {_TIME}, got one out of range") from None


_TIME: Final = "a time (ISO 8601 with a zone, or unix seconds)"


def _iso(field: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise UnansweredError(f"{field}: expected {_TIME}, got other text") from None


def _unix(field: str, seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):  # NaN, infinity, milliseconds (beyond the year 9999)
        raise UnansweredError(f"{field}: expected {_TIME}, got a number out of range") from None


def _past(field: str, value: object, now: datetime) -> datetime | None:
    if value is None:
        return None
    instant = read_time(field, value)
    if instant < _EARLIEST_EVENT:
        raise UnansweredError(f"{field}: lies before the year 2000; say null where it never happened")
    if instant > now + _CLOCK_SKEW:
        raise UnansweredError(f"{field}: lies in the future")
    return instant


def _boolean(field: str, value: object) -> bool:
    if type(value) is not bool:
        raise _wrong(field, "true or false", value)
    return value


def _count(field: str, value: object) -> int:
    # Postgres' sum() is numeric: a whole Decimal is a count without any guessing.
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = int(value)
    if type(value) is not int:
        raise _wrong(field, "a whole number", value)
    if value < 0:
        raise UnansweredError(f"{field}: expected a whole number of zero or more, got a negative one")
    return value


def _wrong(field: str, expected: str, value: object) -> UnansweredError:
    return UnansweredError(f"{field}: expected {expected}, got {_kind(value)}")


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case str():
            return "text"
        case int() | float() | Decimal():
            return "a number of another kind"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
        case _:
            return type(value).__name__
