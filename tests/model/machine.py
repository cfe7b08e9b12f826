"""The same life as a hypothesis state machine, which shrinks what it finds to the shortest story."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from billingbot.core.case import CaseState
from billingbot.core.mode import Mode
from tests.model.life import WAITS, Life
from tests.model.our_side import Rules
from tests.model.stripe_side import HOWS, Request

PLACES = st.integers(0, 5)


def _idle(machine: "RefundLife") -> list[int]:
    return [place for place, worker in enumerate(machine.life.workers) if not isinstance(worker.stop, Request)]


class RefundLife(RuleBasedStateMachine):
    """One refund, from its intent to rest. Every event checks every law."""

    rules_under_test = Rules()

    def __init__(self) -> None:
        super().__init__()
        self.life = Life(self.rules_under_test)

    def teardown(self) -> None:
        self.life.come_to_rest()

    @precondition(lambda self: self.life.ours.due() and len(self.life.workers) < 3)
    @rule(place=PLACES)
    def claim(self, place: int) -> None:
        self.life.do("claim", _pick(self.life.ours.due(), place).id)

    @precondition(lambda self: bool(_idle(self)))
    @rule(place=PLACES)
    def run_worker(self, place: int) -> None:
        self.life.do("run", _pick(_idle(self), place))

    @precondition(lambda self: bool(_idle(self)))
    @rule(place=PLACES, how=st.sampled_from(["fine", "fine", "fine", "lags", "fails"]))
    def step(self, place: int, how: str) -> None:
        chosen = _pick(_idle(self), place)
        self.life.do("step", chosen, how if self.life.workers[chosen].stop == "read" else "fine")

    @precondition(lambda self: bool(_idle(self)))
    @rule(place=PLACES)
    def crash(self, place: int) -> None:
        self.life.do("crash", _pick(_idle(self), place))

    @precondition(lambda self: any(flight.answer is None for flight in self.life.wire))
    @rule(place=PLACES, how=st.sampled_from(HOWS))
    def arrive(self, place: int, how: str) -> None:
        waiting = [at for at, flight in enumerate(self.life.wire) if flight.answer is None]
        self.life.do("arrive", _pick(waiting, place), how)

    @precondition(lambda self: any(flight.answer and flight.worker for flight in self.life.wire))
    @rule(place=PLACES)
    def answer(self, place: int) -> None:
        answered = [at for at, flight in enumerate(self.life.wire) if flight.answer and flight.worker]
        self.life.do("answer", _pick(answered, place))

    @precondition(lambda self: any(flight.worker for flight in self.life.wire))
    @rule(place=PLACES)
    def hang_up(self, place: int) -> None:
        waited_for = [at for at, flight in enumerate(self.life.wire) if flight.worker]
        self.life.do("hang_up", _pick(waited_for, place))

    @rule(place=st.integers(0, 12))
    def pass_time(self, place: int) -> None:
        self.life.do("pass_time", _pick([*WAITS, *self.life.edges()], place))

    @rule(mode=st.sampled_from([Mode.OFF, Mode.ASSIST, Mode.AUTO]))
    def switch(self, mode: Mode) -> None:
        self.life.do("switch", mode)

    @rule(what=st.sampled_from(["sweep", "dispute", "external"]))
    def outside(self, what: str) -> None:
        self.life.do(what)

    @rule(place=PLACES)
    def again(self, place: int) -> None:
        self.life.do("again", _pick(list(self.life.ours.books.refunds), place))

    @precondition(lambda self: self.life.ours.books.case is CaseState.REVIEW)
    @rule()
    def approve(self) -> None:
        self.life.do("approve")

    @precondition(lambda self: bool(self.life.stripe.later))
    @rule(place=PLACES)
    def roll_forward(self, place: int) -> None:
        self.life.do("roll_forward", place % len(self.life.stripe.later))

    @precondition(lambda self: bool(self.life.stripe.refunds))
    @rule(place=PLACES)
    def hear(self, place: int) -> None:
        self.life.do("hear", _pick(list(self.life.stripe.refunds), place))

    @precondition(lambda self: bool(self.life.stripe.refunds))
    @rule(place=PLACES, succeeds=st.booleans())
    def turn(self, place: int, succeeds: bool) -> None:
        refund = _pick(list(self.life.stripe.refunds.values()), place)
        if refund.status == "pending":
            self.life.do("turn", refund.id, "succeeded" if succeeds else "failed")
        elif refund.status == "succeeded":
            self.life.do("turn", refund.id, "failed")


def machine_of(rules: Rules) -> type[RefundLife]:
    """A machine under other rules."""
    return type("MutantLife", (RefundLife,), {"rules_under_test": rules})


def _pick(among: list[Any], place: int) -> Any:
    return among[place % len(among)]
