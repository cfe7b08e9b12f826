"""A bad night: Stripe's key was revoked for hours, 500 jobs gave up, and one command brings them all home."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from billingbot.core.job import MOST_ATTEMPTS, Actor
from billingbot.flows.receive import store
from billingbot.gateway.envelope import decode
from billingbot.sandbox.server import RunningSandbox
from billingbot.worker.run import run
from tests.cli.terminal import typed
from tests.engines.shared import Database
from tests.flows.shop import Shop, open_shop

Settings = dict[str, str]
JOBS: Final = 500
ASKED: Final = 8
NAME: Final = "incident 2026-12-01"


@pytest.fixture
def shop(database: Database, stripe_here: RunningSandbox) -> Iterator[Shop]:
    """A shop on the database that the command line is set to."""
    with open_shop(database, stripe_here) as opened:
        yield opened


def charged(shop: Shop) -> list[str]:
    """Customers whose trials turned into charges."""
    trials = [shop.start_trial() for _ in range(ASKED)]
    shop.end_trials()
    return [shop.last_charge(trial) for trial in trials]


def hear_of(shop: Shop, charges: list[str], count: int) -> None:
    """So many events about these charges, all told while Stripe cannot be asked."""
    events = [
        {
            "id": f"evt_{number}",
            "object": "event",
            "api_version": None,
            "created": int(time.time()) - number,
            "livemode": False,
            "type": "charge.succeeded",
            "data": {"object": {"id": charges[number % len(charges)], "object": "charge"}},
        }
        for number in range(count)
    ]
    store(
        shop.desk,
        [decode(json.dumps(one).encode(), account="default", livemode=False, stripe_account=None) for one in events],
    )


def ready(shop: Shop, *actors: Actor) -> list[str]:
    rows = shop.rows("SELECT id FROM jobs WHERE state = 'ready' AND actor = ANY(:actors)", actors=list(actors))
    return [row.id for row in rows]


def work(shop: Shop, job_ids: list[str]) -> None:
    """Workers at it, four at a time."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda job_id: run(shop.desk, job_id), job_ids))


def test_five_hundred_failed_jobs_come_home_with_a_preview_and_one_command(shop: Shop, settings: Settings) -> None:
    charges = charged(shop)
    shop.stripe.fault("forbidden", method="GET", times=None, permission="rak_charge_read")
    for charge in charges:
        shop.ask(charge, unused=True)
    hear_of(shop, charges, JOBS - ASKED)
    tried = ready(shop, Actor.INTERPRET)[:2]  # these fail every one of their tries; the rest is at its last one
    for _ in range(MOST_ATTEMPTS - 1):
        shop.hurry()
        work(shop, tried)
    lost = ready(shop, Actor.INTERPRET, Actor.ASSESS)
    shop.rows(
        "UPDATE jobs SET attempts = :n, run_at = now() WHERE id = ANY(:ids) RETURNING id",
        n=MOST_ATTEMPTS - 1,
        ids=lost,
    )
    work(shop, lost)
    shop.stripe.clear_faults()
    assert len(failed(shop)) == JOBS
    assert {case.reason for charge in charges for case in shop.cases_of(charge)} == {"could-not-assess"}

    act = ("jobs", "replay", "--error", "StripeForbiddenError", "--since", "1h")
    dry = typed(settings, *act, "--dry-run", "--json").json
    effects = [one["effect"] for one in dry["jobs"]]
    assert (len(effects), set(effects), dry["amounts_unknown"]) == (JOBS, {"may_pay"}, JOBS)
    done = typed(settings, *act, "--name", NAME, "--why", "the key is mended", "--rate", "1000", "-y")
    assert done.code == 0, done.err
    assert done.lines[-1].startswith(f"'{NAME}' is done: {JOBS} jobs ready again, 0 need a person")
    work(shop, ready(shop, Actor.INTERPRET))
    shop.work()

    assert failed(shop) == []
    for charge in charges:
        shop.assert_paid_once(charge)
    kept = shop.rows("SELECT job_id FROM job_failures WHERE job_id = ANY(:ids)", ids=tried)
    assert len(kept) == 2 * MOST_ATTEMPTS, "what went wrong stays to be read"
    assert typed(settings, *act, "--name", NAME, "--why", "again", "-y").code == 0
    assert len(shop.rows("SELECT 1 FROM ledger_entries WHERE kind = 'job.replayed'")) == JOBS


def failed(shop: Shop) -> list[Any]:
    return shop.rows("SELECT id FROM jobs WHERE state = 'failed'")
