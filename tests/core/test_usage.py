"""Coverage: what is covered and what is not make up the whole, to the microsecond."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW, STARTED, no_cancellation, unused

from billingbot.core.evidence.usage import Span, gaps, merged, shortfall

MICRO = timedelta(microseconds=1)


def span(start: int, end: int) -> Span:
    return Span(start=STARTED + start * MICRO, end=STARTED + end * MICRO)


SPANS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda ends: span(ends[0], ends[0] + ends[1])), max_size=8
)


def inside(spans: tuple[Span, ...], tick: int) -> bool:
    """Whether the microsecond after this tick lies in one of the spans."""
    begins = STARTED + tick * MICRO
    return any(one.start <= begins and begins + MICRO <= one.end for one in spans)


@given(SPANS, st.integers(0, 40), st.integers(0, 40))
def test_covered_and_gaps_make_up_the_whole(spans: list[Span], start: int, length: int) -> None:
    since, until = STARTED + start * MICRO, STARTED + (start + length) * MICRO
    holes = gaps(spans, since=since, until=until)
    for tick in range(start, start + length):
        assert inside(merged(spans), tick) != inside(holes, tick)
    assert all(since <= hole.start < hole.end <= until for hole in holes)


@given(SPANS)
def test_merged_spans_are_ordered_and_apart_and_cover_the_same(spans: list[Span]) -> None:
    whole = merged(spans)
    assert all(one.end < other.start for one, other in pairwise(whole))
    for tick in range(90):
        assert inside(whole, tick) == inside(tuple(spans), tick)


@given(SPANS, st.randoms())
def test_the_order_of_spans_does_not_matter(spans: list[Span], chance: object) -> None:
    shuffled = list(spans)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert gaps(shuffled, since=STARTED, until=NOW) == gaps(spans, since=STARTED, until=NOW)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], [span(0, 10)]),
        ([span(0, 10)], []),
        ([span(0, 5), span(5, 10)], []),
        ([span(0, 4), span(5, 10)], [span(4, 5)]),
        ([span(1, 10)], [span(0, 1)]),
        ([span(0, 9)], [span(9, 10)]),
        ([span(2, 3), span(1, 8)], [span(0, 1), span(8, 10)]),
        ([span(20, 30)], [span(0, 10)]),
    ],
)
def test_gaps_to_the_microsecond(spans: list[Span], expected: list[Span]) -> None:
    until = STARTED + 10 * MICRO
    assert list(gaps(spans, since=STARTED, until=until)) == expected


def test_a_span_does_not_end_before_it_starts() -> None:
    with pytest.raises(ValueError, match="ends"):
        Span(start=NOW, end=NOW - MICRO)


def test_a_source_that_did_not_answer_proves_nothing_whatever_it_covers() -> None:
    assert shortfall(unused(answered=False, why="503"), since=STARTED, now=NOW) == "503"
    assert shortfall(no_cancellation(answered=False), since=STARTED, now=NOW) == "gave no answer"


def test_no_source_is_newer_than_its_own_pipeline() -> None:
    report = unused(max_age=timedelta(minutes=15), coverage=(Span(start=STARTED, end=NOW - timedelta(minutes=15)),))
    assert shortfall(report, since=STARTED, now=NOW) is None
    assert shortfall(report, since=STARTED, now=NOW + MICRO) is not None


@pytest.mark.parametrize("field", ["first_at", "last_at", "tag_installed_at", "api_connected_at"])
def test_any_instant_says_used(field: str) -> None:
    assert unused(**{field: NOW}).saw_use
    assert not unused().saw_use


def test_events_and_the_sources_own_word_say_used() -> None:
    assert unused(events=1).saw_use
    assert unused(used=True).saw_use
    assert not unused(events=None).saw_use
