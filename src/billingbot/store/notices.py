"""Notices: written with what they tell of, sent afterwards, with what became of each at each destination."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.job import LEASE
from billingbot.core.notice import WORTH_SENDING, Notice, NoticeKind, NoticeState
from billingbot.store.schema import notice_deliveries, notice_marks, notices

_NOW = sa.func.clock_timestamp()
# Whoever claims a notice renews the job's lease with it and sends within seconds: when another worker may have the
# job, the claim is over.
_CLAIM: Final = LEASE - timedelta(seconds=5)
# More than a bad night brings, and still one statement.
_MOST_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A notice that this process is about to send."""

    id: str
    notice: Notice


def write(connection: Connection, notice_id: str, notice: Notice) -> None:
    """Stores a notice; it waits to be sent."""
    row = {name: getattr(notice, name) for name in Notice.__slots__}
    connection.execute(notices.insert().values(id=notice_id, state=NoticeState.WAITING, **row))


def tried_last(connection: Connection, kind: NoticeKind) -> datetime | None:
    """When a notice of this kind was last sent, or tried to be."""
    last: datetime | None = connection.execute(
        sa.select(sa.func.max(notices.c.tried_at)).where(notices.c.kind == kind)
    ).scalar_one()
    return last


def was_told(connection: Connection, kind: NoticeKind, subject: str) -> bool:
    """Whether there is a notice of this kind about this subject."""
    found = sa.exists().where(notices.c.subject == subject, notices.c.kind == kind)
    return bool(connection.execute(sa.select(found)).scalar_one())


def claim(connection: Connection, kind: NoticeKind, route: str) -> Sequence[Claimed]:
    """Takes every notice of the kind that this destination has not had, oldest first; nobody else sends it now."""
    wanted = (
        sa.select(notices.c.id, sa.literal(route), sa.literal("sending"), sa.literal(1), _NOW)
        .where(notices.c.kind == kind, *_open())
        .order_by(notices.c.id)
        .limit(_MOST_AT_ONCE)
    )
    written = insert(notice_deliveries).from_select(["notice_id", "route", "state", "tries", "at"], wanted)
    free = sa.or_(
        notice_deliveries.c.state == "failed",
        sa.and_(notice_deliveries.c.state == "sending", notice_deliveries.c.at < _NOW - _CLAIM),
    )
    taken = connection.execute(
        written.on_conflict_do_update(
            index_elements=["notice_id", "route"],
            set_={"state": "sending", "tries": notice_deliveries.c.tries + 1, "at": _NOW},
            where=free,
        ).returning(notice_deliveries.c.notice_id)
    )
    ids = taken.scalars().all()
    connection.execute(notices.update().where(notices.c.id.in_(ids)).values(tried_at=_NOW))
    rows = connection.execute(sa.select(*_columns()).where(notices.c.id.in_(ids)).order_by(notices.c.id))
    return [_claimed(row) for row in rows]


def answered(connection: Connection, ids: Sequence[str], route: str, *, why: str | None) -> None:
    """Writes down that these were sent to this destination, or why they were not."""
    connection.execute(
        notice_deliveries.update()
        .where(notice_deliveries.c.notice_id.in_(ids), notice_deliveries.c.route == route)
        .values(state="sent" if why is None else "failed", why=why, at=_NOW)
    )


def conclude(connection: Connection, kind: NoticeKind, routes: Sequence[str]) -> None:
    """Notices of the kind that all these destinations have had are sent; without any destination they are kept."""
    values = {"state": NoticeState.SENT if routes else NoticeState.KEPT}
    had = (
        sa.select(sa.func.count())
        .where(notice_deliveries.c.notice_id == notices.c.id, notice_deliveries.c.state == "sent")
        .where(notice_deliveries.c.route.in_(routes))
        .scalar_subquery()
    )
    connection.execute(notices.update().where(notices.c.kind == kind, *_open(), had >= len(routes)).values(**values))


def give_up(connection: Connection, kind: NoticeKind) -> None:
    """Notices of the kind that some destination has refused count as failed: their job was tried to the end."""
    refused = sa.exists().where(notice_deliveries.c.notice_id == notices.c.id, notice_deliveries.c.state == "failed")
    connection.execute(
        notices.update()
        .where(notices.c.kind == kind, notices.c.state == NoticeState.WAITING, refused)
        .values(state=NoticeState.FAILED)
    )


def stranded(connection: Connection, *, older_than: timedelta) -> Sequence[NoticeKind]:
    """Kinds with notices that wait and that nobody has tried to send: their job looked a moment too early."""
    found = connection.execute(
        sa.select(notices.c.kind)
        .distinct()
        .where(notices.c.state == NoticeState.WAITING, notices.c.tried_at.is_(None))
        .where(notices.c.told_at < _NOW - older_than, notices.c.told_at > _NOW - WORTH_SENDING)
    )
    return [NoticeKind(kind) for kind in found.scalars()]


def _open() -> tuple[sa.ColumnElement[bool], ...]:
    """Not done with, and still worth sending."""
    return (
        notices.c.state.in_((NoticeState.WAITING, NoticeState.FAILED)),
        notices.c.told_at > _NOW - WORTH_SENDING,
    )


def _columns() -> list[sa.Column[Any]]:
    return [notices.c.id, *(notices.c[name] for name in Notice.__slots__)]


def _claimed(row: sa.Row[Any]) -> Claimed:
    fields = dict(row._mapping)
    notice_id = fields.pop("id")
    return Claimed(id=notice_id, notice=Notice(**{**fields, "kind": NoticeKind(fields["kind"])}))


def mark_seen(connection: Connection, person: str, seen_to: str) -> None:
    """Notes that this person has seen all notices up to this one; who looks at older ones again un-sees none."""
    row = insert(notice_marks).values(person=person, seen_to=seen_to)
    newest = sa.func.greatest(notice_marks.c.seen_to, row.excluded.seen_to)
    connection.execute(row.on_conflict_do_update(index_elements=["person"], set_={"seen_to": newest, "at": _NOW}))
