"""Jobs: one holder at a time, finished only by the holder, and never forgotten."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from tests.engines.shared import Database

from billingbot.core.errors import LeaseLostError, RetryLaterError
from billingbot.core.job import LEASE, Actor, Job
from billingbot.store import jobs
from billingbot.store.database import make_engine, transaction


def enqueue(db: Engine, job_id: str, **how: timedelta) -> bool:
    with transaction(db) as connection:
        return jobs.enqueue(connection, job_id, Actor.ASSESS, "case_1", **how)


def claim(db: Engine, job_id: str, token: str) -> Job | None:
    with transaction(db) as connection:
        return jobs.claim(connection, job_id, token)


def expire(superuser: Engine) -> None:
    with superuser.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET lease_until = now() - interval '1 s', run_at = now()")


def claimed(db: Engine, token: str) -> Job:
    job = claim(db, "job_1", token)
    assert job is not None
    return job


def test_of_many_who_claim_a_job_one_gets_it(db: Engine) -> None:
    enqueue(db, "job_1")
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda n: claim(db, "job_1", f"token-{n}"), range(16)))
    assert sum(job is not None for job in got) == 1


ENDS: list[Callable[[Connection, Job], None]] = [
    jobs.finish,
    jobs.renew,
    lambda connection, job: jobs.postpone(connection, job, timedelta(0)),
    lambda connection, job: jobs.retry(connection, job, timedelta(0), "why"),
    lambda connection, job: jobs.give_up(connection, job, "why"),
]


@pytest.mark.parametrize("end", ENDS)
def test_whoever_lost_the_lease_changes_nothing(
    db: Engine, superuser: Engine, end: Callable[[Connection, Job], None]
) -> None:
    enqueue(db, "job_1")
    late = claimed(db, "late")
    expire(superuser)
    claimed(db, "next")

    with pytest.raises(LeaseLostError), transaction(db) as connection:
        end(connection, late)
    with superuser.begin() as connection:
        row = connection.execute(sa.text("SELECT state, token FROM jobs")).one()
    assert (row.state, row.token) == ("ready", "next")


def test_a_lease_that_ran_out_unnoticed_can_still_be_renewed(db: Engine, superuser: Engine) -> None:
    enqueue(db, "job_1")
    slow = claimed(db, "slow")
    expire(superuser)
    with transaction(db) as connection:
        jobs.renew(connection, slow)
    assert claim(db, "job_1", "next") is None


def test_a_lease_outlives_the_longest_call_after_its_renewal() -> None:
    assert timedelta(seconds=25) < LEASE


def test_the_same_job_is_written_once_while_it_waits_and_again_once_it_is_held(db: Engine) -> None:
    assert enqueue(db, "job_1")
    assert not enqueue(db, "job_2")
    claimed(db, "holder")  # who holds it may have read what there was before this
    assert enqueue(db, "job_3")


def test_a_job_that_waits_for_later_does_not_stand_in_for_one_that_is_wanted_now(db: Engine) -> None:
    assert enqueue(db, "job_1", delay=timedelta(hours=1))
    assert enqueue(db, "job_2")
    with transaction(db) as connection:
        assert jobs.due(connection, silent_for=timedelta(0), limit=10) == ["job_2"]


def test_an_elder_is_an_older_job_for_the_same_that_is_due_or_held(db: Engine, superuser: Engine) -> None:
    enqueue(db, "job_1")
    first = claimed(db, "first")
    enqueue(db, "job_2")
    second = claim(db, "job_2", "second")
    assert second is not None
    with transaction(db) as connection:
        assert not jobs.has_elder(connection, first)
        assert jobs.has_elder(connection, second)
        jobs.retry(connection, first, timedelta(hours=1), "Stripe is away")
        assert not jobs.has_elder(connection, second)  # nobody waits for one that waits itself


def test_a_job_that_was_held_and_let_go_by_a_crash_is_due_once_its_lease_is_over(db: Engine, superuser: Engine) -> None:
    enqueue(db, "job_1")
    claimed(db, "gone")
    with transaction(db) as connection:
        assert jobs.due(connection, silent_for=timedelta(0), limit=10) == []
    expire(superuser)
    with transaction(db) as connection:
        assert jobs.due(connection, silent_for=timedelta(0), limit=10) == ["job_1"]


def test_a_failure_with_a_nul_in_its_traceback_is_kept_too(db: Engine) -> None:
    enqueue(db, "job_1")
    job = claimed(db, "token")
    with transaction(db) as connection:
        jobs.record_failure(connection, job, "ValueError", "no", "a\x00b")
        kept = connection.execute(sa.text("SELECT traceback FROM job_failures")).scalar_one()
    assert kept == "a\ufffdb"


def test_a_process_without_a_free_connection_is_told_to_come_back(database: Database) -> None:
    engine = make_engine(database.app_url, pool_size=1)
    engine.pool._timeout = 0.05  # type: ignore[attr-defined] # nobody wants to wait the usual 30 s here
    with engine.connect(), engine.connect(), pytest.raises(RetryLaterError, match="in use"), transaction(engine):
        pass
    engine.dispose()


def test_an_error_of_the_database_does_not_carry_the_rows_it_was_about(db: Engine) -> None:
    with pytest.raises(sa.exc.DBAPIError) as fault, db.begin() as connection:
        connection.execute(sa.text("SELECT CAST(:secret AS int)"), {"secret": "jo@example.com"})
    assert "[SQL parameters hidden" in str(fault.value)
