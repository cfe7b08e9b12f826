"""Jobs: enqueued in the transaction that causes them, claimed with a lease and a token, finished only with it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.errors import LeaseLostError
from billingbot.core.job import LEASE, Actor, Job, JobState
from billingbot.store.schema import job_failures, jobs

_NOW = sa.func.clock_timestamp()


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


def finish(connection: Connection, job: Job) -> None:
    """Marks the job done, in the transaction of its effects. LeaseLostError where the token no longer stands."""
    _with_token(connection, job, {"state": JobState.DONE, "finished_at": _NOW, "token": None, "lease_until": None})


def postpone(connection: Connection, job: Job, delay: timedelta) -> None:
    """Runs the job again after `delay` without counting this try: it did no harm and met no fault."""
    values = {"run_at": _NOW + delay, "token": None, "lease_until": None, "attempts": jobs.c.attempts - 1}
    _with_token(connection, job, values)


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
    """Keeps what went wrong at this try, for the person who may have to look."""
    row = {
        "job_id": job.id,
        "attempt": job.attempts,
        "error_class": error_class,
        "error": error,
        "traceback": traceback.replace("\x00", "\ufffd"),  # Postgres takes no NUL, and a payload may hold one
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


def _with_token(connection: Connection, job: Job, values: Mapping[str, object]) -> None:
    changed = connection.execute(
        jobs.update()
        .where(jobs.c.id == job.id, jobs.c.token == job.token, jobs.c.state == JobState.READY)
        .values(**values)
    )
    if changed.rowcount != 1:
        raise LeaseLostError(f"job {job.id}: another worker took it over")
