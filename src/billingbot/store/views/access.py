"""Reading who comes in by what: the sessions of people, and the keys of programs."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.access.powers import Power
from billingbot.core.access.session import Session, SignedInBy
from billingbot.core.ledger import EntryKind
from billingbot.store.keys import ApiKey
from billingbot.store.schema import api_keys, ledger_entries, people, sessions
from billingbot.store.sessions import is_live
from billingbot.store.views.paging import PAGE_ROWS, Page, newest_first


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLine(ApiKey):
    """A key without its secret, and who made it."""

    made_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLine(Session):
    """A browser in which somebody is signed in, or was."""

    person: str
    is_live: bool


# Who made a key stands in the ledger alone.
_MADE_BY: Final = (
    sa.select(ledger_entries.c.actor)
    .where(ledger_entries.c.subject == api_keys.c.id, ledger_entries.c.kind == EntryKind.KEY_CREATED)
    .limit(1)
    .scalar_subquery()
)


def key_list(
    connection: Connection,
    *,
    made_by: str | None = None,
    in_use: bool = False,
    after: str | None = None,
    limit: int = PAGE_ROWS,
) -> Page[KeyLine]:
    """Keys, newest first; with `in_use` without those that are revoked. InputError for a bad cursor."""
    query = sa.select(*(api_keys.c[name] for name in ApiKey.__slots__), _MADE_BY.label("made_by"))
    if made_by is not None:
        query = query.where(sa.literal(made_by) == _MADE_BY)
    if in_use:
        query = query.where(api_keys.c.revoked_at.is_(None))
    return newest_first(connection, query, api_keys.c.id, _key, after=after, limit=limit)


def session_list(
    connection: Connection,
    *,
    idle: timedelta,
    person_id: str | None = None,
    live: bool = False,
    after: str | None = None,
    limit: int = PAGE_ROWS,
) -> Page[SessionLine]:
    """Sessions, newest first; with `live` those that somebody could go on with now, none of them silent for `idle`.

    InputError for a bad cursor.
    """
    counts = sa.and_(is_live(idle), people.c.disabled_at.is_(None))
    columns = [sessions.c[name] for name in Session.__slots__]
    query = sa.select(*columns, people.c.name.label("person"), counts.label("is_live")).join(
        people, people.c.id == sessions.c.person_id
    )
    if person_id is not None:
        query = query.where(sessions.c.person_id == person_id)
    if live:
        query = query.where(counts)
    return newest_first(connection, query, sessions.c.id, _session, after=after, limit=limit)


def _key(row: sa.Row[Any]) -> KeyLine:
    return KeyLine(**{**row._mapping, "powers": frozenset(map(Power, row.powers))})


def _session(row: sa.Row[Any]) -> SessionLine:
    return SessionLine(**{**row._mapping, "signed_in_by": SignedInBy(row.signed_in_by)})
