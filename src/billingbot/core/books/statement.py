"""The statement of a month: ledger, refunds and Stripe's balance transactions side by side, to the cent, with every
difference as a break that has a name."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from billingbot.core.books.settlement import BalanceTransaction, Movement
from billingbot.core.refund import RefundState

VERSION: Final = 1
"""Of the statement's form: what was signed years ago has to be read as it was meant."""


class BreakName(StrEnum):
    """How ledger, books and Stripe can differ."""

    STRIPE_ALONE = "stripe_alone"
    """Stripe moved money for a refund that our books do not have."""
    STRIPE_LACKS = "stripe_lacks"
    """Our books have a refund as succeeded, and Stripe moved no money for it."""
    STRIPE_TWICE = "stripe_twice"
    """Stripe moved money twice for one refund."""
    AMOUNT_DIFFERS = "amount_differs"
    LEDGER_LACKS = "ledger_lacks"
    """No entry of the ledger tells of the refund."""
    LEDGER_DIFFERS = "ledger_differs"
    RETURN_ALONE = "return_alone"
    """The money came back, and our books do not have the refund as failed."""
    RETURN_LACKS = "return_lacks"
    """Our books have the refund as failed, and the money never came back."""
    DISPUTE_ALONE = "dispute_alone"
    DISPUTE_DIFFERS = "dispute_differs"
    UNREADABLE = "unreadable"
    """Stripe listed a transaction that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Minor units of one currency."""

    minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the ledger's newest entry about a refund at Stripe says."""

    seq: int
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedRefund:
    """A refund as our books have it, with what the ledger tells of it."""

    id: str
    source: str
    """Stripe's id."""
    charge_id: str
    amount: Amount
    state: RefundState
    origin: str
    clause: str | None
    decided_by: str
    told: Told | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedDispute:
    """A dispute as our books have it; `net_minor` is what all its transactions came to, None where nobody read it."""

    id: str
    charge_id: str
    reason: str
    net_minor: int | None
    currency: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """All that a statement is drawn from.

    `transactions` are those of the month, and older ones that no signed statement holds; `whole` all that is known
    of each source, whenever; `unsettled` refunds of the month that succeeded, and failed ones of the last months,
    whose money is not in `whole` as it should be.
    """

    transactions: tuple[BalanceTransaction, ...]
    whole: Mapping[str, tuple[BalanceTransaction, ...]]
    refunds: Mapping[str, BookedRefund]
    disputes: Mapping[str, BookedDispute]
    unsettled: tuple[BookedRefund, ...]
    under_way: tuple[BookedRefund, ...]
    """Refunds of the month that Stripe has accepted and moved no money for yet."""
    opening: tuple[Amount, ...]
    unreadable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One balance transaction in the statement. Signed minor units of `currency`; what left is negative."""

    transaction: str
    at: datetime
    movement: Movement
    source: str | None
    amount_minor: int
    fee_minor: int
    currency: str
    exchange_rate: str | None
    available_on: datetime
    refund: str | None
    charge: str | None
    own: Amount | None
    """The amount in the refund's or the dispute's own currency, as our books have it."""
    state: str | None
    clause: str | None
    decided_by: str | None
    ledger_seq: int | None
    belongs_to: str | None
    """The earlier month that it is dated in, where that one was signed without it: an adjustment."""

    @property
    def net_minor(self) -> int:
        """What it did to the balance."""
        return self.amount_minor - self.fee_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """So many rows, and what they come to."""

    count: int = 0
    minor: int = 0

    def plus(self, minor: int) -> "Sum":
        """With one row more."""
        return Sum(count=self.count + 1, minor=self.minor + minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyLine:
    """One currency of the account's balance. `closing_minor` is the opening and all that stands between, added."""

    currency: str
    opening_minor: int
    refunds: Sum
    returned: Sum
    withdrawn: Sum
    reinstated: Sum
    refund_fees_minor: int
    dispute_fees_minor: int
    adjustments: Sum
    """Rows dated in earlier, signed months, with their fees; they are in none of the sums above."""
    closing_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """One currency of refunds, as the three books have it. Without breaks the three are equal."""

    what: Movement
    currency: str
    ledger_minor: int
    books_minor: int
    stripe_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Refunds of the statement by their state today, in their own currency."""

    state: str
    currency: str
    count: int
    minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One difference: what our books say, what the other side says, and the sentence for a person."""

    name: BreakName
    object_id: str
    refund: str | None
    what: Movement | None
    """Which tie it breaks, if one."""
    books: Amount | None
    other: Amount | None
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A month of one account, whole: its canonical bytes are what is signed."""

    version: int
    account: str
    month: str
    zone: str
    since: datetime
    until: datetime
    follows: str | None
    """The digest of the signed statement before it; None for the first."""
    lines: tuple[CurrencyLine, ...]
    ties: tuple[Tie, ...]
    standings: tuple[Standing, ...]
    under_way: tuple[Standing, ...]
    breaks: tuple[Break, ...]
    rows: tuple[Row, ...]

    @property
    def adjustments(self) -> tuple[Row, ...]:
        """Later truths about months that were signed."""
        return tuple(row for row in self.rows if row.belongs_to is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Which statement is drawn."""

    account: str
    month: str
    zone: str
    since: datetime
    until: datetime
    follows: str | None
