"""Jobs: enqueued in the transaction that causes them, claimed with a lease and a token, finished only with it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.errors import LeaseLostError
from billingbot.core.frames import own_frame
from billingbot.core.job import LEASE, Actor, Job, JobState
from billingbot.store.schema import (
    backfills,
    cancellations,
    cases,
    inbox,
    job_failures,
    jobs,
    reconcile_passes,
    refunds,
)

_NOW = sa.func.clock_timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedJob:
    """A job that ended failed and waits for a person. `error_class` is that of its last kept failure."""

    id: str
    actor: Actor
    subject: str
    created_at: datetime
    finished_at: datetime
    error_class: str | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobScope:
    """What lists and replays choose jobs by: all that is set must hold."""

    actor: Actor | None = None
    error_class: str | None = None
    """That of the last failure."""
    frame: str | None = None
    """Where in our code the last failure was, as `core.frames.own_frame` tells it."""
    account: str | None = None
    case: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedFilter(JobScope):
    """Which failed jobs. `since` and `until` are about when they were given up."""

    ids: tuple[str, ...] | None = None
    states: tuple[JobState, ...] = (JobState.FAILED,)
    """Failed ones, unless events are interpreted again."""
    after: str | None = None
    """Only jobs behind this id: oldest come first."""
    through: str | None = None
    """Only jobs up to this id."""


ALL_FAILED: Final = FailedFilter()


def enqueue(
    connection: Connection, job_id: str, actor: Actor, subject: str, *, delay: timedelta = timedelta(0)
) -> bool:
    """Writes the job, unless the same one already waits untouched. True where a row was written."""
    waiting = (
        sa.select(sa.literal(1))
        .select_from(jobs)
        .where(jobs.c.subject == subject, jobs.c.actor == actor, jobs.c.state == JobState.READY)
        .where(jobs.c.token.is_(None), jobs.c.run_at <= _NOW + delay)
    )
    row = sa.select(
        sa.literal(job_id), sa.literal(actor.value), sa.literal(subject), sa.literal("ready"), _NOW + delay
    ).where(~sa.exists(waiting))
    columns = ["id", "actor", "subject", "state", "run_at"]
    written = connection.execute(jobs.insert().from_select(columns, row).returning(jobs.c.id))
    return written.one_or_none() is not None


def claim(connection: Connection, job_id: str, token: str) -> Job | None:
    """Takes the job for one lease, or None: it is done, not due yet, or another worker holds it."""
    row = connection.execute(
        jobs.update()
        .where(jobs.c.id == job_id, jobs.c.state == JobState.READY, jobs.c.run_at <= _NOW)
        .where(sa.or_(jobs.c.lease_until.is_(None), jobs.c.lease_until < _NOW))
        .values(token=token, lease_until=_NOW + LEASE, attempts=jobs.c.attempts + 1)
        .returning(jobs.c.actor, jobs.c.subject, jobs.c.attempts, _NOW.label("claimed_at"))
    ).one_or_none()
    if row is None:
        return None
    return Job(
        id=job_id,
        actor=Actor(row.actor),
        subject=row.subject,
        attempts=row.attempts,
        token=token,
        claimed_at=row.claimed_at,
    )


def made_at(connection: Connection, job: Job) -> datetime:
    """When the job was written: in the commit of what caused it."""
    found: datetime = connection.execute(sa.select(jobs.c.created_at).where(jobs.c.id == job.id)).scalar_one()
    return found


def finish(connection: Connection, job: Job) -> None:
    """Marks the job done, in the transaction of its effects. LeaseLostError where the token no longer stands."""
    _with_token(connection, job, {"state": JobState.DONE, "finished_at": _NOW, "token": None, "lease_until": None})


def postpone(connection: Connection, job: Job, delay: timedelta) -> None:
    """Runs the job again after `delay` without counting this try: it did no harm and met no fault."""
    values = {"run_at": _NOW + delay, "token": None, "lease_until": None, "attempts": jobs.c.attempts - 1}
    _with_token(connection, job, values)


def go_on(connection: Connection, job: Job) -> None:
    """Runs the job again at once, its tries counted anew: it got a step further."""
    _with_token(connection, job, {"run_at": _NOW, "token": None, "lease_until": None, "attempts": 0})


def retry(connection: Connection, job: Job, delay: timedelta, error: str) -> None:
    """Runs the job again after `delay`; the try counts."""
    values = {"run_at": _NOW + delay, "token": None, "lease_until": None, "last_error": error}
    _with_token(connection, job, values)


def renew(connection: Connection, job: Job) -> None:
    """Starts the lease anew, before a long call. LeaseLostError where the token no longer stands."""
    _with_token(connection, job, {"lease_until": _NOW + LEASE})


def has_elder(connection: Connection, job: Job) -> bool:
    """Whether an older job does the same for the same subject, now or next: ids sort by time, and one is enough."""
    elder = sa.exists().where(
        jobs.c.actor == job.actor, jobs.c.subject == job.subject, jobs.c.id < job.id,
        jobs.c.state == JobState.READY, jobs.c.run_at <= _NOW,
    )  # fmt: skip
    return bool(connection.execute(sa.select(elder)).scalar_one())


def give_up(connection: Connection, job: Job, error: str) -> None:
    """Marks the job failed: it stays until a person replays or dismisses it."""
    values = {
        "state": JobState.FAILED,
        "finished_at": _NOW,
        "token": None,
        "lease_until": None,
        "last_error": error,
    }
    _with_token(connection, job, values)


def record_failure(connection: Connection, job: Job, error_class: str, error: str, traceback: str) -> None:
    """Keeps what went wrong at this try, for the person who may have to look.

    Tries after a replay are numbered on behind the kept ones, since a replayed job counts its attempts from one.
    """
    last = sa.select(sa.func.max(job_failures.c.attempt)).where(job_failures.c.job_id == job.id).scalar_subquery()
    row = {
        "job_id": job.id,
        "attempt": sa.func.greatest(job.attempts, sa.func.coalesce(last + 1, job.attempts)),
        "error_class": error_class,
        "error": error,
        "traceback": traceback.replace("\x00", "\ufffd"),  # Postgres takes no NUL, and a payload may hold one
        "frame": own_frame(traceback),
    }
    connection.execute(insert(job_failures).values(row).on_conflict_do_nothing())


def due(connection: Connection, *, silent_for: timedelta, limit: int) -> Sequence[str]:
    """Jobs that should have run `silent_for` ago and that nobody holds: their bell was lost, or their worker."""
    found = connection.execute(
        sa.select(jobs.c.id)
        .where(jobs.c.state == JobState.READY)
        .where(
            sa.func.greatest(jobs.c.run_at, sa.func.coalesce(jobs.c.lease_until, jobs.c.run_at)) <= _NOW - silent_for
        )
        .order_by(jobs.c.run_at)
        .limit(limit)
    )
    return found.scalars().all()


def failed(
    connection: Connection, wanted: FailedFilter = ALL_FAILED, *, limit: int | None = None
) -> Sequence[FailedJob]:
    """Failed jobs by this filter, oldest first, `limit` at the most."""
    columns = [jobs.c[name] for name in FailedJob.__slots__ if name != "error_class"]
    found = connection.execute(
        sa.select(*columns, last_error_class().label("error_class"))
        .where(jobs.c.state.in_(wanted.states), *_wanted(wanted))
        .order_by(jobs.c.id)
        .limit(limit)
    )
    return [FailedJob(**{**row._mapping, "actor": Actor(row.actor)}) for row in found]


def last_error_class() -> sa.ScalarSelect[Any]:
    """The class of a job's last kept failure."""
    return _of_last_failure(job_failures.c.error_class)


def _of_last_failure(column: sa.Column[Any]) -> sa.ScalarSelect[Any]:
    return (
        sa.select(column)
        .where(job_failures.c.job_id == jobs.c.id)
        .order_by(job_failures.c.attempt.desc())
        .limit(1)
        .scalar_subquery()
    )


def missing(connection: Connection, job_ids: Sequence[str]) -> Sequence[str]:
    """Those of the ids that no job has, in whatever state."""
    known = set(connection.execute(sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids))).scalars())
    return [job_id for job_id in job_ids if job_id not in known]


def overtaken(connection: Connection, job_ids: Collection[str]) -> set[str]:
    """Those of these jobs that another one overtook: it did the same for the same subject, and was done later than
    they were made."""
    if not job_ids:
        return set()
    other = jobs.alias()
    same = sa.exists().where(
        other.c.subject == jobs.c.subject, other.c.actor == jobs.c.actor, other.c.id != jobs.c.id,
        other.c.state == JobState.DONE, other.c.finished_at > jobs.c.created_at,
    )  # fmt: skip
    return set(connection.execute(sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids), same)).scalars())


def revive(connection: Connection, job_id: str, *, states: Sequence[JobState] = (JobState.FAILED,)) -> bool:
    """Makes a job ready again that ended in one of these states, its attempts counted anew; its failures stay.

    False where it is in none of them, or no longer.
    """
    values = {"state": JobState.READY, "attempts": 0, "run_at": _NOW, "finished_at": None}
    changed = connection.execute(jobs.update().where(jobs.c.id == job_id, jobs.c.state.in_(states)).values(**values))
    return changed.rowcount == 1


def dismiss(connection: Connection, job_ids: Sequence[str]) -> set[str]:
    """Puts these failed jobs away for good; those that it was done to. The others are not failed, or no longer."""
    mine = sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids), jobs.c.state == JobState.FAILED)
    locked = mine.order_by(jobs.c.id).with_for_update()  # in one order: two people who put away never wait in a circle
    ids = connection.execute(locked).scalars().all()
    connection.execute(jobs.update().where(jobs.c.id.in_(ids)).values(state=JobState.DISMISSED))
    return set(ids)


def _wanted(wanted: FailedFilter) -> Iterator[sa.ColumnElement[bool]]:
    yield from in_scope(wanted, jobs.c.finished_at)
    if wanted.ids is not None:
        yield jobs.c.id.in_(wanted.ids)
    if wanted.after is not None:
        yield jobs.c.id > wanted.after
    if wanted.through is not None:
        yield jobs.c.id <= wanted.through


def in_scope(scope: JobScope, moment: sa.Column[Any]) -> Iterator[sa.ColumnElement[bool]]:
    """The conditions of the scope; its span of time is about this column."""
    if scope.actor is not None:
        yield jobs.c.actor == scope.actor
    if scope.error_class is not None:
        yield last_error_class() == scope.error_class
    if scope.frame is not None:
        yield _of_last_failure(job_failures.c.frame) == scope.frame
    if scope.account is not None:
        yield _of_account(scope.account)
    if scope.case is not None:
        yield _of_case(scope.case)
    if scope.since is not None:
        yield moment >= scope.since
    if scope.until is not None:
        yield moment < scope.until


def _of_account(account: str) -> sa.ColumnElement[bool]:
    """Jobs of this account. A job names one id, or the account itself; each kind of id stands in one table only."""
    owned = (
        sa.exists().where(table.c.id == jobs.c.subject, table.c.account == account)
        for table in (cases, refunds, inbox, backfills, cancellations, reconcile_passes)
    )
    return sa.or_(jobs.c.subject == account, *owned)


def _of_case(case_id: str) -> sa.ColumnElement[bool]:
    """Jobs about this case, or about a refund or a cancellation of its."""
    own = (sa.select(table.c.id).where(table.c.case_id == case_id) for table in (refunds, cancellations))
    # One list of subjects, each looked up in the index: conditions joined by "or" would read all jobs.
    return jobs.c.subject.in_(sa.union_all(sa.select(sa.literal(case_id)), *own))


def _with_token(connection: Connection, job: Job, values: Mapping[str, object]) -> None:
    changed = connection.execute(
        jobs.update()
        .where(jobs.c.id == job.id, jobs.c.token == job.token, jobs.c.state == JobState.READY)
        .values(**values)
    )
    if changed.rowcount != 1:
        raise LeaseLostError(f"job {job.id}: another worker took it over")
