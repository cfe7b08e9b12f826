"""A dispute and its deadline, thousands of times in seconds: the deciding code is the real one, the rest is imagined.

A bank acts, moves its deadline and decides; reads of Stripe begin, are held up and are written down in any order, or
never; the clock jumps; Stripe is away. What is told, and when to look again, is asked of `core.disputes.deadlines` and
`core.disputes.life`, as `flows.disputes.deadlines` and `store.disputes` ask it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import pytest

from billingbot.core.disputes.deadlines import DEFAULT_TERMS, MISSED, UNTAKEN, next_alarm, passed
from billingbot.core.disputes.life import Answering, answering, is_answered
from billingbot.core.evidence.dossier import Dispute
from tests.builders import a_dispute

LIVES: Final = 2000  # some two seconds
STEPS: Final = 40
BEGAN: Final = datetime(2026, 3, 1, tzinfo=UTC)
NEXT: Final = {
    "warning_needs_response": ["warning_under_review", "warning_closed", "needs_response"],
    "warning_under_review": ["warning_closed", "needs_response"],
    "warning_closed": ["needs_response"],
    "needs_response": ["under_review", "won", "lost"],
    "under_review": ["won", "lost", "appeal_needs_response"],
    "appeal_needs_response": ["appeal_under_review", "won", "lost"],
    "appeal_under_review": ["won", "lost"],
    "won": ["lost"],
    "lost": ["won"],
}


@dataclass(slots=True)
class Books:
    """Our row, and what was told: the rules of `store.disputes` and `flows.dispute_deadlines` in miniature."""

    row: Dispute | None = None
    read_at: datetime = BEGAN
    alarm: datetime | None = None
    told: Counter[tuple[datetime, str]] = field(default_factory=Counter)
    fresh_only: bool = True
    """Whether a read that began before the one that stands here is dropped."""
    once: bool = True
    """Whether a mark is told once for a deadline."""

    def write(self, found: Dispute, read_at: datetime, now: datetime) -> None:
        if self.row is None or not self.fresh_only or read_at >= self.read_at:
            self.row, self.read_at = found, read_at
        self.follow(now)

    def follow(self, now: datetime) -> None:
        row = self.row
        if row is None:
            return
        self.alarm = None
        if answering(row, now) not in {Answering.AWAITED, Answering.MISSED} or row.due_by is None:
            return
        behind = passed(row.due_by, now, DEFAULT_TERMS)
        if behind.missed:
            self.tell(row, [MISSED])
            return
        self.tell(row, [*behind.near, *([UNTAKEN] if behind.escalates else [])])
        self.alarm = next_alarm(row.due_by, now, DEFAULT_TERMS)

    def tell(self, row: Dispute, marks: list[str]) -> None:
        assert row.due_by is not None
        assert not is_answered(row)  # nobody is reminded of what went out
        for mark in marks:
            if not self.once or (row.due_by, mark) not in self.told:
                self.told[row.due_by, mark] += 1


class Life:
    """One dispute with everything that can happen around it."""

    def __init__(self, chance: Random, books: Books) -> None:
        self.chance, self.ours, self.now = chance, books, BEGAN
        due_by = BEGAN + timedelta(hours=chance.choice([1, 30, 100, 400])) if chance.random() < 0.9 else None
        status = chance.choice(["warning_needs_response", "needs_response"])
        self.bank = a_dispute(status=status, due_by=due_by, created_at=BEGAN)
        self.events = 1
        self.reads: list[tuple[Dispute, datetime]] = []
        self.was_due: dict[datetime, set[str]] = {}

    def step(self) -> None:
        self.now += timedelta(milliseconds=1)  # Postgres never says the same instant twice
        acts: list[Callable[[], None]] = [
            self.bank_moves,
            self.bank_moves_its_deadline,
            self.time_passes,
            self.event_comes,
            self.read_begins,
            self.read_ends,
            self.tick,
            self.tick_without_stripe,
        ]
        self.chance.choice(acts)()

    def bank_moves(self) -> None:
        status = self.chance.choice(NEXT[self.bank.status])
        sent = "under_review" in status
        count = self.bank.submission_count + (1 if sent else 0)
        due_by = self.bank.due_by
        if status in {"needs_response", "appeal_needs_response"} and self.bank.status != status:
            due_by = self.now + timedelta(hours=self.chance.choice([2, 60, 200]))
            count = count if status.startswith("appeal") else 0
        self.bank = replace(self.bank, status=status, submission_count=count, due_by=due_by)
        self.events += 1

    def bank_moves_its_deadline(self) -> None:
        if self.bank.due_by is not None:
            hours = self.chance.choice([-30, 3, 48])
            self.bank = replace(self.bank, due_by=self.bank.due_by + timedelta(hours=hours))
            self.events += 1

    def time_passes(self) -> None:
        self.now += timedelta(minutes=self.chance.choice([1, 30, 240, 1440]))
        self.tick()  # the schedule's minute; it may have been away for longer, which is the jump itself

    def event_comes(self) -> None:
        """Each event has Stripe asked; one may come again, and none says more than that."""
        if self.events:
            self.events -= self.chance.choice([0, 1])
            self.ours.write(self.bank, self.now, self.now)

    def read_begins(self) -> None:
        self.reads.append((self.bank, self.now))

    def read_ends(self) -> None:
        if self.reads:
            found, read_at = self.reads.pop(self.chance.randrange(len(self.reads)))
            self.ours.write(found, read_at, self.now)

    def tick(self) -> None:
        if self.ours.alarm is not None and self.ours.alarm <= self.now:
            self.ours.write(self.bank, self.now, self.now)

    def tick_without_stripe(self) -> None:
        if self.ours.alarm is not None and self.ours.alarm <= self.now:
            self.ours.follow(self.now)

    def rest(self) -> None:
        """All events arrive, all reads end, late, and the clock ticks once more."""
        self.now += timedelta(seconds=1)
        while self.events:
            self.events -= 1
            self.ours.write(self.bank, self.now, self.now)
        self.now += timedelta(seconds=1)
        while self.reads:
            self.read_ends()
        self.tick()
        self.ours.follow(self.now)

    def broken(self) -> str | None:
        """Which law does not hold, at rest."""
        ours, bank = self.ours, self.bank
        if ours.row != bank:
            return "a stale read has the last word"
        if any(count > 1 for count in ours.told.values()):
            return "something was told twice"
        state = answering(bank, self.now)
        if state not in {Answering.AWAITED, Answering.MISSED}:
            return "an alarm is set for nothing" if ours.alarm is not None else None
        assert bank.due_by is not None
        behind = passed(bank.due_by, self.now, DEFAULT_TERMS)
        wanted = {MISSED} if behind.missed else {*behind.near, *([UNTAKEN] if behind.escalates else [])}
        if not wanted <= {mark for due_by, mark in ours.told if due_by == bank.due_by}:
            return "a deadline was left unseen"
        if not behind.missed and (ours.alarm is None or ours.alarm <= self.now):
            return "nobody will look again"
        return None


def lived(seed: int, **rules: bool) -> str | None:
    life = Life(Random(seed), Books(**rules))  # noqa: S311 - chance, not secrets
    for _ in range(STEPS):
        life.step()
    life.rest()
    return life.broken()


def test_in_no_order_is_a_deadline_left_unseen_told_twice_or_a_stale_read_believed() -> None:
    assert {lived(seed) for seed in range(LIVES)} == {None}


@pytest.mark.parametrize("rule", ["fresh_only", "once"])
def test_the_laws_notice_where_a_rule_is_missing(rule: str) -> None:
    assert {lived(seed, **{rule: False}) for seed in range(LIVES)} != {None}
