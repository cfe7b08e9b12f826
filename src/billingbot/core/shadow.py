"""A shadow: a candidate version that decides beside the live one and pays nothing; how often the two agree."""

from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import Final

# 95 %: the usual odds for "we have seen enough"; one interval in twenty misses the truth.
_Z: Final = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A candidate beside the live policy, from `started_at` until `stopped_at`, None while it runs."""

    id: str
    policy_id: str
    version: str
    digest: str
    why: str
    started_by: str
    started_at: datetime
    followed_to: datetime | None
    """The newest live verdict that it has looked at."""
    stopped_by: str | None
    stopped_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How often two said the same, of how often both said anything."""

    same: int
    of: int

    @property
    def share(self) -> float | None:
        """From 0 to 1; None where nothing was compared."""
        return self.same / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true share lies, 19 times in 20, by Wilson's score (E. B. Wilson, JASA 1927, 209-212).

        It stays within 0 and 1 and is honest for few cases and for shares near 1, where the textbook's is not: 20
        of 20 still leaves room for 84 %.
        """
        if not self.of:
            return 0.0, 1.0
        n, p, z2 = self.of, self.same / self.of, _Z * _Z
        middle, spread = p + z2 / (2 * n), _Z * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        low, high = (middle - spread) / (1 + z2 / n), (middle + spread) / (1 + z2 / n)
        return max(0.0, low) if self.same else 0.0, min(1.0, high) if self.same < n else 1.0
