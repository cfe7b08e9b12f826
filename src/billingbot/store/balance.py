"""Stripe's balance transactions about refunds and disputes, and which refunds and disputes still want theirs read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.books.settlement import BalanceTransaction, Movement
from billingbot.core.refund import RefundState
from billingbot.store.schema import balance_transactions, disputes, refunds

_NOW = sa.func.clock_timestamp()
_FIELDS: Final = tuple(BalanceTransaction.__slots__)
# What may change at Stripe; amounts never do.
_CHANGES: Final = ("status", "available_on")
# As the partial index has them.
_MOVED_MONEY: Final = (RefundState.PENDING, RefundState.SUCCEEDED, RefundState.FAILED, RefundState.CANCELED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A refund or dispute whose balance transactions are to be read: Stripe's id, and the state it is in."""

    source: str
    state: str
    is_refund: bool


def keep(connection: Connection, account: str, found: Iterable[BalanceTransaction]) -> None:
    """Writes them down; again and again is the same."""
    # In one order, so that two who keep the same ones never wait for each other in a circle.
    rows = [
        {"account": account, **{name: getattr(one, name) for name in _FIELDS}}
        for one in sorted(found, key=lambda one: one.id)
    ]
    if rows:
        statement = insert(balance_transactions)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["account", "id"],
                set_={name: statement.excluded[name] for name in _CHANGES} | {"read_at": _NOW},
            ),
            rows,
        )


def wanted(connection: Connection, account: str, *, limit: int) -> Sequence[Wanted]:
    """Refunds, then disputes, whose state is another than when their transactions were last read."""
    of_refunds = (
        sa.select(refunds.c.stripe_refund_id, refunds.c.state)
        .where(refunds.c.account == account, refunds.c.stripe_refund_id.is_not(None))
        .where(refunds.c.state.in_(_MOVED_MONEY), refunds.c.settlement_of.is_distinct_from(refunds.c.state))
        .order_by(refunds.c.id)
        .limit(limit)
    )
    found = [Wanted(source=row[0], state=row[1], is_refund=True) for row in connection.execute(of_refunds)]
    of_disputes = (
        sa.select(disputes.c.dispute_id, disputes.c.status)
        .where(disputes.c.account == account, disputes.c.settlement_of.is_distinct_from(disputes.c.status))
        .order_by(disputes.c.dispute_id)
        .limit(limit - len(found))
    )
    if len(found) < limit:
        found += [Wanted(source=row[0], state=row[1], is_refund=False) for row in connection.execute(of_disputes)]
    return found


def read_for(connection: Connection, account: str, one: Wanted) -> None:
    """Notes that they were read for this state. What changed meanwhile is wanted again."""
    if one.is_refund:
        connection.execute(
            refunds.update()
            .where(refunds.c.account == account, refunds.c.stripe_refund_id == one.source)
            .values(settlement_of=one.state)
        )
    else:
        connection.execute(
            disputes.update()
            .where(disputes.c.account == account, disputes.c.dispute_id == one.source)
            .values(settlement_of=one.state)
        )


def of_source(connection: Connection, account: str, source: str) -> tuple[BalanceTransaction, ...]:
    """The transactions of one refund or dispute, oldest first."""
    return of_sources(connection, account, [source]).get(source, ())


def of_sources(
    connection: Connection, account: str, sources: Sequence[str]
) -> Mapping[str, tuple[BalanceTransaction, ...]]:
    """The transactions of each, oldest first; without those that have none."""
    rows = connection.execute(
        sa.select(balance_transactions)
        .where(balance_transactions.c.account == account, balance_transactions.c.source.in_(sources))
        .order_by(balance_transactions.c.created_at, balance_transactions.c.id)
    )
    found: dict[str, list[BalanceTransaction]] = {}
    for row in rows:
        found.setdefault(row.source, []).append(transaction_of(row))
    return {source: tuple(of_it) for source, of_it in found.items()}


def transaction_of(row: sa.Row[Any]) -> BalanceTransaction:
    """The value of a row of the table."""
    fields = {name: row._mapping[name] for name in _FIELDS}
    return BalanceTransaction(**{**fields, "movement": Movement(row.movement)})


def latest(connection: Connection, account: str) -> datetime | None:
    """When the newest transaction that we keep was made."""
    found: datetime | None = connection.execute(
        sa.select(sa.func.max(balance_transactions.c.created_at)).where(balance_transactions.c.account == account)
    ).scalar_one()
    return found
