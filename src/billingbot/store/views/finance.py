"""The refund log as finance reads it: who decided on what evidence, what it did to the balance, and sums."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.books.settlement import BalanceTransaction, Movement
from billingbot.core.case import CaseState
from billingbot.core.ids import Kind, first_id
from billingbot.core.refund import AT_STRIPE, Origin, RefundIntent, RefundState
from billingbot.core.refund_terms import CancelWhen, RefundWith
from billingbot.store import balance
from billingbot.store.schema import approvals, balance_transactions, cases, decisions, disputes, refunds
from billingbot.store.views.paging import PAGE_ROWS, Page, newest_first

_FIELDS: Final = tuple(RefundIntent.__slots__)
# Our ids are ordered by the clock of the process that made them, `intended_at` by that of Postgres: for refunds of our
# own the two are milliseconds apart, and a day of room costs nothing.
_ROOM: Final = timedelta(days=1)
_WAS_DENIED: Final = (cases.c.state == CaseState.CLOSED, cases.c.outcome == "denied")
# Combinations of a desk with many people; a list to choose from is of no use beyond that.
_MOST_FACETS: Final = 2_000
# What is chosen in an address is offered anyhow; what none of so many refunds has is hardly looked for.
_MOST_READ: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which refunds: all that are set must hold. `since` and `until` bound the time of the intent.

    `person` is whoever decided, approved first, or second; a policy is written `policy:<id>@<version>`. `clause` is a
    clause of the policy, or empty for refunds without one.
    """

    since: datetime | None = None
    until: datetime | None = None
    account: str | None = None
    currency: str | None = None
    clause: str | None = None
    person: str | None = None
    state: RefundState | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A refund with who decided it, on which evidence, and what Stripe says that it did to the balance."""

    refund: RefundIntent
    customer_id: str | None
    facts_digest: str | None
    policy_digest: str | None
    first: str | None
    """Who approved first, where two had to."""
    second: str | None
    asked_at: datetime | None
    """When its case was opened."""
    settled: tuple[BalanceTransaction, ...]

    @property
    def settled_currency(self) -> str | None:
        """The account's own currency; None before Stripe told, or in several."""
        currencies = {one.currency for one in self.settled}
        return currencies.pop() if len(currencies) == 1 else None

    @property
    def settled_minor(self) -> int | None:
        """What the balance lost (negative) or, with a return, came to, without fees."""
        return sum(one.amount_minor for one in self.settled) if self.settled_currency else None

    @property
    def fee_minor(self) -> int | None:
        """What Stripe kept for it."""
        return sum(one.fee_minor for one in self.settled) if self.settled_currency else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTotal:
    """The refunds of one currency that a filter finds. `paid_minor` is what is at Stripe and has not failed."""

    currency: str
    count: int
    minor: int
    paid: int
    paid_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledTotal:
    """What they did to the balance, in one of the account's own currencies: signed, fees apart."""

    currency: str
    minor: int
    fee_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A day or a month, and what fell into it."""

    at: datetime
    """Its first instant, in UTC."""
    name: str
    """The clause, the currency: whatever is told apart."""
    count: int
    minor: int
    seconds: float | None
    """The median from request to decision, where that was asked for."""


def log_page(
    connection: Connection, filters: LogFilter, *, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[LogLine]:
    """Refunds by these filters, newest in our books first. InputError for a bad cursor."""
    page = newest_first(
        connection, _select().where(*_conditions(filters)), refunds.c.id, _line, after=after, limit=limit
    )
    return Page(items=_with_settlement(connection, page.items), next=page.next)


def log_line(connection: Connection, refund_id: str) -> LogLine | None:
    """One refund of the log."""
    row = connection.execute(_select().where(refunds.c.id == refund_id)).one_or_none()
    return _with_settlement(connection, [_line(row)])[0] if row else None


def log_totals(connection: Connection, filters: LogFilter) -> tuple[LogTotal, ...]:
    """The sums of all refunds that the filters find, by currency, the largest count first."""
    paid = refunds.c.state.in_(AT_STRIPE)
    count = sa.func.count()
    rows = connection.execute(
        sa.select(
            refunds.c.currency,
            count,
            sa.func.sum(refunds.c.amount_minor),
            count.filter(paid),
            sa.func.coalesce(sa.func.sum(refunds.c.amount_minor).filter(paid), 0),
        )
        .where(*_conditions(filters, in_order=False))
        .group_by(refunds.c.currency)
        .order_by(count.desc(), refunds.c.currency)
    )
    return tuple(
        LogTotal(currency=row[0], count=row[1], minor=int(row[2]), paid=row[3], paid_minor=int(row[4])) for row in rows
    )


def settled_totals(connection: Connection, filters: LogFilter) -> tuple[SettledTotal, ...]:
    """What the same refunds did to the balance, by its currency; each is looked up, so a year of them takes seconds."""
    table = balance_transactions.c
    rows = connection.execute(
        sa.select(table.currency, sa.func.sum(table.amount_minor), sa.func.sum(table.fee_minor))
        .select_from(
            refunds.join(
                balance_transactions,
                sa.and_(table.account == refunds.c.account, table.source == refunds.c.stripe_refund_id),
            )
        )
        .where(*_conditions(filters))
        .group_by(table.currency)
        .order_by(table.currency)
    )
    return tuple(SettledTotal(currency=row[0], minor=int(row[1]), fee_minor=int(row[2])) for row in rows)


def first_month(connection: Connection, accounts: Collection[str]) -> datetime | None:
    """When the oldest of all that the plots tell of happened; None where nothing has."""
    table = balance_transactions.c
    moved = (
        connection.execute(sa.select(sa.func.min(table.created_at)).where(table.account == account)).scalar_one()
        for account in accounts
    )
    intended = connection.execute(sa.select(sa.func.min(refunds.c.intended_at))).scalar_one()
    denied = connection.execute(sa.select(sa.func.min(cases.c.closed_at)).where(*_WAS_DENIED)).scalar_one()
    return min((at for at in (intended, denied, *moved) if at is not None), default=None)


def by_clause(connection: Connection, filters: LogFilter, bounds: Sequence[datetime]) -> tuple[Bucket, ...]:
    """How many refunds each clause made between one of the bounds and the next."""
    name = sa.func.coalesce(refunds.c.clause, "").label("name")
    sums = sa.select(name, *_sums(refunds.c.amount_minor)).where(*_conditions(_anytime(filters), in_order=False))
    return _in_buckets(connection, bounds, refunds.c.intended_at, sums.group_by(refunds.c.clause))


def request_to_decision(connection: Connection, filters: LogFilter, bounds: Sequence[datetime]) -> tuple[Bucket, ...]:
    """The median time from opening a case to deciding its refund, between one of the bounds and the next."""
    took = sa.func.extract("epoch", refunds.c.intended_at - refunds.c.asked_at)
    median = sa.func.percentile_cont(0.5).within_group(took).label("seconds")
    found = (
        sa.select(sa.literal("").label("name"), sa.func.count().label("count"), sa.literal(0).label("minor"), median)
        .where(*_conditions(_anytime(filters), in_order=False))
        .where(refunds.c.origin != Origin.EXTERNAL, refunds.c.asked_at.is_not(None))
        .having(sa.func.count() > 0)
    )
    return _in_buckets(connection, bounds, refunds.c.intended_at, found)


def kept_by_review(connection: Connection, filters: LogFilter, bounds: Sequence[datetime]) -> tuple[Bucket, ...]:
    """What people declined, by currency; of the filter only account and currency count."""
    wanted = [*_WAS_DENIED, cases.c.amount_minor.is_not(None)]
    wanted += [cases.c.account == filters.account] if filters.account else []
    wanted += [cases.c.currency == filters.currency] if filters.currency else []
    sums = sa.select(cases.c.currency.label("name"), *_sums(cases.c.amount_minor)).where(*wanted)
    return _in_buckets(connection, bounds, cases.c.closed_at, sums.group_by(cases.c.currency))


def dispute_cost(connection: Connection, filters: LogFilter, bounds: Sequence[datetime]) -> tuple[Bucket, ...]:
    """What disputes took from the balance, fees and all, by currency of the balance.

    The filter's currency is that of the dispute.
    """
    table = balance_transactions.c
    wanted: list[sa.ColumnElement[bool]] = [table.movement.in_((Movement.WITHDRAWN, Movement.REINSTATED))]
    wanted += [table.account == filters.account] if filters.account else []
    if filters.currency:
        of_it = disputes.c
        same = sa.and_(of_it.account == table.account, of_it.dispute_id == table.source)
        wanted.append(sa.exists().where(same, of_it.currency == filters.currency))
    sums = sa.select(table.currency.label("name"), *_sums(table.fee_minor - table.amount_minor)).where(*wanted)
    return _in_buckets(connection, bounds, table.created_at, sums.group_by(table.currency))


def _sums(minor: sa.ColumnElement[int]) -> tuple[sa.ColumnElement[Any], ...]:
    return sa.func.count().label("count"), sa.func.sum(minor).label("minor"), sa.null().label("seconds")


def _anytime(filters: LogFilter) -> LogFilter:
    return replace(filters, since=None, until=None)


def _in_buckets(
    connection: Connection, bounds: Sequence[datetime], moment: sa.ColumnElement[Any], sums: sa.Select[Any]
) -> tuple[Bucket, ...]:
    """The sums from each of the bounds to the next.

    Each stretch is read for itself, in the order of an index by time: Postgres does not know how few days or months
    it would make of all rows, and sorts them on the disk.
    """
    if len(bounds) < 2:
        return ()
    times = sa.ARRAY(sa.DateTime(timezone=True))
    bucket = (
        sa.func.unnest(sa.literal(list(bounds[:-1]), times), sa.literal(list(bounds[1:]), times))
        .table_valued(sa.column("at", sa.DateTime(timezone=True)), sa.column("until", sa.DateTime(timezone=True)))
        .render_derived(name="bucket")
    )
    found = sums.where(moment >= bucket.c.at, moment < bucket.c.until).lateral("found")
    rows = connection.execute(
        sa.select(bucket.c.at, found.c.name, found.c["count"], found.c.minor, found.c.seconds)
        .select_from(bucket)
        .join(found, sa.true())
        .order_by(bucket.c.at, found.c.name)
    )
    return tuple(
        Bucket(at=at, name=name, count=count, minor=int(minor), seconds=None if seconds is None else float(seconds))
        for at, name, count, minor, seconds in rows
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """What there is to choose from: currencies, clauses (empty for none), and who decided."""

    currencies: tuple[str, ...]
    clauses: tuple[str, ...]
    deciders: tuple[str, ...]


def facets(connection: Connection, *, since: datetime | None, until: datetime | None) -> Facets:
    """What the newest refunds of that time differ in, in one walk over them."""
    newest = (
        sa.select(refunds.c.currency, refunds.c.clause, refunds.c.decided_by)
        .where(*_conditions(LogFilter(since=since, until=until), in_order=False))
        .order_by(refunds.c.intended_at.desc())
        .limit(_MOST_READ)
        .subquery()
    )
    table = newest.c
    rows = connection.execute(
        sa.select(table.currency, sa.func.coalesce(table.clause, ""), table.decided_by)
        .group_by(table.currency, table.clause, table.decided_by)
        .limit(_MOST_FACETS)
    ).all()
    return Facets(
        currencies=tuple(sorted({row[0] for row in rows})),
        clauses=tuple(sorted({row[1] for row in rows})),
        deciders=tuple(sorted({row[2] for row in rows})),
    )


def _select() -> sa.Select[Any]:
    return sa.select(
        *(refunds.c[name] for name in _FIELDS),
        refunds.c.customer_id,
        decisions.c.facts_digest,
        decisions.c.policy_digest,
        approvals.c.maker,
        approvals.c.checker,
        refunds.c.asked_at,
    ).select_from(
        refunds.outerjoin(decisions, decisions.c.id == refunds.c.decision_id).outerjoin(
            approvals, approvals.c.refund_id == refunds.c.id
        )
    )


def _conditions(filters: LogFilter, *, in_order: bool = True) -> list[sa.ColumnElement[bool]]:
    """The filter. Rows in the order of their ids are bounded by those too; sums take the index by time."""
    names = ("account", "currency", "state", "origin")
    found: list[sa.ColumnElement[bool]] = [
        refunds.c[name] == value for name in names if (value := getattr(filters, name)) is not None
    ]
    if filters.since is not None:
        found.append(refunds.c.intended_at >= filters.since)
        found += [refunds.c.id >= first_id(Kind.REFUND, filters.since - _ROOM)] if in_order else []
    if filters.until is not None:
        found.append(refunds.c.intended_at < filters.until)
        found += [refunds.c.id < first_id(Kind.REFUND, filters.until + _ROOM)] if in_order else []
    if filters.clause is not None:
        found.append(refunds.c.clause == filters.clause if filters.clause else refunds.c.clause.is_(None))
    if filters.person is not None:
        # One list, made once, for all rows that are looked at.
        of_it = approvals.alias().c
        approved = sa.select(of_it.refund_id).where(
            of_it.refund_id.is_not(None), sa.or_(of_it.maker == filters.person, of_it.checker == filters.person)
        )
        found.append(sa.or_(refunds.c.decided_by == filters.person, refunds.c.id.in_(approved)))
    return found


def _with_settlement(connection: Connection, lines: Sequence[LogLine]) -> tuple[LogLine, ...]:
    """The lines with their balance transactions, read in one statement for each account."""
    found: dict[tuple[str, str], tuple[BalanceTransaction, ...]] = {}
    for account in sorted({line.refund.account for line in lines}):
        here = (line.refund.stripe_refund_id for line in lines if line.refund.account == account)
        sources = [source for source in here if source is not None]
        for source, of_it in balance.of_sources(connection, account, sources).items():
            found[account, source] = of_it
    keys = [(line.refund.account, line.refund.stripe_refund_id or "") for line in lines]
    return tuple(_settled(line, found.get(key, ())) for line, key in zip(lines, keys, strict=True))


def _settled(line: LogLine, settled: tuple[BalanceTransaction, ...]) -> LogLine:
    fields = {name: getattr(line, name) for name in LogLine.__slots__}
    return LogLine(**{**fields, "settled": settled})


def _line(row: sa.Row[Any]) -> LogLine:
    fields = {name: row._mapping[name] for name in _FIELDS}
    fields |= {"state": RefundState(row.state), "origin": Origin(row.origin)}
    fields |= {"refund_with": RefundWith(row.refund_with), "cancel_subscription": CancelWhen(row.cancel_subscription)}
    return LogLine(
        refund=RefundIntent(**fields),
        customer_id=row.customer_id,
        facts_digest=row.facts_digest,
        policy_digest=row.policy_digest,
        first=row.maker,
        second=row.checker,
        asked_at=row.asked_at,
        settled=(),
    )
