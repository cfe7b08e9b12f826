"""Samples of the queue: one a minute, kept for eight days, so that a plot needs no other database."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.ids import Kind, first_id
from billingbot.store import database
from billingbot.store.schema import queue_samples

# A week of plots and a day to spare; some twelve thousand small rows.
KEPT: Final = timedelta(days=8)
# What came in behind a longer pause was no minute's work: the scheduler was away, and the plot shows a gap.
_MOST_GAP: Final = timedelta(minutes=10)
# Ids carry the clock of the process that made them, rows Postgres's own.
_CLOCKS_APART: Final = timedelta(minutes=10)
_TAKE: Final = sa.text("""
INSERT INTO queue_samples (at, due, oldest_due_seconds, failed, received, finished, faults)
SELECT :now, q.due, coalesce(q.oldest, 0),
    (SELECT count(*) FROM jobs WHERE state = 'failed'),
    (SELECT count(*) FROM inbox WHERE id > :first AND received_at > :since AND received_at <= :now),
    (SELECT count(*) FROM jobs WHERE finished_at > :since AND finished_at <= :now AND state = 'done'),
    (SELECT count(*) FROM job_failures WHERE at > :since AND at <= :now)
FROM (SELECT count(*) AS due, EXTRACT(EPOCH FROM :now - min(run_at)) AS oldest
      FROM jobs WHERE state = 'ready' AND run_at <= :now) AS q
ON CONFLICT DO NOTHING
""")
_SERIES: Final = sa.text("""
SELECT date_bin(CAST(:step AS interval), at, TIMESTAMPTZ '2020-01-01') AS start, max(due) AS due,
    max(oldest_due_seconds) AS oldest_due_seconds, max(failed) AS failed, sum(received)::bigint AS received,
    sum(finished)::bigint AS finished, sum(faults)::bigint AS faults
FROM queue_samples WHERE at >= :since GROUP BY 1 ORDER BY 1
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The queue over one stretch of time: the most that was due, and the sums of what came and went."""

    start: datetime
    due: int
    oldest_due_seconds: float
    failed: int
    received: int
    finished: int
    faults: int


def take(connection: Connection) -> None:
    """Writes the sample of this moment, and drops those that are too old to be shown."""
    now = database.now(connection)
    last = connection.execute(sa.select(sa.func.max(queue_samples.c.at))).scalar_one()
    since = max(last, now - _MOST_GAP) if last else now - timedelta(minutes=1)
    values = {"now": now, "since": since, "first": first_id(Kind.INBOX, since - _CLOCKS_APART)}
    connection.execute(_TAKE, values)
    connection.execute(queue_samples.delete().where(queue_samples.c.at < now - KEPT))


def series(connection: Connection, *, since: datetime, step: timedelta) -> tuple[Stretch, ...]:
    """The samples since then in stretches of `step`, oldest first; a stretch without any is not there."""
    rows = connection.execute(_SERIES, {"since": since, "step": f"{int(step.total_seconds())} seconds"})
    return tuple(Stretch(**row._mapping) for row in rows)
