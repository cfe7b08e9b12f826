"""API keys: kept as digests, shown once when made, revocable."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.access.powers import Power
from billingbot.core.access.secret import digest_of
from billingbot.core.errors import ConflictError, NotFoundError
from billingbot.store.schema import api_keys

_NOW = sa.func.clock_timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key without its secret."""

    id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None
    powers: frozenset[Power]
    revoked_at: datetime | None


def create(connection: Connection, key_id: str, name: str, secret: str, powers: frozenset[Power]) -> None:
    """Stores a new key. ConflictError where the name is taken."""
    row = {"id": key_id, "name": name, "digest": digest_of(secret), "powers": sorted(powers)}
    written = connection.execute(insert(api_keys).values(row).on_conflict_do_nothing().returning(api_keys.c.id))
    if written.one_or_none() is None:
        raise ConflictError(f"name: there is a key called {name!r} already")


def find(connection: Connection, secret: str) -> ApiKey | None:
    """The key with this secret, unless revoked; its last use is noted, to the minute."""
    row = connection.execute(
        sa.select(*_columns()).where(api_keys.c.digest == digest_of(secret), api_keys.c.revoked_at.is_(None))
    ).one_or_none()
    if row is None:
        return None
    stale = sa.or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < _NOW - sa.text("interval '1 minute'"))
    connection.execute(api_keys.update().where(api_keys.c.id == row.id, stale).values(last_used_at=_NOW))
    return _key(row._mapping)


def is_any(connection: Connection) -> bool:
    """Whether any key is in use."""
    found = sa.exists().where(api_keys.c.revoked_at.is_(None))
    return bool(connection.execute(sa.select(found)).scalar_one())


def revoke(connection: Connection, name: str) -> ApiKey:
    """Revokes the key of this name. Raises NotFoundError where there is none in use."""
    row = connection.execute(
        api_keys.update()
        .where(api_keys.c.name == name, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=_NOW)
        .returning(*_columns())
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"name: there is no key in use called {name!r}")
    return _key(row._mapping)


def _key(found: RowMapping) -> ApiKey:
    return ApiKey(**{**found, "powers": frozenset(map(Power, found["powers"]))})


def _columns() -> list[sa.Column[object]]:
    return [api_keys.c[name] for name in ApiKey.__slots__]
