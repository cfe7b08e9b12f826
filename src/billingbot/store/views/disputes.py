"""Reading disputes: the list by deadline, and one dispute with its charge's refunds, other disputes and history."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.case import CaseState
from billingbot.core.disputes.life import Answering, DisputeKind, DisputeOutcome, answering
from billingbot.core.errors import InputError, NotFoundError
from billingbot.core.evidence.dossier import Dispute
from billingbot.core.ledger import Entry
from billingbot.store import database
from billingbot.store.disputes import KnownDispute, known
from billingbot.store.schema import cases, disputes, ledger_entries
from billingbot.store.views.ledger import entry_of
from billingbot.store.views.paging import PAGE_ROWS, Page, cut, pack, unpack
from billingbot.store.views.refunds import RefundFilter, RefundLine, refund_log

_LAST: Final = "infinity"
# Stripe lets the refunds of a charge never exceed it: there are few.
_MOST_REFUNDS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeLine:
    """A dispute as we last read it, where its answer stands now, and who has its case."""

    account: str
    dispute: Dispute
    kind: DisputeKind
    outcome: DisputeOutcome | None
    answering: Answering
    case_id: str | None
    case_state: CaseState | None
    assignee: str | None
    closed_at: datetime | None
    """When we learnt how it ended."""
    missed_at: datetime | None
    """When we saw that its deadline had passed without an answer."""
    looked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFilter:
    """Which disputes to show: all that are set must hold.

    `open` asks for those that have not ended, or with False for those that have; `due_before` for open ones that
    are due before then; `missed` for those whose deadline passed without an answer, however they ended.
    """

    account: str | None = None
    kind: DisputeKind | None = None
    status: str | None = None
    reason: str | None = None
    outcome: DisputeOutcome | None = None
    charge_id: str | None = None
    case_id: str | None = None
    open: bool | None = None
    unassigned: bool = False
    missed: bool = False
    due_before: datetime | None = None


ALL_DISPUTES: Final = DisputeFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputePage:
    """One dispute with what belongs to it: the charge's other disputes and its refunds, and what the ledger tells."""

    line: DisputeLine
    others: tuple[DisputeLine, ...]
    refunds: tuple[RefundLine, ...]
    timeline: tuple[Entry, ...]


def dispute_list(
    connection: Connection, filters: DisputeFilter = ALL_DISPUTES, *, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[DisputeLine]:
    """Disputes by these filters: what is due first comes first, what is due never comes last. InputError for a bad
    cursor.
    """
    query = _select().where(*_conditions(filters))
    # Those that ended wait for nobody, whatever was due once: where all have, it is their key that orders them.
    awaited = sa.case((disputes.c.outcome.is_(None), disputes.c.due_by))
    due = sa.func.coalesce(awaited, sa.literal(_LAST, sa.DateTime(timezone=True)))
    key = (disputes.c.account, disputes.c.dispute_id)
    has_ended = filters.open is False or filters.outcome is not None
    order = key if has_ended else (due, *key)
    if after is not None:
        position = _position(after)
        query = query.where(sa.tuple_(*order) > sa.tuple_(*(position[1:] if has_ended else position)))
    if limit < 1:
        raise InputError("limit", "expected at least 1")
    now = database.now(connection)
    rows = connection.execute(query.order_by(*order).limit(limit + 1)).all()
    return cut(rows, limit, lambda row: _line(row, now), _cursor)


def dispute_page(connection: Connection, dispute_id: str, *, account: str | None = None) -> DisputePage:
    """One dispute by Stripe's id. NotFoundError where we have read none; InputError where two accounts have it."""
    query = _select().where(disputes.c.dispute_id == dispute_id)
    if account is not None:
        query = query.where(disputes.c.account == account)
    rows = connection.execute(query).all()
    if not rows:
        raise NotFoundError(f"dispute {dispute_id}: none is known")
    if len(rows) > 1:
        raise InputError("account", f"expected one of {', '.join(sorted(row.account for row in rows))}")
    line = _line(rows[0], database.now(connection))
    of_charge = disputes_of_charge(connection, line.account, line.dispute.charge_id)
    paid = refund_log(
        connection, RefundFilter(account=line.account, charge_id=line.dispute.charge_id), limit=_MOST_REFUNDS
    )
    entries = connection.execute(
        sa.select(ledger_entries)
        .where(ledger_entries.c.subject == dispute_id, ledger_entries.c.account == line.account)
        .order_by(ledger_entries.c.seq)
    )
    return DisputePage(
        line=line,
        others=tuple(one for one in of_charge if one.dispute.id != dispute_id),
        refunds=paid.items,
        timeline=tuple(entry_of(row) for row in entries),
    )


def disputes_of_charge(connection: Connection, account: str, charge_id: str) -> tuple[DisputeLine, ...]:
    """All disputes of a charge that we have read, oldest first."""
    query = _select().where(disputes.c.account == account, disputes.c.charge_id == charge_id)
    now = database.now(connection)
    rows = connection.execute(query.order_by(disputes.c.created_at, disputes.c.dispute_id))
    return tuple(_line(row, now) for row in rows)


def _select(*more: Any) -> sa.Select[Any]:
    return (
        sa.select(disputes, cases.c.state.label("case_state"), cases.c.assignee, *more)
        .select_from(disputes.outerjoin(cases, cases.c.id == disputes.c.case_id))
        .where(disputes.c.kind.is_not(None))
    )


def _conditions(filters: DisputeFilter) -> list[sa.ColumnElement[bool]]:
    names = ("account", "kind", "status", "reason", "outcome", "charge_id", "case_id")
    wanted = {name: getattr(filters, name) for name in names}
    conditions: list[sa.ColumnElement[bool]] = [
        disputes.c[name] == value for name, value in wanted.items() if value is not None
    ]
    if filters.open is not None:
        conditions.append(disputes.c.outcome.is_(None) if filters.open else disputes.c.outcome.is_not(None))
    if filters.unassigned:
        conditions.append(cases.c.assignee.is_(None))
    if filters.missed:
        conditions.append(disputes.c.missed_at.is_not(None))
    if filters.due_before is not None:
        conditions += [disputes.c.outcome.is_(None), disputes.c.due_by < filters.due_before]
    return conditions


def _line(row: sa.Row[Any], now: datetime) -> DisputeLine:
    found: KnownDispute = known(row)
    return DisputeLine(
        account=found.account,
        dispute=found.dispute,
        kind=found.kind,
        outcome=found.outcome,
        answering=answering(found.dispute, now),
        case_id=found.case_id,
        case_state=CaseState(row.case_state) if row.case_state else None,
        assignee=row.assignee,
        closed_at=found.closed_at,
        missed_at=found.missed_at,
        looked_at=found.looked_at,
    )


def _cursor(row: sa.Row[Any]) -> str:
    due = row.due_by if row.outcome is None else None
    return pack(due.isoformat() if due else _LAST, row.account, row.dispute_id)


def _position(after: str) -> tuple[Any, str, str]:
    text, account, dispute_id = unpack(after, str, str, str)
    try:
        when = _LAST if text == _LAST else datetime.fromisoformat(text).isoformat()
    except ValueError:
        when = ""
    if not when or "\x00" in account + dispute_id:
        raise InputError("after", "expected the cursor of an earlier page, unchanged")
    return sa.cast(when, sa.DateTime(timezone=True)), account, dispute_id
