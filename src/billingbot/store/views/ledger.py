"""Reading the ledger: pages of entries, and the proof that nobody touched one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.ledger import GENESIS, Entry, Flaw, flaws
from billingbot.store import ledger as ledger_rows
from billingbot.store.schema import ledger_entries
from billingbot.store.views.paging import PAGE_ROWS, Page, cut

# One touched entry shows as two or three flaws; a chain with more of them than this needs a backup, not a list.
MOST_FLAWS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """Which entries to show: all that are set must hold."""

    subject: str | None = None
    kind: str | None = None
    account: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerProof:
    """What walking the whole chain found. `head_hash`, kept elsewhere, shows later whether the end was cut off."""

    entries: int
    head_seq: int
    head_hash: str
    head_at: datetime | None
    flaws: tuple[Flaw, ...]
    """The first of them, at most MOST_FLAWS; none where the chain is whole."""

    @property
    def holds(self) -> bool:
        """Whether nobody touched an entry."""
        return not self.flaws


EVERYTHING: Final = LedgerFilter()


def ledger_page(
    connection: Connection, filters: LedgerFilter = EVERYTHING, *, after: int = 0, limit: int = PAGE_ROWS
) -> Page[Entry]:
    """Entries by these filters in the order they were written, from the one behind number `after` on."""
    query = sa.select(ledger_entries).where(ledger_entries.c.seq > after)
    for name in LedgerFilter.__slots__:
        if (value := getattr(filters, name)) is not None:
            query = query.where(ledger_entries.c[name] == value)
    rows = connection.execute(query.order_by(ledger_entries.c.seq).limit(limit + 1)).all()
    return cut(rows, limit, entry_of, lambda row: str(row.seq))


def verify_ledger(connection: Connection) -> LedgerProof:
    """Walks the chain from its first entry to its last, a piece at a time."""
    walk = _Walk(ledger_rows.entries(connection))
    found: list[Flaw] = []
    for flaw in flaws(walk):
        found.append(flaw)
        if len(found) >= MOST_FLAWS:
            break
    for _ in walk:
        pass  # to the end in any case: the head is the last entry, flawed or not
    last = walk.last
    return LedgerProof(
        entries=walk.count,
        head_seq=last.seq if last else 0,
        head_hash=last.hash if last else GENESIS,
        head_at=last.at if last else None,
        flaws=tuple(found),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A piece of the chain, walked. `next` is behind which entry the following piece begins, None at the end."""

    to: int
    at: datetime | None
    next: int | None
    flaws: tuple[Flaw, ...]


def verify_stretch(connection: Connection, *, after: int, limit: int) -> Stretch:
    """Walks one piece of the chain from the entry behind `after` on, and how it hangs on the one before.

    Pieces laid end to end prove what walking it whole proves.
    """
    query = sa.select(ledger_entries).where(ledger_entries.c.seq >= after).order_by(ledger_entries.c.seq)
    found = [entry_of(row) for row in connection.execute(query.limit(limit + 1))]
    before = found[0] if after > 0 and found and found[0].seq == after else None
    walked = found[1:] if before else found
    flawed = list(flaws(walked, after=before)) if before or after == 0 else [Flaw(seq=after, what="is not there")]
    last = walked[-1] if walked else before
    return Stretch(
        to=last.seq if last else 0,
        at=last.at if last else None,
        next=last.seq if last and len(found) > limit else None,
        flaws=tuple(flawed[:MOST_FLAWS]),
    )


def ledger_entry(connection: Connection, seq: int) -> Entry | None:
    """One entry by its number."""
    row = connection.execute(sa.select(ledger_entries).where(ledger_entries.c.seq == seq)).one_or_none()
    return entry_of(row) if row else None


def entry_of_hash(connection: Connection, digest: str) -> Entry | None:
    """One entry by its hash, such as a head that was kept elsewhere."""
    row = connection.execute(sa.select(ledger_entries).where(ledger_entries.c.hash == digest)).one_or_none()
    return entry_of(row) if row else None


def ledger_before(
    connection: Connection, filters: LedgerFilter = EVERYTHING, *, before: int | None = None, limit: int = PAGE_ROWS
) -> Page[Entry]:
    """Entries by these filters, newest first, from the one before number `before` on."""
    query = sa.select(ledger_entries)
    if before is not None:
        query = query.where(ledger_entries.c.seq < before)
    for name in LedgerFilter.__slots__:
        if (value := getattr(filters, name)) is not None:
            query = query.where(ledger_entries.c[name] == value)
    rows = connection.execute(query.order_by(ledger_entries.c.seq.desc()).limit(limit + 1)).all()
    return cut(rows, limit, entry_of, lambda row: str(row.seq))


def entry_of(row: sa.Row[Any]) -> Entry:
    """The entry in a row of the table."""
    fields = dict(row._mapping)
    fields["body"] = json.loads(fields["body"])
    return Entry(**fields)


class _Walk:
    """Entries on their way through, counted, with the last one kept."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self.count = 0
        self.last: Entry | None = None

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        entry = next(self._entries)
        self.count, self.last = self.count + 1, entry
        return entry
