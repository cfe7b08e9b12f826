"""A worker is killed with SIGKILL, for real, at the worst moments; the next one finishes, and pays once."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.flows.shop import Shop

from billingbot.core.job import Actor

_ROOT = Path(__file__).parents[2]
_PATIENCE_SECONDS = 60  # a busy machine takes a while to start a Python with all its imports


@contextmanager
def worker(shop: Shop) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs the one waiting submit job; killed at the end of the block."""
    [job] = shop.rows("SELECT id FROM jobs WHERE actor = 'submit' AND state = 'ready'")
    command = [sys.executable, "-m", "tests.faults.worker_process", shop.database.app_url, shop.stripe.url, job.id]
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.DEVNULL)
    try:
        yield process
        assert process.poll() is None, "the worker ended before it could be killed"
    finally:
        process.kill()
        process.wait()


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def decided(shop: Shop) -> str:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    return charge


def hit(shop: Shop) -> bool:
    """Whether the fault's request has arrived at Stripe, and is held there."""
    return any(rule["hits"] for rule in shop.stripe.faults())


def test_killed_during_the_last_look_nothing_was_sent_and_the_next_worker_pays(shop: Shop) -> None:
    charge = decided(shop)
    shop.stripe.fault("slow", method="GET", path="/v1/charges", seconds=2)
    with worker(shop):
        until(lambda: hit(shop))
    assert shop.attempts_of(charge) == []

    shop.stripe.clear_faults()
    shop.restart()
    shop.assert_paid_once(charge)


def test_killed_while_stripe_holds_the_answer_the_next_worker_finds_the_payment(shop: Shop) -> None:
    charge = decided(shop)
    shop.stripe.fault("slow", method="POST", path="/v1/refunds", seconds=1.5)
    with worker(shop):
        until(lambda: hit(shop))
    [attempt] = shop.attempts_of(charge)
    assert attempt.outcome == "open"

    shop.hurry()
    shop.work()  # at once: the call may still be under way
    until(lambda: shop.refunds_at_stripe(charge))
    shop.restart()
    shop.assert_paid_once(charge)
    assert len(shop.attempts_of(charge)) == 1


def test_killed_with_the_answer_in_hand_before_its_commit_the_next_worker_finds_the_payment(shop: Shop) -> None:
    charge = decided(shop)
    shop.stripe.fault("slow", method="POST", path="/v1/refunds", seconds=1)
    with shop.owner.begin() as connection, worker(shop):
        until(lambda: hit(shop))
        # From here until the worker is dead nobody can commit to the ledger.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('ledger', 0))")
        until(lambda: shop.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        until(lambda: shop.refunds_at_stripe(charge))
        assert [row.state for row in shop.refunds_of(charge)] == ["submitting"]

    shop.restart()
    shop.assert_paid_once(charge)
