"""Reading the front page: today's money, what waits and since when, how fast we are, and what is not well.

Every figure comes from a few hundred rows behind an index, however many cases there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.ids import Kind, first_id
from billingbot.core.refund import LIVE_STATES
from billingbot.store import breakers, database, mentions, modes
from billingbot.store.breakers import Breaker
from billingbot.store.modes import ModeRow

# Ids carry the clock of the process that made them.
_CLOCKS_APART: Final = timedelta(minutes=10)
# The newest of a month tell how fast it went, whether it had three thousand cases or a hundred thousand.
MOST_TIMED: Final = 500
_MOST_FAILED: Final = 10_000
AGES: Final = (("under 4 h", 4), ("4 to 24 h", 24), ("1 to 3 days", 72), ("3 to 7 days", 168))
"""The bars of open cases: up to so many hours each; what is older comes last."""
OLDEST: Final = "over 7 days"

_TODAY: Final = sa.text("""
SELECT account, currency, count(*) AS refunds, coalesce(sum(amount_minor), 0)::bigint AS amount_minor,
    count(*) FILTER (WHERE origin = 'policy') AS automatic,
    coalesce(sum(amount_minor) FILTER (WHERE origin = 'policy'), 0)::bigint AS automatic_minor
FROM refunds WHERE id >= :first AND intended_at >= date_trunc('day', clock_timestamp(), 'UTC')
    AND origin IN ('policy', 'person') AND state = ANY (:live)
GROUP BY account, currency ORDER BY account, currency
""")
_AGES: Final = sa.text("""
SELECT width_bucket(EXTRACT(EPOCH FROM clock_timestamp() - opened_at) / 3600, CAST(:bounds AS float8[])) AS bucket,
    count(*) AS cases, count(*) FILTER (WHERE due_at < clock_timestamp()) AS overdue
FROM cases WHERE state = 'review' GROUP BY 1
""")
_DECIDED: Final = sa.text("""
SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FROM (
    SELECT EXTRACT(EPOCH FROM
        (SELECT min(d.decided_at) FROM decisions d WHERE d.case_id = c.id AND d.purpose = 'assess')
        - (SELECT min(r.asked_at) FROM requests r WHERE r.case_id = c.id)) AS seconds
    FROM (SELECT id FROM cases WHERE id >= :first AND id < :last AND joined_case_id IS NULL
          ORDER BY id DESC LIMIT :most) AS c
) AS each WHERE seconds >= 0
""")
_TROUBLE: Final = sa.text("""
SELECT
    (SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'failed' LIMIT :most) AS a) AS jobs_failed,
    (SELECT last_error FROM jobs WHERE state = 'failed' ORDER BY id DESC LIMIT 1) AS last_error,
    (SELECT EXTRACT(EPOCH FROM clock_timestamp() - min(run_at)) FROM jobs
     WHERE state = 'ready' AND run_at <= clock_timestamp()) AS oldest_due_seconds,
    (SELECT count(*) FROM refunds WHERE state = 'unknown') AS refunds_unknown,
    (SELECT count(*) FROM notices WHERE state = 'failed') AS notices_failed,
    (SELECT count(*) FROM breaks WHERE state <> 'settled') AS breaks,
    (SELECT count(*) FROM approvals WHERE refund_id IS NULL AND ended_at IS NULL) AS approvals,
    (SELECT max(at) FROM queue_samples) AS scheduler_at
""")
_HEAD: Final = sa.text("SELECT seq, hash, at FROM ledger_entries ORDER BY seq DESC LIMIT 1")
_NEXT_CASES: Final = sa.text("""
SELECT id, reason, priority, amount_minor, currency, assignee, due_at FROM cases
WHERE state = 'review' AND due_at IS NOT NULL ORDER BY due_at LIMIT :most
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class DayMoney:
    """Refunds of ours since midnight UTC, of one account and currency, in minor units; by the machine and in all."""

    account: str
    currency: str
    refunds: int
    amount_minor: int
    automatic: int
    automatic_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeBar:
    """Cases that wait for a person, by how long ago they were opened."""

    label: str
    cases: int
    overdue: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Median seconds from the first request to the first verdict, over the newest cases of a time; None for none."""

    cases: int
    median_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextCase:
    """A case that is due soon, or was."""

    id: str
    reason: str | None
    priority: str
    amount_minor: int | None
    currency: str | None
    assignee: str | None
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is not well, at one moment."""

    jobs_failed: int
    last_error: str | None
    oldest_due_seconds: float | None
    refunds_unknown: int
    notices_failed: int
    breaks: int
    approvals: int
    """First approvals that wait for a second person."""
    scheduler_at: datetime | None
    """When the scheduler last took its sample; None where it never did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead:
    """The newest entry of the chain."""

    seq: int
    hash: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Everything that the front page shows of the books."""

    now: datetime
    today: tuple[DayMoney, ...]
    ages: tuple[AgeBar, ...]
    this_month: Pace
    last_month: Pace
    next_cases: tuple[NextCase, ...]
    trouble: Trouble
    mentions: int
    head: LedgerHead | None
    modes: tuple[ModeRow, ...]
    breakers: Mapping[str, Breaker]
    """Those that are open, by account."""


def front(connection: Connection, *, person: str, accounts: tuple[str, ...], deadlines: int) -> Front:
    """The front page for this person, with so many of the next deadlines."""
    now = database.now(connection)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = (month - timedelta(days=1)).replace(day=1)
    head = connection.execute(_HEAD).one_or_none()
    opened = {one.account: one for one in breakers.all_breakers(connection) if one.is_open}
    return Front(
        now=now,
        today=_today(connection, now),
        ages=_ages(connection),
        this_month=_pace(connection, month, now + _CLOCKS_APART),
        last_month=_pace(connection, before, month),
        next_cases=tuple(
            NextCase(**row._mapping) for row in connection.execute(_NEXT_CASES, {"most": deadlines}).all()
        ),
        trouble=_trouble(connection),
        mentions=mentions.unseen(connection, person),
        head=LedgerHead(**head._mapping) if head else None,
        modes=tuple(modes.current(connection, account) for account in accounts),
        breakers=opened,
    )


def _today(connection: Connection, now: datetime) -> tuple[DayMoney, ...]:
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    values = {"first": first_id(Kind.REFUND, day - _CLOCKS_APART), "live": [state.value for state in LIVE_STATES]}
    return tuple(DayMoney(**row._mapping) for row in connection.execute(_TODAY, values))


def _ages(connection: Connection) -> tuple[AgeBar, ...]:
    bounds = [0.0, *(float(hours) for _, hours in AGES)]
    found = {row.bucket: row for row in connection.execute(_AGES, {"bounds": bounds})}
    labels = [*(label for label, _ in AGES), OLDEST]
    return tuple(_bar(label, found.get(at + 1)) for at, label in enumerate(labels))


def _bar(label: str, row: sa.Row[Any] | None) -> AgeBar:
    return AgeBar(label=label, cases=row.cases if row else 0, overdue=row.overdue if row else 0)


def _pace(connection: Connection, since: datetime, until: datetime) -> Pace:
    values = {"first": first_id(Kind.CASE, since), "last": first_id(Kind.CASE, until), "most": MOST_TIMED}
    count, median = connection.execute(_DECIDED, values).one()
    return Pace(cases=count, median_seconds=None if median is None else float(median))


def _trouble(connection: Connection) -> Trouble:
    row = connection.execute(_TROUBLE, {"most": _MOST_FAILED + 1}).one()
    oldest = row.oldest_due_seconds
    return Trouble(**{**row._mapping, "oldest_due_seconds": None if oldest is None else float(oldest)})
