"""A worker with its doorbell: Redis flushed, away at the start, or gone in between; and an end that finishes work."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from billingbot.core.evidence.dossier import Dossier
from billingbot.core.job import Actor
from billingbot.engines.valkey import prepare_valkey, start_valkey
from billingbot.flows.desk import Desk
from billingbot.gateway.client import StripeGateway
from billingbot.worker.doorbell import RedisBell, make_broker
from billingbot.worker.poll import SILENCE
from billingbot.worker.process import work
from billingbot.worker.schedule import keep_schedule
from tests.desks import NOWHERE
from tests.worker.bench import Bench, eventually

HEARD_SECONDS = SILENCE.total_seconds() - 0.5  # sooner than any look at silent jobs


@contextmanager
def a_worker(desk: Desk, redis_url: str) -> Iterator[Event]:
    """A worker in threads of its own; the event stops it."""
    broker, stop = make_broker(redis_url), Event()
    thread = Thread(target=work, args=(desk, broker), kwargs={"threads": 2, "stop": stop})
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join()
        broker.close()


@contextmanager
def a_bell(redis_url: str) -> Iterator[RedisBell]:
    broker = make_broker(redis_url)
    bell = RedisBell(broker)
    try:
        yield bell
    finally:
        bell.close()
        broker.close()


@pytest.fixture
def valkey_dir() -> Iterator[Path]:
    """A directory for a Valkey of the test's own, passable for the engine's account."""
    path = Path(tempfile.mkdtemp(prefix="billingbot-"))
    yield path
    shutil.rmtree(path)


def test_a_rung_job_runs_at_once(bench: Bench, redis_url: str) -> None:
    with a_worker(bench.desk, redis_url), a_bell(redis_url) as bell:
        bell.ring([warm := bench.harmless()])  # threads and connections come up
        eventually(bench.is_done(warm))
        bell.ring([job_id := bench.harmless()])
        assert eventually(bench.is_done(job_id)) < HEARD_SECONDS


def test_a_job_whose_bell_was_lost_is_found_in_postgres(bench: Bench, redis_url: str) -> None:
    job_id = bench.harmless()
    with a_bell(redis_url) as bell:
        bell.ring([job_id])
    broker = make_broker(redis_url)
    broker.client.flushdb()
    broker.close()
    with a_worker(bench.desk, redis_url):
        eventually(bench.is_done(job_id))
    assert bench.job(job_id).attempts == 1


def test_the_sweeper_rings_again_for_a_silent_job(bench: Bench, redis_url: str) -> None:
    job_id, stop = bench.harmless(), Event()
    with a_bell(redis_url) as bell:
        broker = make_broker(redis_url)
        sweeping = Thread(target=keep_schedule, args=(bench.desk, bell, stop))
        sweeping.start()
        try:
            eventually(lambda: broker.client.llen("billingbot:jobs"))
        finally:
            stop.set()
            sweeping.join()
            ids = broker.client.hgetall("billingbot:jobs.msgs")
            broker.close()
    assert any(job_id.encode() in message for message in ids.values())


@pytest.mark.slow
def test_redis_may_be_away_at_the_start_and_later(bench: Bench, valkey_dir: Path) -> None:
    prepared = prepare_valkey(valkey_dir)
    prepared.close()  # nothing runs yet
    with a_worker(bench.desk, prepared.url), a_bell(prepared.url) as bell:
        bell.ring([first := bench.harmless()])
        eventually(bench.is_done(first))
        with start_valkey(valkey_dir):
            _hears_again(bench, bell)
        bell.ring([second := bench.harmless()])
        eventually(bench.is_done(second))


def _hears_again(bench: Bench, bell: RedisBell) -> None:
    """The worker's client reconnects every few seconds; from some job on, none has to be looked for."""
    until = time.monotonic() + 30
    took = HEARD_SECONDS
    while took >= HEARD_SECONDS:
        assert time.monotonic() < until, "the doorbell was not heard again within 30 s"
        bell.ring([job_id := bench.harmless()])
        took = eventually(bench.is_done(job_id))


def test_a_worker_that_is_told_to_stop_ends_what_it_is_doing(bench: Bench, redis_url: str) -> None:
    begun = Event()

    class Slow(StripeGateway):
        def dossier(self, charge_id: str, **how: Any) -> Dossier:
            begun.set()
            time.sleep(1)
            return super().dossier(charge_id, **how)

    slow = bench.through(Slow("default", "rk_test_desk", False, api_base=NOWHERE))
    job_id = bench.put(Actor.ASSESS, bench.case())
    with a_worker(slow, redis_url) as stop, a_bell(redis_url) as bell:
        bell.ring([job_id])
        assert begun.wait(15)
        stop.set()
    # Stripe does not answer here, so its end is a failure: told, and with a next try, not cut off in the middle.
    assert bench.job(job_id).lease_until is None
    assert [one.error_class for one in bench.failures(job_id)] == ["StripeUnavailableError"]
