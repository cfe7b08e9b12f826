"""Running a job: failures are kept and retried, poison ends, a lost lease changes nothing, one job runs once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from billingbot.core.errors import LeaseLostError
from billingbot.core.evidence.dossier import Dossier
from billingbot.core.job import MOST_ATTEMPTS, Actor, backoff
from billingbot.gateway.client import StripeGateway
from billingbot.store import jobs
from billingbot.worker.run import run
from tests.desks import NOWHERE
from tests.worker.bench import Bench


def test_a_job_that_raises_is_kept_with_its_traceback_and_tried_again_by_schedule(bench: Bench) -> None:
    job_id = bench.poison()
    assert run(bench.desk, job_id)
    job, failures = bench.job(job_id), bench.failures(job_id)
    assert (job.state, job.attempts, job.token, job.lease_until) == ("ready", 1, None, None)
    assert job.last_error == "NoResultFound"
    assert [(one.attempt, one.error_class) for one in failures] == [(1, "NoResultFound")]
    assert "Traceback" in failures[0].traceback
    assert "interpret.py" in failures[0].traceback
    waits = job.run_at - failures[0].at
    assert timedelta(0) < waits <= (backoff(1) or timedelta()) + timedelta(milliseconds=100)


def test_a_job_is_not_run_before_it_is_due(bench: Bench) -> None:
    job_id = bench.put(Actor.RECHECK, bench.case(), delay=timedelta(minutes=1))
    assert not run(bench.desk, job_id)
    assert bench.job(job_id).attempts == 0


def test_the_waits_grow_from_try_to_try(bench: Bench) -> None:
    job_id = bench.poison()
    waited = []
    for _ in range(4):
        assert run(bench.desk, job_id)
        row = bench.rows("SELECT run_at - clock_timestamp() AS wait FROM jobs WHERE id = :id", id=job_id)[0]
        waited.append(round(row.wait.total_seconds()))
        bench.execute("UPDATE jobs SET run_at = clock_timestamp() WHERE id = :id", id=job_id)
    assert waited == [1, 2, 5, 10]
    assert [one.attempt for one in bench.failures(job_id)] == [1, 2, 3, 4]


def test_poison_ends_as_one_failed_job_and_holds_nobody_up(bench: Bench) -> None:
    poison, good = bench.poison(), bench.harmless()
    bench.execute("UPDATE jobs SET attempts = :most WHERE id = :id", most=MOST_ATTEMPTS - 1, id=poison)
    for job_id in (poison, good):
        assert run(bench.desk, job_id)
    assert bench.job(good).state == "done"
    failed = bench.job(poison)
    assert (failed.state, failed.last_error) == ("failed", "NoResultFound")
    assert failed.finished_at is not None
    assert not run(bench.desk, poison)  # it waits for a person


def test_a_job_whose_worker_died_each_time_ends_as_failed_too(bench: Bench) -> None:
    job_id = bench.harmless()
    bench.execute("UPDATE jobs SET attempts = :most WHERE id = :id", most=MOST_ATTEMPTS, id=job_id)
    assert run(bench.desk, job_id)
    assert bench.job(job_id).state == "failed"
    assert "died each time" in bench.failures(job_id)[0].traceback


def test_a_case_that_could_not_be_assessed_to_the_end_reaches_a_person(bench: Bench) -> None:
    case_id = bench.case()
    job_id = bench.put(Actor.ASSESS, case_id)
    bench.execute("UPDATE jobs SET attempts = :most WHERE id = :id", most=MOST_ATTEMPTS - 1, id=job_id)
    assert run(bench.desk, job_id)
    assert bench.job(job_id).state == "failed"
    case = bench.rows("SELECT state, reason FROM cases WHERE id = :id", id=case_id)[0]
    assert tuple(case) == ("review", "could-not-assess")


def test_whoever_lost_the_lease_changes_nothing(bench: Bench) -> None:
    job_id = bench.put(Actor.ASSESS, bench.case())

    class WhileAnotherTakesOver(StripeGateway):
        def dossier(self, charge_id: str, **how: Any) -> Dossier:
            bench.execute("UPDATE jobs SET token = 'another', attempts = attempts + 1 WHERE id = :id", id=job_id)
            return super().dossier(charge_id, **how)

    slow = bench.through(WhileAnotherTakesOver("default", "rk_test_desk", False, api_base=NOWHERE))
    assert run(slow, job_id)  # Stripe does not answer, and that failure is not this worker's to tell any more
    job = bench.job(job_id)
    assert (job.token, job.state, job.last_error) == ("another", "ready", None)
    assert bench.failures(job_id) == []


def test_finishing_with_an_old_token_is_refused(bench: Bench) -> None:
    job_id = bench.harmless()
    with bench.desk.db.begin() as connection:
        first = jobs.claim(connection, job_id, "first")
    assert first is not None
    bench.execute("UPDATE jobs SET lease_until = clock_timestamp() - interval '1 s' WHERE id = :id", id=job_id)
    with bench.desk.db.begin() as connection:
        assert jobs.claim(connection, job_id, "second") is not None
    with pytest.raises(LeaseLostError), bench.desk.db.begin() as connection:
        jobs.finish(connection, first)
    assert bench.job(job_id).token == "second"


def test_many_workers_that_hear_the_same_bell_run_the_job_once(bench: Bench) -> None:
    job_id = bench.harmless()
    at_once = Barrier(8)

    def hear() -> bool:
        at_once.wait()
        return run(bench.desk, job_id)

    with ThreadPoolExecutor(8) as pool:
        ran = [future.result() for future in [pool.submit(hear) for _ in range(8)]]
    assert ran.count(True) == 1
    assert (bench.job(job_id).state, bench.job(job_id).attempts) == ("done", 1)
