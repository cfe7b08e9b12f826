"""Letters: what was sent to customers, each text once for a case unless it certainly did not arrive."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.case import CaseState
from billingbot.core.errors import NotFoundError
from billingbot.core.letter import Letter, LetterState
from billingbot.store import database
from billingbot.store.schema import cases, letters

_NOW: Final = sa.func.clock_timestamp()
_COLUMNS: Final = [letters.c[name] for name in Letter.__slots__]


def write(connection: Connection, letter: Letter) -> bool:
    """Keeps a letter to be sent; False where this case has had the same text, or may have."""
    values = {name: getattr(letter, name) for name in Letter.__slots__ if name != "written_at"}
    done = connection.execute(insert(letters).values(values).on_conflict_do_nothing().returning(letters.c.id))
    return done.one_or_none() is not None


def get(connection: Connection, letter_id: str, *, lock: bool = False) -> Letter:
    """The letter, locked until the transaction ends where asked. Raises NotFoundError."""
    query = sa.select(*_COLUMNS).where(letters.c.id == letter_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFoundError(f"letter {letter_id}: there is none")
    return _letter(row)


def of_case(connection: Connection, case_id: str) -> tuple[Letter, ...]:
    """The case's letters, oldest first."""
    query = sa.select(*_COLUMNS).where(letters.c.case_id == case_id).order_by(letters.c.written_at, letters.c.id)
    return tuple(_letter(row) for row in connection.execute(query))


def set_state(connection: Connection, letter_id: str, state: LetterState, **values: Any) -> None:
    """Moves a locked letter on; `sent_at` is set by the database's clock once it is sent."""
    if state is LetterState.SENT:
        values["sent_at"] = _NOW
    connection.execute(letters.update().where(letters.c.id == letter_id).values(state=state, **values))


def due(connection: Connection, *, closed_within: timedelta, limit: int) -> Sequence[str]:
    """Cases that the machine closed lately with a reply, and that have no letter yet."""
    query = (
        sa.select(cases.c.id)
        .where(
            cases.c.state == CaseState.CLOSED,
            cases.c.reply.is_not(None),
            cases.c.assignee.is_(None),
            cases.c.outcome.not_in(("denied", "joined")),
            cases.c.closed_at > database.now(connection) - closed_within,
            ~sa.exists().where(letters.c.case_id == cases.c.id),
        )
        .limit(limit)
    )
    return connection.execute(query).scalars().all()


def _letter(row: sa.Row[Any]) -> Letter:
    return Letter(**{**row._mapping, "state": LetterState(row.state)})
