"""The process dies around any commit or call of a refund's life; whoever comes after pays once, or not at all."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.faults.mortal import Died, Fate, die_everywhere, make_mortal
from tests.flows.shop import Shop

from billingbot.core.case import CaseState
from billingbot.core.job import Actor
from billingbot.core.refund_terms import CancelWhen, RefundWith
from billingbot.flows.casework.review import approve

# Small charges, and the day's limits out of the way: a hundred lives are led within one day.
AMOUNT = 100
MOST_LIVES = 60


class Lives:
    """One charge after the other is asked for and worked on, by processes that die and are started again."""

    def __init__(self, shop: Shop, fate: Fate) -> None:
        never = replace(shop.policy.limits.breaker, refunds_per_hour=10_000, percent_from_requests=10_000)
        shop.allow(daily_count_max=10_000, daily_amount_max={"usd": 10_000_000}, breaker=never)
        self.shop = shop
        self.under_terms(cancel_subscription=CancelWhen.NO)  # a life of its own, below
        self.fate = fate
        trials = [shop.start_trial(amount=AMOUNT) for _ in range(MOST_LIVES)]
        shop.end_trials()
        shop.skip_events()
        self._waiting = [(trial, shop.last_charge(trial)) for trial in trials]
        self.trial, self.charge = self._waiting[0]

    def under_terms(self, **terms: Any) -> None:
        """Other terms than the shipped policy's."""
        self.shop.policy = replace(self.shop.policy, terms=replace(self.shop.policy.terms, **terms))

    def begin(self) -> None:
        """The next life: another charge."""
        self.trial, self.charge = self._waiting.pop()

    def without_dying(self) -> "Lives":
        """What follows is not counted and cannot end in death."""
        self._planned = (self.fate.dies_at, self.fate.after)
        self.fate.begin(dies_at=None)
        return self

    def mortal_again(self) -> None:
        """From here on every instant counts."""
        dies_at, after = self._planned
        self.fate.begin(dies_at=dies_at, after=after)

    def ask(self) -> str:
        """The case. Who got no answer asks again, under the same key."""
        try:
            return self._ask()
        except Died:
            return self._ask()

    def _ask(self) -> str:
        return self.shop.ask(self.charge, key=f"ask-{self.charge}", unused=True).case.id

    def work(self, *, events: bool = False) -> None:
        """Jobs run, and events are delivered; after a death everything is started again, until nothing is left."""
        for turn in (self.shop.work, self.shop.deliver if events else self.shop.skip_events, self.shop.restart):
            try:
                turn()
            except Died:
                self.shop.restart()


@pytest.fixture
def fate(shop: Shop) -> Fate:
    return make_mortal(shop)


@pytest.fixture
def lives(shop: Shop, fate: Fate) -> Lives:
    return Lives(shop, fate)


def test_a_refund_survives_a_death_at_any_instant_of_its_life(shop: Shop, fate: Fate, lives: Lives) -> None:
    def live() -> None:
        lives.begin()
        lives.ask()
        lives.work(events=True)
        shop.assert_paid_once(lives.charge, amount=AMOUNT)

    assert die_everywhere(fate, live) >= 10


def test_an_approved_refund_survives_a_death_at_any_instant(shop: Shop, fate: Fate, lives: Lives) -> None:
    def live() -> None:
        lives.without_dying().begin()
        shop.usage.used_by.add(lives.trial.customer)
        case_id = lives.ask()
        shop.work()
        lives.mortal_again()
        try:
            approve(shop.desk, shop.person(case_id), reason="goodwill")
        except Died:
            if shop.case(case_id).state is CaseState.REVIEW:  # nothing of it was kept: the person tries again
                approve(shop.desk, shop.person(case_id), reason="goodwill")
        lives.work()
        shop.assert_paid_once(lives.charge, amount=AMOUNT)

    assert die_everywhere(fate, live) >= 4


def test_a_refused_refund_survives_a_death_at_any_instant(shop: Shop, fate: Fate, lives: Lives) -> None:
    def live() -> None:
        lives.without_dying().begin()
        case_id = lives.ask()
        shop.work(only=Actor.ASSESS)
        shop.stripe.fault("declined", method="POST", path="/v1/refunds", times=None)
        lives.mortal_again()
        lives.work()
        shop.stripe.clear_faults()
        shop.assert_not_paid(lives.charge)
        assert shop.case(case_id).state is CaseState.REVIEW
        assert shop.case(case_id).reason == "refused-other"

    assert die_everywhere(fate, live) >= 4


def test_a_refund_whose_answer_was_lost_survives_a_death_at_any_instant(shop: Shop, fate: Fate, lives: Lives) -> None:
    def live() -> None:
        lives.without_dying().begin()
        lives.ask()
        shop.work(only=Actor.ASSESS)
        shop.stripe.fault("lost_answer", method="POST", path="/v1/refunds", times=1)
        lives.mortal_again()
        lives.work()
        shop.stripe.clear_faults()
        shop.assert_paid_once(lives.charge, amount=AMOUNT)

    assert die_everywhere(fate, live) >= 4


def test_a_refund_that_stripe_never_made_survives_a_death_at_any_instant(shop: Shop, fate: Fate, lives: Lives) -> None:
    """A 500 without effect, kept under the key for good: only a second key can pay, after half a day."""

    def live() -> None:
        lives.without_dying().begin()
        lives.ask()
        shop.work(only=Actor.ASSESS)
        shop.stripe.fault("error_before", method="POST", path="/v1/refunds", times=1)
        shop.work()
        shop.age(timedelta(hours=13))
        lives.mortal_again()
        lives.work()
        shop.stripe.clear_faults()
        shop.assert_paid_once(lives.charge, amount=AMOUNT)

    assert die_everywhere(fate, live) >= 4


def test_a_refund_by_credit_note_survives_a_death_at_any_instant(shop: Shop, fate: Fate, lives: Lives) -> None:
    lives.under_terms(refund_with=RefundWith.CREDIT_NOTE)

    def live() -> None:
        lives.without_dying().begin()
        lives.ask()
        shop.work(only=Actor.ASSESS)
        shop.stripe.fault("lost_answer", method="POST", path="/v1/credit_notes", times=1)
        lives.mortal_again()
        lives.work()
        shop.stripe.clear_faults()
        shop.assert_paid_once(lives.charge, amount=AMOUNT)
        invoice = shop.refunds_of(lives.charge)[0].invoice_id
        assert len(shop.stripe.get("/credit_notes", invoice=invoice)["data"]) == 1

    assert die_everywhere(fate, live) >= 6


def test_a_cancellation_survives_a_death_at_any_instant(shop: Shop, fate: Fate, lives: Lives) -> None:
    """Its first call meets an error without effect, so that two calls and all between them are died around."""
    lives.under_terms(cancel_subscription=CancelWhen.NOW)

    def live() -> None:
        lives.without_dying().begin()
        lives.ask()
        shop.work(only=Actor.ASSESS)
        shop.work(only=Actor.SUBMIT)
        shop.stripe.fault("error_before", method="DELETE", path="/v1/subscriptions/", times=1)
        lives.mortal_again()
        lives.work()
        shop.stripe.clear_faults()
        shop.assert_paid_once(lives.charge, amount=AMOUNT)
        [row] = shop.rows("SELECT * FROM cancellations WHERE charge_id = :c", c=lives.charge)
        assert (row.state, row.waits_for) == ("done", None)
        ended = shop.stripe.get("/events", type="customer.subscription.deleted", limit=100)["data"]
        assert [e["data"]["object"]["id"] for e in ended].count(lives.trial.subscription) == 1

    assert die_everywhere(fate, live) >= 4
