"""A small shop for tests: a local Stripe with customers, sources that say what they are told to, and a desk."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from billingbot.bootstrap.build import new_id
from billingbot.core.case import Case
from billingbot.core.job import Actor
from billingbot.core.ledger import Flaw, flaws
from billingbot.core.mode import Mode
from billingbot.core.policy import Policy
from billingbot.core.request import Channel, Claims, NamedBy
from billingbot.core.usage import Span, Subject, SupportReport, UsageReport
from billingbot.evidence.sources import unanswered_support, unanswered_usage
from billingbot.flows.desk import Account, Desk
from billingbot.flows.receive import store
from billingbot.flows.request import Answer, Ask, ask
from billingbot.flows.switch import set_mode
from billingbot.gateway.client import StripeGateway
from billingbot.gateway.envelope import decode
from billingbot.sandbox.client import SandboxClient
from billingbot.sandbox.server import running_sandbox
from billingbot.store import cases, ledger
from billingbot.store.database import make_engine
from billingbot.store.schema import jobs as jobs_table
from billingbot.worker.run import run
from billingbot.worker.schedule import TASKS
from tests.builders import shipped_policy
from tests.engines.shared import Database

LONG_AGO = timedelta(days=3650)


@dataclass(slots=True)
class StatedUsage:
    """A usage source that covers everything and saw nothing, until it is told otherwise."""

    name: str = "tag-hits"
    pushed: bool = False
    used_by: set[str] = field(default_factory=set)
    down: bool = False
    asked: int = 0

    def report(self, subject: Subject, *, now: datetime) -> UsageReport:
        self.asked += 1
        if self.down:
            return unanswered_usage(self.name, why="timed out", now=now)
        used = subject.customer_id in self.used_by
        return UsageReport(
            source=self.name,
            asked_at=now,
            answered=True,
            why=None,
            first_at=now - timedelta(days=3) if used else None,
            last_at=now - timedelta(days=1) if used else None,
            events=7 if used else 0,
            tag_installed_at=None,
            api_connected_at=None,
            used=used,
            coverage=(Span(start=now - LONG_AGO, end=now),),
            max_age=timedelta(minutes=15),
        )


@dataclass(slots=True)
class StatedSupport:
    """A support source in which nobody asked to cancel, until it is told otherwise."""

    name: str = "support-desk"
    asked_at: dict[str, datetime] = field(default_factory=dict)
    down: bool = False

    def report(self, subject: Subject, *, now: datetime) -> SupportReport:
        if self.down:
            return unanswered_support(self.name, why="timed out", now=now)
        return SupportReport(
            source=self.name,
            asked_at=now,
            answered=True,
            why=None,
            cancellation_asked_at=self.asked_at.get(subject.customer_id),
            coverage=(Span(start=now - LONG_AGO, end=now),),
            max_age=timedelta(days=1),
        )


class CountingBell:
    """Notes who was rung for; the tests run the jobs themselves."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, job_ids: Sequence[str]) -> None:
        self.rung.extend(job_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A customer who started a trial."""

    customer: str
    subscription: str


class Shop:
    """The desk with a Stripe of its own. Time at Stripe begins 40 days ago and moves on command."""

    def __init__(self, stripe: SandboxClient, database: Database) -> None:
        self.stripe = stripe
        self.usage = StatedUsage()
        self.support = StatedSupport()
        self.policy: Policy = shipped_policy()
        gateway = StripeGateway("default", "rk_test_shop", False, api_base=stripe.url)
        self.desk = Desk(
            db=make_engine(database.app_url, pool_size=20),
            accounts={"default": Account(name="default", livemode=False, stripe=gateway)},
            usage=(self.usage,),
            support=(self.support,),
            policy=lambda: self.policy,
            bell=CountingBell(),
            new_id=new_id,
            recheck_after=timedelta(seconds=60),
        )
        self.owner = sa.create_engine(database.superuser_url)
        self._seen: set[str] = set()
        self._people = 0

    # ------------------------------------------------------------ the shop's day

    def start_trial(
        self, *, email: str | None = None, currency: str = "usd", amount: int = 4900, **subscription: Any
    ) -> Trial:
        """A new customer with a card of their own starts a trial of 14 days."""
        self._people += 1
        customer = self.stripe.post("/customers", email=email or f"person{self._people}@example.org")["id"]
        self.stripe.add_card(customer, fingerprint=f"card{self._people}")
        price = self.stripe.post(
            "/prices",
            currency=currency,
            unit_amount=amount,
            recurring={"interval": "month"},
            product_data={"name": "Plan"},
        )["id"]
        terms = {"trial_period_days": 14, **subscription}
        subscription_id = self.stripe.post("/subscriptions", customer=customer, items=[{"price": price}], **terms)["id"]
        return Trial(customer=customer, subscription=subscription_id)

    def end_trials(self) -> None:
        """Fifteen days pass: trials end, and are charged an hour later."""
        self.stripe.advance(days=15)

    def last_charge(self, trial: Trial) -> str:
        """The customer's newest charge."""
        return str(self.stripe.get("/charges", customer=trial.customer)["data"][0]["id"])

    def charged_trial(self, **how: Any) -> tuple[Trial, str]:
        """A trial that has just turned into a charge."""
        trial = self.start_trial(**how)
        self.end_trials()
        return trial, self.last_charge(trial)

    def refunds_at_stripe(self, charge: str) -> list[dict[str, Any]]:
        """All refunds of the charge, as Stripe has them."""
        return list(self.stripe.get("/refunds", charge=charge)["data"])

    # ------------------------------------------------------------ the desk's work

    def set_mode(self, mode: Mode) -> None:
        set_mode(self.desk, "default", mode, by="tests", why=None)

    def ask(self, charge: str, *, named_by: NamedBy = NamedBy.CHARGE, key: str | None = None, **claims: Any) -> Answer:
        wish = Ask(
            account="default",
            named_by=named_by,
            named=charge,
            claims=Claims(**claims),
            channel=Channel.API,
            asked_by="support-desk",
            idempotency_key=key,
        )
        return ask(self.desk, wish)

    def deliver(self) -> int:
        """All events that Stripe has made and we have not been given yet, newest first: order means nothing."""
        events = [e for e in self.stripe.get("/events", limit=100)["data"] if e["id"] not in self._seen]
        envelopes = []
        for event in events:
            self._seen.add(event["id"])
            body = self.stripe._http.get(f"/v1/events/{event['id']}", headers=self.stripe._auth).content
            envelope = decode(body, account="default", livemode=False, stripe_account=None)
            if envelope.object_id is not None:
                envelopes.append(envelope)
        return store(self.desk, envelopes) if envelopes else 0

    def work(self, *, only: Actor | None = None) -> int:
        """Runs every job that is due, and those that follow from it, until nothing is due; returns how many ran."""
        ran = 0
        for _ in range(200):
            due = self._due(only)
            if not due:
                return ran
            ran += sum(run(self.desk, job_id) for job_id in due)
        raise AssertionError("jobs follow each other without an end")

    def look_again(self) -> None:
        """What the scheduler does for cases that wait for evidence, with their waits over."""
        self.hurry()
        TASKS["recheck"][1](self.desk)
        self.work()

    def hurry(self) -> None:
        """Makes every waiting retry due now."""
        with self.owner.begin() as connection:
            connection.execute(
                sa.text("UPDATE jobs SET run_at = now() - interval '1 s', lease_until = NULL WHERE state = 'ready'")
            )
            connection.execute(sa.text("UPDATE cases SET recheck_at = now() WHERE recheck_at IS NOT NULL"))

    def age(self, by: timedelta) -> None:
        """As if the attempts had been sent that much earlier."""
        with self.owner.begin() as connection:
            connection.execute(
                sa.text(
                    "UPDATE refund_attempts SET first_sent_at = first_sent_at - :by, last_sent_at = last_sent_at - :by"
                ),
                {"by": by},
            )

    def case(self, case_id: str) -> Case:
        with self.desk.db.begin() as connection:
            return cases.get(connection, case_id)

    def cases_of(self, charge: str) -> list[Case]:
        with self.desk.db.begin() as connection:
            ids = connection.execute(
                sa.text("SELECT id FROM cases WHERE charge_id = :c ORDER BY opened_at"), {"c": charge}
            )
            return [cases.get(connection, row.id) for row in ids.all()]

    def rows(self, query: str, **values: Any) -> list[Any]:
        with self.owner.begin() as connection:
            return list(connection.execute(sa.text(query), values).all())

    def ledger_flaws(self) -> list[Flaw]:
        with self.desk.db.begin() as connection:
            return list(flaws(ledger.entries(connection)))

    def close(self) -> None:
        self.desk.accounts["default"].stripe.close()
        self.desk.db.dispose()
        self.owner.dispose()

    def _due(self, only: Actor | None) -> Sequence[str]:
        query = sa.select(jobs_table.c.id).where(
            jobs_table.c.state == "ready", jobs_table.c.run_at <= sa.func.now(), jobs_table.c.lease_until.is_(None)
        )
        if only is not None:
            query = query.where(jobs_table.c.actor == only)
        with self.owner.begin() as connection:
            return connection.execute(query.order_by(jobs_table.c.run_at)).scalars().all()


@contextmanager
def open_shop(database: Database, *, mode: Mode = Mode.AUTO) -> Iterator[Shop]:
    """A shop whose earlier trials are read in already."""
    with running_sandbox(start_at=datetime.now(UTC) - timedelta(days=40)) as sandbox:
        shop = Shop(sandbox.client, database)
        shop.set_mode(mode)
        TASKS["import_history"][1](shop.desk)
        shop.work()
        try:
            yield shop
        finally:
            shop.close()
