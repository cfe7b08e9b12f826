"""The ledger's rows: appended one at a time across all processes, read back in order, never changed."""

import json
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.canonical import canonical_bytes
from billingbot.core.ledger import GENESIS, Draft, Entry, seal
from billingbot.store import database
from billingbot.store.schema import ledger_entries

# Read in pieces of this many, so that verifying years of entries needs little memory.
_PIECE = 2000


def append(connection: Connection, *drafts: Draft) -> None:
    """Seals the drafts onto the chain's end. Call it last in a transaction: it holds the chain until commit."""
    database.advisory_lock(connection, "ledger")
    last = connection.execute(
        sa.select(ledger_entries.c.seq, ledger_entries.c.hash).order_by(ledger_entries.c.seq.desc()).limit(1)
    ).one_or_none()
    at = database.now(connection)  # after the lock, so that times follow the chain
    seq, previous = (last.seq, last.hash) if last else (0, GENESIS)
    rows = []
    for draft in drafts:
        entry = seal(draft, seq=seq + 1, at=at, previous_hash=previous)
        rows.append({name: getattr(entry, name) for name in Entry.__slots__} | {"body": canonical_bytes(entry.body)})
        seq, previous = entry.seq, entry.hash
    connection.execute(ledger_entries.insert(), rows)


def entries(
    connection: Connection, *, after: int = 0, subject: str | None = None, kind: str | None = None
) -> Iterator[Entry]:
    """Entries in order, from the one behind `after` on, of one subject or kind where named."""
    while True:
        query = sa.select(ledger_entries).where(ledger_entries.c.seq > after)
        if subject is not None:
            query = query.where(ledger_entries.c.subject == subject)
        if kind is not None:
            query = query.where(ledger_entries.c.kind == kind)
        piece = connection.execute(query.order_by(ledger_entries.c.seq).limit(_PIECE)).all()
        for row in piece:
            yield _entry(row)
        if len(piece) < _PIECE:
            return
        after = piece[-1].seq


def _entry(row: sa.Row[tuple[object, ...]]) -> Entry:
    fields = dict(row._mapping)
    fields["body"] = json.loads(fields["body"])
    return Entry(**fields)
