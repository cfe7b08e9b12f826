"""Breakers: one row per account that ever stopped paying by itself, and the counts that decide whether it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.breaker import PACE_OVER, SHARE_OVER, Pace, Trip
from billingbot.core.refund import Origin, RefundState
from billingbot.store import database
from billingbot.store.schema import breakers, cases, refunds

_NOW = sa.func.clock_timestamp()
# What never left, and never will: it says nothing about how much the machine pays.
_NEVER_LEFT = (RefundState.WITHDRAWN, RefundState.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """An account's breaker; open while `closed_at` is None. `case_id` is the case that tripped it."""

    account: str
    tripped_by: str
    observed: str
    allowed: str
    case_id: str | None
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    why: str | None

    @property
    def is_open(self) -> bool:
        """Whether the machine pays nothing by itself."""
        return self.closed_at is None

    @property
    def said(self) -> str:
        """What a decision that it holds back says was observed."""
        return f"open since {self.opened_at:%Y-%m-%d %H:%M:%S}Z: {self.observed}"


def hold(connection: Connection, account: str) -> None:
    """Holds what the account may spend until the transaction ends: the day's budget, the breaker, and its mode."""
    database.advisory_lock(connection, f"budget:{account}")


def find(connection: Connection, account: str) -> Breaker | None:
    """The account's breaker, open or closed; None where it has never tripped."""
    row = connection.execute(sa.select(breakers).where(breakers.c.account == account)).one_or_none()
    return Breaker(**row._mapping) if row else None


def find_open(connection: Connection, account: str) -> Breaker | None:
    """The account's breaker where it is open."""
    found = find(connection, account)
    return found if found is not None and found.is_open else None


def all_breakers(connection: Connection) -> Sequence[Breaker]:
    """Every breaker that ever tripped, by account."""
    rows = connection.execute(sa.select(breakers).order_by(breakers.c.account))
    return [Breaker(**row._mapping) for row in rows]


def pace(connection: Connection, account: str) -> Pace:
    """Counts under the lock of `hold`, so that racing workers cannot pass a threshold together.

    Counting begins anew when a person closes the breaker: they have seen what was before.
    """
    closed = connection.execute(
        sa.select(breakers.c.closed_at).where(breakers.c.account == account)
    ).scalar_one_or_none()
    # The clock as a value: no index is entered by a clock that may move while it is read.
    now = database.now(connection)
    day, hour = (now - over if closed is None else max(now - over, closed) for over in (SHARE_OVER, PACE_OVER))
    left = (refunds.c.account == account, refunds.c.origin == Origin.POLICY, refunds.c.state.not_in(_NEVER_LEFT))
    within = sa.select(
        sa.func.count().filter(refunds.c.intended_at > hour),
        sa.func.count(),
    ).where(*left, refunds.c.intended_at > day)
    in_hour, in_day = connection.execute(within).one()
    decided = sa.select(sa.func.count()).where(cases.c.account == account, cases.c.decided_at > day)
    return Pace(refunds_in_hour=in_hour, refunds_in_day=in_day, decided_in_day=connection.execute(decided).scalar_one())


def open_(connection: Connection, account: str, trip: Trip, *, case_id: str) -> Breaker:
    """Opens the breaker, under the lock of `hold`."""
    row = {
        "account": account,
        "tripped_by": trip.by.value,
        "observed": trip.observed,
        "allowed": trip.allowed,
        "case_id": case_id,
    }
    anew = {**row, "opened_at": _NOW, "closed_at": None, "closed_by": None, "why": None}
    written = connection.execute(
        insert(breakers).values(row).on_conflict_do_update(index_elements=["account"], set_=anew).returning(breakers)
    ).one()
    return Breaker(**written._mapping)


def close(connection: Connection, account: str, *, by: str, why: str) -> Breaker:
    """Closes an open breaker, under the lock of `hold`."""
    written = connection.execute(
        breakers.update()
        .where(breakers.c.account == account, breakers.c.closed_at.is_(None))
        .values(closed_at=_NOW, closed_by=by, why=why)
        .returning(breakers)
    ).one()
    return Breaker(**written._mapping)
