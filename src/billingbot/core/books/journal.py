"""The journal: a statement as double-entry lines for the books, balanced by construction."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from billingbot.core.books.settlement import Movement
from billingbot.core.books.statement import Row, Statement


class Book(StrEnum):
    """The accounts of the books that refunds and disputes touch."""

    STRIPE_BALANCE = "stripe_balance"
    REFUNDS = "refunds"
    """What customers got back: an expense, or a deduction from revenue, as the house keeps it."""
    STRIPE_FEES = "stripe_fees"
    DISPUTE_LOSSES = "dispute_losses"
    DISPUTE_FEES = "dispute_fees"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookCodes:
    """How the house numbers these accounts. The defaults follow a common chart of accounts."""

    stripe_balance: str = "1150"
    refunds: str = "4900"
    stripe_fees: str = "6150"
    dispute_losses: str = "6700"
    dispute_fees: str = "6710"

    def of(self, book: Book) -> str:
        """The code of this account."""
        return str(getattr(self, book.value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """How the house keeps its books: the zone by whose clocks a month begins and ends, and its account codes."""

    zone: str = "UTC"
    codes: BookCodes = BookCodes()


UTC_BOOKS: Final = Books()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """So much from the credit of one account to the debit of another: it cannot but balance.

    `amount_minor` is above zero, in minor units of `currency`.
    """

    debit: Book
    credit: Book
    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if self.amount_minor <= 0:
            raise ValueError(f"amount_minor: expected more than 0, got {self.amount_minor}")
        if self.debit is self.credit:
            raise ValueError(f"credit: expected another account than {self.debit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """What one balance transaction means for the books."""

    on: date
    """The day in the zone of the accounts."""
    reference: str
    """Stripe's balance transaction."""
    told: str
    refund: str | None
    charge: str | None
    clause: str | None
    transfers: tuple[Transfer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """One side of a transfer, as books take it: either `debit_minor` or `credit_minor` is zero."""

    book: Book
    debit_minor: int
    credit_minor: int
    currency: str


_LOSS: Final = {
    Movement.REFUND: (Book.REFUNDS, Book.STRIPE_FEES),
    Movement.RETURNED: (Book.REFUNDS, Book.STRIPE_FEES),
    Movement.WITHDRAWN: (Book.DISPUTE_LOSSES, Book.DISPUTE_FEES),
    Movement.REINSTATED: (Book.DISPUTE_LOSSES, Book.DISPUTE_FEES),
}
_TOLD: Final = {
    Movement.REFUND: "Refund",
    Movement.RETURNED: "Refund returned by the bank",
    Movement.WITHDRAWN: "Dispute: money withdrawn",
    Movement.REINSTATED: "Dispute: money reinstated",
}


def journal(statement: Statement) -> tuple[JournalEntry, ...]:
    """The entries of a statement, in its order. Adjustments are dated on the first day of its month: the earlier one
    is closed."""
    return tuple(entry for row in statement.rows if (entry := _entry(statement, row)) is not None)


def lines(entry: JournalEntry) -> Iterator[JournalLine]:
    """Its lines: for each transfer the debit, then the credit."""
    for one in entry.transfers:
        yield JournalLine(book=one.debit, debit_minor=one.amount_minor, credit_minor=0, currency=one.currency)
        yield JournalLine(book=one.credit, debit_minor=0, credit_minor=one.amount_minor, currency=one.currency)


def totals(entries: Iterable[JournalEntry]) -> tuple[JournalLine, ...]:
    """What each account comes to in each currency: debits and credits, added apart."""
    sums: dict[tuple[str, Book], list[int]] = defaultdict(lambda: [0, 0])
    for entry in entries:
        for line in lines(entry):
            both = sums[line.currency, line.book]
            both[0] += line.debit_minor
            both[1] += line.credit_minor
    return tuple(
        JournalLine(book=book, debit_minor=debit, credit_minor=credit, currency=currency)
        for (currency, book), (debit, credit) in sorted(sums.items())
    )


def _entry(statement: Statement, row: Row) -> JournalEntry | None:
    if row.movement not in _LOSS:
        return None
    loss, fees = _LOSS[row.movement]
    moved = (*_transfer(loss, -row.amount_minor, row.currency), *_transfer(fees, row.fee_minor, row.currency))
    if not moved:
        return None
    told = _TOLD[row.movement]
    if row.belongs_to is not None:
        told = f"{told}, adjustment of {row.belongs_to}"
    at: datetime = statement.since if row.belongs_to is not None else row.at
    return JournalEntry(
        on=at.astimezone(ZoneInfo(statement.zone)).date(),
        reference=row.transaction,
        told=told,
        refund=row.refund,
        charge=row.charge,
        clause=row.clause,
        transfers=moved,
    )


def _transfer(cost: Book, minor: int, currency: str) -> tuple[Transfer, ...]:
    """A cost that left the balance, or, where negative, came back to it; nothing for nothing."""
    if minor == 0:
        return ()
    debit, credit = (cost, Book.STRIPE_BALANCE) if minor > 0 else (Book.STRIPE_BALANCE, cost)
    return (Transfer(debit=debit, credit=credit, amount_minor=abs(minor), currency=currency),)
