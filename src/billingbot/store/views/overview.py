"""Reading the whole desk at a glance: how much waits, and for how long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.mode import Mode

# One statement, so that all numbers are of one moment. Due and failed jobs, the queue and open refunds come from
# partial indexes; the totals by state read their tables, which a scrape does once in a while (see web/health.py).
_COUNTS: Final = sa.text("""
SELECT
    (SELECT count(*) FROM jobs WHERE state = 'ready' AND run_at <= clock_timestamp()) AS jobs_due,
    (SELECT EXTRACT(EPOCH FROM clock_timestamp() - min(run_at)) FROM jobs
     WHERE state = 'ready' AND run_at <= clock_timestamp()) AS oldest_due_job_seconds,
    (SELECT count(*) FROM jobs WHERE state = 'failed') AS jobs_failed,
    (SELECT coalesce(json_object_agg(state, n), '{}') FROM
        (SELECT state, count(*) AS n FROM cases GROUP BY state) AS c) AS cases,
    (SELECT count(*) FROM cases WHERE state = 'review' AND due_at < clock_timestamp()) AS reviews_overdue,
    (SELECT coalesce(json_object_agg(state, n), '{}') FROM
        (SELECT state, count(*) AS n FROM refunds GROUP BY state) AS r) AS refunds,
    (SELECT EXTRACT(EPOCH FROM clock_timestamp() - min(first_sent_at)) FROM refund_attempts
     WHERE outcome IN ('open', 'unknown') AND refund_id IN (SELECT id FROM refunds WHERE state = 'unknown')
    ) AS oldest_unknown_seconds,
    (SELECT count(*) FROM inbox) AS inbox,
    (SELECT coalesce(sum(missing), 0)::bigint FROM backfills) AS events_missed,
    (SELECT EXTRACT(EPOCH FROM clock_timestamp() - min(read_to)) FROM event_marks) AS events_unproven_seconds,
    (SELECT count(*) FROM conversions) AS conversions,
    (SELECT coalesce(max(seq), 0) FROM ledger_entries) AS ledger_seq,
    (SELECT coalesce(json_object_agg(account, mode), '{}') FROM modes) AS modes,
    (SELECT coalesce(json_agg(account ORDER BY account), '[]') FROM breakers WHERE closed_at IS NULL) AS breakers_open,
    (SELECT count(*) FROM notices WHERE state = 'failed') AS notices_failed,
    (SELECT count(*) FROM disputes WHERE outcome IS NULL AND missed_at IS NOT NULL) AS disputes_missed,
    (SELECT EXTRACT(EPOCH FROM min(due_by) - clock_timestamp()) FROM disputes
     WHERE outcome IS NULL AND next_alarm_at IS NOT NULL) AS dispute_due_seconds
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much there is of everything, at one moment. Ages in seconds; None where nothing waits."""

    jobs_due: int
    oldest_due_job_seconds: float | None
    jobs_failed: int
    cases: Mapping[str, int]
    """By state; a state without cases is not there."""
    reviews_overdue: int
    refunds: Mapping[str, int]
    """By state; a state without refunds is not there."""
    oldest_unknown_seconds: float | None
    """Since the oldest refund of unknown outcome was first sent."""
    inbox: int
    events_missed: int
    """Found in Stripe's list and not here, ever."""
    events_unproven_seconds: float | None
    """How far back the last whole pass over Stripe's list ends, for the account where that is longest ago."""
    conversions: int
    ledger_seq: int
    modes: Mapping[str, Mode]
    """By account, for those whose mode somebody has set; the others are in shadow."""
    breakers_open: Sequence[str]
    """Accounts that the breaker keeps from paying by themselves."""
    notices_failed: int
    """Notices that some destination never took."""
    disputes_missed: int
    """Open disputes whose deadline passed without an answer."""
    dispute_due_seconds: float | None
    """Until the first deadline of a dispute that awaits an answer."""


def counts(connection: Connection) -> Counts:
    """Everything that gauges and the overview show, in one statement."""
    row = connection.execute(_COUNTS).one()
    return Counts(
        **{
            **row._mapping,
            "oldest_due_job_seconds": _seconds(row.oldest_due_job_seconds),
            "events_unproven_seconds": _seconds(row.events_unproven_seconds),
            "oldest_unknown_seconds": _seconds(row.oldest_unknown_seconds),
            "dispute_due_seconds": _seconds(row.dispute_due_seconds),
            "breakers_open": tuple(row.breakers_open),
            "modes": {account: Mode(mode) for account, mode in row.modes.items()},
        }
    )


def oldest_due_job_seconds(connection: Connection) -> float | None:
    """How long the oldest due job has been due; None where none is. Cheap: one look at a partial index."""
    age = "SELECT EXTRACT(EPOCH FROM clock_timestamp() - min(run_at)) FROM jobs"
    due = "WHERE state = 'ready' AND run_at <= clock_timestamp()"
    return _seconds(connection.execute(sa.text(f"{age} {due}")).scalar_one())


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)
