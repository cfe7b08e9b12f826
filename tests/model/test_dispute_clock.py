"""A disputed charge, its deadlines and its refunds, thousands of times in seconds: the deciding code is the real one,
the rest is imagined.

Banks open disputes, move them and their deadlines, and decide; reads of Stripe begin, are held up and are written down
in any order, or never; webhooks come late, twice or not at all; the clock jumps; people and the machine want to refund,
and so does somebody in the Dashboard. What is told, and when to look again, is asked of `core.deadlines` and
`core.dispute_life`; whether money may leave, of `core.money_state`, before it is intended and again before the call, as
the flows do.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

import pytest

from billingbot.core.disputes.deadlines import DEFAULT_TERMS, MISSED, UNTAKEN, next_alarm, passed
from billingbot.core.disputes.life import Answering, answering, is_answered
from billingbot.core.evidence.dossier import Dispute, Dossier
from billingbot.core.money_state import money_of, payment_blockers
from billingbot.core.paying import LOOK_HOLDS
from billingbot.core.refund import Origin
from tests.builders import AMOUNT, a_charge
from tests.model.bank_side import BEGAN, Bank, Truth

LIVES: Final = 2000  # some three seconds
STEPS: Final = 60
_MOST_DISPUTES: Final = 2
_TWICE: Final = "paid what the customer has, or may have, another way"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules under test; a mutant has one of them another way."""

    fresh_only: bool = True
    """Whether a read that began before the one that stands here is dropped."""
    once: bool = True
    """Whether a mark is told once for a deadline."""
    second_look: bool = True
    """Whether the charge is read afresh before the call, and that counts for a few minutes."""
    one_live: bool = True
    """Whether a unique index allows one refund of ours on its way."""
    as_read: Callable[[Dossier], Dossier] = lambda found: found
    asked_for: Callable[[Origin], Origin] = lambda origin: origin


@dataclass(slots=True)
class Clock:
    """Our row of a dispute, and what was told: `store.disputes` and `flows.dispute_deadlines` in miniature."""

    rules: Rules
    row: Dispute | None = None
    read_at: datetime = BEGAN
    alarm: datetime | None = None
    told: Counter[tuple[datetime, str]] = field(default_factory=Counter)

    def write(self, found: Dispute, read_at: datetime, now: datetime) -> None:
        if self.row is None or not self.rules.fresh_only or read_at >= self.read_at:
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
            if not self.rules.once or (row.due_by, mark) not in self.told:
                self.told[row.due_by, mark] += 1

    def broken(self, bank: Dispute, now: datetime) -> str | None:
        """Which law does not hold, at rest."""
        if self.row != bank:
            return "a stale read has the last word"
        if any(count > 1 for count in self.told.values()):
            return "something was told twice"
        if answering(bank, now) not in {Answering.AWAITED, Answering.MISSED}:
            return "an alarm is set for nothing" if self.alarm is not None else None
        assert bank.due_by is not None
        behind = passed(bank.due_by, now, DEFAULT_TERMS)
        wanted = {MISSED} if behind.missed else {*behind.near, *([UNTAKEN] if behind.escalates else [])}
        if not wanted <= {mark for due_by, mark in self.told if due_by == bank.due_by}:
            return "a deadline was left unseen"
        if not behind.missed and (self.alarm is None or self.alarm <= now):
            return "nobody will look again"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A read of the charge that somebody pays on, and what was so when it was made."""

    origin: Origin
    found: Dossier
    truth: Truth
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A refund of ours on its way; its last `look` allowed it."""

    amount: int
    look: Look
    is_looked_at_again: bool = False


class Life:
    """One charge with everything that can happen around it."""

    def __init__(self, chance: Random, rules: Rules) -> None:
        self.chance, self.rules = chance, rules
        self.bank = Bank(chance)
        self.clocks: dict[str, Clock] = {}
        self.reads: list[tuple[Dispute, datetime]] = []
        self.looks: list[Look] = []
        self.intents: list[Intent] = []
        self.wire: list[Intent] = []
        self.calls = 0
        self.law: str | None = None

    @property
    def now(self) -> datetime:
        return self.bank.now

    def step(self) -> None:
        self.bank.now += timedelta(milliseconds=1)  # Postgres never says the same instant twice
        self.chance.choice(self.acts())()

    def acts(self) -> list[Callable[[], None]]:
        opens = [self.bank.opens] if len(self.bank.disputes) < _MOST_DISPUTES else []
        banks = [*opens, self.bank.moves, self.bank.moves, self.bank.moves_a_deadline]
        clocks = [self.event_comes, self.event_comes, self.read_begins, self.read_ends, self.tick]
        money = [self.asks, self.decides, self.looks_again, self.leaves, self.leaves, self.arrives]
        refunds = [self.bank.refund_turns, self.dashboard]
        return [*banks, *clocks, *money, *money, *refunds, self.time_passes, self.tick_without_stripe]

    # ------------------------------------------------------------ deadlines

    def time_passes(self) -> None:
        self.bank.now += timedelta(minutes=self.chance.choice((1, 1, 4, 30, 240, 1440)))
        self.tick()  # the schedule's minute; it may have been away for longer, which is the jump itself

    def event_comes(self) -> None:
        """Each event has Stripe asked; one may come again, and none says more than that."""
        if self.bank.told:
            dispute = self.bank.told.pop(self.chance.randrange(len(self.bank.told)))
            self.bank.told += self.chance.choice(([], [dispute]))
            self.write(self.bank.disputes[dispute], self.now)

    def read_begins(self) -> None:
        if self.bank.disputes:
            self.reads.append((self.chance.choice(list(self.bank.disputes.values())), self.now))

    def read_ends(self) -> None:
        if self.reads:
            self.write(*self.reads.pop(self.chance.randrange(len(self.reads))))

    def write(self, found: Dispute, read_at: datetime) -> None:
        self.clocks.setdefault(found.id, Clock(self.rules)).write(found, read_at, self.now)

    def tick(self) -> None:
        for dispute, clock in self.due():
            clock.write(self.bank.disputes[dispute], self.now, self.now)

    def tick_without_stripe(self) -> None:
        for _, clock in self.due():
            clock.follow(self.now)

    def due(self) -> list[tuple[str, Clock]]:
        return [(name, one) for name, one in self.clocks.items() if one.alarm is not None and one.alarm <= self.now]

    # ------------------------------------------------------------ money

    def asks(self) -> None:
        """Somebody wants the charge refunded: the policy, over a request or an event; or a person who approves."""
        self.looks.append(self.look(self.chance.choice((Origin.POLICY, Origin.PERSON))))

    def look(self, origin: Origin) -> Look:
        found = self.rules.as_read(self.bank.dossier())
        return Look(origin=origin, found=found, truth=self.bank.truth(), at=self.now)

    def amount_allowed(self, look: Look) -> int:
        """What may be refunded by this look; 0 where nothing may."""
        money = money_of(look.found)
        return 0 if payment_blockers(money, self.rules.asked_for(look.origin)) else money.refundable_minor

    def decides(self) -> None:
        """What was looked at, perhaps long ago, becomes an intent."""
        if self.looks:
            look = self.looks.pop(self.chance.randrange(len(self.looks)))
            amount = self.amount_allowed(look)
            if amount and not (self.rules.one_live and (self.intents or self.wire)):
                self.intents.append(Intent(amount=amount, look=look))

    def looks_again(self) -> None:
        """Right before the call; what must not be paid any more is withdrawn."""
        if self.intents:
            intent = self.intents.pop()
            look = self.look(intent.look.origin) if self.rules.second_look else intent.look
            if self.amount_allowed(look) >= intent.amount:
                self.intents.append(replace(intent, look=look, is_looked_at_again=True))

    def leaves(self) -> None:
        """The call goes out, where the look before it still holds; it is held up on the wire as long as it likes."""
        ready = [one for one in self.intents if one.is_looked_at_again]
        if ready and (not self.rules.second_look or self.now - ready[-1].look.at <= LOOK_HOLDS):
            self.intents.remove(ready[-1])
            self.law = self.law or self.forbids(ready[-1])
            self.wire.append(ready[-1])
            self.calls += 1

    def forbids(self, call: Intent) -> str | None:
        """Which law a call breaks that leaves on this look. What a bank does after the look nobody can know."""
        truth, under_way = call.look.truth, sum(other.amount for other in self.wire)
        if self.now - call.look.at > LOOK_HOLDS:
            return "paid on what was so long ago"
        if truth.given + truth.with_bank + under_way + call.amount > AMOUNT:
            return _TWICE
        if truth.won and call.look.origin is Origin.POLICY:
            return "the machine gave away what was won"
        return None

    def arrives(self) -> None:
        if self.wire:
            self.bank.refund(self.wire.pop(self.chance.randrange(len(self.wire))).amount)

    def dashboard(self) -> None:
        if self.chance.random() < 0.2:
            self.bank.refund(self.chance.choice((1000, AMOUNT)))

    # ------------------------------------------------------------ the end

    def rest(self) -> None:
        """All events arrive, all reads end, late, and the clock ticks once more."""
        self.bank.now += timedelta(seconds=1)
        while self.wire:
            self.arrives()
        for dispute in self.bank.told:
            self.write(self.bank.disputes[dispute], self.now)
        self.bank.now += timedelta(seconds=1)
        while self.reads:
            self.read_ends()
        self.tick()
        for clock in self.clocks.values():
            clock.follow(self.now)

    def broken(self) -> str | None:
        """Which law did not hold, at any instant or at rest."""
        ends = (self.clock_of(one).broken(one, self.now) for one in self.bank.disputes.values())
        return self.law or next((law for law in ends if law), None)

    def clock_of(self, dispute: Dispute) -> Clock:
        return self.clocks.get(dispute.id, Clock(self.rules))


def lived(seed: int, rules: Rules) -> Life:
    life = Life(Random(seed), rules)  # noqa: S311 - chance, not secrets
    for _ in range(STEPS):
        life.step()
    life.rest()
    return life


def test_in_no_order_is_anything_paid_twice_or_a_deadline_left_unseen_told_twice_or_a_stale_read_believed() -> None:
    lives = [lived(seed, Rules()) for seed in range(LIVES)]
    assert {life.broken() for life in lives} == {None}
    states = Counter(str(money_of(life.bank.dossier()).state) for life in lives)
    assert len(states) >= 9, states  # the lives went everywhere
    assert sum(life.calls for life in lives) > LIVES / 10


def _without_disputes(found: Dossier) -> Dossier:
    return replace(found, disputes=(), charge=a_charge(amount_refunded_minor=found.charge.amount_refunded_minor))


def _without_flag(found: Dossier) -> Dossier:
    return replace(found, charge=replace(found.charge, disputed=False))


def _without_ended(found: Dossier) -> Dossier:
    still_open = tuple(one for one in found.disputes if one.status not in {"lost", "prevented"})
    return replace(found, disputes=still_open, charge=replace(found.charge, disputed=bool(still_open)))


MUTANTS: Final[Mapping[str, tuple[Rules, str]]] = {
    "stale reads are written": (Rules(fresh_only=False), "a stale read has the last word"),
    "everything is told again": (Rules(once=False), "something was told twice"),
    "what was decided leaves": (Rules(second_look=False), "paid on what was so long ago"),
    "two refunds of ours are under way": (Rules(one_live=False), _TWICE),
    "disputes are not asked": (Rules(as_read=_without_disputes), _TWICE),
    "a list is believed that lags": (Rules(as_read=_without_flag), _TWICE),
    "what is over counts for nothing": (Rules(as_read=_without_ended), _TWICE),
    "the machine may what people may": (Rules(asked_for=lambda _: Origin.PERSON), "the machine gave away what was won"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_laws_notice_where_a_rule_is_missing(name: str) -> None:
    rules, law = MUTANTS[name]
    assert any(lived(seed, rules).broken() == law for seed in range(LIVES))
