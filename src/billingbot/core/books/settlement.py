"""Settlement: what Stripe's balance transactions say that refunds and disputes did to the account's own money."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Final

from billingbot.core.money import minor_unit_digits


class Movement(StrEnum):
    """What a balance transaction did, as far as a refund desk cares."""

    REFUND = "refund"
    RETURNED = "returned"
    """A refund failed or was canceled, and its money came back."""
    WITHDRAWN = "withdrawn"
    REINSTATED = "reinstated"
    OTHER = "other"


# https://docs.stripe.com/reports/reporting-categories: coarser than types, and the same for cards and other methods.
_BY_CATEGORY: Final[Mapping[str, Movement]] = {
    "refund": Movement.REFUND,
    "refund_failure": Movement.RETURNED,
    "dispute": Movement.WITHDRAWN,
    "dispute_reversal": Movement.REINSTATED,
}
# https://docs.stripe.com/api/balance_transactions/list takes one type at a time; disputes are adjustments.
TYPES: Final = ("refund", "payment_refund", "refund_failure", "adjustment")
# What is converted is rounded once to a minor unit, and the rate that is told was rounded before.
ROUNDING_MINOR: Final = 1


def movement_of(category: str) -> Movement:
    """What a transaction of this reporting category did."""
    return _BY_CATEGORY.get(category, Movement.OTHER)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceTransaction:
    """One of Stripe's balance transactions, in minor units of the account's `currency`; what leaves is negative.

    `exchange_rate` multiplies the amount of the source in its own currency, None where nothing was converted. A
    negative fee was given back.
    """

    id: str
    movement: Movement
    type: str
    category: str
    source: str | None
    """The refund, dispute or other object that caused it, by Stripe's id."""
    amount_minor: int
    fee_minor: int
    currency: str
    exchange_rate: Decimal | None
    created_at: datetime
    available_on: datetime
    status: str

    @property
    def net_minor(self) -> int:
        """What it did to the balance."""
        return self.amount_minor - self.fee_minor


def settles(transaction: BalanceTransaction, amount_minor: int, currency: str) -> bool:
    """Whether its amount, without sign, is this amount settled: equal, or converted at its rate to a minor unit."""
    settled = abs(transaction.amount_minor)
    if transaction.currency == currency:
        return settled == amount_minor
    if transaction.exchange_rate is None:
        return False
    digits = minor_unit_digits(transaction.currency) - minor_unit_digits(currency)
    exact = Decimal(amount_minor).scaleb(digits) * transaction.exchange_rate
    # The rate is told with five or six digits: large amounts leave that much room, and no more.
    room = max(Decimal(ROUNDING_MINOR), abs(exact) * Decimal("0.00001"))
    return abs(Decimal(settled) - exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN)) <= room
