"""A refund's whole life, thousands of times in seconds: the deciding code is the real one, the rest is imagined.

Time, Stripe, the wire and the processes are simulated (`stripe_side`, `our_side`); what to do next, whether it may be
done, and what Stripe's news mean is asked of `core.paying`, `core.following`, `core.refund` and `core.case`.
"""

import itertools
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from billingbot.core.case import CaseState
from billingbot.core.following import Whose
from billingbot.core.mode import Mode
from billingbot.core.paying import LEAVES_WITHIN, LOOK_HOLDS
from billingbot.core.refund import KEY_LIFE, QUIET_BEFORE_ABSENT, RefundState
from tests.model.life import BrokenLawError, Life, wander
from tests.model.machine import RefundLife, machine_of
from tests.model.mutants import MUTANTS, NO_SILENCE
from tests.model.our_side import Rules
from tests.model.stripe_side import HOWS, Request

LIVES = 1500  # some three seconds
MOST_LIVES = 1500  # within which every mutant is found, most of them in the first hundred

QUICK = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_no_order_of_events_that_hypothesis_thinks_of_breaks_a_law() -> None:
    run_state_machine_as_test(RefundLife, settings=QUICK)


def test_no_law_breaks_in_many_chance_lives_and_all_of_them_come_to_rest() -> None:
    ends: set[str] = set()
    for seed in range(LIVES):
        life = wander(seed, rules=Rules(), steps=50)
        ends |= {f"{row.origin}:{row.state}" for row in life.ours.books.refunds.values()}
        ends |= {f"{len(made)} keys" for made in life.ours.books.attempts.values()}
    assert ends >= {
        "policy:succeeded",
        "policy:failed",
        "policy:withdrawn",
        "policy:refused",
        "person:succeeded",
        "person:failed",
        "external:succeeded",
        "3 keys",
    }  # fmt: skip - the lives went everywhere


@pytest.mark.parametrize("name", MUTANTS)
def test_the_model_finds_what_breaks_when_one_safety_is_gone(name: str) -> None:
    with pytest.raises(BrokenLawError):
        _many_lives(MUTANTS[name])


def _many_lives(rules: Rules) -> None:
    for seed in range(MOST_LIVES):
        wander(seed, rules=rules, steps=50)


@pytest.mark.parametrize("name", ["a lost answer is met with a new key", "nobody looks whether the rows changed"])
def test_hypothesis_finds_and_tells_it_too(name: str) -> None:
    more = settings(QUICK, max_examples=400, phases=[Phase.generate])
    with pytest.raises(BrokenLawError):
        run_state_machine_as_test(machine_of(MUTANTS[name]), settings=more)


def test_two_processes_dying_anywhere_with_any_answer_lost_pay_once() -> None:
    """Every stop of two runs after each other as a place of death, every answer, lost or not, and every gap."""
    gaps = [timedelta(seconds=61), QUIET_BEFORE_ABSENT, KEY_LIFE + timedelta(minutes=1), timedelta(hours=25)]
    deaths: list[tuple[str, int | bool]] = [("dies", step) for step in range(9)]
    answers: list[tuple[str, int | bool]] = [(how, lost) for how in HOWS for lost in (False, True)]
    for first, gap, second in itertools.product(deaths + answers, gaps, deaths + answers):
        life = Life()
        for fate in (first, second):
            _live_once(life, *fate)
            life.do("pass_time", gap)
        life.come_to_rest()
        [refund] = life.ours.books.refunds.values()
        assert refund.state is RefundState.SUCCEEDED
        assert life.ours.books.case is CaseState.CLOSED


def _live_once(life: Life, how: str, much: int | bool) -> None:
    """One run of a due job: dies after so many stops, or gets this answer, lost or not."""
    due = life.ours.due()
    if not due:
        return
    life.do("claim", due[0].id)
    stops = itertools.count()
    while life.workers:
        if isinstance(life.workers[0].stop, Request):
            if how == "dies" and next(stops) >= much:
                life.workers.clear()  # with its request on the wire
                return
            life.do("arrive", 0, "fine" if how == "dies" else how)
            life.do("hang_up" if much is True else "answer", 0)
        elif how == "dies" and next(stops) >= much:
            life.do("crash", 0)
        else:
            life.do("step", 0, "fine")


@pytest.mark.parametrize("rolls_first", [True, False])
def test_a_refund_that_stripe_made_after_all_is_booked_beside_the_one_that_took_its_place(
    rolls_first: bool,
) -> None:
    """Two decisions, a part of the charge each: both were paid, and the books must be able to say so."""
    assert _given_up_and_made_after_all(Rules(), rolls_first=rolls_first) == 2


def test_the_model_finds_what_breaks_when_a_given_up_refund_takes_its_place_back() -> None:
    with pytest.raises(BrokenLawError, match="uq_refunds_live_charge"):
        _given_up_and_made_after_all(Rules(whose=lambda *_: Whose.OURS), rolls_first=False)


def _given_up_and_made_after_all(rules: Rules, *, rolls_first: bool) -> int:
    """Given up after hours, approved anew, and then the first is rolled forward, later than anybody thought."""
    life = Life(rules)
    _live_once(life, "500_later", much=False)
    [request] = life.stripe.later
    life.do("switch", Mode.OFF)
    life.do("pass_time", QUIET_BEFORE_ABSENT + timedelta(minutes=1))
    _live_once(life, "fine", much=False)
    assert [row.state for row in life.ours.books.refunds.values()] == [RefundState.WITHDRAWN]
    life.do("switch", Mode.ASSIST)
    life.do("approve")
    life.do("run", 0)
    if not rolls_first:
        _live_once(life, "fine", much=False)
    life.stripe.make(request.amount, intent=request.intent, key=request.key)
    life.come_to_rest()
    return [row.state for row in life.ours.books.refunds.values()].count(RefundState.SUCCEEDED)


def test_the_model_finds_an_absence_that_was_proven_while_a_call_was_on_the_wire() -> None:
    assert _switched_off_with_a_call_on_the_wire(Rules()) is RefundState.SUCCEEDED
    with pytest.raises(BrokenLawError, match="while a call was under way"):
        _switched_off_with_a_call_on_the_wire(NO_SILENCE)


def _switched_off_with_a_call_on_the_wire(rules: Rules) -> RefundState:
    life = Life(rules)
    _live_once(life, "dies", much=4)
    assert len(life.wire) == 1
    life.do("switch", Mode.OFF)
    life.do("again", life.wire[0].request.intent)
    life.do("pass_time", timedelta(seconds=2))
    _live_once(life, "fine", much=False)
    life.do("arrive", 0, "fine")
    life.come_to_rest()
    [refund] = life.ours.books.refunds.values()
    return refund.state


def test_the_spans_that_the_safety_hangs_on_fit_into_each_other() -> None:
    longest_call, wire = timedelta(seconds=25), timedelta(minutes=1)
    assert LEAVES_WITHIN + longest_call + wire < QUIET_BEFORE_ABSENT
    assert KEY_LIFE + LOOK_HOLDS + LEAVES_WITHIN + longest_call + wire < timedelta(hours=24)
