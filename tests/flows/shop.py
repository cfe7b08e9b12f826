"""A small shop for tests: a local Stripe with customers, sources that say what they are told to, and a desk."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from billingbot.bootstrap.build import new_id
from billingbot.core.case import Case, CaseState
from billingbot.core.evidence.usage import Span, Subject, SupportReport, UsageReport
from billingbot.core.job import Actor
from billingbot.core.ledger import Flaw, flaws
from billingbot.core.mode import Mode
from billingbot.core.policy import Policy
from billingbot.core.request import Channel, Claims, NamedBy
from billingbot.core.signals import Envelope
from billingbot.evidence.sources import unanswered_support, unanswered_usage
from billingbot.flows.casework.review import Act
from billingbot.flows.desk import Account, Desk
from billingbot.flows.receive import store
from billingbot.flows.request import Answer, Ask, ask
from billingbot.flows.switch import set_mode
from billingbot.gateway.client import StripeGateway
from billingbot.gateway.envelope import decode
from billingbot.sandbox.server import RunningSandbox, running_sandbox
from billingbot.store import cases, ledger
from billingbot.store.schema import jobs as jobs_table
from billingbot.worker.run import run
from billingbot.worker.schedule import TASKS
from tests.builders import shipped_policy
from tests.desks import engine_on
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


def in_days(days: float) -> int:
    """A deadline in Unix seconds. Stripe's clock here stands weeks before ours, which deadlines are held against."""
    return int((datetime.now(UTC) + timedelta(days=days)).timestamp())


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

    def __init__(self, sandbox: RunningSandbox, database: Database) -> None:
        self.sandbox = sandbox
        self.database = database
        self.stripe = stripe = sandbox.client
        self.usage = StatedUsage()
        self.support = StatedSupport()
        self.policy: Policy = shipped_policy()
        gateway = StripeGateway("default", "rk_test_shop", False, api_base=stripe.url)
        self.desk = Desk(
            db=engine_on(database.app_url, pool_size=20),
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
        self,
        *,
        email: str | None = None,
        card: str | None = None,
        currency: str = "usd",
        amount: int = 4900,
        **subscription: Any,
    ) -> Trial:
        """A new customer with a card of their own starts a trial of 14 days; None drops a term."""
        self._people += 1
        customer = self.stripe.post("/customers", email=email or f"person{self._people}@example.org")["id"]
        self.stripe.add_card(customer, fingerprint=card or f"card{self._people}")
        return Trial(customer=customer, subscription=self.subscribe(customer, currency, amount, **subscription))

    def subscribe(self, customer: str, currency: str = "usd", amount: int = 4900, **subscription: Any) -> str:
        """A subscription by the month that begins with a trial of 14 days."""
        price = self.stripe.post(
            "/prices",
            currency=currency,
            unit_amount=amount,
            recurring={"interval": "month"},
            product_data={"name": "Plan"},
        )["id"]
        terms = {"trial_period_days": 14, **subscription}
        terms = {name: value for name, value in terms.items() if value is not None}
        return str(self.stripe.post("/subscriptions", customer=customer, items=[{"price": price}], **terms)["id"])

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

    def replace_gateway(self, gateway: StripeGateway) -> None:
        """Speaks to Stripe through this one from now on."""
        self.desk.accounts["default"].stripe.close()
        account = Account(name="default", livemode=False, stripe=gateway)
        self.desk = replace(self.desk, accounts={"default": account})

    def allow(self, **limits: Any) -> None:
        """Other limits than the shipped policy's."""
        self.policy = replace(self.policy, limits=replace(self.policy.limits, **limits))

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

    def events(self) -> list[Envelope]:
        """All that Stripe tells and we have not been given yet, newest first: order means nothing."""
        envelopes = []
        for event in self.stripe.get("/events", limit=100)["data"]:
            if event["id"] in self._seen:
                continue
            self._seen.add(event["id"])
            body = self.stripe._http.get(f"/v1/events/{event['id']}", headers=self.stripe._auth).content
            envelope = decode(body, account="default", livemode=False, stripe_account=None)
            if envelope.object_id is not None:
                envelopes.append(envelope)
        return envelopes

    def deliver(self) -> int:
        """What Stripe has told since arrives; returns how much of it was new."""
        envelopes = self.events()
        return store(self.desk, envelopes) if envelopes else 0

    def skip_events(self) -> None:
        """What Stripe has told so far is never delivered."""
        state = self.sandbox.state
        with state.lock:  # not over HTTP: events with all that they are about are megabytes
            self._seen.update(state.tables["event"].rows)

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
        self.do("recheck")
        self.work()

    def do(self, task: str) -> int:
        """One of the schedule's tasks, now; returns how many jobs it made."""
        return TASKS[task][1](self.desk)

    def restart(self) -> None:
        """All processes were gone and are back: leases run out, waits end, every job runs until none is left.

        A job that is still there after many tries waits for time to pass: then it does, by half a day at a time.
        """
        for turn in range(40):
            self.hurry()
            ran, left = self.work(), self.rows("SELECT * FROM jobs WHERE state = 'ready'")
            if not ran and not left:
                return
            if turn % 5 == 4:
                self.age(timedelta(hours=6))
        raise AssertionError(f"jobs that never end: {left}")

    def hurry(self) -> None:
        """Makes every waiting retry due now."""
        with self.owner.begin() as connection:
            connection.execute(
                sa.text("UPDATE jobs SET run_at = now() - interval '1 s', lease_until = NULL WHERE state = 'ready'")
            )
            connection.execute(sa.text("UPDATE cases SET recheck_at = now() WHERE recheck_at IS NOT NULL"))

    def forget_failures(self) -> None:
        """A person has seen the failed jobs, and dismisses them."""
        with self.owner.begin() as connection:
            connection.exec_driver_sql("UPDATE jobs SET state = 'dismissed' WHERE state = 'failed'")

    def age(self, by: timedelta) -> None:
        """As if the attempts had been sent that much earlier."""
        with self.owner.begin() as connection:
            connection.execute(
                sa.text(
                    "UPDATE refund_attempts SET first_sent_at = first_sent_at - :by, last_sent_at = last_sent_at - :by"
                ),
                {"by": by},
            )

    def person(self, case_id: str, name: str = "kim") -> Act:
        """What a person does with a case, having seen it as it is now."""
        return Act(case_id=case_id, by=name, version=self.case(case_id).version)

    def refunds_of(self, charge: str) -> list[Any]:
        """Our rows for the charge, oldest first."""
        return self.rows("SELECT * FROM refunds WHERE charge_id = :c ORDER BY intended_at", c=charge)

    def attempts_of(self, charge: str) -> list[Any]:
        """The keyed calls for the charge, in order."""
        return self.rows(
            "SELECT a.* FROM refund_attempts a JOIN refunds r ON r.id = a.refund_id"
            " WHERE r.charge_id = :c ORDER BY a.first_sent_at, a.number",
            c=charge,
        )

    def assert_paid_once(self, charge: str, *, amount: int = 4900) -> None:
        """One refund at Stripe, the same in our books, nothing left to do, and a ledger that proves it."""
        [at_stripe] = self.refunds_at_stripe(charge)
        assert (at_stripe["status"], at_stripe["amount"]) == ("succeeded", amount)
        paid = [row for row in self.refunds_of(charge) if row.state == "succeeded"]
        assert [(row.stripe_refund_id, row.amount_minor) for row in paid] == [(at_stripe["id"], amount)]
        outcomes = [row.outcome for row in self.attempts_of(charge)]
        assert outcomes.count("accepted") == 1
        assert not {"open", "unknown"} & set(outcomes)
        self.assert_at_rest(charge)
        assert [case.outcome for case in self.cases_of(charge)] == ["refunded"]

    def assert_not_paid(self, charge: str) -> None:
        """Stripe has no refund, and our books say so too."""
        assert self.refunds_at_stripe(charge) == []
        assert {row.state for row in self.refunds_of(charge)} <= {"withdrawn", "refused"}
        self.assert_at_rest(charge)

    def assert_at_rest(self, charge: str) -> None:
        """Nothing is under way: every case of the charge is closed or with a person, every job is over."""
        assert {case.state for case in self.cases_of(charge)} <= {CaseState.CLOSED, CaseState.REVIEW}
        assert self.rows("SELECT actor, state, last_error FROM jobs WHERE state IN ('ready', 'failed')") == []
        assert self.ledger_flaws() == []

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

    def write(self, statement: str, **values: Any) -> None:
        """What no verb does: a hand at the tables."""
        with self.owner.begin() as connection:
            connection.execute(sa.text(statement), values)

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
def open_stripe() -> Iterator[RunningSandbox]:
    """A local Stripe whose clock stands 40 days ago, so that a trial and a renewal fit in before now."""
    with running_sandbox(start_at=datetime.now(UTC) - timedelta(days=40)) as sandbox:
        yield sandbox


@contextmanager
def open_shop(database: Database, sandbox: RunningSandbox, *, mode: Mode = Mode.AUTO) -> Iterator[Shop]:
    """A shop on an emptied Stripe, whose earlier trials are read in already."""
    sandbox.client.reset()
    shop = Shop(sandbox, database)
    try:
        shop.set_mode(mode)
        shop.do("import_history")
        shop.work()
        yield shop
    finally:
        shop.close()
