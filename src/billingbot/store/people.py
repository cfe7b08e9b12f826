"""People who may sign in: one row each, found by id, name or address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.access.person import Person, Theme, mail_address, person_key
from billingbot.core.access.powers import Role
from billingbot.core.errors import ConflictError, NotFoundError
from billingbot.core.ids import Kind, is_id
from billingbot.store.schema import people

_NOW = sa.func.clock_timestamp()
COLUMNS = (
    people.c.id,
    people.c.name,
    people.c.email,
    people.c.roles,
    people.c.locale,
    people.c.zone,
    people.c.theme,
    people.c.created_at,
    people.c.last_seen_at,
    people.c.disabled_at,
    people.c.password_hash.is_not(None).label("has_password"),
    people.c.totp_secret.is_not(None).label("has_second_factor"),
)
"""What a `Person` is made of: no secret is among them."""


def of_mapping(found: Mapping[str, Any]) -> Person:
    """The person of a row with `COLUMNS`."""
    roles = tuple(role for role in Role if role in found["roles"])
    return Person(**{**found, "roles": roles, "theme": Theme(found["theme"])})


def add(connection: Connection, person_id: str, *, name: str, email: str | None, roles: Sequence[Role]) -> Person:
    """Stores a new person. ConflictError where somebody has this name, however it is spelt, or this address."""
    row = {
        "id": person_id,
        "name": name,
        "name_key": person_key(name),
        "email": email and mail_address(email),
        "roles": [role.value for role in roles],
    }
    if connection.execute(insert(people).values(row).on_conflict_do_nothing().returning(people.c.id)).first() is None:
        raise ConflictError(f"name: there is somebody called {name!r} already, or somebody with this address")
    return get(connection, person_id)


def get(connection: Connection, person_id: str, *, lock: bool = False) -> Person:
    """The person with this id. NotFoundError."""
    return _one(connection, people.c.id == person_id, person_id, lock=lock)


def named(connection: Connection, who: str, *, lock: bool = False) -> Person:
    """The person of this name or address, in any spelling, or with this id.

    NotFoundError; InputError where it can be neither.
    """
    if is_id(Kind.PERSON, who):
        return get(connection, who, lock=lock)
    wanted = people.c.email == mail_address(who) if "@" in who else people.c.name_key == person_key(who)
    return _one(connection, wanted, who, lock=lock)


def by_oidc(connection: Connection, issuer: str, subject: str) -> Person | None:
    """The person whom this identity of a provider is tied to; locked."""
    return _maybe(connection, (people.c.oidc_issuer == issuer) & (people.c.oidc_subject == subject))


def by_email(connection: Connection, email: str) -> Person | None:
    """The person with this address, in its one spelling; locked."""
    return _maybe(connection, people.c.email == email)


def tie_oidc(connection: Connection, person_id: str, issuer: str, subject: str) -> bool:
    """Ties an identity to a person who has none yet; whether that is so."""
    free = (people.c.id == person_id, people.c.oidc_subject.is_(None))
    values = {"oidc_issuer": issuer, "oidc_subject": subject}
    return bool(connection.execute(people.update().where(*free).values(**values)).rowcount)


def everybody(connection: Connection) -> Sequence[Person]:
    """Everybody, by name; those who are disabled too."""
    rows = connection.execute(sa.select(*COLUMNS).order_by(people.c.name_key))
    return [of_mapping(dict(row._mapping)) for row in rows]


def is_anybody(connection: Connection) -> bool:
    """Whether anybody was ever added."""
    return bool(connection.execute(sa.select(sa.exists(sa.select(people.c.id)))).scalar_one())


def set_roles(connection: Connection, person_id: str, roles: Sequence[Role]) -> None:
    """Gives them these roles and no others."""
    _change(connection, person_id, roles=[role.value for role in roles])


def disable(connection: Connection, person_id: str) -> None:
    """From now on they sign in no more."""
    _change(connection, person_id, disabled_at=_NOW)


def enable(connection: Connection, person_id: str) -> None:
    """They may sign in again."""
    _change(connection, person_id, disabled_at=None)


def forget_secrets(connection: Connection, person_id: str) -> None:
    """No password and no second factor any more: only a link, or the company's own sign-in, lets them in."""
    _change(connection, person_id, password_hash=None, totp_secret=None, totp_last_step=None, recovery_digests=[])


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What a person proves themselves by. Never shown; `recovery_digests` are of codes that still work."""

    password_hash: str | None
    totp_secret: str | None
    totp_last_step: int | None
    recovery_digests: tuple[str, ...]


def secrets_of(connection: Connection, person_id: str, *, lock: bool = False) -> Secrets:
    """A person's secrets; locked where one of them is about to be used up."""
    columns = [people.c[name] for name in Secrets.__slots__]
    query = sa.select(*columns).where(people.c.id == person_id)
    found = connection.execute(query.with_for_update() if lock else query).one()._mapping
    return Secrets(**{**found, "recovery_digests": tuple(found["recovery_digests"])})


def set_password(connection: Connection, person_id: str, password_hash: str) -> None:
    """Keeps the hash of a password."""
    _change(connection, person_id, password_hash=password_hash)


def set_second_factor(
    connection: Connection, person_id: str, *, secret: str | None, last_step: int | None, recovery: Sequence[str]
) -> None:
    """Sets up a second factor with its recovery codes' digests, or drops it (None)."""
    _change(connection, person_id, totp_secret=secret, totp_last_step=last_step, recovery_digests=list(recovery))


def second_factors(connection: Connection) -> Mapping[str, str]:
    """The authenticators' secrets as they are kept, by person."""
    query = sa.select(people.c.id, people.c.totp_secret).where(people.c.totp_secret.is_not(None))
    return {row.id: row.totp_secret for row in connection.execute(query.order_by(people.c.id))}


def reseal(connection: Connection, person_id: str, *, was: str, now: str) -> None:
    """Keeps a secret another way, unless it has become another secret meanwhile."""
    same = (people.c.id == person_id, people.c.totp_secret == was)
    connection.execute(people.update().where(*same).values(totp_secret=now))


def use_step(connection: Connection, person_id: str, step: int) -> None:
    """No code of this time step or an earlier one is taken any more."""
    _change(connection, person_id, totp_last_step=step)


def use_recovery(connection: Connection, person_id: str, left: Sequence[str]) -> None:
    """Only these recovery codes are left."""
    _change(connection, person_id, recovery_digests=list(left))


def set_reading(connection: Connection, person_id: str, *, locale: str, zone: str, theme: Theme) -> None:
    """How this person reads the console."""
    _change(connection, person_id, locale=locale, zone=zone, theme=theme.value)


def _change(connection: Connection, person_id: str, **values: object) -> None:
    connection.execute(people.update().where(people.c.id == person_id).values(**values))


def _maybe(connection: Connection, wanted: sa.ColumnElement[bool]) -> Person | None:
    row = connection.execute(sa.select(*COLUMNS).where(wanted).with_for_update()).one_or_none()
    return of_mapping(dict(row._mapping)) if row else None


def _one(connection: Connection, wanted: sa.ColumnElement[bool], who: str, *, lock: bool) -> Person:
    query = sa.select(*COLUMNS).where(wanted)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFoundError(f"person: there is nobody called {who!r}")
    return of_mapping(dict(row._mapping))
