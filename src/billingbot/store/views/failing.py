"""Reading what is failing: jobs grouped by error, how often by the hour, and how many stand where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.job import Actor

# What a group is made from: the newest of what fails. A night in which more fail than this has one cause or two, and
# the groups say which.
MOST_GROUPED: Final = 10_000
# A tab that has more says so; counting on tells nobody anything.
MOST_COUNTED: Final = 10_000
HOURS: Final = 24

_FAILING: Final = """
    SELECT j.id, j.actor, j.subject, j.state, f.error_class, f.frame, f.error, f.at
    FROM (
        (SELECT id, actor, subject, state FROM jobs WHERE state = 'failed' ORDER BY id DESC LIMIT :most)
        UNION ALL
        (SELECT id, actor, subject, state FROM jobs
         WHERE state = 'ready' AND attempts > 0 AND last_error IS NOT NULL ORDER BY id DESC LIMIT :most)
    ) AS j
    JOIN LATERAL (
        SELECT error_class, frame, error, at FROM job_failures
        WHERE job_id = j.id ORDER BY attempt DESC LIMIT 1
    ) AS f ON true
"""
_GROUPS: Final = sa.text(f"""
SELECT g.error_class, g.frame, count(*) FILTER (WHERE g.state = 'failed') AS failed,
    count(*) FILTER (WHERE g.state = 'ready') AS retrying, max(g.at) AS last_at,
    array_agg(DISTINCT g.actor) AS actors,
    (array_agg(g.error ORDER BY g.at DESC))[1] AS error,
    count(DISTINCT CASE
        WHEN g.actor IN ('assess', 'recheck') THEN g.subject
        WHEN g.actor IN ('submit', 'settle') THEN (SELECT case_id FROM refunds WHERE id = g.subject)
        WHEN g.actor = 'cancel' THEN (SELECT case_id FROM cancellations WHERE id = g.subject)
        WHEN g.actor = 'deliver' THEN (SELECT case_id FROM letters WHERE id = g.subject) END) AS cases,
    (SELECT min(at) FROM job_failures w WHERE w.job_id = min(g.id)) AS first_at
FROM ({_FAILING}) AS g
GROUP BY g.error_class, g.frame ORDER BY max(g.at) DESC
""")  # noqa: S608  # a part of ours
_BY_HOUR: Final = sa.text("""
SELECT error_class, frame, date_trunc('hour', at) AS hour, count(*) AS n FROM job_failures
WHERE at >= CAST(:since AS timestamptz) GROUP BY 1, 2, 3
""")
_TABS: Final = sa.text("""
SELECT
    (SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'failed' LIMIT :most) AS a) AS failed,
    (SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'ready' AND attempts > 0 AND last_error IS NOT NULL
        AND token IS NULL LIMIT :most) AS a) AS retrying,
    (SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'ready' AND token IS NOT NULL
        AND lease_until >= clock_timestamp() LIMIT :most) AS a) AS running,
    (SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'ready' AND token IS NULL AND last_error IS NULL
        AND run_at <= clock_timestamp() LIMIT :most) AS a) AS due,
    (SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'ready' AND token IS NULL AND last_error IS NULL
        AND run_at > clock_timestamp() LIMIT :most) AS a) AS later,
    (SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'done' LIMIT :most) AS a) AS done,
    (SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'dismissed' LIMIT :most) AS a) AS dismissed
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingGroup:
    """Jobs that fail in one way at one place of our code. `frame` is empty where none of ours was on the stack."""

    error_class: str
    frame: str
    failed: int
    """Given up: they wait for a person."""
    retrying: int
    """Tried again by themselves."""
    first_at: datetime
    last_at: datetime
    actors: tuple[Actor, ...]
    error: str
    """What the newest of them said."""
    cases: int
    by_hour: tuple[int, ...]
    """Failures in each of the last HOURS hours, oldest first, of jobs that have recovered as well."""

    @property
    def jobs(self) -> int:
        """All of them."""
        return self.failed + self.retrying


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """How many jobs stand where; each up to MOST_COUNTED."""

    failed: int
    retrying: int
    running: int
    due: int
    later: int
    done: int
    dismissed: int


def failing(connection: Connection) -> tuple[FailingGroup, ...]:
    """What is failing now, grouped by error, the one that struck last first."""
    rows = connection.execute(_GROUPS, {"most": MOST_GROUPED}).all()
    if not rows:
        return ()
    now: datetime = connection.execute(sa.text("SELECT date_trunc('hour', clock_timestamp())")).scalar_one()
    hours = _by_hour(connection.execute(_BY_HOUR, {"since": now - timedelta(hours=HOURS - 1)}).all(), now)
    return tuple(_group(row, hours.get((row.error_class, row.frame), (0,) * HOURS)) for row in rows)


def job_counts(connection: Connection) -> JobCounts:
    """The numbers on the tabs."""
    return JobCounts(**connection.execute(_TABS, {"most": MOST_COUNTED + 1}).one()._mapping)


def _group(row: sa.Row[Any], by_hour: tuple[int, ...]) -> FailingGroup:
    actors = tuple(Actor(actor) for actor in row.actors)
    return FailingGroup(**{**row._mapping, "actors": actors, "first_at": row.first_at or row.last_at}, by_hour=by_hour)


def _by_hour(rows: Sequence[sa.Row[Any]], now: datetime) -> Mapping[tuple[str, str], tuple[int, ...]]:
    found: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        back = round((now - row.hour).total_seconds() / 3600)
        if 0 <= back < HOURS:
            found.setdefault((row.error_class, row.frame), [0] * HOURS)[HOURS - 1 - back] += row.n
    return {key: tuple(counts) for key, counts in found.items()}
