"""Readings: what a source's values mean, and which are never believed."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evidence.people import NOW

from billingbot.core.evidence.usage import Span
from billingbot.evidence.reading import UnansweredError, read_support, read_time, read_usage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    [
        "used",
        "events",
        "first_at",
        "last_at",
        "tag_installed_at",
        "api_connected_at",
        "coverage_from",
        "coverage_to",
        "stray",
    ]
)


@given(st.dictionaries(FIELDS, JSON))
def test_any_json_gives_a_typed_reading_or_a_named_refusal(fields: dict[str, object]) -> None:
    reading = None
    refusal = ""
    try:
        reading = read_usage(fields, now=NOW)
    except UnansweredError as fault:
        refusal = str(fault)
    if reading is None:
        assert any(name in refusal for name in (*fields, "says nothing about usage"))
        return
    assert type(reading.used) is bool
    assert reading.events is None or type(reading.events) is int
    for span in reading.coverage:
        assert span.end <= NOW


@given(st.text(min_size=4).filter(lambda text: not text.isdigit()), st.sampled_from(["used", "events", "last_at"]))
def test_a_refusal_never_repeats_the_value(value: str, field: str) -> None:
    with pytest.raises(UnansweredError) as caught:
        read_usage({field: f"<<{value}>>"}, now=NOW)
    assert "<<" not in str(caught.value)


@given(st.datetimes(min_value=datetime(2001, 1, 1), max_value=datetime(2026, 3, 1), timezones=st.timezones()))  # noqa: DTZ001 - bounds of zoned instants
def test_one_instant_reads_the_same_from_text_and_as_it_is(instant: datetime) -> None:
    whole = instant.replace(microsecond=0, second=0).astimezone(UTC)
    assert read_time("at", whole.isoformat()) == read_time("at", whole) == whole
    assert read_time("at", int(whole.timestamp())) == whole
    assert read_time("at", float(whole.timestamp())) == whole


@pytest.mark.parametrize(
    "text", ["2026-03-01T10:00:00Z", "2026-03-01T10:00:00+00:00", "2026-03-01T12:00+02:00", "20260301T100000Z"]
)
def test_iso_times_with_a_zone_are_read(text: str) -> None:
    assert read_time("last_at", text) == datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("2026-03-01T10:00:00", "last_at: expected a time with a zone"),
        ("2026-03-01", "last_at: expected a time with a zone"),
        ("yesterday", "last_at: expected a time"),
        ("", "last_at: expected a time"),
        ("1772355600", "last_at: expected a time"),
        (1772355600000, "last_at: .* out of range"),
        (float("nan"), "last_at: .* out of range"),
        (float("inf"), "last_at: .* out of range"),
        (10**400, "last_at: .* out of range"),
        (True, "last_at: .* got true or false"),
        ([], "last_at: .* got a list"),
        ({}, "last_at: .* got an object"),
        (datetime(2026, 3, 1), "last_at: expected a time with a zone"),  # noqa: DTZ001 - the point
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))), "last_at: .* out of range"),
        (0, "last_at: lies before the year 2000"),
        (NOW + timedelta(minutes=6), "last_at: lies in the future"),
    ],
)
def test_a_time_that_cannot_be_believed_names_its_field(value: object, why: str) -> None:
    with pytest.raises(UnansweredError, match=why):
        read_usage({"last_at": value}, now=NOW)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"used": 1}, "used: expected true or false, got a number"),
        ({"used": "false"}, "used: expected true or false, got text"),
        ({"used": None}, "used: expected true or false, got nothing"),
        ({"events": True}, "events: expected a whole number, got true or false"),
        ({"events": 3.0}, "events: expected a whole number"),
        ({"events": "3"}, "events: expected a whole number, got text"),
        ({"events": None}, "events: expected a whole number, got nothing"),
        ({"events": -1}, "events: .* negative"),
        ({"events": Decimal("1.5")}, "events: expected a whole number"),
        ({"events": Decimal("NaN")}, "events: expected a whole number"),
        ({}, "says nothing about usage"),
        ({"coverage_from": 0, "coverage_to": 1}, "says nothing about usage"),
    ],
)
def test_a_value_of_another_type_is_no_answer(fields: dict[str, object], why: str) -> None:
    with pytest.raises(UnansweredError, match=why):
        read_usage(fields, now=NOW)


def test_a_whole_decimal_is_a_count() -> None:
    assert read_usage({"events": Decimal(7)}, now=NOW).events == 7


def test_coverage_is_read_and_cut_to_the_moment_of_asking() -> None:
    fields = {"used": False, "coverage_from": 0, "coverage_to": (NOW + timedelta(minutes=1)).isoformat()}
    assert read_usage(fields, now=NOW).coverage == (Span(start=datetime(1970, 1, 1, tzinfo=UTC), end=NOW),)


def test_coverage_with_an_open_end_is_no_coverage() -> None:
    assert read_usage({"used": False, "coverage_from": 0, "coverage_to": None}, now=NOW).coverage == ()


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (NOW - timedelta(days=1), NOW + timedelta(days=1), "coverage_to: lies in the future"),
        (NOW - timedelta(days=1), NOW - timedelta(days=2), "coverage_from: lies after"),
        (NOW.replace(tzinfo=None), NOW, "coverage_from: expected a time with a zone"),
    ],
)
def test_coverage_that_cannot_be_true_is_no_answer(start: datetime, end: datetime, why: str) -> None:
    with pytest.raises(UnansweredError, match=why):
        read_usage({"used": False, "coverage_from": start, "coverage_to": end}, now=NOW)


def test_support_reads_null_as_nobody_asked_and_refuses_an_absent_field() -> None:
    assert read_support({"cancellation_asked_at": None}, now=NOW).cancellation_asked_at is None
    with pytest.raises(UnansweredError, match="cancellation_asked_at"):
        read_support({}, now=NOW)
