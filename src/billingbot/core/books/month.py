"""A month of the books: which one it is, where it begins and ends in its zone, and how far its closing has come."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Self
from zoneinfo import ZoneInfo

from billingbot.core.errors import InputError

_WRITTEN: Final = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")


class MonthState(StrEnum):
    """How far the closing of a month has come."""

    READING = "reading"
    """Stripe's balance transactions are being read, page by page."""
    DRAWN = "drawn"
    """The statement stands, and may be drawn again."""
    SIGNED = "signed"
    """Frozen: what is learnt later belongs to the next month."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month, written `2026-03`."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """InputError where the text is no month."""
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise InputError("month", "expected a month such as 2026-03")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of(cls, at: datetime, zone: str) -> Self:
        """The month in which an instant lies, by the clocks of the zone."""
        local = at.astimezone(ZoneInfo(zone))
        return cls(local.year, local.month)

    def begins(self, zone: str) -> datetime:
        """Its first instant, in UTC."""
        return datetime(self.year, self.number, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)

    def ends(self, zone: str) -> datetime:
        """The first instant behind it, in UTC."""
        return self.next().begins(zone)

    def next(self) -> "Month":
        """The month behind it."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    def previous(self) -> "Month":
        """The month before it."""
        return Month(self.year - 1, 12) if self.number == 1 else Month(self.year, self.number - 1)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The closing of one account's month. `since` and `until` are its bounds in UTC."""

    id: str
    account: str
    month: str
    zone: str
    since: datetime
    until: datetime
    state: MonthState
    type: str | None
    """Which of Stripe's types is being read; `cursor` is where in its list."""
    cursor: str | None
    transactions: int
    """How many of Stripe's balance transactions were read."""
    unreadable: int
    asked_by: str
    began_at: datetime
    advanced_at: datetime
    drawn_at: datetime | None
    digest: str | None
    breaks: int | None
    signed_by: str | None
    signed_at: datetime | None
    ledger_seq: int | None
    """The ledger's head when it was signed, and its hash."""
    ledger_hash: str | None
    why: str | None
