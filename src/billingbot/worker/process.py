"""Process: one worker process, which hears the doorbell and looks for silent jobs, until it is told to stop."""

from threading import Event, Thread
from time import monotonic
from typing import Final

import structlog
from dramatiq import Worker
from dramatiq.brokers.redis import RedisBroker

from billingbot.flows.desk import Desk
from billingbot.worker.doorbell import declare
from billingbot.worker.poll import poll

# Longer than the longest call to Stripe with its timeouts; what still runs then is left to its lease.
GRACE_SECONDS: Final = 30.0
# An idle worker asks Redis this often at the least. It is what a request may wait for: ten cheap commands a second.
_IDLE_MS: Final = 100
_POLL_THREADS: Final = 4  # as poll has them

log = structlog.get_logger(__name__)


def connections(threads: int) -> int:
    """How many connections to Postgres a worker with so many threads can use at a time."""
    return threads + _POLL_THREADS


def work(desk: Desk, broker: RedisBroker, *, threads: int, stop: Event) -> bool:
    """Runs jobs until `stop` is set, then lets what runs end; False where something still ran after the grace.

    Redis may be away at the start or at any time: jobs are found in Postgres meanwhile, and the doorbell is heard
    again as soon as it is back.
    """
    declare(broker, desk)
    hearing = Worker(broker, worker_threads=threads, worker_timeout=_IDLE_MS)
    hearing.start()
    polling = Thread(target=poll, args=(desk, stop), name="poll", daemon=True)
    polling.start()
    log.info("worker.ready", threads=threads)
    stop.wait()
    log.info("worker.stopping", grace_seconds=GRACE_SECONDS)
    deadline = monotonic() + GRACE_SECONDS
    stopping = Thread(target=hearing.stop, args=(int(GRACE_SECONDS * 1000),), name="stop", daemon=True)
    stopping.start()
    for thread in (stopping, polling):
        thread.join(max(0.0, deadline - monotonic()))
    ended = not (stopping.is_alive() or polling.is_alive())
    if ended:
        log.info("worker.stopped")
    else:
        log.warning("worker.left_running", why="not done within the grace; another worker takes over after the lease")
    return ended
