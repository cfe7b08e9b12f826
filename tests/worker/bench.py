"""A workbench for the workers' tests: a desk on a real database, jobs put in by hand, and a look at what they left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from billingbot.bootstrap.build import new_id
from billingbot.core.ids import Kind
from billingbot.core.job import Actor
from billingbot.core.request import Channel, Claims, NamedBy
from billingbot.flows.desk import Desk
from billingbot.flows.request import Ask, ask
from billingbot.gateway.client import StripeGateway
from billingbot.store import jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The desk, and the database as its superuser sees it."""

    desk: Desk
    owner: sa.Engine

    def through(self, gateway: StripeGateway) -> Desk:
        """The desk with another way to Stripe."""
        account = replace(self.desk.accounts["default"], stripe=gateway)
        return replace(self.desk, accounts={"default": account})

    def put(self, actor: Actor, subject: str, *, delay: timedelta = timedelta(0)) -> str:
        """A job, without its bell; returns its id."""
        job_id = new_id(Kind.JOB)
        with self.desk.db.begin() as connection:
            jobs.enqueue(connection, job_id, actor, subject, delay=delay)
        return job_id

    def poison(self) -> str:
        """A job that fails each time: it is about an event that is not there."""
        return self.put(Actor.INTERPRET, new_id(Kind.INBOX))

    def harmless(self) -> str:
        """A job that does its work without asking anybody: there is nothing to look at again."""
        return self.put(Actor.RECHECK, self.case())

    def case(self, charge: str = "") -> str:
        """A case that was just opened, whose own job is out of the way."""
        wish = Ask(
            account="default",
            named_by=NamedBy.CHARGE,
            named=charge or f"ch_{new_id(Kind.CASE)}",
            claims=Claims(),
            channel=Channel.API,
            asked_by="tests",
        )
        case_id = ask(self.desk, wish).case.id
        self.execute("DELETE FROM jobs WHERE subject = :case", case=case_id)
        # Old enough not to wait for earlier trials to be read in from a Stripe that does not answer here.
        self.execute("UPDATE cases SET opened_at = opened_at - interval '1 hour' WHERE id = :case", case=case_id)
        return case_id

    def job(self, job_id: str) -> Any:
        """The job's row."""
        return self.rows("SELECT * FROM jobs WHERE id = :id", id=job_id)[0]

    def failures(self, job_id: str) -> list[Any]:
        """What was kept of the job's failures."""
        return self.rows("SELECT * FROM job_failures WHERE job_id = :id ORDER BY attempt", id=job_id)

    def rows(self, query: str, **values: Any) -> list[Any]:
        """What a query finds."""
        with self.owner.begin() as connection:
            return list(connection.execute(sa.text(query), values).all())

    def execute(self, statement: str, **values: Any) -> None:
        """What no verb does: the test's own hand in the tables."""
        with self.owner.begin() as connection:
            connection.execute(sa.text(statement), values)

    def is_done(self, job_id: str) -> Callable[[], bool]:
        """Whether the job is done, to be asked again and again."""
        return lambda: self.job(job_id).state == "done"


def eventually(true: Callable[[], object], *, seconds: float = 15) -> float:
    """Waits until it is true; returns how long that took. AssertionError where it takes too long."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"did not happen within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - began
