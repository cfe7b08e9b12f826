"""Deadlines that people have not been told of: of cases that wait for them, and of answers that banks wait for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.case import CaseState
from billingbot.core.notice import NoticeKind
from billingbot.store.schema import cases, disputes, notices

_NOW = sa.func.clock_timestamp()
# A case takes minutes: who hears four hours ahead can still plan it into the day.
CASE_NEAR: Final = timedelta(hours=4)
# An answer to a bank wants papers from several people: three days have a working day in them, over a weekend too.
DISPUTE_NEAR: Final = timedelta(days=3)
# What was opened or missed longer ago is no news: after a downtime, or where notices are new.
_NEWS: Final = timedelta(days=1)
# A minute has some; a bad night is told of within a few of them.
_MOST_AT_ONCE: Final = 200
_AWAITED: Final = ("needs_response", "warning_needs_response")


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A case that waits for a person."""

    id: str
    account: str
    reason: str | None
    amount_minor: int | None
    currency: str | None
    due_at: datetime | None
    is_taken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDispute:
    """A dispute that can still be answered, and to which no answer has gone."""

    id: str
    account: str
    amount_minor: int | None
    currency: str | None
    due_by: datetime


def cases_waiting(connection: Connection, *, untold: NoticeKind) -> Sequence[Due]:
    """Cases of the last day that wait for a person, and of which there is no notice of this kind."""
    query = _cases().where(cases.c.opened_at > _NOW - _NEWS, ~_told(untold, cases.c.id))
    return [Due(**row._mapping) for row in connection.execute(query.order_by(cases.c.id).limit(_MOST_AT_ONCE))]


def cases_due(connection: Connection, *, untold: NoticeKind) -> Sequence[Due]:
    """Cases whose deadline is near, or for DEADLINE_MISSED just over, and that were not told of for that deadline."""
    missed = untold is NoticeKind.DEADLINE_MISSED
    within = cases.c.due_at.between(_NOW - _NEWS, _NOW) if missed else cases.c.due_at.between(_NOW, _NOW + CASE_NEAR)
    # A deadline that has moved since is another one.
    since = cases.c.due_at if missed else cases.c.due_at - CASE_NEAR
    query = _cases().where(within, ~_told(untold, cases.c.id, since=since))
    return [Due(**row._mapping) for row in connection.execute(query.order_by(cases.c.due_at).limit(_MOST_AT_ONCE))]


def disputes_due(connection: Connection, *, untold: NoticeKind) -> Sequence[DueDispute]:
    """Disputes that must be answered soon and were not told of for that deadline."""
    rows = connection.execute(
        sa.select(
            disputes.c.dispute_id.label("id"),
            disputes.c.account,
            disputes.c.amount_minor,
            disputes.c.currency,
            disputes.c.due_by,
        )
        .where(disputes.c.outcome.is_(None), disputes.c.due_by.between(_NOW, _NOW + DISPUTE_NEAR))
        .where(disputes.c.status.in_(_AWAITED), sa.func.coalesce(disputes.c.submission_count, 0) == 0)
        .where(~_told(untold, disputes.c.dispute_id, since=disputes.c.due_by - DISPUTE_NEAR))
        .order_by(disputes.c.due_by)
        .limit(_MOST_AT_ONCE)
    )
    return [DueDispute(**row._mapping) for row in rows]


def _cases() -> sa.Select[Any]:
    return sa.select(
        cases.c.id,
        cases.c.account,
        cases.c.reason,
        cases.c.amount_minor,
        cases.c.currency,
        cases.c.due_at,
        cases.c.assignee.is_not(None).label("is_taken"),
    ).where(cases.c.state == CaseState.REVIEW)


def _told(
    kind: NoticeKind, subject: sa.Column[Any], *, since: sa.ColumnElement[Any] | None = None
) -> sa.ColumnElement[bool]:
    told = sa.exists().where(notices.c.subject == subject, notices.c.kind == kind)
    return told if since is None else told.where(notices.c.told_at >= since)
