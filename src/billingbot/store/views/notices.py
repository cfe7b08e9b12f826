"""Reading notices: what people were told, and what became of each at each destination."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.ids import Kind, first_id
from billingbot.core.notice import GROUPED_WITHIN, UNRUNG, NoticeKind, NoticeState
from billingbot.store import database
from billingbot.store.schema import notice_deliveries, notice_marks, notices, people
from billingbot.store.views.paging import PAGE_ROWS, Page, newest_first


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLine:
    """What became of a notice at one destination: sending, sent or failed; `why` says why it did not arrive."""

    route: str
    state: str
    tries: int
    why: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeLine:
    """One notice, with its deliveries by destination."""

    id: str
    kind: NoticeKind
    account: str
    subject: str
    headline: str
    body: str
    state: NoticeState
    told_at: datetime
    deliveries: tuple[DeliveryLine, ...] = ()


def in_groups(lines: Sequence[NoticeLine]) -> list[tuple[NoticeLine, ...]]:
    """Notices, newest first, as a message would tell them: those of a kind that came within minutes of each other, and
    of which the same became, together.
    """
    groups: list[list[NoticeLine]] = []
    for line in lines:
        met = groups[-1] if groups else []
        if met and _same(met[0], line) and met[-1].told_at - line.told_at <= GROUPED_WITHIN:
            met.append(line)
        else:
            groups.append([line])
    return [tuple(group) for group in groups]


def _same(one: NoticeLine, other: NoticeLine) -> bool:
    outcomes = [
        (line.kind, line.state, [(sent.route, sent.state, sent.why) for sent in line.deliveries])
        for line in (one, other)
    ]
    return outcomes[0] == outcomes[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeFilter:
    """Which notices: all that are set must hold."""

    kind: NoticeKind | None = None
    state: NoticeState | None = None
    account: str | None = None
    subject: str | None = None


ALL_NOTICES: Final = NoticeFilter()
_COLUMNS: Final = tuple(name for name in NoticeLine.__slots__ if name != "deliveries")


def notice_list(
    connection: Connection, filters: NoticeFilter = ALL_NOTICES, *, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[NoticeLine]:
    """Notices by these filters, newest first. InputError for a bad cursor."""
    query = sa.select(*(notices.c[name] for name in _COLUMNS))
    for name in NoticeFilter.__slots__:
        if (value := getattr(filters, name)) is not None:
            query = query.where(notices.c[name] == value)
    page = newest_first(connection, query, notices.c.id, _line, after=after, limit=limit)
    return replace(page, items=_with_deliveries(connection, page.items))


def _with_deliveries(connection: Connection, lines: Sequence[NoticeLine]) -> tuple[NoticeLine, ...]:
    rows = connection.execute(
        sa.select(notice_deliveries)
        .where(notice_deliveries.c.notice_id.in_([line.id for line in lines]))
        .order_by(notice_deliveries.c.route)
    )
    of_notice: dict[str, list[DeliveryLine]] = {line.id: [] for line in lines}
    for row in rows:
        delivery = DeliveryLine(**{name: row._mapping[name] for name in DeliveryLine.__slots__})
        of_notice[row.notice_id].append(delivery)
    return tuple(replace(line, deliveries=tuple(of_notice[line.id])) for line in lines)


def _line(row: sa.Row[Any]) -> NoticeLine:
    return NoticeLine(**{**row._mapping, "kind": NoticeKind(row.kind), "state": NoticeState(row.state)})


MOST_UNREAD: Final = 99
"""A bell that says more than this says nothing more."""
_MOST_LOOKED_AT: Final = 1000


def unread(connection: Connection, person: str) -> int:
    """How many notices came since this person last looked at them, up to one more than MOST_UNREAD; of the newest
    thousand, and without those that ring no bell.

    Whoever has never looked has those of the last day before them, since they came here: what was before is no news.
    """
    mark = sa.select(notice_marks.c.seen_to).where(notice_marks.c.person == person).scalar_subquery()
    day = first_id(Kind.NOTICE, database.now(connection) - timedelta(days=1))
    came = sa.select(people.c.created_at).where(people.c.name == person).scalar_subquery()
    newer = (
        sa.select(notices.c.kind, notices.c.told_at)
        .where(notices.c.id > sa.func.coalesce(mark, day))
        .order_by(notices.c.id.desc())  # from the newest on: what is read already is never looked at
        .limit(_MOST_LOOKED_AT)
        .subquery()
    )
    ringing = sa.select(sa.func.count()).where(
        newer.c.kind.not_in(UNRUNG), newer.c.told_at >= sa.func.coalesce(came, newer.c.told_at)
    )
    return min(int(connection.execute(ringing).scalar_one()), MOST_UNREAD + 1)
