"""A small incident for the served demo: Stripe refuses some reads until jobs give up, and is then well again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpx
import sqlalchemy as sa
from sqlalchemy import Engine

from billingbot.cli.connection import find
from billingbot.cli.demo.moves import ASK
from billingbot.cli.demo.play import vouch
from billingbot.cli.demo.stage import Stage
from billingbot.cli.demo.waiting import until
from billingbot.cli.demo.world import Person, World
from billingbot.core.job import Actor, JobState
from billingbot.store.database import make_engine, transaction
from billingbot.store.schema import jobs
from billingbot.worker.doorbell import RedisBell, make_broker

_UNPAID: Final = 4
"""Refunds that were decided and could not be paid: an unused trial each."""
_UNREAD: Final = 3
"""Events that could not be read."""
_TRIAL_DAYS: Final = 5


def have_incident(stage: Stage) -> None:
    """Leaves failed jobs of two kinds behind, of which one kind pays when replayed, now that the fault is gone.

    Stripe really refuses, and each job really fails at every one of its tries; only the hours between them are
    skipped. Raises DemoError where it does not come about.
    """
    world = stage.world
    world.stripe.weather(duplicate=0, twins=0, disorder_seconds=0)
    people = [world.trial(days=_TRIAL_DAYS) for _ in range(_UNPAID + _UNREAD)]
    world.stripe.advance(days=_TRIAL_DAYS, hours=3)
    world.stripe.quiet()
    for person in people:
        person.charge = world.newest_charge(person)
    vouch(stage.billingbot)
    until(lambda: not _unread(stage.billingbot))
    try:
        _cancel(world, people[_UNPAID:])
        cases = _ask(stage, people[:_UNPAID])
        _give_up(stage)
        until(lambda: all(_reason(stage.billingbot, case) == "could-not-pay" for case in cases))
    finally:
        world.stripe.clear_faults()
    if world.now() < world.ends_at:
        world.stripe.advance(to=world.ends_at)
    world.stripe.run_clock()
    vouch(stage.billingbot)


def _cancel(world: World, people: Sequence[Person]) -> None:
    """Customers cancel, and Stripe lets nobody read their subscriptions: what it tells cannot be interpreted."""
    for person in people:
        path = f"/subscriptions/{person.subscription}"
        _refuse(world, f"/v1{path}", permission="rak_subscription_read")
        world.stripe.post(path, cancel_at_period_end=True)


def _ask(stage: Stage, people: Sequence[Person]) -> list[str]:
    """They ask; once decided, and before it is paid, Stripe lets nobody read their charges any more."""
    cases = []
    for person in people:

        def refuse(charge: str = person.charge) -> None:
            _refuse(stage.world, f"/v1/charges/{charge}", permission="rak_charge_read")

        stage.world.product.of(person.customer).when_asked = refuse
        for wish in ASK(stage.world, person):
            answer = stage.billingbot.post("/api/v1/refund-requests", json=wish)
            answer.raise_for_status()
            cases.append(str(answer.json()["case"]["id"]))
    return cases


def _refuse(world: World, path: str, *, permission: str) -> None:
    world.stripe.fault("forbidden", method="GET", path=path, times=None, permission=permission)


def _unread(billingbot: httpx.Client) -> Any:
    """Events that came before the fault, and must not meet it."""
    return billingbot.get("/api/v1/jobs", params={"state": "ready", "actor": "interpret"}).json()["items"]


def _reason(billingbot: httpx.Client, case: str) -> Any:
    return billingbot.get(f"/api/v1/cases/{case}").json()["case"]["reason"]


# ---------------------------------------------------------------- the hours between the tries


def _give_up(stage: Stage) -> None:
    """Makes waiting jobs due at once, again and again, until as many have given up as should."""
    with _jobs_of(stage) as (engine, bell):
        until(lambda: _hurry(engine, bell) >= _UNPAID + _UNREAD)


def _hurry(engine: Engine, bell: RedisBell) -> int:
    """Makes those due that wait after a failure; returns how many have given up."""
    c = jobs.c
    mine = c.actor.in_([Actor.SUBMIT, Actor.INTERPRET])
    waits = (mine, c.state == JobState.READY, c.token.is_(None), c.last_error.is_not(None))
    with transaction(engine) as connection:
        due = jobs.update().where(*waits).values(run_at=sa.func.clock_timestamp()).returning(c.id)
        bell.ring(connection.execute(due).scalars().all())
        failed = sa.select(sa.func.count()).where(mine, c.state == JobState.FAILED)
        return int(connection.execute(failed).scalar_one())


@contextmanager
def _jobs_of(stage: Stage) -> Iterator[tuple[Engine, RedisBell]]:
    runs = find(stage.data_dir)
    engine, broker = make_engine(runs.database_url, pool_size=1), make_broker(runs.redis_url)
    try:
        yield engine, RedisBell(broker)
    finally:
        broker.close()
        engine.dispose()
