"""Replay runs: stopped and gone on with, one process at a time, and never more paid than somebody confirmed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from billingbot.core.errors import ConflictError, NotFoundError
from billingbot.core.job import MOST_ATTEMPTS, Actor
from billingbot.core.mode import Mode
from billingbot.core.money import Money
from billingbot.core.replay import ItemState, ReplayRun, RunState, excess
from billingbot.flows.replay import replay_runs
from billingbot.flows.replay.replay import Totals
from billingbot.store import replays
from billingbot.store.jobs import FailedFilter
from billingbot.worker.run import run as run_job
from tests.faults.mortal import Died, die_everywhere, make_mortal
from tests.flows.shop import Shop

NAME = "incident 2026-12-01"
NOTHING = Totals(amounts=(), unknown=0)


def usd(minor: int, *, unknown: int = 0) -> Totals:
    return Totals(amounts=(Money(amount_minor=minor, currency="usd"),), unknown=unknown)


def failed_payments(shop: Shop, count: int, *, decided: bool = True) -> list[str]:
    """So many charges whose refund was decided and whose payment gave up, or that were never looked at."""
    trials = [shop.start_trial() for _ in range(count)]
    shop.end_trials()
    charges = [shop.last_charge(trial) for trial in trials]
    for charge in charges:
        shop.ask(charge, unused=True)
    if decided:
        shop.work(only=Actor.ASSESS)
    shop.rows(
        "UPDATE jobs SET state = 'failed', attempts = :n, finished_at = now() WHERE state = 'ready' RETURNING id",
        n=MOST_ATTEMPTS,
    )
    return charges


def start(shop: Shop, **how: Any) -> ReplayRun:
    return replay_runs.start(shop.desk, FailedFilter(), name=NAME, by="kim", why="Stripe is back", **how)


def drive(shop: Shop, *, turns: int | None = None) -> ReplayRun:
    """Drives the run to its end, or for so many jobs."""
    done: list[float] = []

    def pause(seconds: float) -> bool:
        done.append(seconds)
        return len(done) == turns

    return replay_runs.drive(shop.desk, NAME, pause=pause)


def paid(shop: Shop) -> int:
    return len(shop.stripe.get("/refunds", limit=100)["data"])


def entries(shop: Shop) -> list[tuple[str, str]]:
    rows = shop.rows("SELECT kind, actor FROM ledger_entries WHERE kind LIKE 'replay.%' ORDER BY seq")
    return [(row.kind, row.actor) for row in rows]


def body(shop: Shop, kind: str) -> dict[str, Any]:
    [row] = shop.rows("SELECT body FROM ledger_entries WHERE kind = :kind", kind=kind)
    found: dict[str, Any] = json.loads(bytes(row.body))
    return found


def test_a_run_stopped_halfway_goes_on_with_the_rest_and_ends_once(shop: Shop) -> None:
    charges = failed_payments(shop, 4)
    start(shop)
    half = drive(shop, turns=2)
    stopped = replay_runs.stop(shop.desk, NAME, by="mia")

    assert (half.state, half.count(ItemState.REPLAYED)) == (RunState.RUNNING, 2)
    assert (stopped.state, stopped.stopped_why) == (RunState.STOPPED, "stopped by mia")
    assert drive(shop).count(ItemState.WAITING) == 2, "what is stopped stays stopped"
    assert start(shop).state is RunState.STOPPED, "the same name again plans nothing"

    replay_runs.resume(shop.desk, NAME, by="kim")
    whole = drive(shop)
    shop.work()
    assert (whole.state, whole.count(ItemState.REPLAYED)) == (RunState.DONE, 4)
    assert replay_runs.resume(shop.desk, NAME, by="kim").state is RunState.DONE
    assert drive(shop) == whole
    for charge in charges:
        shop.assert_paid_once(charge)
    assert entries(shop) == [
        ("replay.started", "kim"), ("replay.stopped", "mia"), ("replay.resumed", "kim"), ("replay.ended", "kim"),
    ]  # fmt: skip
    assert body(shop, "replay.started")["confirmed"] == {"usd": 4 * 4900}
    assert body(shop, "replay.ended")["may_pay"] == {"usd": 4 * 4900}


def test_whoever_is_at_it_hears_of_a_stop_before_the_next_job(shop: Shop) -> None:
    failed_payments(shop, 3)
    start(shop)
    asked: list[RunState] = []

    def pause(_: float) -> bool:
        if not asked:
            asked.append(replay_runs.stop(shop.desk, NAME, by="mia").state)
        return False

    run = replay_runs.drive(shop.desk, NAME, pause=pause)

    assert asked == [RunState.RUNNING], "it is being driven, so its driver stops it"
    assert (run.state, run.count(ItemState.REPLAYED), run.stopped_why) == (RunState.STOPPED, 1, "stopped by mia")


def test_one_process_at_a_time_is_at_a_run(shop: Shop) -> None:
    failed_payments(shop, 2)
    start(shop)

    def pause(_: float) -> bool:
        for second in (lambda: drive(shop), lambda: replay_runs.resume(shop.desk, NAME, by="mia")):
            with pytest.raises(ConflictError, match="another process is at it"):
                second()
        return False

    assert replay_runs.drive(shop.desk, NAME, pause=pause).count(ItemState.REPLAYED) == 2


def test_the_rate_is_kept_between_jobs_that_run(shop: Shop) -> None:
    failed_payments(shop, 2)
    start(shop, rate=4)
    waits: list[float] = []

    def pause(seconds: float) -> bool:
        waits.append(seconds)
        return False

    replay_runs.drive(shop.desk, NAME, pause=pause)
    assert waits == [0.25, 0.25]


def test_a_process_that_dies_anywhere_leaves_a_run_that_comes_to_the_same(shop: Shop) -> None:
    charges = failed_payments(shop, 2)
    fate = make_mortal(shop)
    failed = [row.id for row in shop.rows("SELECT id FROM jobs WHERE state = 'failed'")]

    def live() -> None:
        dies_at, after = fate.dies_at, fate.after
        shop.rows("DELETE FROM replay_items RETURNING run")
        shop.rows("DELETE FROM replay_runs RETURNING name")
        shop.rows("UPDATE jobs SET state = 'failed' WHERE id = ANY(:ids) RETURNING id", ids=failed)
        before = len(shop.rows("SELECT 1 FROM ledger_entries WHERE kind = 'job.replayed'"))
        fate.begin(dies_at=dies_at, after=after)
        try:
            start(shop)
            drive(shop)
        except Died:
            instants = fate.instants
            fate.begin(dies_at=None)
            shop.rows("UPDATE replay_runs SET lease_until = now() - interval '1 s' RETURNING name")
            start(shop)
            replay_runs.resume(shop.desk, NAME, by="kim")
            drive(shop)
            fate.instants = instants
        with shop.desk.db.connect() as connection:
            run = replays.get(connection, NAME)
        assert (run.state, run.count(ItemState.REPLAYED)) == (RunState.DONE, 2)
        assert len(shop.rows("SELECT 1 FROM ledger_entries WHERE kind = 'job.replayed'")) == before + 2

    assert die_everywhere(fate, live) >= 5
    fate.begin(dies_at=None)
    shop.work()
    for charge in charges:
        shop.assert_paid_once(charge)


# ---------------------------------------------------------------- money


def test_what_may_be_paid_by_now_must_not_be_more_than_was_confirmed(shop: Shop) -> None:
    failed_payments(shop, 2)

    with pytest.raises(ConflictError, match=r"USD 98\.00 would be paid now, and USD 49\.00 were confirmed"):
        start(shop, confirmed=usd(4900))
    assert entries(shop) == []
    assert start(shop, confirmed=usd(9800)).state is RunState.RUNNING


def test_jobs_of_unknown_amount_must_have_been_confirmed_too(shop: Shop) -> None:
    failed_payments(shop, 2, decided=False)

    with pytest.raises(ConflictError, match="2 of these jobs may pay an amount that nobody knows yet; 1 were"):
        start(shop, confirmed=Totals(amounts=(), unknown=1))
    assert start(shop).confirmed_unknown == 2


@pytest.mark.parametrize(
    ("confirmed", "says"),
    [(NOTHING, "USD 49.00 would be paid now, and USD 0.00 were confirmed"), (usd(4900), "USD 98.00 would be paid")],
)
def test_a_run_stops_before_it_would_pay_more_than_was_confirmed(shop: Shop, confirmed: Totals, says: str) -> None:
    charges = failed_payments(shop, 2)
    shop.set_mode(Mode.SHADOW)
    start(shop, confirmed=confirmed)  # in shadow nothing may be paid, so anything may be confirmed
    shop.set_mode(Mode.AUTO)

    run = drive(shop)
    shop.work()

    assert run.state is RunState.STOPPED
    assert says in (run.stopped_why or "")
    assert paid(shop) * 4900 == sum(amount.amount_minor for amount in confirmed.amounts)
    assert entries(shop)[-1] == ("replay.stopped", "billingbot")

    with pytest.raises(ConflictError, match=r"USD 98\.00 would be paid now"):
        replay_runs.resume(shop.desk, NAME, by="kim", expected=usd(9700))
    replay_runs.resume(shop.desk, NAME, by="kim", expected=usd(9800))
    assert drive(shop).state is RunState.DONE
    shop.work()
    for charge in charges:
        shop.assert_paid_once(charge)


def test_with_a_cap_an_unknown_amount_counts_as_soon_as_it_is_decided(shop: Shop) -> None:
    failed_payments(shop, 3, decided=False)
    start(shop, confirmed=usd(5000), is_capped=True)

    def pause(_: float) -> bool:
        shop.work()
        return False

    run = replay_runs.drive(shop.desk, NAME, pause=pause)

    assert (run.state, run.count(ItemState.REPLAYED)) == (RunState.STOPPED, 2), "the second was under way by then"
    assert "USD 98.00 would be paid now, and USD 50.00 were confirmed" in (run.stopped_why or "")


def test_excess_is_told_per_currency() -> None:
    assert excess({"usd": 5, "eur": 1}, {"usd": 5, "eur": 1}) is None
    assert excess({"usd": 5, "eur": 1}, {"usd": 6}) == "eur"
    assert excess({}, {}) is None


# ---------------------------------------------------------------- by workers


def jobs_of_run(shop: Shop) -> list[Any]:
    return shop.rows("SELECT * FROM jobs WHERE actor = 'replay'")


def test_workers_carry_a_run_to_its_end(shop: Shop) -> None:
    charges = failed_payments(shop, 3)
    start(shop, rate=1000)
    replay_runs.enqueue(shop.desk, NAME)

    shop.work()

    assert [row.state for row in jobs_of_run(shop)] == ["done"]
    for charge in charges:
        shop.assert_paid_once(charge)


def test_a_worker_leaves_a_run_alone_that_somebody_else_is_at(shop: Shop) -> None:
    failed_payments(shop, 1)
    start(shop)
    replay_runs.enqueue(shop.desk, NAME)
    [job] = jobs_of_run(shop)

    def pause(_: float) -> bool:
        assert run_job(shop.desk, job.id)
        return False

    assert replay_runs.drive(shop.desk, NAME, pause=pause).state is RunState.DONE
    assert jobs_of_run(shop)[0].state == "ready"
    shop.hurry()
    shop.work()
    assert jobs_of_run(shop)[0].state == "done"


def test_a_run_whose_worker_gave_up_is_stopped_and_says_so(shop: Shop) -> None:
    failed_payments(shop, 1)
    start(shop)
    replay_runs.enqueue(shop.desk, NAME)
    [job] = jobs_of_run(shop)
    shop.rows("UPDATE jobs SET attempts = :n WHERE id = :id RETURNING id", n=MOST_ATTEMPTS, id=job.id)

    run_job(shop.desk, job.id)

    with shop.desk.db.connect() as connection:
        run = replays.get(connection, NAME)
    assert (run.state, run.stopped_why) == (RunState.STOPPED, "its worker gave up")


@pytest.mark.parametrize(
    "act",
    [
        lambda desk: replay_runs.drive(desk, "nobody's", pause=lambda _: False),
        lambda desk: replay_runs.stop(desk, "nobody's", by="kim"),
        lambda desk: replay_runs.resume(desk, "nobody's", by="kim"),
    ],
)
def test_a_replay_that_is_not_there_is_not_found(shop: Shop, act: Callable[[Any], object]) -> None:
    with pytest.raises(NotFoundError, match="nobody's: there is none"):
        act(shop.desk)
