"""Mentions: whom a note names, until they have seen it."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.store.schema import mentions


def write(connection: Connection, note_id: str, case_id: str, people: Sequence[str]) -> None:
    """Keeps that the note names these people."""
    for name in people:
        connection.execute(
            insert(mentions).values(note_id=note_id, case_id=case_id, person=name).on_conflict_do_nothing()
        )


def seen(connection: Connection, person: str, case_id: str) -> None:
    """Notes that this person has seen where the case names them."""
    connection.execute(
        mentions.update()
        .where(mentions.c.person == person, mentions.c.case_id == case_id, mentions.c.seen_at.is_(None))
        .values(seen_at=sa.func.clock_timestamp())
    )


def unseen(connection: Connection, person: str) -> int:
    """How many notes that this person has not seen name them."""
    query = sa.select(sa.func.count()).where(mentions.c.person == person, mentions.c.seen_at.is_(None))
    return int(connection.execute(query).scalar_one())
