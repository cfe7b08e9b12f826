"""Steps on the way in, each under a secret of the browser's; and how often somebody tried."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.access.secret import digest_of
from billingbot.core.access.session import StepPurpose
from billingbot.store.schema import sign_in_steps, sign_in_tries

_NOW = sa.func.clock_timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInStep:
    """What somebody is in the middle of. `tries` counts those at its end, this one included."""

    purpose: StepPurpose
    person_id: str | None
    kept: Mapping[str, Any]
    tries: int


def begin(
    connection: Connection,
    secret: str,
    purpose: StepPurpose,
    *,
    person_id: str | None,
    kept: Mapping[str, Any],
    lasts: timedelta,
) -> None:
    """Stores a step; those that are over go."""
    connection.execute(sign_in_steps.delete().where(sign_in_steps.c.expires_at < _NOW))
    connection.execute(
        sign_in_steps.insert().values(
            digest=digest_of(secret),
            purpose=purpose.value,
            person_id=person_id,
            kept=json.dumps(kept),
            expires_at=_NOW + lasts,
        )
    )


def look(connection: Connection, secret: str, purpose: StepPurpose) -> SignInStep | None:
    """The step of this secret, without a try; None where there is none (any more)."""
    found = connection.execute(sa.select(*_KEPT).where(*_is(secret, purpose))).one_or_none()
    return _step(purpose, found) if found else None


def attempt(connection: Connection, secret: str, purpose: StepPurpose) -> SignInStep | None:
    """The step of this secret, with one more try counted; None where there is none (any more)."""
    row = connection.execute(
        sign_in_steps.update().where(*_is(secret, purpose)).values(tries=sign_in_steps.c.tries + 1).returning(*_KEPT)
    ).one_or_none()
    return _step(purpose, row) if row else None


def end(connection: Connection, secret: str) -> bool:
    """The step is over; whether it was still there: of two who come at once, one goes on."""
    return bool(connection.execute(sign_in_steps.delete().where(sign_in_steps.c.digest == digest_of(secret))).rowcount)


def spend(connection: Connection, secret: str, purpose: StepPurpose, *, lasts: timedelta) -> bool:
    """Uses a secret up that only the browser kept; False where it was used before: of two at once, one goes on.

    `lasts` is for how long it could be brought again.
    """
    connection.execute(sign_in_steps.delete().where(sign_in_steps.c.expires_at < _NOW))
    row = {"digest": digest_of(secret), "purpose": purpose.value, "kept": "{}", "expires_at": _NOW + lasts}
    written = connection.execute(
        insert(sign_in_steps).values(row).on_conflict_do_nothing().returning(sign_in_steps.c.digest)
    )
    return written.one_or_none() is not None


def count_try(connection: Connection, key: str, *, window: timedelta) -> int:
    """Counts one more try for this account or address; how many there were within the window, this one included.

    Counting comes before looking, so that tries at the same moment are as many as they are.
    """
    connection.execute(sign_in_tries.delete().where(sign_in_tries.c.since < _NOW - window))
    row = {"key": _digest(key), "tries": 1, "since": _NOW}
    again = {"tries": sign_in_tries.c.tries + 1}
    tries: int = connection.execute(
        insert(sign_in_tries)
        .values(row)
        .on_conflict_do_update(index_elements=["key"], set_=again)
        .returning(sign_in_tries.c.tries)
    ).scalar_one()
    return tries


def forget_tries(connection: Connection, key: str) -> None:
    """Whoever it was has come in."""
    connection.execute(sign_in_tries.delete().where(sign_in_tries.c.key == _digest(key)))


def take_back_try(connection: Connection, key: str) -> None:
    """One try of this address was no guess."""
    tries = sa.func.greatest(sign_in_tries.c.tries - 1, 0)
    connection.execute(sign_in_tries.update().where(sign_in_tries.c.key == _digest(key)).values(tries=tries))


_KEPT = (sign_in_steps.c.person_id, sign_in_steps.c.kept, sign_in_steps.c.tries)


def _is(secret: str, purpose: StepPurpose) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        sign_in_steps.c.digest == digest_of(secret),
        sign_in_steps.c.purpose == purpose.value,
        sign_in_steps.c.expires_at > _NOW,
    )


def _step(purpose: StepPurpose, row: sa.Row[str | None, str, int]) -> SignInStep:
    return SignInStep(purpose=purpose, person_id=row.person_id, kept=json.loads(row.kept), tries=row.tries)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
