"""Reading cases: the human queue, lists by any property, and the page of one case with all that belongs to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.aftercare import Cancellation
from billingbot.core.case import Case, CaseState
from billingbot.core.decision import Decision, Priority
from billingbot.core.errors import InputError
from billingbot.core.facts import Facts
from billingbot.core.ids import Kind, is_id
from billingbot.core.ledger import Entry
from billingbot.core.letter import Letter
from billingbot.core.restore import restore_decision, restore_facts
from billingbot.store import approvals as approval_rows
from billingbot.store import cancellations as cancellation_rows
from billingbot.store import cases as case_rows
from billingbot.store import comments as comment_rows
from billingbot.store import decisions as decision_rows
from billingbot.store import letters as letter_rows
from billingbot.store import notes as note_rows
from billingbot.store import requests as request_rows
from billingbot.store.approvals import FirstApproval
from billingbot.store.schema import cancellations, cases, decisions, disputes, ledger_entries, refunds
from billingbot.store.views.disputes import DisputeLine, disputes_of_charge
from billingbot.store.views.ledger import entry_of
from billingbot.store.views.paging import PAGE_ROWS, Page, cut, newest_first, pack, unpack
from billingbot.store.views.refunds import RefundLine, refunds_of_case

_FIELDS: Final = tuple(Case.__slots__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFilter:
    """Which cases to show: all properties that are set must hold. `unassigned` asks for cases in nobody's hands."""

    state: CaseState | None = None
    account: str | None = None
    assignee: str | None = None
    unassigned: bool = False
    charge_id: str | None = None
    customer_id: str | None = None
    reason: str | None = None
    priority: Priority | None = None
    snoozed: bool | None = None
    """Only cases that are put off now, or only those that are not."""


WAITING: Final = CaseFilter(state=CaseState.REVIEW)
"""The human queue: every case that waits for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionLine:
    """One verdict on a case, without its trace. `purpose` is assess or before_pay."""

    id: str
    purpose: str
    outcome: str
    rule: str
    reason: str
    clause: str | None
    recommendation: str
    facts_digest: str
    policy_digest: str
    decision_digest: str
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePage:
    """Everything about one case. `decision` and `facts` are those that the case stands on now, None before the first.

    `decisions` are all verdicts, `joined` the cases whose requests turned out to belong here, both oldest first.
    """

    case: Case
    recheck_at: datetime | None
    """When the machine will look again for missing evidence by itself."""
    rechecks: int
    requests: tuple[request_rows.Request, ...]
    decision: Decision | None
    facts: Facts | None
    decisions: tuple[DecisionLine, ...]
    refunds: tuple[RefundLine, ...]
    cancellations: tuple[Cancellation, ...]
    notes: tuple[note_rows.Note, ...]
    joined: tuple[str, ...]
    timeline: tuple[Entry, ...]
    disputes: tuple[DisputeLine, ...] = ()
    """What banks ask and take of the charge, oldest first."""
    letters: tuple[Letter, ...] = ()
    """Replies that were sent to the customer, oldest first."""
    comments: tuple[comment_rows.Comment, ...] = ()
    """What the customer wrote when cancelling, where that asks for money back."""
    first_approval: FirstApproval | None = None
    """Where a large refund has been approved by one person, and waits for another."""


def queue(
    connection: Connection, filters: CaseFilter = WAITING, *, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[Case]:
    """Cases by these filters: those in review by due time, then priority; any other choice newest first.

    Raises InputError for a cursor that is none.
    """
    query = sa.select(*(cases.c[name] for name in _FIELDS)).where(*_conditions(filters))
    if filters.state is CaseState.REVIEW:
        return _by_due_time(connection, query, after=after, limit=limit)
    return newest_first(connection, query, cases.c.id, case_rows.case_of, after=after, limit=limit)


def case_page(connection: Connection, case_id: str) -> CasePage:
    """The case with its requests, facts, verdicts, refunds, notes and history. Raises NotFoundError."""
    case = case_rows.get(connection, case_id)
    looks = connection.execute(sa.select(cases.c.recheck_at, cases.c.rechecks).where(cases.c.id == case_id)).one()
    stored = decision_rows.get(connection, case.decision_id) if case.decision_id else None
    return CasePage(
        case=case,
        recheck_at=looks.recheck_at,
        rechecks=looks.rechecks,
        requests=tuple(request_rows.of_case(connection, case_id)),
        decision=restore_decision(stored.decision) if stored else None,
        facts=restore_facts(stored.facts) if stored else None,
        decisions=_decisions(connection, case_id),
        refunds=refunds_of_case(connection, case_id),
        cancellations=tuple(cancellation_rows.of_case(connection, case_id)),
        notes=tuple(note_rows.of_case(connection, case_id)),
        joined=_joined(connection, case_id),
        timeline=tuple(timeline(connection, case_id)),
        disputes=disputes_of_charge(connection, case.account, case.charge_id) if case.charge_id else (),
        letters=letter_rows.of_case(connection, case_id),
        comments=_comments(connection, case),
        first_approval=approval_rows.waiting(connection, case_id),
    )


def timeline(connection: Connection, case_id: str) -> Sequence[Entry]:
    """The ledger's entries about the case, its refunds, cancellations and disputes, in the order they were written."""
    # One list of subjects, each looked up in the index: conditions joined by "or" would read the whole ledger.
    subjects = sa.union_all(
        sa.select(sa.literal(case_id)),
        sa.select(refunds.c.id).where(refunds.c.case_id == case_id),
        sa.select(cancellations.c.id).where(cancellations.c.case_id == case_id),
        sa.select(disputes.c.dispute_id).where(disputes.c.case_id == case_id),
    )
    query = sa.select(ledger_entries).where(ledger_entries.c.subject.in_(subjects))
    return [entry_of(row) for row in connection.execute(query.order_by(ledger_entries.c.seq))]


def _by_due_time(connection: Connection, query: sa.Select[Any], *, after: str | None, limit: int) -> Page[Case]:
    rank = case_rows.urgency()
    # A review without a due time would be a bug, and must not fall out of sight for it.
    due = sa.func.coalesce(cases.c.due_at, sa.literal("infinity", sa.DateTime(timezone=True)))
    if after is not None:
        due_at, at, case_id = _position(after)
        query = query.where(sa.tuple_(due, rank, cases.c.id) > sa.tuple_(due_at, at, case_id))
    rows = connection.execute(query.order_by(due, rank, cases.c.id).limit(limit + 1)).all()
    return cut(
        rows,
        limit,
        case_rows.case_of,
        lambda row: pack(_instant(row.due_at), case_rows.RANK[Priority(row.priority)], row.id),
    )


def _instant(at: datetime | None) -> str:
    return at.isoformat() if at else "infinity"


def _position(after: str) -> tuple[Any, int, str]:
    """Where the page before ended. InputError where the cursor is none of ours."""
    text, at, case_id = unpack(after, str, int, str)
    try:
        when = "infinity" if text == "infinity" else datetime.fromisoformat(text).isoformat()
    except ValueError:
        when = ""
    if not when or not is_id(Kind.CASE, case_id) or at not in range(len(case_rows.RANK) + 1):
        raise InputError("after", "expected the cursor of an earlier page, unchanged")
    return sa.cast(when, sa.DateTime(timezone=True)), at, case_id


def _conditions(filters: CaseFilter) -> list[sa.ColumnElement[bool]]:
    wanted = {
        cases.c.state: filters.state.value if filters.state else None,
        cases.c.account: filters.account,
        cases.c.assignee: filters.assignee,
        cases.c.charge_id: filters.charge_id,
        cases.c.customer_id: filters.customer_id,
        cases.c.reason: filters.reason,
        cases.c.priority: filters.priority.value if filters.priority else None,
    }
    conditions: list[sa.ColumnElement[bool]] = [
        column == value for column, value in wanted.items() if value is not None
    ]
    if filters.unassigned:
        conditions.append(cases.c.assignee.is_(None))
    if filters.snoozed is not None:
        asleep = cases.c.snoozed_until > sa.func.clock_timestamp()
        conditions.append(asleep.is_(True) if filters.snoozed else asleep.is_not(True))
    return conditions


def _comments(connection: Connection, case: Case) -> tuple[comment_rows.Comment, ...]:
    """Those read on this case, and those on its subscription that are read on none."""
    kept = comment_rows.kept(connection, case.account, case.subscription_id) if case.subscription_id else ()
    return (*comment_rows.of_case(connection, case.id), *kept)


def _decisions(connection: Connection, case_id: str) -> tuple[DecisionLine, ...]:
    columns = [decisions.c[name] for name in DecisionLine.__slots__]
    rows = connection.execute(
        sa.select(*columns).where(decisions.c.case_id == case_id).order_by(decisions.c.decided_at, decisions.c.id)
    )
    return tuple(DecisionLine(**row._mapping) for row in rows)


def _joined(connection: Connection, case_id: str) -> tuple[str, ...]:
    query = sa.select(cases.c.id).where(cases.c.joined_case_id == case_id).order_by(cases.c.id)
    return tuple(connection.execute(query).scalars().all())
