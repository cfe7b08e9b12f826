"""Poll: with Redis away or flushed, workers find due jobs in Postgres by themselves; slower, not broken."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Final

import structlog

from billingbot.core.errors import RetryLaterError
from billingbot.flows.desk import Desk
from billingbot.store import jobs
from billingbot.store.database import transaction
from billingbot.worker.run import run

# The bell takes milliseconds; whoever is still waiting after this was not heard.
SILENCE: Final = timedelta(seconds=3)
EVERY_SECONDS: Final = 1.0
_BATCH: Final = 40
_THREADS: Final = 4

log = structlog.get_logger(__name__)


def poll(desk: Desk, stop: Event) -> None:
    """Runs due and silent jobs until `stop` is set. Any number of processes may do so at once."""
    with ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="poll") as pool:
        while not stop.wait(EVERY_SECONDS):
            try:
                with transaction(desk.db) as connection:
                    silent = jobs.due(connection, silent_for=SILENCE, limit=_BATCH)
            except RetryLaterError as fault:
                log.warning("poll.postgres_away", why=str(fault))
                continue
            for done in [pool.submit(run, desk, job_id) for job_id in silent]:
                done.result()
