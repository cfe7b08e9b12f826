"""Closings of months: how far each has come, its statement, and what a statement is drawn from."""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, get_type_hints

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.books.month import Closing, MonthState
from billingbot.core.books.settlement import BalanceTransaction, Movement
from billingbot.core.books.statement import Amount, BookedDispute, BookedRefund, Records, Row, Statement, Told
from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.errors import ConflictError, NotFoundError
from billingbot.core.ledger import EntryKind
from billingbot.core.refund import ENDED_BADLY, RefundState
from billingbot.store import balance
from billingbot.store.schema import balance_transactions, disputes, ledger_entries, months, refunds

_NOW = sa.func.clock_timestamp()
_FIELDS: Final = tuple(Closing.__slots__)
# Refunds whose money is missing are told month after month, but not for ever.
_STILL_MISSED: Final = timedelta(days=90)
# Ids of one statement: well below the 65,535 that the wire takes, and each piece a quick one.
_PIECE: Final = 5_000
_ABOUT_STRIPE: Final = (EntryKind.REFUND_CHANGED, EntryKind.REFUND_ADOPTED)
_OURS: Final = tuple(one for one in Movement if one is not Movement.OTHER)


def begin(connection: Connection, wanted: Closing) -> Closing:
    """Begins the closing, or the same month's again where it is not signed. ConflictError where it is."""
    values = {
        "zone": wanted.zone,
        "since": wanted.since,
        "until": wanted.until,
        "state": MonthState.READING,
        "type": wanted.type,
        "cursor": None,
        "transactions": 0,
        "unreadable": 0,
        "asked_by": wanted.asked_by,
        "why": None,
    }
    again = values | dict.fromkeys(("statement", "digest", "breaks", "drawn_at"))
    row = connection.execute(
        insert(months)
        .values(id=wanted.id, account=wanted.account, month=wanted.month, **values)
        .on_conflict_do_update(
            index_elements=["account", "month"],
            set_={**again, "began_at": _NOW, "advanced_at": _NOW},
            where=months.c.state != MonthState.SIGNED,
        )
        .returning(*_columns())
    ).one_or_none()
    if row is None:
        raise ConflictError(f"month {wanted.month} of {wanted.account}: it is signed; what is new goes into the next")
    return _closing(row)


def get(connection: Connection, closing_id: str, *, lock: bool = False) -> Closing:
    """The closing. Raises NotFoundError."""
    query = sa.select(*_columns()).where(months.c.id == closing_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFoundError(f"closing {closing_id}: there is none")
    return _closing(row)


def find(connection: Connection, account: str, month: str, *, lock: bool = False) -> Closing | None:
    """The closing of this month, if it was ever begun."""
    query = sa.select(*_columns()).where(months.c.account == account, months.c.month == month)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return _closing(row) if row else None


def of_account(connection: Connection, account: str | None = None) -> Sequence[Closing]:
    """All closings, newest month first: there are twelve a year."""
    query = sa.select(*_columns()).order_by(months.c.month.desc(), months.c.account)
    if account is not None:
        query = query.where(months.c.account == account)
    return [_closing(row) for row in connection.execute(query)]


def signed(connection: Connection, account: str) -> Sequence[Closing]:
    """The signed months of an account, oldest first."""
    query = sa.select(*_columns()).where(months.c.account == account, months.c.state == MonthState.SIGNED)
    return [_closing(row) for row in connection.execute(query.order_by(months.c.month))]


def advance(
    connection: Connection, at: Closing, *, kind: str | None, cursor: str | None, read: int, unreadable: int
) -> bool:
    """Moves the reading on from where `at` saw it. False where somebody else has meanwhile: then it counts once."""
    known = months.c
    moved = connection.execute(
        months.update()
        .where(known.id == at.id, known.state == MonthState.READING, known.began_at == at.began_at)
        .where(known.type.is_not_distinct_from(at.type), known.cursor.is_not_distinct_from(at.cursor))
        .values(
            type=kind,
            cursor=cursor,
            advanced_at=_NOW,
            transactions=known.transactions + read,
            unreadable=known.unreadable + unreadable,
        )
    )
    return moved.rowcount == 1


def keep(connection: Connection, at: Closing, statement: Statement) -> str:
    """Keeps the statement; its digest."""
    content = canonical_bytes(statement)
    name = digest(content)
    connection.execute(
        months.update()
        .where(months.c.id == at.id, months.c.state == MonthState.READING)
        .values(
            state=MonthState.DRAWN,
            statement=gzip.compress(content, mtime=0),
            digest=name,
            breaks=len(statement.breaks),
            drawn_at=_NOW,
        )
    )
    return name


def fail(connection: Connection, closing_id: str, *, why: str) -> None:
    """Ends a reading that nobody goes on with."""
    connection.execute(
        months.update()
        .where(months.c.id == closing_id, months.c.state == MonthState.READING)
        .values(state=MonthState.FAILED, why=why)
    )


def sign(
    connection: Connection, at: Closing, statement: Statement, *, by: str, why: str | None, seq: int, head: str
) -> None:
    """Freezes a drawn statement, and the transactions that stand in it."""
    ids = [row.transaction for row in statement.rows]
    for begin_at in range(0, len(ids), _PIECE):
        connection.execute(
            balance_transactions.update()
            .where(balance_transactions.c.account == at.account, balance_transactions.c.booked_in.is_(None))
            .where(balance_transactions.c.id.in_(ids[begin_at : begin_at + _PIECE]))
            .values(booked_in=at.month)
        )
    connection.execute(
        months.update()
        .where(months.c.id == at.id)
        .values(state=MonthState.SIGNED, signed_by=by, signed_at=_NOW, why=why, ledger_seq=seq, ledger_hash=head)
    )


def head(connection: Connection) -> tuple[int, str]:
    """The ledger's newest entry: its number and hash. ConflictError for an empty ledger."""
    seq, found = head_or_none(connection)
    if found is None:
        raise ConflictError("the ledger: expected an entry, there is none")
    return seq, found


def head_or_none(connection: Connection) -> tuple[int, str | None]:
    """As `head`; 0 and None for an empty ledger."""
    row = connection.execute(
        sa.select(ledger_entries.c.seq, ledger_entries.c.hash).order_by(ledger_entries.c.seq.desc()).limit(1)
    ).one_or_none()
    return (row.seq, row.hash) if row else (0, None)


def under_signature(connection: Connection) -> Closing | None:
    """The signed month that keeps the newest head of the ledger, of any account; None before one is signed."""
    query = sa.select(*_columns()).where(months.c.ledger_seq.is_not(None)).order_by(months.c.ledger_seq.desc())
    row = connection.execute(query.limit(1)).one_or_none()
    return _closing(row) if row else None


def content(connection: Connection, closing_id: str) -> bytes | None:
    """The statement's canonical bytes, as their digest was taken; None before it is drawn."""
    packed = connection.execute(sa.select(months.c.statement).where(months.c.id == closing_id)).scalar_one_or_none()
    return gzip.decompress(packed) if packed is not None else None


def statement(connection: Connection, closing_id: str) -> Statement | None:
    """The statement; None before it is drawn."""
    found = content(connection, closing_id)
    return msgspec.json.decode(found, type=Statement) if found is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A statement of which only the first rows were read; `rows` is how many it has."""

    statement: Statement
    rows: int


# A statement whose rows stay bytes: of fifty thousand a page shows the first, and reading all takes a second.
_UNREAD: Final = msgspec.defstruct(
    "_Unread",
    [
        (name, list[msgspec.Raw] if name == "rows" else kind)
        for name, kind in get_type_hints(Statement).items()
        if name in Statement.__slots__
    ],
)


def beginning(connection: Connection, closing_id: str, *, rows: int) -> Begun | None:
    """The statement with its first `rows` rows, to be shown; None before it is drawn."""
    found = content(connection, closing_id)
    if found is None:
        return None
    unread: Any = msgspec.json.decode(found, type=_UNREAD)
    first = tuple(msgspec.json.decode(row, type=Row) for row in unread.rows[:rows])
    fields = {name: getattr(unread, name) for name in Statement.__slots__}
    return Begun(statement=Statement(**{**fields, "rows": first}), rows=len(unread.rows))


# ---------------------------------------------------------------- what a statement is drawn from


def records(connection: Connection, at: Closing, *, before: Statement | None, first_since: datetime | None) -> Records:
    """All that a statement of this closing is drawn from.

    `before` is the signed statement before it, `first_since` the beginning of the account's first signed month: what
    is older than that was never anybody's.
    """
    table = balance_transactions.c
    since = min(first_since, at.since) if first_since is not None else at.since
    rows = connection.execute(
        sa.select(balance_transactions)
        .where(table.account == at.account, table.created_at >= since, table.created_at < at.until)
        .where(table.booked_in.is_(None), table.movement.in_(_OURS))
        .order_by(table.created_at, table.id)
    )
    found = tuple(balance.transaction_of(row) for row in rows)
    sources = sorted({one.source for one in found if one.source is not None})
    unsettled = _unsettled(connection, at)
    known = _refunds(connection, at.account, sources)
    whole = _whole(connection, at.account, sorted({*sources, *(one.source for one in unsettled)}))
    return Records(
        transactions=found,
        whole=whole,
        refunds={one.source: one for one in known},
        disputes={one.id: one for one in _disputes(connection, at.account, sources)},
        unsettled=tuple(one for one in unsettled if one.state not in _UNDER_WAY),
        under_way=tuple(one for one in unsettled if one.state in _UNDER_WAY and one.source not in whole),
        opening=tuple(Amount(minor=line.closing_minor, currency=line.currency) for line in before.lines)
        if before
        else (),
        unreadable=at.unreadable,
    )


_UNDER_WAY: Final = (RefundState.PENDING, RefundState.REQUIRES_ACTION)


def _whole(
    connection: Connection, account: str, sources: Sequence[str]
) -> Mapping[str, tuple[BalanceTransaction, ...]]:
    found: dict[str, tuple[BalanceTransaction, ...]] = {}
    for begin_at in range(0, len(sources), _PIECE):
        found.update(balance.of_sources(connection, account, sources[begin_at : begin_at + _PIECE]))
    return found


def _refunds(connection: Connection, account: str, sources: Sequence[str]) -> list[BookedRefund]:
    found: list[BookedRefund] = []
    for begin_at in range(0, len(sources), _PIECE):
        piece = sources[begin_at : begin_at + _PIECE]
        found += _booked(connection, refunds.c.account == account, refunds.c.stripe_refund_id.in_(piece))
    return found


def _unsettled(connection: Connection, at: Closing) -> list[BookedRefund]:
    """Refunds of the month that Stripe accepted without money that we know of, and failed ones without a return."""
    table = balance_transactions.c

    def moved(what: Movement) -> sa.ColumnElement[bool]:
        return sa.exists().where(
            table.account == refunds.c.account, table.source == refunds.c.stripe_refund_id, table.movement == what
        )

    accepted = (RefundState.SUCCEEDED, *_UNDER_WAY)
    here = (refunds.c.account == at.account, refunds.c.stripe_refund_id.is_not(None), refunds.c.intended_at < at.until)
    lacks = _booked(
        connection,
        *here,
        refunds.c.intended_at >= at.since,
        refunds.c.state.in_(accepted),
        ~moved(Movement.REFUND),
    )
    unreturned = _booked(
        connection,
        *here,
        refunds.c.intended_at >= at.since - _STILL_MISSED,
        refunds.c.state.in_(ENDED_BADLY),
        moved(Movement.REFUND),
        ~moved(Movement.RETURNED),
    )
    return [*lacks, *unreturned]


def _booked(connection: Connection, *conditions: sa.ColumnElement[bool]) -> list[BookedRefund]:
    table = refunds.c
    rows = connection.execute(
        sa.select(
            table.id, table.stripe_refund_id, table.charge_id, table.amount_minor, table.currency, table.state,
            table.origin, table.clause, table.decided_by,
        ).where(*conditions)
    ).all()  # fmt: skip
    told = _told(connection, [row.id for row in rows])
    return [
        BookedRefund(
            id=row.id,
            source=row.stripe_refund_id,
            charge_id=row.charge_id,
            amount=Amount(minor=row.amount_minor, currency=row.currency),
            state=RefundState(row.state),
            origin=row.origin,
            clause=row.clause,
            decided_by=row.decided_by,
            told=told.get(row.id),
        )
        for row in rows
    ]


def _told(connection: Connection, refund_ids: Sequence[str]) -> Mapping[str, Told]:
    """What the newest entry about each at Stripe says."""
    found: dict[str, Told] = {}
    for begin_at in range(0, len(refund_ids), _PIECE):
        rows = connection.execute(
            sa.select(ledger_entries.c.seq, ledger_entries.c.subject, ledger_entries.c.body)
            .where(ledger_entries.c.subject.in_(refund_ids[begin_at : begin_at + _PIECE]))
            .where(ledger_entries.c.kind.in_(_ABOUT_STRIPE))
            .order_by(ledger_entries.c.seq)
        )
        for row in rows:
            body = json.loads(row.body)
            if isinstance(body.get("amount_minor"), int) and isinstance(body.get("currency"), str):
                found[row.subject] = Told(
                    seq=row.seq, amount=Amount(minor=body["amount_minor"], currency=body["currency"])
                )
    return found


def _disputes(connection: Connection, account: str, sources: Sequence[str]) -> list[BookedDispute]:
    found: list[BookedDispute] = []
    table = disputes.c
    for begin_at in range(0, len(sources), _PIECE):
        rows = connection.execute(
            sa.select(disputes)
            .where(table.account == account, table.dispute_id.in_(sources[begin_at : begin_at + _PIECE]))
            .order_by(table.dispute_id)
        )
        found += [_dispute(row) for row in rows]
    return found


def _dispute(row: sa.Row[Any]) -> BookedDispute:
    known = row.settled_currency is not None
    net = row.reinstated_minor - row.withdrawn_minor - row.fees_minor if known else None
    return BookedDispute(
        id=row.dispute_id,
        charge_id=row.charge_id,
        reason=row.reason or "unknown",
        net_minor=net,
        currency=row.settled_currency,
    )


def _columns() -> list[sa.Column[Any]]:
    return [months.c[name] for name in _FIELDS]


def _closing(row: sa.Row[Any]) -> Closing:
    return Closing(**{**row._mapping, "state": MonthState(row.state)})
