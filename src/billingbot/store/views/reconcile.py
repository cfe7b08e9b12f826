"""Reading what reconcile found: breaks, passes, and how well Stripe and our books agree right now."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.books.breaks import UNSETTLED, Break, BreakKind, BreakState, Pass
from billingbot.store import breaks as stored_breaks
from billingbot.store import passes as stored_passes
from billingbot.store.schema import breaks, reconcile_passes
from billingbot.store.views.paging import PAGE_ROWS, Page, newest_first

_NOW = sa.func.clock_timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakFilter:
    """Which breaks: all that are set must hold. `since` and `until` bound when each was first seen."""

    account: str | None = None
    kind: BreakKind | None = None
    state: BreakState | None = None
    unsettled: bool = False
    charge_id: str | None = None
    case_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How Stripe and our books stand. Ages in seconds."""

    unsettled: Mapping[BreakKind, int]
    """Breaks by kind; a kind without any is not there."""
    oldest_seconds: Mapping[BreakKind, float]
    """Since the oldest of that kind that is not settled was first seen."""
    open: int
    """Breaks that nobody has yet: neither settled nor with a person."""
    last_whole_seconds: Mapping[str, float]
    """By account, since its last pass by the schedule was whole; an account that never had one is not there."""


ALL: Final = BreakFilter()


def break_list(
    connection: Connection, filters: BreakFilter = ALL, *, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[Break]:
    """Breaks by these filters, the one first seen last first. InputError for a bad cursor."""
    query = sa.select(breaks).where(*_conditions(filters))
    return newest_first(connection, query, breaks.c.id, stored_breaks.from_row, after=after, limit=limit)


def pass_list(
    connection: Connection, *, account: str | None = None, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[Pass]:
    """Passes, newest first. InputError for a bad cursor."""
    query = stored_passes.select()
    if account is not None:
        query = query.where(reconcile_passes.c.account == account)
    return newest_first(connection, query, reconcile_passes.c.id, stored_passes.from_row, after=after, limit=limit)


def agreement(connection: Connection) -> Agreement:
    """Everything that gauges and the doctor tell of reconcile."""
    age = sa.func.extract("epoch", _NOW - sa.func.min(breaks.c.first_seen_at))
    in_nobodys_hands = sa.func.count().filter(breaks.c.state == BreakState.OPEN)
    rows = connection.execute(
        sa.select(breaks.c.kind, sa.func.count(), age, in_nobodys_hands)
        .where(breaks.c.state.in_(UNSETTLED))
        .group_by(breaks.c.kind)
    ).all()
    whole = connection.execute(
        sa.select(
            reconcile_passes.c.account,
            sa.func.extract("epoch", _NOW - sa.func.max(reconcile_passes.c.finished_at)),
        )
        .where(reconcile_passes.c.scheduled, reconcile_passes.c.finished_at.is_not(None))
        .group_by(reconcile_passes.c.account)
    )
    return Agreement(
        unsettled={BreakKind(kind): count for kind, count, _, _ in rows},
        oldest_seconds={BreakKind(kind): float(seconds) for kind, _, seconds, _ in rows},
        open=sum(row[3] for row in rows),
        last_whole_seconds={account: float(seconds) for account, seconds in whole},
    )


def _conditions(filters: BreakFilter) -> list[sa.ColumnElement[bool]]:
    wanted: dict[str, Any] = {
        name: getattr(filters, name) for name in ("account", "kind", "state", "charge_id", "case_id")
    }
    conditions: list[sa.ColumnElement[bool]] = [
        breaks.c[name] == value for name, value in wanted.items() if value is not None
    ]
    if filters.unsettled:
        conditions.append(breaks.c.state.in_(UNSETTLED))
    if filters.since is not None:
        conditions.append(breaks.c.first_seen_at >= filters.since)
    if filters.until is not None:
        conditions.append(breaks.c.first_seen_at < filters.until)
    return conditions
