"""Canonical JSON: one value, one sequence of bytes."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billingbot.core.canonical import canonical_bytes, digest, timestamp

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


NOWHERE = datetime(2026, 1, 1)  # noqa: DTZ001  # a time without a zone is the point


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    y: int
    x: datetime


@given(JSON)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    assert json.loads(canonical_bytes(value)) == value


@given(st.dictionaries(TEXT, st.integers()))
def test_the_order_of_keys_does_not_show(value: dict[str, int]) -> None:
    assert canonical_bytes(dict(reversed(list(value.items())))) == canonical_bytes(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": [True, None, "é"]}, '{"a":[true,null,"é"],"b":1}'),
        (Colour.RED, '"red"'),
        ((1, 2), "[1,2]"),
        (Point(y=1, x=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)), '{"x":"2026-01-02T03:04:05.000006Z","y":1}'),
    ],
)
def test_each_value_has_one_form(value: Any, expected: str) -> None:
    assert canonical_bytes(value) == expected.encode()


@pytest.mark.parametrize("value", [1.5, {1: 2}, {1, 2}, b"x", NOWHERE, object(), Point, {"a": float("nan")}])
def test_what_has_no_one_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="canonical JSON"):
        canonical_bytes(value)


def test_one_instant_has_one_text_in_whatever_zone() -> None:
    at = datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert timestamp(at.astimezone(timezone(timedelta(hours=5, minutes=30)))) == timestamp(at)


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)))  # noqa: DTZ001  # hypothesis adds the zone
def test_a_time_is_written_as_the_c_library_writes_it(at: datetime) -> None:
    """What was hashed before keeps its digest, however times are written today."""
    assert timestamp(at) == at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_digest_names_its_algorithm() -> None:
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
