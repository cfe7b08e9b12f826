"""Notes that people write on a case."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.errors import NotFoundError
from billingbot.store.schema import notes


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One note."""

    id: str
    case_id: str
    author: str
    text: str
    written_at: datetime
    for_bank: bool = False
    """Whether an answer to a bank may quote it."""


def write(connection: Connection, note_id: str, case_id: str, author: str, text: str) -> None:
    """Stores a note."""
    connection.execute(notes.insert().values(id=note_id, case_id=case_id, author=author, text=text))


def of_case(connection: Connection, case_id: str) -> Sequence[Note]:
    """All notes of a case, oldest first."""
    rows = connection.execute(
        sa.select(notes).where(notes.c.case_id == case_id).order_by(notes.c.written_at, notes.c.id)
    )
    return [Note(**row._mapping) for row in rows]


def mark(connection: Connection, note_id: str, *, for_bank: bool) -> Note:
    """Marks the note for banks, or takes the mark away. NotFoundError."""
    row = connection.execute(
        notes.update().where(notes.c.id == note_id).values(for_bank=for_bank).returning(*notes.c)
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"note {note_id}: there is none")
    return Note(**row._mapping)
