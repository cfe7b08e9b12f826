"""Figures: percentiles of one run, and what several runs come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Several runs of one measurement: the middle one and the outermost two."""

    median: float
    lowest: float
    highest: float
    runs: int

    def text(self, digits: int = 0) -> str:
        """As in `3,104 (2,890–3,300)`."""
        return f"{self.median:,.{digits}f} ({self.lowest:,.{digits}f}–{self.highest:,.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """The spread of at least one value."""
    return Spread(median=median(values), lowest=min(values), highest=max(values), runs=len(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all stays at or under. ValueError where there are none."""
    if not values:
        raise ValueError("values: expected at least one")
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1_000_000) * len(ordered) // 1_000_000) - 1)]


def pair_by_pair(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours by theirs, each run with its neighbour of the same round, so that a busy moment hits both."""
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])
