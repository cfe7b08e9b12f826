"""The doorbell: one Dramatiq actor that takes a job id; ringing is best effort and never holds anybody up."""

from collections.abc import Sequence
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Final, TypeAlias

import dramatiq
import redis
import structlog
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

from billingbot.flows.desk import Desk
from billingbot.worker.run import run

QUEUE: Final = "jobs"
_ACTOR: Final = "run"
_NAMESPACE: Final = "billingbot"
# Bells that wait to be rung when Redis hangs. Beyond that they are dropped: the sweeper rings for what is left.
_MOST_WAITING: Final = 10_000
# More ids than this in Redis mean that workers are busy, not deaf: ringing again would only pile up copies.
_CROWDED: Final = 500

Broker: TypeAlias = RedisBroker
"""What builders pass around without knowing Dramatiq."""

log = structlog.get_logger(__name__)


def make_broker(redis_url: str) -> RedisBroker:
    """A broker for ids only: no retries, results, delays or limits of Dramatiq's, which can lose or freeze a message.

    The client is our own: no client retries, which could ring twice, and short timeouts (measured in redis-py 8.1).
    """
    client = redis.Redis.from_url(
        redis_url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=5,  # longer than the 1 s that Dramatiq's fetch may wait
        socket_connect_timeout=2,
        health_check_interval=15,
    )
    # A worker silent for 15 s is dead, and one command in ten looks for its orphans: 16 to 34 s instead of minutes.
    return RedisBroker(  # type: ignore[no-untyped-call] # Dramatiq leaves its brokers untyped
        client=client,
        namespace=_NAMESPACE,
        middleware=[],
        heartbeat_timeout=15_000,
        maintenance_chance=100_000,
    )


def declare(broker: RedisBroker, desk: Desk) -> None:
    """Declares the one actor on this broker."""

    @dramatiq.actor(actor_name=_ACTOR, queue_name=QUEUE, broker=broker)
    def answer(job_id: str) -> None:
        run(desk, job_id)


class RedisBell:
    """Rings through Redis from a thread of its own, so that no request and no transaction waits for Redis."""

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker
        self._waiting: Queue[str] = Queue(_MOST_WAITING)
        self._closing = Event()
        self._thread = Thread(target=self._work, name="doorbell", daemon=True)
        self._thread.start()

    def ring(self, job_ids: Sequence[str]) -> None:
        """Asks for a worker for each job; returns at once."""
        for job_id in job_ids:
            try:
                self._waiting.put_nowait(job_id)
            except Full:
                return

    def is_crowded(self) -> bool:
        """Whether enough ids wait in Redis already. False where Redis cannot tell."""
        try:
            return int(self._broker.client.llen(f"{_NAMESPACE}:{QUEUE}")) > _CROWDED
        except redis.RedisError:
            return False

    def close(self) -> None:
        """Rings what still waits, for two seconds at the most."""
        self._closing.set()
        self._thread.join(timeout=2)

    def _work(self) -> None:
        while not (self._closing.is_set() and self._waiting.empty()):
            try:
                job_id = self._waiting.get(timeout=0.2)
            except Empty:
                continue
            try:
                self._broker.enqueue(_message(job_id))
            except (dramatiq.BrokerConnectionError, redis.RedisError) as fault:
                log.warning("doorbell.not_rung", why=type(fault).__name__)
                self._closing.wait(1)  # the sweeper and the pollers see to the job meanwhile


def _message(job_id: str) -> dramatiq.Message[None]:
    return dramatiq.Message(queue_name=QUEUE, actor_name=_ACTOR, args=(job_id,), kwargs={}, options={})
