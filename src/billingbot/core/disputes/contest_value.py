"""What contesting a chargeback is worth: the amount times how often we win, with how little that may be known."""

from dataclasses import dataclass
from decimal import Decimal
from math import sqrt
from typing import Final

# Wilson's interval at 90 %: honest for few cases, where the share alone says 0 % or 100 %.
# https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval
_Z: Final = 1.6449
FEW_CASES: Final = 10
"""With fewer decided cases than this the range says more than the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRate:
    """How often disputes like this one were won. `cases` are those that a bank has decided after an answer."""

    won: int
    cases: int

    @property
    def expected_percent(self) -> Decimal:
        """As if one had been won and one lost before (Laplace), so that no record is not certainty."""
        return _percent(Decimal(self.won + 1) / Decimal(self.cases + 2))

    @property
    def low_percent(self) -> Decimal:
        """The lower end of the 90 % interval; 0 without a case."""
        return self._end(-1)

    @property
    def high_percent(self) -> Decimal:
        """The upper end of the 90 % interval; 100 without a case."""
        return self._end(1)

    def _end(self, side: int) -> Decimal:
        if not self.cases:
            return Decimal(0) if side < 0 else Decimal(100)
        n, p = self.cases, self.won / self.cases
        middle = p + _Z * _Z / (2 * n)
        spread = _Z * sqrt(p * (1 - p) / n + _Z * _Z / (4 * n * n))
        share = (middle + side * spread) / (1 + _Z * _Z / n)
        return _percent(Decimal(str(min(1.0, max(0.0, share)))))


@dataclass(frozen=True, slots=True, kw_only=True)
class ContestValue:
    """What an answer brings on average, against accepting, in minor units of `currency`; and the range of that.

    The fee that Stripe took when the dispute was opened is gone either way, so it is not counted.
    """

    currency: str
    amount_minor: int
    counter_fee_minor: int
    rate: WinRate
    expected_minor: int
    low_minor: int
    high_minor: int

    @property
    def is_vague(self) -> bool:
        """Whether too few cases were decided to rely on the middle of the range."""
        return self.rate.cases < FEW_CASES


def contest_value(*, amount_minor: int, currency: str, counter_fee_minor: int, rate: WinRate) -> ContestValue:
    """The amount comes back where we win; the fee for answering is kept where we lose.

    ValueError for amounts below zero, or more wins than cases.
    """
    if amount_minor < 0 or counter_fee_minor < 0 or not 0 <= rate.won <= rate.cases:
        raise ValueError("contest_value: expected amounts of zero or more, and no more wins than cases")

    def worth(percent: Decimal) -> int:
        return round((percent * amount_minor - (100 - percent) * counter_fee_minor) / 100)

    return ContestValue(
        currency=currency,
        amount_minor=amount_minor,
        counter_fee_minor=counter_fee_minor,
        rate=rate,
        expected_minor=worth(rate.expected_percent),
        low_minor=worth(rate.low_percent),
        high_minor=worth(rate.high_percent),
    )


def _percent(share: Decimal) -> Decimal:
    return (share * 100).quantize(Decimal("0.1"))
