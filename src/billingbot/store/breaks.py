"""Breaks: one row per account, kind and object; what a second pass finds again is the same break."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.books.breaks import UNSETTLED, Break, BreakKind, BreakState, Mismatch, Side
from billingbot.store.schema import breaks

_NOW = sa.func.clock_timestamp()


def note(
    connection: Connection, break_id: str, *, account: str, livemode: bool, pass_id: str | None, what: Mismatch
) -> Break:
    """Writes the break down, new under `break_id` or as the one there was, and holds it until the transaction ends.

    One that was settled is open again; but what a person has dealt with in a case and has not changed since stays
    settled.
    """
    sides = _columns_of(what)
    values = {**sides, "charge_id": what.charge_id, "refund_id": what.refund_id, "pass_id": pass_id}
    key = {"account": account, "kind": what.kind, "object_id": what.object_id}
    connection.execute(
        insert(breaks)
        .values(id=break_id, livemode=livemode, state=BreakState.OPEN, **key, **values)
        .on_conflict_do_nothing(index_elements=["account", "kind", "object_id"])
    )
    row = connection.execute(
        sa.select(breaks).where(*(breaks.c[name] == value for name, value in key.items())).with_for_update()
    ).one()
    changed = any(row._mapping[name] != value for name, value in sides.items())
    values["last_seen_at"] = _NOW
    if row.state == BreakState.SETTLED and (row.case_id is None or changed):
        values |= {"state": BreakState.OPEN, "settled_at": None, "how": None, "case_id": None}
    return _change(connection, row.id, values)


def get(connection: Connection, account: str, kind: BreakKind, object_id: str) -> Break | None:
    """The break of this object, locked until the transaction ends, if there is one."""
    row = connection.execute(
        sa.select(breaks)
        .where(breaks.c.account == account, breaks.c.kind == kind, breaks.c.object_id == object_id)
        .with_for_update()
    ).one_or_none()
    return from_row(row) if row else None


def lock(connection: Connection, break_id: str) -> Break:
    """The break, locked until the transaction ends."""
    return from_row(connection.execute(sa.select(breaks).where(breaks.c.id == break_id).with_for_update()).one())


def settle(connection: Connection, found: Break, *, how: str) -> Break:
    """Ends a locked break."""
    return _change(connection, found.id, {"state": BreakState.SETTLED, "how": how, "settled_at": _NOW})


def hand_over(connection: Connection, found: Break, *, case_id: str) -> Break:
    """Notes which case a locked break is with."""
    return _change(connection, found.id, {"state": BreakState.CASE, "case_id": case_id, "how": None})


def leave_open(connection: Connection, found: Break, *, why: str) -> Break:
    """Notes why a locked break could not be settled yet."""
    return _change(connection, found.id, {"how": why})


def unseen(connection: Connection, account: str, *, since: datetime, after: str | None, limit: int) -> Sequence[Break]:
    """Breaks that are not settled and were not met since, in the order of their ids."""
    query = sa.select(breaks).where(
        breaks.c.account == account, breaks.c.state.in_(UNSETTLED), breaks.c.last_seen_at < since
    )
    if after is not None:
        query = query.where(breaks.c.id > after)
    return [from_row(row) for row in connection.execute(query.order_by(breaks.c.id).limit(limit))]


def _change(connection: Connection, break_id: str, values: dict[str, Any]) -> Break:
    row = connection.execute(breaks.update().where(breaks.c.id == break_id).values(**values).returning(breaks)).one()
    return from_row(row)


def _columns_of(what: Mismatch) -> dict[str, Any]:
    return {
        "expected_minor": what.expected.amount_minor,
        "expected_currency": what.expected.currency,
        "expected_status": what.expected.status,
        "found_minor": what.found.amount_minor,
        "found_currency": what.found.currency,
        "found_status": what.found.status,
    }


def from_row(row: sa.Row[Any]) -> Break:
    """The break that a row of the table is."""
    return Break(
        id=row.id,
        account=row.account,
        livemode=row.livemode,
        what=Mismatch(
            kind=BreakKind(row.kind),
            object_id=row.object_id,
            charge_id=row.charge_id,
            refund_id=row.refund_id,
            expected=Side(amount_minor=row.expected_minor, currency=row.expected_currency, status=row.expected_status),
            found=Side(amount_minor=row.found_minor, currency=row.found_currency, status=row.found_status),
        ),
        state=BreakState(row.state),
        how=row.how,
        case_id=row.case_id,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        settled_at=row.settled_at,
    )
