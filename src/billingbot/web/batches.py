"""Micro-batches: what many requests bring at the same moment is stored in one commit, and each is told of it."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import structlog

from billingbot.core.errors import RetryLaterError
from billingbot.core.signals import Envelope
from billingbot.web.metrics import Metrics

# One statement takes this many events in about 20 ms; larger ones would only make the first of them wait longer.
MOST_IN_BATCH: Final = 256
# Two seconds' worth of events on a small machine. Stripe's own timeout is longer, and it delivers again.
MOST_WAITING: Final = 4096
# The same bound in memory: an event has a few kilobytes, but may have a mebibyte.
MOST_WAITING_BYTES: Final = 64 * 1024 * 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    envelope: Envelope
    stored: "asyncio.Future[None]"


class Batches:
    """Takes events one by one and has them stored many at a time, by one thread of its own.

    While one batch is being committed the next gathers by itself, so nobody waits for company. What was taken is
    stored even if the one who brought it has gone.
    """

    def __init__(self, store: Callable[[Sequence[Envelope]], int], metrics: Metrics) -> None:
        """`store` commits all it is given and returns how many were new; it runs in a thread."""
        self._store = store
        self._metrics = metrics
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._closed = False
        self._work_task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="intake")
        metrics.waiting.set_function(lambda: len(self._waiting))

    async def put(self, envelope: Envelope) -> None:
        """Returns once the event is committed. RetryLaterError where it is not: too many wait, or Postgres is away."""
        if self._closed:
            raise RetryLaterError("intake: is closing")
        if len(self._waiting) >= MOST_WAITING or self._bytes + len(envelope.body) > MOST_WAITING_BYTES:
            raise RetryLaterError("intake: too many events wait already")
        one = _Waiting(envelope, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        self._bytes += len(envelope.body)
        if self._work_task is None:
            self._work_task = asyncio.create_task(self._work(), name="intake")
        await one.stored

    async def close(self) -> None:
        """Takes no more, and returns when all that was taken has its answer."""
        self._closed = True
        if self._work_task is not None:
            await self._work_task
        self._thread.shutdown()

    async def _work(self) -> None:
        """Stores until nothing waits; the next event starts it again."""
        try:
            while self._waiting:
                await self._commit([self._waiting.popleft() for _ in range(min(MOST_IN_BATCH, len(self._waiting)))])
        finally:  # where one batch broke, asyncio tells of it, and those behind it get a worker of their own
            self._work_task = asyncio.create_task(self._work(), name="intake") if self._waiting else None

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        self._bytes -= sum(len(one.envelope.body) for one in batch)
        # The same order in every process: two that store the same events at once wait instead of deadlocking.
        in_order = sorted((one.envelope for one in batch), key=lambda envelope: (envelope.account, envelope.event_id))
        try:
            if await self._try(in_order, batch) or len(batch) == 1:
                return
            for one in batch:  # one of them cannot be stored, which is no reason to refuse the others
                await self._try([one.envelope], [one])
        finally:  # whatever broke here, nobody waits for ever: Stripe delivers again
            _refuse(batch, "intake: whether this event was stored is not known")

    async def _try(self, envelopes: Sequence[Envelope], batch: Sequence[_Waiting]) -> bool:
        """Stores and tells everybody; False where one by one may do better, then only a single one is told."""
        began = perf_counter()
        try:
            new = await asyncio.get_running_loop().run_in_executor(self._thread, self._store, envelopes)
        except RetryLaterError as fault:
            _refuse(batch, str(fault))
            log.warning("intake.put_off", events=len(batch), why=str(fault))
            return True
        except Exception as fault:
            log.exception("intake.not_stored", events=len(batch), why=type(fault).__name__)
            if len(batch) == 1:
                _refuse(batch, "intake: this event could not be stored")
            return False
        self._metrics.stored(new=new, events=len(batch), seconds=perf_counter() - began)
        for one in batch:
            if not one.stored.done():
                one.stored.set_result(None)
        return True


def _refuse(batch: Sequence[_Waiting], why: str) -> None:
    for one in batch:
        if not one.stored.done():
            one.stored.set_exception(RetryLaterError(why))
