"""Backtest: decides every past case again from its stored facts, on all cores, a stretch of cases at a time."""

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing, contextmanager
from itertools import islice
from typing import Final

from billingbot.core.backtest import Flip, Tally
from billingbot.flows.policy.rehearse import Bench, Plan
from billingbot.store.views.past import Stretch

# Enough that no process waits for the next stretch, few enough that results do not pile up.
_UNDER_WAY_PER_PROCESS: Final = 2


def backtest(
    plan: Plan, cut: Sequence[Stretch], *, forward: Callable[[int], None], keep: Callable[[Flip], None]
) -> Tally:
    """Decides all cases of these stretches again; tells `forward` how many are done, and gives each flip to `keep`.

    The stretches come from `views.past.stretches`. Nothing is written, and each is read in a short transaction of
    its own: a case that changes meanwhile is met in one state or the other. Interrupted, it lets the stretches
    under way end, some tenths of a second, and leaves no process behind.
    """
    whole = Tally()
    with closing(_all_of(plan, cut)) as results:
        for stretch, (tally, flips) in results:
            whole.add(tally)
            for flip in flips:
                keep(flip)
            forward(stretch.count)
    return whole


def _all_of(plan: Plan, cut: Sequence[Stretch]) -> Generator[tuple[Stretch, tuple[Tally, list[Flip]]], None, None]:
    if len(cut) <= 1:  # a second of starting processes would be all one would see of it
        with closing(Bench(plan)) as bench:
            for stretch in cut:
                yield stretch, bench.stretch(stretch)
        return
    with _pool(plan) as pool:
        left = iter(cut)
        under_way: deque[tuple[Stretch, Future[tuple[Tally, list[Flip]]]]] = deque()
        with _deaf_to_interrupts():  # processes are started by this, and inherit it: one end of us is enough
            for stretch in islice(left, _processes(plan) * _UNDER_WAY_PER_PROCESS):
                under_way.append((stretch, pool.submit(_stretch, stretch)))
        while under_way:
            stretch, future = under_way.popleft()
            yield stretch, future.result()
            for following in islice(left, 1):
                under_way.append((following, pool.submit(_stretch, following)))


def _processes(plan: Plan) -> int:
    available = getattr(os, "sched_getaffinity", None)  # not on every system
    return plan.processes or (len(available(0)) if available else os.cpu_count() or 1)


@contextmanager
def _pool(plan: Plan) -> Iterator[ProcessPoolExecutor]:
    # Started afresh, not forked: a copy would share our connections to Postgres.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(_processes(plan), mp_context=context, initializer=_begin, initargs=(plan,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there can it be set, and is it heard
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_benches: Final[list[Bench]] = []
"""That of a process of the pool, made when it starts."""


def _begin(plan: Plan) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    _benches.append(Bench(plan))
    gc.freeze()  # what is compiled stays for good: nothing in it is worth looking through again


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _stretch(stretch: Stretch) -> tuple[Tally, list[Flip]]:
    return _benches[0].stretch(stretch)
