"""Disputes as we last read them: what they are, whether the bank waits, and what tells a missed event from news."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.disputes.life import DisputeKind, DisputeOutcome, Stage, kind_of, outcome_of, stage_of
from billingbot.core.errors import NotFoundError
from billingbot.core.evidence.dossier import INQUIRY_CLOSED, MONEY_RETURNED, WON, Dispute, DisputeMoney
from billingbot.store.schema import dispute_alarms, disputes

_NOW = sa.func.clock_timestamp()
# What has ended moves no more, but for late wins, which Stripe tells by event alone.
_ENDED = sorted(INQUIRY_CLOSED | MONEY_RETURNED | WON)
# Stripe's fields that have a column of their name.
_PLAIN: Final = tuple(sorted(set(Dispute.__slots__) - {"id", "moved"}))
_MOVED: Final = ("withdrawn_minor", "reinstated_minor", "fees_minor")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDispute:
    """A dispute in our books. `looked_at` is when it was last acted on, `closed_at` when we learnt how it ended."""

    account: str
    dispute: Dispute
    kind: DisputeKind
    outcome: DisputeOutcome | None
    case_id: str | None
    """The newest case that it was put into."""
    closed_at: datetime | None
    followed_due_by: datetime | None
    """The deadline that its case follows so far."""
    missed_at: datetime | None
    """When we saw that its deadline had passed without an answer."""
    looked_at: datetime
    inquiry_submissions: int
    """How many answers went out while it was an inquiry, as far as we saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What writing a look down came to."""

    before: KnownDispute | None
    """As it stood before; None where there was nothing, or a status alone."""
    is_newest: bool
    """False where a read that began later had been written down already: then nothing has changed."""


def looked_at(
    connection: Connection, account: str, dispute: Dispute, *, read_at: datetime, case_id: str | None
) -> Looked:
    """Writes down that the dispute was acted on as it was read; `read_at` is our clock before that read."""
    before = find(connection, account, dispute.id, lock=True)
    values = _values(dispute) | {"read_at": read_at, "looked_at": _NOW}
    if case_id is not None:
        values["case_id"] = case_id
    if stage_of(dispute) is Stage.INQUIRY:
        values["inquiry_submissions"] = dispute.submission_count
    ended = outcome_of(dispute)
    if before is None or before.outcome is not ended:
        values["closed_at"] = _NOW if ended is not None else None
    written = connection.execute(
        insert(disputes)
        .values(account=account, dispute_id=dispute.id, **values)
        .on_conflict_do_update(
            index_elements=["account", "dispute_id"],
            set_=values,
            where=sa.or_(disputes.c.read_at.is_(None), disputes.c.read_at <= read_at),
        )
        .returning(disputes.c.dispute_id)
    ).one_or_none()
    return Looked(before=before, is_newest=written is not None)


def get(connection: Connection, account: str, dispute_id: str) -> KnownDispute:
    """The dispute as we last read it. NotFoundError where we never did."""
    found = find(connection, account, dispute_id)
    if found is None:
        raise NotFoundError(f"dispute {dispute_id}: none is known of account {account}")
    return found


def find(connection: Connection, account: str, dispute_id: str, *, lock: bool = False) -> KnownDispute | None:
    """As `get`, or None; `lock` holds it until the transaction ends."""
    query = select().where(disputes.c.account == account, disputes.c.dispute_id == dispute_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return known(row) if row else None


def accounts_of(connection: Connection, dispute_id: str) -> tuple[str, ...]:
    """The accounts whose books know a dispute of this id."""
    rows = connection.execute(sa.select(disputes.c.account).where(disputes.c.dispute_id == dispute_id))
    return tuple(row.account for row in rows)


def of_charge(connection: Connection, account: str, charge_id: str) -> tuple[KnownDispute, ...]:
    """All disputes of a charge that we have read, oldest first."""
    query = select().where(disputes.c.account == account, disputes.c.charge_id == charge_id)
    return tuple(known(row) for row in connection.execute(query.order_by(disputes.c.created_at, disputes.c.dispute_id)))


def statuses(connection: Connection, account: str, dispute_ids: Sequence[str]) -> Mapping[str, str]:
    """The status in which each of these was last looked at; those that we do not know are not there."""
    rows = connection.execute(
        sa.select(disputes.c.dispute_id, disputes.c.status).where(
            disputes.c.account == account, disputes.c.dispute_id.in_(dispute_ids)
        )
    )
    return {row.dispute_id: row.status for row in rows}


def differing(connection: Connection, account: str, found: Sequence[Dispute]) -> Sequence[Dispute]:
    """Those of these that are not in our books as they are here: a deadline that moved, an answer, another amount.

    What they moved is left out: lists are read without it.
    """
    rows = connection.execute(
        select().where(disputes.c.account == account, disputes.c.dispute_id.in_([one.id for one in found]))
    )
    ours = {row.dispute_id: known(row).dispute for row in rows}
    return [one for one in found if one.id not in ours or _unmoved(ours[one.id]) != _unmoved(one)]


def change(connection: Connection, account: str, dispute_id: str, **values: Any) -> None:
    """Sets what only we know of a dispute: the deadline that its case follows, the next alarm, that it was missed."""
    connection.execute(
        disputes.update().where(disputes.c.account == account, disputes.c.dispute_id == dispute_id).values(**values)
    )


def mark_told(connection: Connection, known: KnownDispute, marks: Sequence[str]) -> frozenset[str]:
    """Notes that these are told of the dispute's present deadline; those that were not told before.

    Two at once: one of them gets the mark. ValueError where it has no deadline.
    """
    due_by = known.dispute.due_by
    if due_by is None:
        raise ValueError(f"dispute {known.dispute.id}: expected one with a deadline")
    if not marks:
        return frozenset()
    about = {"account": known.account, "dispute_id": known.dispute.id, "due_by": due_by}
    written = connection.execute(
        insert(dispute_alarms)
        .values([{**about, "mark": mark} for mark in marks])
        .on_conflict_do_nothing()
        .returning(dispute_alarms.c.mark)
    )
    return frozenset(written.scalars())


def alarming(connection: Connection, *, limit: int) -> Sequence[tuple[str, str]]:
    """Account and id of the open disputes of whose deadline something is to be told by now, soonest first."""
    rows = connection.execute(
        sa.select(disputes.c.account, disputes.c.dispute_id)
        .where(disputes.c.next_alarm_at <= _NOW, disputes.c.outcome.is_(None))
        .order_by(disputes.c.next_alarm_at)
        .limit(limit)
    )
    return [(row.account, row.dispute_id) for row in rows]


def seen(connection: Connection, account: str, dispute_ids: Sequence[str]) -> None:
    """Notes that Stripe has listed these just now."""
    connection.execute(
        disputes.update()
        .where(disputes.c.account == account, disputes.c.dispute_id.in_(dispute_ids))
        .values(seen_at=_NOW)
    )


def open_and_unseen(
    connection: Connection,
    account: str,
    *,
    since: datetime,
    lost_since: datetime | None,
    after: str | None,
    limit: int,
) -> Sequence[str]:
    """Disputes that had not ended when we last looked, or of which we keep a status alone, and that no list has shown
    since, in the order of their ids; with `lost_since` also those lost, and opened since then, that may be won late.
    """
    wanted: list[sa.ColumnElement[bool]] = [disputes.c.status.not_in(_ENDED), disputes.c.kind.is_(None)]
    if lost_since is not None:
        wanted.append(sa.and_(disputes.c.status.in_(sorted(MONEY_RETURNED)), disputes.c.created_at >= lost_since))
    query = (
        sa.select(disputes.c.dispute_id)
        .where(disputes.c.account == account)
        .where(sa.or_(*wanted))
        .where(sa.or_(disputes.c.seen_at.is_(None), disputes.c.seen_at < since))
    )
    if after is not None:
        query = query.where(disputes.c.dispute_id > after)
    return connection.execute(query.order_by(disputes.c.dispute_id).limit(limit)).scalars().all()


def select() -> sa.Select[Any]:
    """Rows that hold all we keep, for `known`; those with a status alone are not among them."""
    return sa.select(disputes).where(disputes.c.kind.is_not(None))


def known(row: sa.Row[Any]) -> KnownDispute:
    """The value of a row of `select`."""
    fields = row._mapping
    moved = None
    if row.settled_currency is not None:
        moved = DisputeMoney(currency=row.settled_currency, **{name: fields[name] for name in _MOVED})
    return KnownDispute(
        account=row.account,
        dispute=Dispute(id=row.dispute_id, moved=moved, **{name: fields[name] for name in _PLAIN}),
        kind=DisputeKind(row.kind),
        outcome=DisputeOutcome(row.outcome) if row.outcome else None,
        case_id=row.case_id,
        closed_at=row.closed_at,
        followed_due_by=row.followed_due_by,
        missed_at=row.missed_at,
        looked_at=row.looked_at,
        inquiry_submissions=row.inquiry_submissions or 0,
    )


def _unmoved(dispute: Dispute) -> Dispute:
    return replace(dispute, fee_minor=None, moved=None)


def _values(dispute: Dispute) -> dict[str, Any]:
    moved = dispute.moved
    return {
        **{name: getattr(dispute, name) for name in _PLAIN},
        **{name: getattr(moved, name) if moved else None for name in _MOVED},
        "settled_currency": moved.currency if moved else None,
        "kind": kind_of(dispute),
        "outcome": outcome_of(dispute),
    }
