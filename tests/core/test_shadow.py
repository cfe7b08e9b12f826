"""An interval for few cases: honest at the edges, and what the method's own formula gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billingbot.core.shadow import Agreement


@given(st.integers(0, 500), st.integers(0, 500))
def test_an_interval_holds_its_share_and_stays_a_share(one: int, other: int) -> None:
    agreement = Agreement(same=min(one, other), of=max(one, other))
    low, high = agreement.interval
    assert 0 <= low <= high <= 1
    if agreement.share is not None:
        assert low <= agreement.share <= high


# By the formula, with z = 1.96.
@pytest.mark.parametrize(
    ("same", "of", "low", "high"), [(81, 263, 0.2553, 0.3662), (20, 20, 0.8389, 1.0), (0, 10, 0.0, 0.2775)]
)
def test_the_interval_is_wilsons(same: int, of: int, low: float, high: float) -> None:
    assert Agreement(same=same, of=of).interval == pytest.approx((low, high), abs=1e-4)


def test_nothing_compared_says_nothing() -> None:
    nothing = Agreement(same=0, of=0)
    assert (nothing.share, nothing.interval) == (None, (0.0, 1.0))
