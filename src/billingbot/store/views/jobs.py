"""Reading jobs: what waits, what failed and why, and what each was about."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.errors import NotFoundError
from billingbot.core.job import Actor, JobState
from billingbot.store.jobs import JobScope, in_scope
from billingbot.store.schema import (
    cancellations,
    dispute_answers,
    dispute_drafts,
    disputes,
    inbox,
    job_failures,
    jobs,
    letters,
    refunds,
)
from billingbot.store.views.paging import PAGE_ROWS, Page, newest_first

_NOW = sa.func.clock_timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """One job as it stands. `lease_until` is set while a worker holds it, or held it when it died."""

    id: str
    actor: Actor
    subject: str
    state: JobState
    attempts: int
    run_at: datetime
    lease_until: datetime | None
    created_at: datetime
    finished_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong at one try."""

    attempt: int
    at: datetime
    error_class: str
    error: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """The stored event that a job interprets, without its body."""

    id: str
    account: str
    event_id: str
    type: str
    object_id: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One job with all its failures, oldest first, and what it is about: an event, or a case, where there is one."""

    job: JobLine
    failures: tuple[Failure, ...]
    event: EventLine | None
    case_id: str | None


class JobTab(StrEnum):
    """Jobs as a person tells them apart: `ready` is four things."""

    FAILED = "failed"
    RETRYING = "retrying"
    RUNNING = "running"
    DUE = "due"
    LATER = "later"
    DONE = "done"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter(JobScope):
    """Which jobs to show. `since` and `until` are about when they were made; with `by_end`, about when they ended."""

    state: JobState | None = None
    tab: JobTab | None = None
    subject: str | None = None
    by_end: bool = False


ALL_JOBS: Final = JobFilter()


def job_list(
    connection: Connection, filters: JobFilter = ALL_JOBS, *, after: str | None = None, limit: int = PAGE_ROWS
) -> Page[JobLine]:
    """Jobs by these filters, newest first. InputError for a bad cursor."""
    query = _select().where(*_wanted(filters))
    return newest_first(connection, query, jobs.c.id, _line, after=after, limit=limit)


def _wanted(filters: JobFilter) -> Iterator[sa.ColumnElement[bool]]:
    yield from in_scope(filters, jobs.c.finished_at if filters.by_end else jobs.c.created_at)
    if filters.state is not None:
        yield jobs.c.state == filters.state
    if filters.subject is not None:
        yield jobs.c.subject == filters.subject
    if filters.tab is not None:
        yield from _on_tab(filters.tab)


def _on_tab(tab: JobTab) -> Iterator[sa.ColumnElement[bool]]:
    """As `failing.job_counts` counts them."""
    has_failed = sa.and_(jobs.c.attempts > 0, jobs.c.last_error.is_not(None))
    match tab:
        case JobTab.FAILED | JobTab.DONE | JobTab.DISMISSED:
            yield jobs.c.state == JobState(tab.value)
            return
        case JobTab.RETRYING:
            yield from (has_failed, jobs.c.token.is_(None))
        case JobTab.RUNNING:
            yield jobs.c.lease_until >= _NOW
        case JobTab.DUE:
            yield from (jobs.c.last_error.is_(None), jobs.c.token.is_(None), jobs.c.run_at <= _NOW)
        case JobTab.LATER:
            yield from (jobs.c.last_error.is_(None), jobs.c.token.is_(None), jobs.c.run_at > _NOW)
    yield jobs.c.state == JobState.READY


def job_page(connection: Connection, job_id: str) -> JobPage:
    """The job with its failures. Raises NotFoundError."""
    row = connection.execute(_select().where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"job {job_id}: there is none")
    job = _line(row)
    columns = [job_failures.c[name] for name in Failure.__slots__]
    failures = connection.execute(
        sa.select(*columns).where(job_failures.c.job_id == job_id).order_by(job_failures.c.attempt)
    )
    return JobPage(
        job=job,
        failures=tuple(Failure(**failure._mapping) for failure in failures),
        event=_event(connection, job),
        case_id=_case_id(connection, job),
    )


def _event(connection: Connection, job: JobLine) -> EventLine | None:
    if job.actor is not Actor.INTERPRET:
        return None
    columns = [inbox.c[name] for name in EventLine.__slots__]
    row = connection.execute(sa.select(*columns).where(inbox.c.id == job.subject)).one_or_none()
    return EventLine(**row._mapping) if row else None


def _case_id(connection: Connection, job: JobLine) -> str | None:
    match job.actor:
        case Actor.ASSESS | Actor.RECHECK:
            return job.subject
        case Actor.SUBMIT | Actor.SETTLE:
            found = connection.execute(sa.select(refunds.c.case_id).where(refunds.c.id == job.subject))
            return found.scalar_one_or_none()
        case Actor.CANCEL:
            found = connection.execute(sa.select(cancellations.c.case_id).where(cancellations.c.id == job.subject))
            return found.scalar_one_or_none()
        case Actor.DELIVER:
            found = connection.execute(sa.select(letters.c.case_id).where(letters.c.id == job.subject))
            return found.scalar_one_or_none()
        case Actor.DRAFT_ANSWER:
            return _case_of_dispute(connection, dispute_drafts, job.subject)
        case Actor.ANSWER:
            return _case_of_dispute(connection, dispute_answers, job.subject)
        case (
            Actor.INTERPRET
            | Actor.IMPORT_HISTORY
            | Actor.NOTIFY
            | Actor.BACKFILL
            | Actor.RECONCILE
            | Actor.WATCH_DISPUTE
            | Actor.REPLAY
            | Actor.BACKTEST
            | Actor.READ_SETTLEMENTS
            | Actor.CLOSE_MONTH
            | Actor.PERSONAL_DATA
        ):
            return None


def _case_of_dispute(connection: Connection, table: sa.Table, subject: str) -> str | None:
    """The case of the dispute that a draft or an answer is for."""
    same = sa.and_(disputes.c.account == table.c.account, disputes.c.dispute_id == table.c.dispute_id)
    found = connection.execute(
        sa.select(disputes.c.case_id).select_from(table.join(disputes, same)).where(table.c.id == subject)
    )
    return found.scalar_one_or_none()


def _select() -> sa.Select[Any]:
    return sa.select(*(jobs.c[name] for name in JobLine.__slots__))


def _line(row: sa.Row[Any]) -> JobLine:
    return JobLine(**{**row._mapping, "actor": Actor(row.actor), "state": JobState(row.state)})
