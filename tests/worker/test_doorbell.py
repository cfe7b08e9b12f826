"""The doorbell: many bells in one round trip are heard as single ones are, and those that are dropped are counted."""

import redis

from billingbot.worker.doorbell import QUEUE, RedisBell, make_broker
from tests.desks import NOWHERE
from tests.worker.bench import Bench, eventually
from tests.worker.test_process import HEARD_SECONDS, a_worker


def waiting(redis_url: str) -> int:
    with redis.Redis.from_url(redis_url) as client:
        return int(client.llen(f"billingbot:{QUEUE}"))


def test_hundreds_of_bells_rung_at_once_are_each_heard_by_a_worker(bench: Bench, redis_url: str) -> None:
    jobs = [bench.harmless() for _ in range(30)]
    broker = make_broker(redis_url)
    bell = RedisBell(broker)
    bell.ring([*jobs, *("job_nobody" for _ in range(220))])  # more than two round trips
    eventually(lambda: waiting(redis_url) == 250)
    bell.close()

    with a_worker(bench.desk, redis_url):
        seconds = eventually(lambda: all(bench.job(job).state == "done" for job in jobs))

    assert seconds < HEARD_SECONDS, "heard, and not found by looking for silent jobs"
    broker.close()


def test_bells_ring_again_after_redis_has_lost_its_scripts_too(bench: Bench, redis_url: str) -> None:
    broker = make_broker(redis_url)
    bell = RedisBell(broker)
    bell.ring(["job_a", "job_b"])
    eventually(lambda: waiting(redis_url) == 2)
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        client.script_flush()

    bell.ring(["job_c", "job_d"])
    eventually(lambda: waiting(redis_url) == 2)
    bell.close()
    broker.close()


def test_bells_beyond_what_may_wait_are_counted_and_hold_nobody_up() -> None:
    broker = make_broker(NOWHERE.replace("http", "redis"))
    bell = RedisBell(broker)
    bell.ring(["job_x"] * 10_500)  # were each sent in this call, none would have to be dropped
    assert 400 <= bell.dropped <= 500, "a hundred at the most were on their way already"
    bell.close()
    broker.close()
