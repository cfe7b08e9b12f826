"""Modes: what billingbot may do for an account right now; a row, so that a change counts at once everywhere."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.mode import Mode
from billingbot.store.schema import breakers, modes


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeRow:
    """An account's mode, with who set it and why; None where nobody has set one.

    `breaker_open_since` is set while the breaker keeps the account from paying by itself.
    """

    account: str
    mode: Mode
    changed_by: str | None
    why: str | None
    changed_at: datetime | None
    breaker_open_since: datetime | None = None


def current(connection: Connection, account: str) -> ModeRow:
    """The account's mode: shadow until somebody says otherwise."""
    row = connection.execute(
        sa.select(modes, breakers.c.opened_at)
        .outerjoin(breakers, sa.and_(breakers.c.account == modes.c.account, breakers.c.closed_at.is_(None)))
        .where(modes.c.account == account)
    ).one_or_none()
    if row is None:
        return ModeRow(account=account, mode=Mode.SHADOW, changed_by=None, why=None, changed_at=None)
    return ModeRow(
        account=row.account,
        mode=Mode(row.mode),
        changed_by=row.changed_by,
        why=row.why,
        changed_at=row.changed_at,
        breaker_open_since=row.opened_at,
    )


def write(connection: Connection, account: str, mode: Mode, *, by: str, why: str | None) -> None:
    """Sets the account's mode."""
    row = {"account": account, "mode": mode.value, "changed_by": by, "why": why}
    connection.execute(
        insert(modes)
        .values(row)
        .on_conflict_do_update(index_elements=["account"], set_={**row, "changed_at": sa.func.clock_timestamp()})
    )
