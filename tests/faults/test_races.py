"""Many at once: requests, events, workers and people meet over one charge, and one refund comes of it."""

import itertools
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier, Event, Thread, current_thread
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from sqlalchemy import Connection, event
from tests.flows.shop import Shop

from billingbot.core.breaker import BreakerLimits
from billingbot.core.case import CaseState
from billingbot.core.errors import ConflictError, LeaseLostError
from billingbot.core.evidence.dossier import Refund as StripeRefund
from billingbot.core.job import Actor
from billingbot.core.mode import Mode
from billingbot.core.request import NamedBy
from billingbot.core.restore import restore_facts
from billingbot.flows.casework.review import approve, deny
from billingbot.flows.desk import step
from billingbot.flows.receive import store
from billingbot.flows.settle import apply_refund
from billingbot.flows.submit import submit
from billingbot.gateway.answers import RefundAnswer
from billingbot.gateway.client import StripeGateway
from billingbot.gateway.envelope import decode
from billingbot.store import jobs, refunds
from billingbot.worker.run import run

T = TypeVar("T")


def at_once(*acts: Callable[[], T]) -> list[T | Exception]:
    """All acts begin at the same moment, each in a thread; what each came to."""
    start = Barrier(len(acts))

    def one(act: Callable[[], T]) -> T | Exception:
        start.wait(10)
        try:
            return act()
        except Exception as fault:  # noqa: BLE001 - the test looks at it
            return fault

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(one, acts))


def claimed(shop: Shop, actor: Actor) -> Any:
    """The one waiting job of this actor, as a worker claims it."""
    [row] = shop.rows("SELECT id FROM jobs WHERE actor = :a AND state = 'ready'", a=actor)
    with shop.desk.db.begin() as connection:
        job = jobs.claim(connection, row.id, uuid4().hex)
    assert job is not None
    return job


def test_twenty_requests_for_one_charge_at_once_make_one_case_and_one_refund(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.skip_events()
    shop.stripe.dispute(charge, status="warning_needs_response")  # the bank asks at the same time
    shop.deliver()
    asks = [lambda: shop.ask(charge, unused=True) for _ in range(16)]
    by_name = [lambda: shop.ask(trial.customer, named_by=NamedBy.CUSTOMER) for _ in range(3)]

    answers = at_once(*asks, *by_name, shop.work)
    shop.restart()

    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    [case] = [case for case in shop.cases_of(charge) if case.outcome != "joined"]
    assert case.outcome == "refunded"
    assert len(shop.refunds_at_stripe(charge)) == 1
    assert len(shop.rows("SELECT 1 FROM requests WHERE case_id = :c", c=case.id)) >= 1
    assert len(shop.rows("SELECT 1 FROM requests")) == 20
    shop.assert_at_rest(charge)


def test_the_same_request_many_times_at_once_is_one_request(shop: Shop) -> None:
    _, charge = shop.charged_trial()

    answers = at_once(*[lambda: shop.ask(charge, key="ticket-7") for _ in range(12)])

    assert len({answer.request_id for answer in answers}) == 1  # type: ignore[union-attr] # none may be a fault
    assert sorted(answer.repeated for answer in answers) == [False, *[True] * 11]  # type: ignore[union-attr] # likewise
    assert len(shop.rows("SELECT 1 FROM requests")) == 1


def test_a_refunds_events_may_come_in_any_order_and_number(shop: Shop) -> None:
    """Created, updated, updated, failed: after every order, twice over, the books say what Stripe says."""
    orders = list(itertools.permutations(range(4)))
    random.Random(7).shuffle(orders)  # noqa: S311 - the same sample each time, not a secret
    for order in orders[:2]:
        _, charge = shop.charged_trial()
        shop.skip_events()
        shop.stripe.refund_outcome(charge=charge, status="pending")
        shop.ask(charge, unused=True)
        shop.work()
        [refund] = shop.refunds_at_stripe(charge)
        shop.stripe.turn_refund(refund["id"], "succeeded")
        shop.stripe.turn_refund(refund["id"], "failed")
        events = [told for told in shop.events() if told.object_id == refund["id"]]
        for place in (*order, *order):
            twin = uuid4().hex
            store(shop.desk, [_renamed(events[place % len(events)], twin)])
            shop.work()
        assert [row.state for row in shop.refunds_of(charge)] == ["failed"]
        [case] = shop.cases_of(charge)
        assert (case.state, case.reason, case.priority) == (CaseState.REVIEW, "refund-failed", "high")
        shop.stripe.reset()


def test_what_was_read_of_a_refund_may_be_committed_in_any_order(shop: Shop) -> None:
    """Workers read pending, succeeded and failed one after the other, and commit as they please."""
    found = StripeRefund(
        id="re_1",
        charge_id="",
        amount_minor=4900,
        currency="usd",
        status="",
        failure_reason=None,
        pending_reason=None,
        created_at=datetime.now(UTC),
        our_refund_id=None,
        our_attempt_key=None,
    )
    _, charge = shop.charged_trial()
    shop.ask(charge)
    shop.work(only=Actor.ASSESS)
    [ours] = shop.refunds_of(charge)
    for order in itertools.permutations(["pending", "succeeded", "failed"]):
        with suppress(RolledBackError), step(shop.desk) as this:
            for status in order:
                read = replace(found, charge_id=charge, status=status, our_refund_id=ours.id)
                apply_refund(this, "default", livemode=False, found=read)
            assert refunds.get(this.db, ours.id).state == "failed"
            raise RolledBackError


class RolledBackError(Exception):
    """Undo this order, and try the next."""


def _renamed(envelope: Any, name: str) -> Any:
    """A second Event object about the same thing, as Stripe sometimes makes one."""
    body = envelope.body.replace(envelope.event_id.encode(), f"evt_{name}".encode())
    return decode(body, account="default", livemode=False, stripe_account=None)


def test_two_workers_on_one_submit_job_pay_once(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    [job] = shop.rows("SELECT id FROM jobs WHERE actor = 'submit'")

    ran = at_once(*[lambda: run(shop.desk, job.id) for _ in range(4)])

    assert sorted(ran) == [False, False, False, True]  # type: ignore[type-var] # bools
    shop.work()  # what follows a refund
    shop.assert_paid_once(charge)


def test_two_jobs_for_one_refund_pay_once_and_neither_is_left_hanging(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    [refund] = shop.refunds_of(charge)
    first = claimed(shop, Actor.SUBMIT)
    with shop.desk.db.begin() as connection:
        assert jobs.enqueue(connection, "job_second", Actor.SUBMIT, refund.id)
    second = claimed_by_id(shop, "job_second")

    at_once(lambda: submit(shop.desk, first), lambda: submit(shop.desk, second))
    shop.restart()
    shop.assert_paid_once(charge)


def claimed_by_id(shop: Shop, job_id: str) -> Any:
    with shop.desk.db.begin() as connection:
        return jobs.claim(connection, job_id, uuid4().hex)


def test_a_worker_that_lost_its_lease_before_the_call_does_not_call(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    late = claimed(shop, Actor.SUBMIT)
    shop.hurry()
    taken_over = claimed_by_id(shop, late.id)

    with pytest.raises(LeaseLostError):
        submit(shop.desk, late)
    assert shop.refunds_at_stripe(charge) == []

    submit(shop.desk, taken_over)
    shop.work()
    shop.assert_paid_once(charge)


def test_a_worker_that_lost_its_lease_during_the_call_leaves_the_answer_to_the_next(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.work(only=Actor.ASSESS)
    late = claimed(shop, Actor.SUBMIT)

    class Paused(StripeGateway):
        def create_refund(self, **asked: Any) -> RefundAnswer:
            answer = super().create_refund(**asked)
            shop.hurry()  # asleep for longer than its lease, and another worker came
            submit(shop.desk, claimed_by_id(shop, late.id))
            return answer

    shop.replace_gateway(Paused("default", "rk_test_shop", False, api_base=shop.stripe.url))
    with pytest.raises(LeaseLostError):
        submit(shop.desk, late)
    shop.work()
    shop.assert_paid_once(charge)


def test_the_webhook_of_our_refund_may_overtake_our_own_answer(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.skip_events()

    class Overtaken(StripeGateway):
        def create_refund(self, **asked: Any) -> RefundAnswer:
            answer = super().create_refund(**asked)
            shop.deliver()
            shop.work(only=Actor.INTERPRET)
            [row] = shop.refunds_of(charge)
            assert row.state == "succeeded"  # by the event, before the answer was committed
            return answer

    shop.replace_gateway(Overtaken("default", "rk_test_shop", False, api_base=shop.stripe.url))
    shop.work()
    shop.assert_paid_once(charge)
    assert [row.origin for row in shop.refunds_of(charge)] == ["policy"]


def test_of_two_people_who_decide_at_once_one_wins_and_the_other_is_told(shop: Shop) -> None:
    for _ in range(4):
        trial, charge = shop.charged_trial()
        shop.usage.used_by.add(trial.customer)
        case_id = shop.ask(charge).case.id
        shop.work()
        kim, ada = shop.person(case_id, "kim"), shop.person(case_id, "ada")

        came_to = at_once(
            lambda: approve(shop.desk, kim, reason="goodwill"),  # noqa: B023 - run before the next turn
            lambda: deny(shop.desk, ada, reason="used", reply=None),  # noqa: B023 - likewise
        )
        told = [one for one in came_to if isinstance(one, Exception)]
        assert [type(one) for one in told] == [ConflictError]
        shop.restart()

        paid = len(shop.refunds_at_stripe(charge))
        assert (shop.case(case_id).outcome, paid) in {("refunded", 1), ("denied", 0)}
        shop.stripe.reset()


def test_two_people_who_approve_at_once_pay_once(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)
    case_id = shop.ask(charge).case.id
    shop.work()
    people = [shop.person(case_id, name) for name in ("kim", "ada", "lou")]

    came_to = at_once(*[lambda who=who: approve(shop.desk, who, reason="goodwill") for who in people])  # type: ignore[misc] # bound now
    assert sum(isinstance(one, ConflictError) for one in came_to) == 2
    shop.restart()
    shop.assert_paid_once(charge)


def test_an_approval_and_the_machines_own_new_look_end_in_one_refund(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.usage.down = True
    case_id = shop.ask(charge).case.id
    shop.work()
    shop.usage.down = False
    kim = shop.person(case_id)

    at_once(lambda: approve(shop.desk, kim, reason="goodwill"), shop.look_again)
    shop.restart()
    shop.assert_paid_once(charge)


def test_racing_assessments_cannot_pass_the_days_budget_together(shop: Shop) -> None:
    shop.allow(daily_amount_max={"usd": 3 * 4900, "eur": 10 * 4900}, daily_count_max=4)
    trials = [shop.start_trial() for _ in range(6)] + [shop.start_trial(currency="eur") for _ in range(4)]
    shop.end_trials()
    for trial in trials:
        shop.ask(shop.last_charge(trial), unused=True)
    waiting = [row.id for row in shop.rows("SELECT id FROM jobs WHERE actor = 'assess' AND state = 'ready'")]

    at_once(*[lambda job=job: run(shop.desk, job) for job in waiting])  # type: ignore[misc] # bound now
    shop.restart()

    paid = shop.rows("SELECT currency, amount_minor FROM refunds WHERE state = 'succeeded'")
    assert len(paid) == 4  # the count runs over all currencies
    assert sum(row.amount_minor for row in paid if row.currency == "usd") <= 3 * 4900
    held = {row.reason for row in shop.rows("SELECT reason FROM cases WHERE state = 'review'")}
    assert held <= {"limit-daily-amount", "limit-daily-count"}


def test_racing_assessments_cannot_pass_the_breaker_together(shop: Shop) -> None:
    """Ten at once where three may be refunded within an hour: three intents at the most, and one opened breaker."""
    shop.allow(breaker=BreakerLimits(refunds_per_hour=3, refunded_percent_max=100, percent_from_requests=1000))
    trials = [shop.start_trial() for _ in range(10)]
    shop.end_trials()
    for trial in trials:
        shop.ask(shop.last_charge(trial), unused=True)
    waiting = [row.id for row in shop.rows("SELECT id FROM jobs WHERE actor = 'assess' AND state = 'ready'")]

    at_once(*[lambda job=job: run(shop.desk, job) for job in waiting])  # type: ignore[misc] # bound now
    shop.restart()

    assert len(shop.rows("SELECT 1 FROM refunds")) <= 3
    assert len(shop.rows("SELECT 1 FROM refunds WHERE state = 'succeeded'")) <= 3
    assert {row.reason for row in shop.rows("SELECT reason FROM cases WHERE state = 'review'")} == {"limit-breaker"}
    assert len(shop.rows("SELECT 1 FROM ledger_entries WHERE kind = 'breaker.opened'")) == 1
    assert [row.kind for row in shop.rows("SELECT kind FROM notices")] == ["breaker_open"]
    [mode] = shop.rows("SELECT mode, changed_by FROM modes")
    assert (mode.mode, mode.changed_by) == ("assist", "billingbot")
    assert shop.ledger_flaws() == []


def test_a_mode_set_while_the_breaker_opens_is_not_auto_afterwards(shop: Shop) -> None:
    shop.allow(breaker=BreakerLimits(refunds_per_hour=0, refunded_percent_max=100, percent_from_requests=1000))
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    [job] = [row.id for row in shop.rows("SELECT id FROM jobs WHERE actor = 'assess' AND state = 'ready'")]

    at_once(lambda: run(shop.desk, job), *[lambda: shop.set_mode(Mode.AUTO)] * 5)

    assert [row.mode for row in shop.rows("SELECT mode FROM modes")] == ["assist"]
    shop.restart()
    shop.assert_not_paid(charge)


def test_a_request_that_joins_during_the_look_is_heard_before_the_case_is_closed(shop: Shop) -> None:
    """The charge is refunded already, and a case about it would be closed; but a bank has just asked."""
    _, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge)
    case_id = shop.ask(charge).case.id

    class Interrupted(StripeGateway):
        joined = False

        def dossier(self, *asked: Any, **how: Any) -> Any:
            found = super().dossier(*asked, **how)
            if not Interrupted.joined:
                Interrupted.joined = True
                shop.ask(charge, cancelled=True)
            return found

    shop.replace_gateway(Interrupted("default", "rk_test_shop", False, api_base=shop.stripe.url))
    shop.work()

    [decision] = shop.rows("SELECT * FROM decisions WHERE case_id = :c", c=case_id)
    assert restore_facts(bytes(decision.facts)).known("request.claims_cancellation") is True
    assert len(shop.rows("SELECT 1 FROM requests WHERE case_id = :c", c=case_id)) == 2
    assert shop.case(case_id).state is CaseState.CLOSED


def test_a_request_for_the_charge_and_one_that_means_it_by_its_customer_meet_without_a_fault(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    by_name = shop.ask(trial.customer, named_by=NamedBy.CUSTOMER).case.id
    [job] = shop.rows("SELECT id FROM jobs WHERE actor = 'assess' AND state = 'ready'")
    about_to_commit = Event()

    @event.listens_for(shop.desk.db, "commit")
    def _wait_for_the_other(_connection: Connection) -> None:
        if current_thread().name == "asker":
            about_to_commit.set()
            blocked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            deadline = time.monotonic() + 1.5  # below the limit on waiting for a lock
            while not shop.rows(blocked) and time.monotonic() < deadline:
                time.sleep(0.01)

    asker = Thread(target=lambda: shop.ask(charge), name="asker")
    asker.start()
    about_to_commit.wait(10)
    run(shop.desk, job.id)
    asker.join()

    assert shop.case(by_name).outcome == "joined"
    assert shop.rows("SELECT error_class FROM job_failures") == []
    assert len(shop.rows("SELECT 1 FROM cases WHERE charge_id = :c AND state <> 'closed'", c=charge)) == 1
