"""Reading past cases for deciding them again: cut into stretches of ids, a stretch at a time, as raw bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection

from billingbot.core.ledger import EntryKind

# Some five megabytes of facts at a time: too much for no process, and a statement of some tens of milliseconds.
STRETCH_CASES: Final = 1000
# A million cases are cut in about a second; on a machine that has other work it may be ten.
_CUTTING_TIMEOUT: Final = "SET LOCAL statement_timeout = '120s'"
# The newest ones speak for how people work now, and are read in a second.
MOST_TIMED: Final = 10_000

_WANTED: Final = """
    c.decision_id IS NOT NULL AND c.joined_case_id IS NULL
    AND coalesce(c.decided_at, c.opened_at) >= coalesce(%(since)s::timestamptz, '-infinity')
    AND coalesce(c.decided_at, c.opened_at) < coalesce(%(until)s::timestamptz, 'infinity')
    AND (%(account)s::text IS NULL OR c.account = %(account)s::text)
"""
# Ids are ordered by time, so that a stretch of them lies together on the disk as well.
_STRETCHES: Final = f"""
SELECT min(id), max(id), count(*) FROM (
    SELECT c.id, (row_number() OVER (ORDER BY c.id) - 1) / %(size)s AS stretch FROM cases c WHERE {_WANTED}
) AS numbered GROUP BY stretch ORDER BY stretch
"""  # noqa: S608  # a condition of ours
# A person's word on a case `c`: denied is how it ended; approved is a refund of theirs.
PERSONS_WORD: Final = """
    CASE WHEN c.outcome = 'denied' THEN 'denied'
         WHEN c.assignee IS NOT NULL
              AND EXISTS (SELECT FROM refunds r WHERE r.case_id = c.id AND r.origin = 'person') THEN 'approved' END
"""
# The verdict that the case stands on.
_CASES: Final = f"""
SELECT c.id, c.account, c.charge_id, {PERSONS_WORD},
    d.outcome, d.rule, d.reason, d.recommendation, d.policy_digest, d.decided_at, d.facts
FROM cases c JOIN decisions d ON d.id = c.decision_id
WHERE c.id >= %(first)s AND c.id <= %(last)s AND {_WANTED} ORDER BY c.id
"""  # noqa: S608  # as above
# From the last time that somebody took the case to the word on it, by whoever said it.
_HANDLING: Final = f"""
SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FROM (
    SELECT extract(epoch FROM e.at - (
        SELECT max(t.at) FROM ledger_entries t
        WHERE t.subject = e.subject AND t.kind = '{EntryKind.CASE_CLAIMED}' AND t.seq < e.seq
    )) AS seconds
    FROM ledger_entries e
    WHERE e.kind IN ('{EntryKind.CASE_APPROVED}', '{EntryKind.CASE_DENIED}')
        AND e.at >= coalesce(%(since)s::timestamptz, '-infinity')
        AND e.at < coalesce(%(until)s::timestamptz, 'infinity')
        AND (%(account)s::text IS NULL OR e.account = %(account)s::text)
    ORDER BY e.seq DESC LIMIT {MOST_TIMED}
) AS each WHERE seconds IS NOT NULL
"""  # noqa: S608  # as above


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which cases: by when they were last decided, `until` excluded, and by account; None is without a bound."""

    since: datetime | None = None
    until: datetime | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Cases whose ids lie between these two, both included; `count` of them were wanted when it was cut."""

    first: str
    last: str
    count: int


class PastCase(NamedTuple):
    """A case with the verdict that it stands on, as stored."""

    id: str
    account: str
    charge_id: str | None
    person: str | None
    """A person's word: `approved`, `denied`, or None where nobody has spoken."""
    outcome: str
    rule: str
    reason: str
    recommendation: str
    policy_digest: str
    decided_at: datetime
    facts: bytes


@dataclass(frozen=True, slots=True)
class Handling:
    """How long people had cases in their hands: the median in seconds, of so many; None where nobody took one."""

    count: int
    median_seconds: float | None


def stretches(connection: Connection, wanted: Wanted, *, size: int = STRETCH_CASES) -> Sequence[Stretch]:
    """All decided cases that are wanted, cut into stretches. Cases that were moved into another are not among them."""
    connection.exec_driver_sql(_CUTTING_TIMEOUT)
    rows = connection.exec_driver_sql(_STRETCHES, {**_values(wanted), "size": size})
    return [Stretch(*row) for row in rows]


def past_cases(connection: Connection, wanted: Wanted, stretch: Stretch) -> Iterator[PastCase]:
    """The cases of one stretch, in the order of their ids.

    Read in Postgres' binary format by the driver itself: facts sent as text would be twice as many bytes.
    """
    driver = connection.connection.driver_connection
    if driver is None:
        raise ValueError("connection: expected an open one")
    with driver.cursor(binary=True) as cursor:
        cursor.execute(_CASES, {**_values(wanted), "first": stretch.first, "last": stretch.last})
        for row in cursor:
            yield PastCase(*row)


def handling(connection: Connection, wanted: Wanted) -> Handling:
    """The time from taking a case to the word on it, over the newest of those that people took first."""
    connection.exec_driver_sql(_CUTTING_TIMEOUT)
    count, seconds = connection.exec_driver_sql(_HANDLING, _values(wanted)).one()
    return Handling(count, None if seconds is None else float(seconds))


def never_decided(connection: Connection, wanted: Wanted) -> int:
    """How many cases opened in that time have no verdict to compare with, such as those met in mode off."""
    query = """
        SELECT count(*) FROM cases c WHERE c.decision_id IS NULL AND c.joined_case_id IS NULL
            AND c.opened_at >= coalesce(%(since)s::timestamptz, '-infinity')
            AND c.opened_at < coalesce(%(until)s::timestamptz, 'infinity')
            AND (%(account)s::text IS NULL OR c.account = %(account)s::text)
    """
    connection.exec_driver_sql(_CUTTING_TIMEOUT)
    return int(connection.exec_driver_sql(query, _values(wanted)).scalar_one())


def _values(wanted: Wanted) -> dict[str, object]:
    return {"since": wanted.since, "until": wanted.until, "account": wanted.account}
