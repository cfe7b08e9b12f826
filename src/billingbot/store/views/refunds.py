"""Reading refunds and conversions: the log of what was paid or tried, and the trials that turned into charges."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.refund import AttemptOutcome, Origin, RefundIntent, RefundState
from billingbot.core.refund_terms import CancelWhen, RefundWith
from billingbot.store.schema import conversions, refund_attempts, refunds
from billingbot.store.views.paging import PAGE_ROWS, Page, newest_first

_FIELDS: Final = tuple(RefundIntent.__slots__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLine:
    """One keyed call to Stripe, and what became of it."""

    id: str
    refund_id: str
    number: int
    key: str
    outcome: AttemptOutcome
    answer: str | None
    sends: int
    first_sent_at: datetime
    last_sent_at: datetime
    answered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundLine:
    """A refund with the customer it went to and its attempts, in order."""

    refund: RefundIntent
    customer_id: str | None
    attempts: tuple[AttemptLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFilter:
    """Which refunds to show: all that are set must hold. `since` and `until` bound the time of the intent."""

    state: RefundState | None = None
    origin: Origin | None = None
    account: str | None = None
    case_id: str | None = None
    charge_id: str | None = None
    customer_id: str | None = None
    currency: str | None = None
    clause: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionLine:
    """A trial-end charge as noticed. Amount in minor units."""

    id: str
    account: str
    livemode: bool
    customer_id: str
    subscription_id: str
    invoice_id: str
    charge_id: str
    amount_minor: int
    currency: str
    trial_start_at: datetime
    trial_end_at: datetime
    charged_at: datetime
    noticed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionFilter:
    """Which conversions to show: all that are set must hold."""

    account: str | None = None
    customer_id: str | None = None
    subscription_id: str | None = None
    charge_id: str | None = None


ALL_REFUNDS: Final = RefundFilter()
ALL_CONVERSIONS: Final = ConversionFilter()


def refund_log(
    connection: Connection, filters: RefundFilter = ALL_REFUNDS, *, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[RefundLine]:
    """Refunds by these filters with their attempts, newest in our books first. InputError for a bad cursor."""
    query = _select().where(*_conditions(filters))
    page = newest_first(connection, query, refunds.c.id, _line, after=after, limit=limit)
    return Page(items=_with_attempts(connection, page.items), next=page.next)


def refunds_of_case(connection: Connection, case_id: str) -> tuple[RefundLine, ...]:
    """All refunds of a case with their attempts, oldest first."""
    rows = connection.execute(_select().where(refunds.c.case_id == case_id).order_by(refunds.c.id))
    return _with_attempts(connection, [_line(row) for row in rows])


def conversion_list(
    connection: Connection,
    filters: ConversionFilter = ALL_CONVERSIONS,
    *,
    after: str | None = None,
    limit: int = PAGE_ROWS,
) -> Page[ConversionLine]:
    """Conversions by these filters, newest first. InputError for a bad cursor."""
    query = sa.select(*(conversions.c[name] for name in ConversionLine.__slots__))
    for name in ConversionFilter.__slots__:
        if (value := getattr(filters, name)) is not None:
            query = query.where(conversions.c[name] == value)
    return newest_first(
        connection, query, conversions.c.id, lambda row: ConversionLine(**row._mapping), after=after, limit=limit
    )


def _select() -> sa.Select[Any]:
    return sa.select(*(refunds.c[name] for name in _FIELDS), refunds.c.customer_id)


def _conditions(filters: RefundFilter) -> list[sa.ColumnElement[bool]]:
    names = ("state", "origin", "account", "case_id", "charge_id", "customer_id", "currency", "clause")
    wanted = {name: getattr(filters, name) for name in names}
    conditions: list[sa.ColumnElement[bool]] = [
        refunds.c[name] == value for name, value in wanted.items() if value is not None
    ]
    if filters.since is not None:
        conditions.append(refunds.c.intended_at >= filters.since)
    if filters.until is not None:
        conditions.append(refunds.c.intended_at < filters.until)
    return conditions


def _with_attempts(connection: Connection, lines: Sequence[RefundLine]) -> tuple[RefundLine, ...]:
    """The lines with their attempts, all read in one statement."""
    if not lines:
        return ()
    columns = [refund_attempts.c[name] for name in AttemptLine.__slots__]
    rows = connection.execute(
        sa.select(*columns)
        .where(refund_attempts.c.refund_id.in_([line.refund.id for line in lines]))
        .order_by(refund_attempts.c.number)
    )
    attempts: dict[str, list[AttemptLine]] = defaultdict(list)
    for row in rows:
        attempts[row.refund_id].append(
            AttemptLine(**{**row._mapping, "outcome": AttemptOutcome(row.outcome)}),
        )
    return tuple(
        RefundLine(refund=line.refund, customer_id=line.customer_id, attempts=tuple(attempts[line.refund.id]))
        for line in lines
    )


def _line(row: sa.Row[Any]) -> RefundLine:
    fields = {name: row._mapping[name] for name in _FIELDS}
    fields |= {"state": RefundState(row.state), "origin": Origin(row.origin)}
    fields |= {
        "refund_with": RefundWith(row.refund_with),
        "cancel_subscription": CancelWhen(row.cancel_subscription),
    }
    return RefundLine(refund=RefundIntent(**fields), customer_id=row.customer_id, attempts=())
