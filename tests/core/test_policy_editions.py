"""Which version judges a charge: for each instant one, right at the boundaries, in whatever order published."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import CHARGED

from billingbot.core.policy.editions import BEGINNING, Edition, in_force, next_after

STEP = timedelta(microseconds=1)
# Seconds from the beginning on, up to the year 2100: few enough that two dates are the same now and then.
INSTANTS = st.one_of(st.integers(0, 5), st.integers(0, 4_102_444_800)).map(lambda n: BEGINNING + timedelta(seconds=n))


def an_edition(number: int, effective_from: datetime) -> Edition:
    return Edition(
        number=number,
        policy_id="p",
        version=f"v{number}",
        digest=f"sha256:{number}",
        effective_from=effective_from,
        published_at=CHARGED,
        published_by="kim",
        why="x",
    )


def published_at(*dates: datetime) -> list[Edition]:
    return [an_edition(number, at) for number, at in enumerate((BEGINNING, *dates), start=1)]


TIMELINES = st.lists(INSTANTS, max_size=6).map(lambda dates: published_at(*dates))


def test_nothing_published_is_nothing_in_force() -> None:
    assert in_force([], CHARGED) is None
    assert next_after([], CHARGED) is None


@given(editions=TIMELINES, at=INSTANTS)
def test_every_charge_has_exactly_one_version_and_it_has_taken_effect(editions: list[Edition], at: datetime) -> None:
    found = in_force(editions, at)
    assert found is not None
    assert found.effective_from <= at
    between = [one for one in editions if found.effective_from < one.effective_from <= at]
    assert between == []
    assert all(one.number <= found.number for one in editions if one.effective_from == found.effective_from)


@given(editions=TIMELINES)
def test_a_version_begins_at_its_very_instant_and_not_before(editions: list[Edition]) -> None:
    for edition in editions:
        latest = max(one.number for one in editions if one.effective_from == edition.effective_from)
        at = in_force(editions, edition.effective_from)
        assert at is not None
        assert at.number == latest
        before = in_force(editions, edition.effective_from - STEP) if edition.effective_from > BEGINNING else None
        assert before is None or before.effective_from < edition.effective_from


@given(editions=TIMELINES, at=INSTANTS)
def test_a_version_counts_until_the_next_takes_over(editions: list[Edition], at: datetime) -> None:
    now, following = in_force(editions, at), next_after(editions, at)
    if following is None:
        assert in_force(editions, datetime(2200, 1, 1, tzinfo=BEGINNING.tzinfo)) == now
    else:
        assert in_force(editions, following.effective_from - STEP) == now
        assert in_force(editions, following.effective_from) == following


@given(dates=st.lists(INSTANTS, max_size=5, unique=True), at=INSTANTS, order=st.randoms())
def test_the_order_of_publication_does_not_matter_where_dates_differ(
    dates: list[datetime], at: datetime, order: object
) -> None:
    shuffled = list(dates)
    order.shuffle(shuffled)  # type: ignore[attr-defined] # a Random; hypothesis gives its own kind
    one, other = in_force(published_at(*dates), at), in_force(published_at(*shuffled), at)
    assert one is not None
    assert other is not None
    assert one.effective_from == other.effective_from


@given(editions=TIMELINES, at=INSTANTS, later=INSTANTS)
def test_a_version_published_for_later_charges_changes_nothing_for_earlier_ones(
    editions: list[Edition], at: datetime, later: datetime
) -> None:
    more = [*editions, an_edition(len(editions) + 1, later)]
    assert at >= later or in_force(more, at) == in_force(editions, at)


@pytest.mark.parametrize("ahead", [timedelta(0), STEP, timedelta(days=400)])
def test_a_charge_from_before_every_version_is_judged_by_the_first(ahead: timedelta) -> None:
    editions = [an_edition(1, CHARGED + timedelta(days=9)), an_edition(2, CHARGED + STEP + ahead)]
    found = in_force(editions, CHARGED)
    assert found is not None
    assert found.effective_from == min(one.effective_from for one in editions)
