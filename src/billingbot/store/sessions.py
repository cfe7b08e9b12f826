"""Sessions and one-time links: kept by the digest of a secret that only the browser, or whoever got the link, has."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.access.person import Person
from billingbot.core.access.secret import digest_of
from billingbot.core.access.session import LinkPurpose, Session, SignedInBy
from billingbot.store import people as staff
from billingbot.store.schema import people, sessions, sign_in_links

_NOW = sa.func.clock_timestamp()
_MINUTE: Final = timedelta(minutes=1)
# Enough to tell one browser from another.
_MOST_USER_AGENT: Final = 200


def begin(
    connection: Connection,
    session_id: str,
    secret: str,
    *,
    person_id: str,
    by: SignedInBy,
    user_agent: str,
    lasts: timedelta,
) -> Session:
    """Stores a new session."""
    agent = "".join(char for char in user_agent if char.isprintable())[:_MOST_USER_AGENT]
    row = connection.execute(
        sessions.insert()
        .values(
            id=session_id,
            digest=digest_of(secret),
            person_id=person_id,
            signed_in_by=by.value,
            user_agent=agent,
            expires_at=_NOW + lasts,
        )
        .returning(*_columns())
    ).one()
    connection.execute(people.update().where(people.c.id == person_id).values(last_seen_at=_NOW))
    return _session(row._mapping)


def find(connection: Connection, secret: str, *, idle: timedelta, seen: bool) -> tuple[Person, Session] | None:
    """Whose session this secret opens: neither over, idle for too long, nor revoked, and the person not disabled.

    One query by a unique index; with `seen`, the sign of life is noted, to the minute.
    """
    columns = [*(column.label(f"p_{column.name}") for column in staff.COLUMNS), *_columns()]
    row = connection.execute(
        sa.select(*columns, (sessions.c.last_seen_at < _NOW - _MINUTE).label("stale"))
        .join(people, people.c.id == sessions.c.person_id)
        .where(sessions.c.digest == digest_of(secret), is_live(idle), people.c.disabled_at.is_(None))
    ).one_or_none()
    if row is None:
        return None
    found = row._mapping
    if seen and found["stale"]:
        connection.execute(sessions.update().where(sessions.c.id == found["id"]).values(last_seen_at=_NOW))
        connection.execute(people.update().where(people.c.id == found["person_id"]).values(last_seen_at=_NOW))
    person = {name.removeprefix("p_"): value for name, value in found.items() if name.startswith("p_")}
    return staff.of_mapping(person), _session(found)


def still_live(connection: Connection, session_ids: Collection[str], *, idle: timedelta) -> frozenset[str]:
    """Those of these sessions that still count; asking is no sign of life."""
    query = (
        sa.select(sessions.c.id)
        .join(people, people.c.id == sessions.c.person_id)
        .where(sessions.c.id.in_(session_ids), is_live(idle), people.c.disabled_at.is_(None))
    )
    return frozenset(connection.execute(query).scalars())


def of_person(connection: Connection, person_id: str, *, idle: timedelta) -> Sequence[Session]:
    """The sessions that this person could go on with now, newest first."""
    rows = connection.execute(
        sa.select(*_columns())
        .where(sessions.c.person_id == person_id, is_live(idle))
        .order_by(sessions.c.created_at.desc())
    )
    return [_session(row._mapping) for row in rows]


def revoke(connection: Connection, *, person_id: str | None = None, session_id: str | None = None) -> int:
    """Ends one session, or all of one person; how many that were not ended before."""
    wanted: list[sa.ColumnElement[bool]] = [sessions.c.revoked_at.is_(None)]
    if person_id is not None:
        wanted.append(sessions.c.person_id == person_id)
    if session_id is not None:
        wanted.append(sessions.c.id == session_id)
    return connection.execute(sessions.update().where(*wanted).values(revoked_at=_NOW)).rowcount


def revoke_others(connection: Connection, *, person_id: str, but: str) -> int:
    """Ends every session of a person but this one; how many."""
    wanted = (sessions.c.person_id == person_id, sessions.c.id != but, sessions.c.revoked_at.is_(None))
    return connection.execute(sessions.update().where(*wanted).values(revoked_at=_NOW)).rowcount


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A one-time link that still works. `name` is the first admin's, where whoever made the link had one to give."""

    purpose: LinkPurpose
    person_id: str | None
    name: str | None


def make_link(connection: Connection, secret: str, link: Link, *, by: str, lasts: timedelta) -> None:
    """Stores a link; any earlier one for the same purpose and person works no more."""
    connection.execute(
        sign_in_links.update()
        .where(
            sign_in_links.c.purpose == link.purpose.value,
            sign_in_links.c.person_id.is_not_distinct_from(link.person_id),
            sign_in_links.c.used_at.is_(None),
        )
        .values(used_at=_NOW)
    )
    connection.execute(
        sign_in_links.insert().values(
            digest=digest_of(secret),
            purpose=link.purpose.value,
            person_id=link.person_id,
            name=link.name,
            made_by=by,
            expires_at=_NOW + lasts,
        )
    )


def look_at_link(connection: Connection, secret: str) -> Link | None:
    """What the link would do; looking does not use it up."""
    return _link(connection.execute(sa.select(*_LINK).where(*_works(secret))).one_or_none())


def use_link(connection: Connection, secret: str) -> Link | None:
    """Uses the link up: of two who come at once, one gets it."""
    return _link(
        connection.execute(
            sign_in_links.update().where(*_works(secret)).values(used_at=_NOW).returning(*_LINK)
        ).one_or_none()
    )


_LINK = (sign_in_links.c.purpose, sign_in_links.c.person_id, sign_in_links.c.name)


def _works(secret: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        sign_in_links.c.digest == digest_of(secret),
        sign_in_links.c.used_at.is_(None),
        sign_in_links.c.expires_at > _NOW,
    )


def _link(row: sa.Row[*tuple[Any, ...]] | None) -> Link | None:
    if row is None:
        return None
    found = row._mapping
    return Link(purpose=LinkPurpose(found["purpose"]), person_id=found["person_id"], name=found["name"])


def is_live(idle: timedelta) -> sa.ColumnElement[bool]:
    """Whether a session is neither over, revoked, nor silent for so long."""
    return sa.and_(sessions.c.revoked_at.is_(None), sessions.c.expires_at > _NOW, sessions.c.last_seen_at > _NOW - idle)


def _session(found: sa.RowMapping) -> Session:
    values = {name: found[name] for name in Session.__slots__}
    return Session(**{**values, "signed_in_by": SignedInBy(values["signed_in_by"])})


def _columns() -> list[sa.Column[object]]:
    return [sessions.c[name] for name in Session.__slots__]
