"""Money as Stripe counts it: an integer in the currency's minor unit, and a lower-case ISO code."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

# https://docs.stripe.com/currencies#zero-decimal: the amount is in the currency's own unit. ISK and UGX have
# no minor unit either, but Stripe keeps two decimals for them (its "special cases"), so they are not here.
ZERO_DECIMAL = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)
# https://docs.stripe.com/currencies#three-decimal: a thousand minor units make one unit.
THREE_DECIMAL = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))


def minor_unit_digits(currency: str) -> int:
    """How many decimal places Stripe's amounts have in this currency: 0, 2 or 3. For display only."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


@dataclass(frozen=True, slots=True, kw_only=True, order=False)
class Money:
    """An amount in minor units (cent, yen, fils) of one currency; never a float, never mixed.

    Raises ValueError where the amount is not an int, or the currency not three lower-case letters.
    """

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int:
            raise ValueError(f"amount_minor: expected an int of minor units, got {self.amount_minor!r}")
        if len(self.currency) != 3 or not self.currency.isascii() or not self.currency.islower():
            raise ValueError(f"currency: expected three lower-case letters, got {self.currency!r}")

    def __add__(self, other: Self) -> "Money":
        self._same_currency(other)
        return Money(amount_minor=self.amount_minor + other.amount_minor, currency=self.currency)

    def __sub__(self, other: Self) -> "Money":
        self._same_currency(other)
        return Money(amount_minor=self.amount_minor - other.amount_minor, currency=self.currency)

    def __str__(self) -> str:
        """For people: `USD 49.00`, `JPY 4900`, `KWD 4.900`."""
        digits = minor_unit_digits(self.currency)
        return f"{self.currency.upper()} {Decimal(self.amount_minor).scaleb(-digits):,.{digits}f}"

    def _same_currency(self, other: "Money") -> None:
        if other.currency != self.currency:
            raise ValueError(f"currency: cannot mix {self.currency} with {other.currency}")
