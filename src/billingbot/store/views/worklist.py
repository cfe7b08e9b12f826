"""The worklist: the queue as people work it, by filters, with who is on it, sums that follow, and counts by tab."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.case import Case, CaseState
from billingbot.core.decision import Priority
from billingbot.core.disputes.life import APPEAL, BY_STRIPE, WANTS_ANSWER
from billingbot.core.errors import InputError
from billingbot.core.evidence.dossier import DISPUTE_STATUSES
from billingbot.core.ids import Kind, is_id
from billingbot.store import cases as case_rows
from billingbot.store import mentions as mention_rows
from billingbot.store import visits
from billingbot.store.schema import cases, disputes, mentions, notes
from billingbot.store.views.paging import PAGE_ROWS, Page, cut, pack, unpack
from billingbot.store.visits import Visitor

MOST_COUNTED: Final = 1000
"""Beyond this a tab says "1,000+": nobody works through more, and counting on would cost what looking does not."""

_NOW: Final = sa.func.clock_timestamp()
_ASLEEP: Final = sa.and_(cases.c.snoozed_until.is_not(None), cases.c.snoozed_until > _NOW)
_OVERDUE: Final = cases.c.due_at < _NOW
# As `core.disputes.life.answering` tells: answered, so that the bank's deadline is no more.
_WITH_BANK: Final = sa.or_(
    sa.and_(disputes.c.status.in_(DISPUTE_STATUSES), disputes.c.status.not_in(WANTS_ANSWER)),
    sa.and_(
        disputes.c.status != APPEAL,
        sa.or_(disputes.c.submission_count > 0, sa.func.coalesce(disputes.c.submission_method, "") == BY_STRIPE),
    ),
)
_FIELDS: Final = tuple(Case.__slots__)


class Shown(StrEnum):
    """Which part of the work."""

    WAITING = "waiting"
    SNOOZED = "snoozed"
    CLOSED = "closed"
    """Since `WorkFilter.closed_since`."""


class Who(StrEnum):
    """In whose hands."""

    ANYBODY = "anybody"
    MINE = "mine"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkFilter:
    """Which cases: all that are set must hold. `me` is who looks; `amount_from_minor` wants a currency beside it."""

    me: str
    closed_since: datetime
    shown: Shown = Shown.WAITING
    who: Who = Who.ANYBODY
    account: str | None = None
    reason: str | None = None
    priority: Priority | None = None
    amount_from_minor: int | None = None
    currency: str | None = None
    overdue: bool = False
    disputed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLine:
    """One case in the list. `bank_due_by` is the earliest deadline of a bank that waits for an answer."""

    case: Case
    bank_due_by: datetime | None
    visitors: tuple[Visitor, ...]
    """Who has it open right now, whoever looks themselves not among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallies:
    """How many cases each tab has, at most MOST_COUNTED + 1; and what the chosen list comes to in each currency."""

    waiting: int
    mine: int
    nobody: int
    overdue: int
    snoozed: int
    closed: int
    mentions: int
    sums: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What there is to choose from in the filters: what the cases that wait have."""

    accounts: tuple[str, ...]
    reasons: tuple[str, ...]
    currencies: tuple[str, ...]


def worklist(
    connection: Connection, filters: WorkFilter, *, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[WorkLine]:
    """What waits by due time, then urgency; what was closed newest first. InputError for a bad cursor or filter."""
    bank = (
        sa.select(sa.func.min(disputes.c.due_by))
        .where(disputes.c.account == cases.c.account, disputes.c.charge_id == cases.c.charge_id)
        .where(disputes.c.kind.is_not(None), disputes.c.outcome.is_(None), ~_WITH_BANK)
        .scalar_subquery()
    )
    query = sa.select(*(cases.c[name] for name in _FIELDS), bank.label("bank_due_by")).where(*conditions(filters))
    if filters.shown is Shown.CLOSED:
        found = _newest_closed(connection, query, after=after, limit=limit)
    else:
        found = _by_due_time(connection, query, after=after, limit=limit)
    there = visits.at_cases(connection, [line.case.id for line in found.items])
    lines = (replace(line, visitors=_others(there.get(line.case.id, ()), filters.me)) for line in found.items)
    return Page(items=tuple(lines), next=found.next)


def tallies(connection: Connection, filters: WorkFilter) -> Tallies:
    """Counts by tab under the other filters, and the sums of the chosen list, by currency."""
    everything = replace(filters, shown=Shown.WAITING, who=Who.ANYBODY, overdue=False)
    open_ones = (
        sa.select(cases.c.assignee, _ASLEEP.label("asleep"), _OVERDUE.label("late"))
        .where(cases.c.state == CaseState.REVIEW, *_narrowed(everything))
        .limit(10 * MOST_COUNTED)
        .subquery()
    )
    awake = ~open_ones.c.asleep

    def how_many(*wanted: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.least(sa.func.count().filter(sa.and_(*wanted)), MOST_COUNTED + 1)

    row = connection.execute(
        sa.select(
            how_many(awake).label("waiting"),
            how_many(awake, open_ones.c.assignee == filters.me).label("mine"),
            how_many(awake, open_ones.c.assignee.is_(None)).label("nobody"),
            how_many(awake, open_ones.c.late).label("overdue"),
            how_many(open_ones.c.asleep).label("snoozed"),
        ).select_from(open_ones)
    ).one()
    closed = sa.select(sa.literal(1)).where(*conditions(replace(everything, shown=Shown.CLOSED)))
    count = sa.select(sa.func.count()).select_from(closed.limit(MOST_COUNTED + 1).subquery())
    return Tallies(
        **row._mapping,
        closed=int(connection.execute(count).scalar_one()),
        mentions=mention_rows.unseen(connection, filters.me),
        sums=_sums(connection, filters),
    )


def choices(connection: Connection) -> Choices:
    """The accounts, reasons and currencies of cases that wait, for the filters to offer."""
    some = sa.select(cases.c.account, cases.c.reason, cases.c.currency).where(cases.c.state == CaseState.REVIEW)
    found = connection.execute(sa.select(some.limit(10 * MOST_COUNTED).subquery()).distinct()).all()
    return Choices(
        accounts=_sorted(row.account for row in found),
        reasons=_sorted(row.reason for row in found),
        currencies=_sorted(row.currency for row in found),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MentionLine:
    """A note that names somebody."""

    case_id: str
    author: str
    text: str
    named_at: datetime
    seen_at: datetime | None


def mention_list(connection: Connection, person: str, *, limit: int = PAGE_ROWS) -> Sequence[MentionLine]:
    """The notes that name this person: what they have not seen first, then newest first."""
    query = (
        sa.select(mentions.c.case_id, notes.c.author, notes.c.text, mentions.c.named_at, mentions.c.seen_at)
        .join(notes, notes.c.id == mentions.c.note_id)
        .where(mentions.c.person == person)
        .order_by(mentions.c.seen_at.is_not(None), mentions.c.named_at.desc())
        .limit(limit)
    )
    return [MentionLine(**row._mapping) for row in connection.execute(query)]


def conditions(filters: WorkFilter) -> list[sa.ColumnElement[bool]]:
    """The filter as conditions on `cases`. InputError for an amount without its currency."""
    match filters.shown:
        case Shown.WAITING:
            part = [cases.c.state == CaseState.REVIEW, ~sa.func.coalesce(_ASLEEP, sa.false())]
        case Shown.SNOOZED:
            part = [cases.c.state == CaseState.REVIEW, _ASLEEP]
        case Shown.CLOSED:
            part = [cases.c.state == CaseState.CLOSED, cases.c.closed_at >= filters.closed_since]
    return [*part, *_narrowed(filters)]


def _narrowed(filters: WorkFilter) -> list[sa.ColumnElement[bool]]:
    if filters.amount_from_minor is not None and filters.currency is None:
        raise InputError("currency", "expected one beside the amount: amounts of different currencies do not compare")
    wanted: Mapping[sa.Column[Any], object] = {
        cases.c.account: filters.account,
        cases.c.reason: filters.reason,
        cases.c.priority: filters.priority.value if filters.priority else None,
        cases.c.currency: filters.currency,
        cases.c.assignee: filters.me if filters.who is Who.MINE else None,
    }
    found: list[sa.ColumnElement[bool]] = [column == value for column, value in wanted.items() if value is not None]
    if filters.who is Who.NOBODY:
        found.append(cases.c.assignee.is_(None))
    if filters.amount_from_minor is not None:
        found.append(cases.c.amount_minor >= filters.amount_from_minor)
    if filters.overdue:
        found.append(_OVERDUE)
    if filters.disputed:
        found.append(
            sa.exists().where(
                disputes.c.account == cases.c.account,
                disputes.c.charge_id == cases.c.charge_id,
                disputes.c.outcome.is_(None),
            )
        )
    return found


def _sums(connection: Connection, filters: WorkFilter) -> tuple[tuple[str, int], ...]:
    some = (
        sa.select(cases.c.currency, cases.c.amount_minor)
        .where(*conditions(filters), cases.c.currency.is_not(None))
        .limit(10 * MOST_COUNTED)
        .subquery()
    )
    query = sa.select(some.c.currency, sa.func.sum(some.c.amount_minor).label("total"))
    rows = connection.execute(query.group_by(some.c.currency).order_by(sa.desc("total")))
    return tuple((row.currency, int(row.total)) for row in rows)


def _by_due_time(connection: Connection, query: sa.Select[Any], *, after: str | None, limit: int) -> Page[WorkLine]:
    urgency = case_rows.urgency()
    if after is not None:
        text, at, case_id = unpack(after, str, int, str)
        due = _instant(text)
        if not is_id(Kind.CASE, case_id):
            raise _bad_cursor()
        behind = sa.tuple_(urgency, cases.c.id) > sa.tuple_(at, case_id)
        if due is None:
            query = query.where(cases.c.due_at.is_(None), behind)
        else:
            same = sa.and_(cases.c.due_at == due, behind)
            query = query.where(sa.or_(cases.c.due_at > due, same, cases.c.due_at.is_(None)))
    order = (cases.c.due_at.asc().nulls_last(), urgency, cases.c.id)
    rows = connection.execute(query.order_by(*order).limit(limit + 1)).all()

    def cursor(row: sa.Row[Any]) -> str:
        due_at = row.due_at.isoformat() if row.due_at else ""
        return pack(due_at, case_rows.RANK[Priority(row.priority)], row.id)

    return cut(rows, limit, _line, cursor)


def _newest_closed(connection: Connection, query: sa.Select[Any], *, after: str | None, limit: int) -> Page[WorkLine]:
    if after is not None:
        text, case_id = unpack(after, str, str)
        at = _instant(text)
        if at is None or not is_id(Kind.CASE, case_id):
            raise _bad_cursor()
        query = query.where(sa.tuple_(cases.c.closed_at, cases.c.id) < sa.tuple_(at, case_id))
    ordered = query.order_by(cases.c.closed_at.desc(), cases.c.id.desc())
    rows = connection.execute(ordered.limit(limit + 1)).all()
    return cut(rows, limit, _line, lambda row: pack(row.closed_at.isoformat(), row.id))


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise _bad_cursor() from None
    if at.tzinfo is None:
        raise _bad_cursor()
    return at


def _bad_cursor() -> InputError:
    return InputError("after", "expected the cursor of an earlier page, unchanged")


def _line(row: sa.Row[Any]) -> WorkLine:
    return WorkLine(case=case_rows.case_of(row), bank_due_by=row.bank_due_by, visitors=())


def _others(there: Sequence[Visitor], me: str) -> tuple[Visitor, ...]:
    return tuple(visitor for visitor in there if visitor.person != me)


def _sorted(values: Any) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))
