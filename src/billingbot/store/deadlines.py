"""Deadlines of cases that wait for people, and that people have not been told of."""

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
# What was opened or missed longer ago is no news: after a downtime, or where notices are new.
_NEWS: Final = timedelta(days=1)
# A minute has some; a bad night is told of within a few of them.
_MOST_AT_ONCE: Final = 200


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


def cases_waiting(connection: Connection, *, untold: NoticeKind) -> Sequence[Due]:
    """Cases of the last day that wait for a person, and of which there is no notice of this kind."""
    query = _cases().where(cases.c.opened_at > _NOW - _NEWS, ~_told(untold, cases.c.id))
    return [Due(**row._mapping) for row in connection.execute(query.order_by(cases.c.id).limit(_MOST_AT_ONCE))]


def cases_due(connection: Connection, *, untold: NoticeKind) -> Sequence[Due]:
    """Cases whose deadline is near, or for DEADLINE_MISSED just over, and that were not told of for that deadline.

    Those that follow a bank's deadline are left out: that one is told of by itself, at distances of its own.
    """
    missed = untold is NoticeKind.DEADLINE_MISSED
    within = cases.c.due_at.between(_NOW - _NEWS, _NOW) if missed else cases.c.due_at.between(_NOW, _NOW + CASE_NEAR)
    # A deadline that has moved since is another one.
    since = cases.c.due_at if missed else cases.c.due_at - CASE_NEAR
    by_bank = sa.exists().where(
        disputes.c.account == cases.c.account,
        disputes.c.charge_id == cases.c.charge_id,
        disputes.c.next_alarm_at.is_not(None),
    )
    query = _cases().where(within, ~by_bank, ~_told(untold, cases.c.id, since=since))
    return [Due(**row._mapping) for row in connection.execute(query.order_by(cases.c.due_at).limit(_MOST_AT_ONCE))]


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
