"""The doorbell: one Dramatiq actor that takes a job id; ringing is best effort and never holds anybody up."""

from collections.abc import Sequence
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import time
from typing import Final, TypeAlias
from uuid import uuid4

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
# Bells of one round trip: three milliseconds of work, so that the door beside it gets its turn.
_MOST_AT_ONCE: Final = 100
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
        self.dropped = 0
        """Bells that were not rung since too many waited: those jobs were found by the sweeper."""
        self._thread = Thread(target=self._work, name="doorbell", daemon=True)
        self._thread.start()

    def ring(self, job_ids: Sequence[str]) -> None:
        """Asks for a worker for each job; returns at once."""
        for number, job_id in enumerate(job_ids):
            try:
                self._waiting.put_nowait(job_id)
            except Full:
                self.dropped += len(job_ids) - number
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
            job_ids = self._next()
            if not job_ids:
                continue
            try:
                self._enqueue(job_ids)
            except redis.RedisError as fault:
                log.warning("doorbell.not_rung", why=type(fault).__name__)
                self._closing.wait(1)  # the sweeper and the pollers see to the jobs meanwhile

    def _next(self) -> list[str]:
        """What waits, as much as goes in one round trip; nothing where nothing came for a moment."""
        job_ids: list[str] = []
        try:
            job_ids.append(self._waiting.get(timeout=0.2))
            while len(job_ids) < _MOST_AT_ONCE:
                job_ids.append(self._waiting.get_nowait())
        except Empty:
            pass
        return job_ids

    def _enqueue(self, job_ids: Sequence[str]) -> None:
        """Puts them into Redis by Dramatiq's own script, in one round trip: a third of the work of one call each."""
        broker, pipe = self._broker, self._broker.client.pipeline(transaction=False)
        most_unpacked = broker._max_unpack_size()  # type: ignore[no-untyped-call] # noqa: SLF001 - untyped, and the script wants it with every command; Dramatiq is pinned, and a test hears whether these bells still ring
        for job_id in job_ids:
            redis_id = str(uuid4())  # Dramatiq's name for a message in Redis, another than the message's own
            body = _message(job_id).copy(options={"redis_message_id": redis_id}).encode()
            # As the broker calls it for one message, but without maintenance: whoever fetches sees to that.
            about = ("enqueue", int(time() * 1000), QUEUE, broker.broker_id, broker.heartbeat_timeout)
            args = (*about, broker.dead_message_ttl, 0, most_unpacked, redis_id, body)
            broker.scripts["dispatch"](keys=[broker.namespace], args=args, client=pipe)
        pipe.execute()


def _message(job_id: str) -> dramatiq.Message[None]:
    return dramatiq.Message(queue_name=QUEUE, actor_name=_ACTOR, args=(job_id,), kwargs={}, options={})
