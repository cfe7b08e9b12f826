"""Orders: a bank, a customer, people, events and jobs in any order, repeated and stale; paid once at the most, and no
deadline is left unseen.

The local Stripe and Postgres are real; hypothesis chooses what happens next. Whatever it chooses, everything comes to
rest afterwards, and then the laws are held against Stripe, not against our own books alone.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billingbot.core.case import CaseState
from billingbot.core.disputes.life import Answering, answering, returned_money
from billingbot.core.errors import ConflictError, ForbiddenError
from billingbot.core.evidence.dossier import Dispute
from billingbot.core.signals import Envelope
from billingbot.flows.casework import review
from billingbot.flows.desk import step
from billingbot.flows.disputes.deadlines import follow_deadline
from billingbot.flows.disputes.news import tell_news
from billingbot.flows.receive import store
from billingbot.sandbox.client import SandboxError
from billingbot.sandbox.dispute_life import MOVES
from billingbot.store import database, disputes
from billingbot.worker.run import run
from tests.flows.shop import Shop, Trial, in_days

EXAMPLES = 14  # some fifteen seconds
STEPS = 16
DUE = {"none": 0.0, "far": 6.0, "near": 0.1, "over": -0.1}
OPENED = ["warning_needs_response", "needs_response", "lost", "prevented"]

actions = st.one_of(
    st.tuples(st.just("open"), st.sampled_from(OPENED), st.sampled_from(sorted(DUE))),
    st.tuples(st.just("move"), st.sampled_from(sorted({end for ends in MOVES.values() for end in ends}))),
    st.tuples(st.just("postpone"), st.sampled_from(["far", "near"])),
    st.tuples(st.just("answer")),
    st.tuples(st.just("ask")),
    st.tuples(st.just("tell"), st.integers(0, 30)),
    st.tuples(st.just("tell_again"), st.integers(0, 30)),
    st.tuples(st.just("work"), st.integers(0, 30)),
    st.tuples(st.just("work"), st.integers(0, 30)),
    st.tuples(st.just("look")),
    st.tuples(st.just("write_late")),
    st.tuples(st.just("claim")),
    st.tuples(st.just("approve")),
    st.tuples(st.just("tick")),
)


@dataclass(slots=True)
class Story:
    """One charge and all that happens to it."""

    shop: Shop
    charge: str
    untold: list[Envelope] = field(default_factory=list)
    told: list[Envelope] = field(default_factory=list)
    looks: list[tuple[Dispute, datetime]] = field(default_factory=list)
    asked: bool = False

    # ------------------------------------------------------------ what may happen

    def open(self, status: str, due: str) -> None:
        if len(self.at_stripe()) < 2:
            due_by = 0 if due == "none" else in_days(DUE[due])
            self.shop.stripe.dispute(self.charge, status=status, due_by=due_by)

    def move(self, status: str) -> None:
        for dispute in self.at_stripe()[-1:]:
            self.shop.stripe.move_dispute(dispute["id"], status)
            self.due(dispute["id"], "far")

    def postpone(self, due: str) -> None:
        """The bank has another deadline in mind, and Stripe tells of some change of the dispute."""
        for dispute in self.at_stripe()[-1:]:
            self.due(dispute["id"], due)
            self.shop.stripe.post(f"/disputes/{dispute['id']}", metadata={"due": due})

    def due(self, dispute_id: str, due: str) -> None:
        box = self.shop.sandbox.state
        with box.lock:
            details = box.tables["dispute"].rows[dispute_id]["evidence_details"]
            details["due_by"] = in_days(DUE[due])

    def answer(self) -> None:
        for dispute in self.at_stripe()[-1:]:
            self.shop.stripe.post(f"/disputes/{dispute['id']}", evidence={"uncategorized_text": "by hand"})

    def ask(self) -> None:
        self.asked = True
        self.shop.ask(self.charge, unused=True)

    def tell(self, place: int) -> None:
        self.hear()
        if self.untold:
            event = self.untold.pop(place % len(self.untold))
            self.told.append(event)
            store(self.shop.desk, [event])

    def tell_again(self, place: int) -> None:
        """The same news by another event: Stripe makes two now and then."""
        if self.told:
            event = self.told[place % len(self.told)]
            store(self.shop.desk, [replace(event, event_id=f"evt_again{place}{len(self.told)}{self.charge[-8:]}")])

    def work(self, place: int) -> None:
        due = self.shop.rows(
            "SELECT id FROM jobs WHERE state = 'ready' AND run_at <= clock_timestamp() AND lease_until IS NULL"
            " ORDER BY id"
        )
        if due:
            run(self.shop.desk, due[place % len(due)].id)

    def look(self) -> None:
        """Somebody reads a dispute, and is held up before writing it down."""
        for dispute in self.at_stripe()[-1:]:
            with step(self.shop.desk) as this:
                now = database.now(this.db)
            self.looks.append((self.stripe().dispute(dispute["id"]), now))

    def write_late(self) -> None:
        if self.looks:
            dispute, read_at = self.looks.pop(0)
            with step(self.shop.desk) as this:
                looked = disputes.looked_at(this.db, "default", dispute, read_at=read_at, case_id=None)
                tell_news(this, "default", dispute, looked)
                follow_deadline(this, self.shop.desk, "default", dispute.id)

    def claim(self) -> None:
        for case in self.shop.cases_of(self.charge)[-1:]:
            review.claim(self.shop.desk, self.shop.person(case.id))

    def approve(self) -> None:
        for case in self.shop.cases_of(self.charge)[-1:]:
            review.approve(self.shop.desk, self.shop.person(case.id), reason="as it seems right")

    def tick(self) -> None:
        self.shop.do("dispute_deadlines")
        self.shop.do("answered_cases")

    # ------------------------------------------------------------ and how it ends

    def do(self, name: str, *how: Any) -> None:
        act: Callable[..., None] = getattr(self, name)
        # What a bank, Stripe or the desk does not allow does not happen.
        with suppress(SandboxError, ConflictError, ForbiddenError):
            act(*how)

    def rest(self) -> None:
        """Everything is told, everything is done, and the clock has ticked."""
        while self.looks:
            self.do("write_late")
        for _ in range(4):
            self.hear()
            for event in reversed(self.untold):
                store(self.shop.desk, [event])
            self.untold.clear()
            self.shop.restart()
            self.tick()
        self.shop.restart()
        self.tick()

    def hear(self) -> None:
        self.untold += self.shop.events()

    def at_stripe(self) -> list[dict[str, Any]]:
        found = self.shop.stripe.get("/disputes", charge=self.charge, limit=100)["data"]
        return sorted(found, key=lambda dispute: (dispute["created"], dispute["id"]))

    def stripe(self) -> Any:
        return self.shop.desk.account("default").stripe

    # ------------------------------------------------------------ the laws

    def assert_laws(self) -> None:
        now = datetime.now(UTC)
        dossier = self.stripe().dossier(self.charge, now=now)
        self._paid_once(dossier)
        cases = self.shop.cases_of(self.charge)
        rows = {row.dispute_id: row for row in self.shop.rows("SELECT * FROM disputes")}
        waiting = False
        for dispute in dossier.disputes:
            row = rows[dispute.id]
            assert (row.status, row.due_by) == (dispute.status, dispute.due_by)  # no stale read has the last word
            told = {
                mark.mark
                for mark in self.shop.rows(
                    "SELECT mark FROM dispute_alarms WHERE dispute_id = :d AND due_by = :due",
                    d=dispute.id,
                    due=dispute.due_by,
                )
            }
            match answering(dispute, now):
                case Answering.AWAITED:
                    waiting = True
                    hours = (dispute.due_by - now).total_seconds() / 3600
                    assert row.next_alarm_at is not None
                    assert hours > 72 or "near:259200" in told
                    assert hours > 24 or "near:86400" in told
                case Answering.MISSED:
                    waiting = True
                    assert row.missed_at is not None
                case Answering.IMPOSSIBLE:
                    waiting = True
                case Answering.WITH_BANK | Answering.OVER:
                    assert row.next_alarm_at is None
        if waiting:
            assert any(case.state is not CaseState.CLOSED for case in cases) or "denied" in {c.outcome for c in cases}
        elif dossier.disputes and not self.asked and not any(row.outcome is None for row in rows.values()):
            decided = [case for case in cases if case.state is CaseState.REVIEW and case.decision_id is not None]
            assert {case.reason for case in decided} <= {"returned-twice", "refund-failed", "refund-crossed-by-dispute"}
        assert self.shop.rows("SELECT actor, last_error FROM jobs WHERE state = 'failed'") == []
        assert self.shop.ledger_flaws() == []

    def _paid_once(self, dossier: Any) -> None:
        paid = [refund for refund in dossier.refunds if refund.status not in {"failed", "canceled"}]
        assert len(paid) <= 1
        # Nobody acts at Stripe between a look and its call here: whatever Stripe refused, we should not have asked.
        refused = self.shop.rows(
            "SELECT a.answer FROM refund_attempts a JOIN refunds r ON r.id = a.refund_id"
            " WHERE r.charge_id = :c AND a.outcome = 'refused'",
            c=self.charge,
        )
        assert refused == []
        back = sum(dispute.amount_minor for dispute in dossier.disputes if returned_money(dispute))
        refunded = sum(refund.amount_minor for refund in paid)
        if refunded and refunded + back > dossier.charge.amount_captured_minor:
            # The bank's own act, after ours: a person has it.
            twice = "SELECT 1 FROM breaks WHERE kind = 'returned_twice' AND charge_id = :c"
            assert self.shop.rows(twice, c=self.charge)


@pytest.fixture
def town(shop: Shop) -> tuple[Shop, list[Trial]]:
    """A shop with as many trials that have just ended as there are stories."""
    trials = [shop.start_trial() for _ in range(EXAMPLES)]
    shop.end_trials()
    shop.skip_events()
    return shop, trials


# No shrinking: each story needs a charge of its own, and is short enough to be read as it is.
@settings(
    max_examples=EXAMPLES,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(used=st.booleans(), acts=st.lists(actions, min_size=4, max_size=STEPS))
def test_no_order_of_a_bank_people_events_and_jobs_pays_twice_or_leaves_a_deadline_unseen(
    town: tuple[Shop, list[Trial]], used: bool, acts: list[tuple[Any, ...]]
) -> None:
    shop, trials = town
    trial = trials.pop()
    if used:
        shop.usage.used_by.add(trial.customer)
    story = Story(shop=shop, charge=shop.last_charge(trial))
    for name, *how in acts:
        story.do(name, *how)
    story.rest()
    story.assert_laws()
