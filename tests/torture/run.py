"""One run: a town, a load, chaos for as long as the budget lasts, healing, and the checks."""

import os
import platform
import random
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.torture.banks import Banks
from tests.torture.books import OUR_REFUND, Books, read_books
from tests.torture.chaos import NIGHT_HOURS, Chaos
from tests.torture.checks import check_all, saved_by_stripe
from tests.torture.crew import Crew
from tests.torture.evidence import Evidence, Violation
from tests.torture.heal import heal
from tests.torture.load import Load
from tests.torture.mutations import MUTATIONS, Mutation
from tests.torture.people import NAMES, People
from tests.torture.stage import MARK, ONE_PERSON, Stage, by_credit_note, create_keys, open_stage, policy_text
from tests.torture.story import story
from tests.torture.tally import Tally
from tests.torture.town import AMOUNT, Town

# Five refunds a day in each currency but dollars, and twice as many requests at once.
SMALL_BUDGET: Final = AMOUNT * 5 + 100
_MOST_NIGHTS: Final = 16
"""Stripe keeps events for a month: so many nights, and those of healing, fit into it."""
_MUCH: Final = 100_000
"""What two people have to agree about in any other currency than dollars: more than anything here costs."""
_TOLD: Final = ("breaker.opened", "breaker.closed", "case.first_approved", "case.approved")
_SHOWN_SECONDS: Final = 30.0
"""The targeted load of a mutation is over well before."""
_STORIES: Final = 3
"""So many violations are told in full: they are often the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to be."""

    seed: int
    seconds: float
    wave: int = 40
    """New customers per cycle."""
    wave_seconds: float = 60.0
    """At least so long from one night to the next; longer where the month would not have nights enough."""
    workers: int = 2
    pace: float = 1.0
    daily_count: int = 1_000
    per_hour: int = 40
    """Automatic refunds in an hour before the breaker opens: a run has as many in a minute or two."""
    without: str | None = None
    """The mutation that its workers run with: then nothing else goes wrong."""
    tell: bool = True


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of it."""

    plan: Plan
    machine: str
    seconds: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    customers: int = 0
    charges: int = 0
    requests: int = 0
    acts: int = 0
    refunds: dict[str, int] = field(default_factory=dict)
    cases: dict[str, int] = field(default_factory=dict)
    """How cases ended: outcomes of the closed ones, reasons of those that are with a person."""
    disputes: dict[str, int] = field(default_factory=dict)
    """By the status that Stripe has in the end."""
    answers: dict[str, int] = field(default_factory=dict)
    """What people did about them, and what came of it."""
    people: dict[str, int] = field(default_factory=dict)
    """What was taken from people, by kind."""
    entries: dict[str, int] = field(default_factory=dict)
    """How often the ledger tells of a breaker, and of a second approval."""
    credit_notes: int = 0
    nights: int = 0
    events: int = 0
    jobs: int = 0
    calls_to_pay: int = 0
    calls_under_fire: int = 0
    """Those of them that arrived while things broke; the others while they healed."""
    saved_by_stripe: int = 0
    violations: list[Violation] = field(default_factory=list)
    stories: list[dict[str, Any]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All faults."""
        return sum(self.faults.values())

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "total_faults": self.total}


def run(plan: Plan) -> Result:
    """Runs it from the first process to the last. Whatever is wrong is in the result; RuntimeError where the stage
    itself does not come up."""
    began, tally = time.monotonic(), Tally()
    result = Result(plan=plan, machine=_machine())
    with open_stage(plan.seed, policy=_policy(plan), tally=tally) as stage:
        _play(plan, stage, result)
        result.seconds = round(time.monotonic() - began, 1)
        result.faults = tally.counts()
    return result


def _policy(plan: Plan) -> str:
    return policy_text(small_budget=SMALL_BUDGET, daily_count=plan.daily_count, per_hour=plan.per_hour)


def _play(plan: Plan, stage: Stage, result: Result) -> None:
    dice = random.Random(plan.seed)
    mutation = MUTATIONS[plan.without] if plan.without else None
    if mutation and mutation.sql:
        stage.rows(mutation.sql)
    patched = plan.without if mutation and mutation.patch else None
    crew = Crew(stage=stage, dice=random.Random(dice.random()), without=patched)
    town = Town(stripe=stage.stripe, product=stage.product, dice=random.Random(dice.random()))
    chaos = Chaos(stage=stage, crew=crew, dice=random.Random(dice.random()), pace=plan.pace)
    crew.start(workers=plan.workers)  # they come up while the commands run
    keys = create_keys(stage, ["torture", *NAMES])
    load = Load(stage=stage, api_key=keys["torture"], seed=plan.seed)
    people = People(stage=stage, keys=keys, seed=plan.seed)
    banks = Banks(stage=stage, dice=random.Random(dice.random()))
    try:
        crew.await_web()
        stage.ask(keys["kim"], "PUT", "/mode", mode="auto", by="kim", why="torture")
        load.start()
        if mutation is None:
            _switch_to_credit_notes(plan, stage, keys["kim"])
            people.start()
            banks.start()
            _flow(plan, town, load, banks, chaos, dice)
        else:
            _show(mutation, town, load, chaos, dice)
        _say(plan, "healing")
        banks.rest()
        healing_since = time.time()
        at_rest = heal(stage, chaos, load, people)
        books = read_books(stage)
        seen = _evidence(plan, books, town, load, chaos, at_rest=at_rest)
        result.violations = check_all(seen)
        result.violations += [Violation(check="processes", says=says) for says in crew.unexpected]
        _count(result, stage, seen, people, chaos)
        result.calls_under_fire = sum(_is_ours(call) and call["at"] < healing_since for call in books.paying_calls)
        for about in list(dict.fromkeys(one.about for one in result.violations if one.about))[:_STORIES]:
            result.stories.append(story(stage, town, about))
    finally:
        banks.stop()
        people.stop()
        load.stop()
        stopped = crew.stop()
    result.violations += [Violation(check="processes", says=says) for says in (*stopped, *_leaks(stage))]


def _nights(plan: Plan) -> tuple[int, float]:
    """So many waves, and seconds from one night to the next."""
    each = max(plan.wave_seconds, plan.seconds / _MOST_NIGHTS)
    return max(1, round(plan.seconds / each)), each


def _switch_to_credit_notes(plan: Plan, stage: Stage, key: str) -> None:
    """Publishes a policy that pays by credit note, in force for what is charged in the second half of the run.

    The halves of a wave begin their trials an hour apart, so the middle of an odd number of waves is between them.
    """
    nights, _ = _nights(plan)
    hours = (NIGHT_HOURS + 1) * (nights // 2) + (NIGHT_HOURS - 0.5 if nights % 2 else 0)
    at = datetime.fromtimestamp(stage.stripe.now(), UTC) + timedelta(hours=hours)
    wanted = {"source": by_credit_note(_policy(plan)), "effective_from": at.isoformat()}
    stage.ask(key, "POST", "/policies", **wanted, by="kim", why="the books want credit notes")


def _arrive(plan: Plan, town: Town) -> None:
    """A wave of customers, in two halves; with the second comes a rush."""
    town.arrive(plan.wave // 2)
    town.stripe.advance(hours=1)
    town.arrive(plan.wave - plan.wave // 2, rush=True)


def _flow(plan: Plan, town: Town, load: Load, banks: Banks, chaos: Chaos, dice: random.Random) -> None:
    """Waves of customers: a trial, a night, a charge, requests; all the while things break."""
    _say(plan, "the first customers")
    chaos.add_endpoint()
    _arrive(plan, town)
    chaos.begin()
    until = time.monotonic() + plan.seconds
    _, each = _nights(plan)
    while True:
        chaos.night()
        charged = town.charged()
        load.plan(charged, within=each * 0.8, dice=dice)
        banks.plan(charged, within=each * 0.8)
        wave_ends = min(until, time.monotonic() + each)
        if until - wave_ends > each / 2:
            _arrive(plan, town)
        while time.monotonic() < wave_ends:
            chaos.step()
            time.sleep(0.02)
        done = f"{town.people} customers, {len(load.answered)} requests, {chaos.stage.tally.total()} faults"
        _say(plan, f"{max(0, until - time.monotonic()):.0f} s to go; {done}")
        if not town.waiting:
            return


def _show(mutation: Mutation, town: Town, load: Load, chaos: Chaos, dice: random.Random) -> None:
    """Just what shows that a safety is missing: all requests at once, calls that take a while, and rogues."""
    chaos.add_endpoint()
    town.arrive(mutation.customers, kinds=(mutation.kind,), currency=mutation.currency)
    chaos.stage.stripe.advance(hours=25)
    chaos.stage.stripe.fault("slow", method="POST", path="/v1/refunds$", times=None, seconds=0.5)
    load.plan(town.charged(), within=0.5, dice=dice)
    until = time.monotonic() + _SHOWN_SECONDS
    while time.monotonic() < until and not chaos.accepted_by_database:
        chaos.rogue()
        chaos.crew.tend()
        asked = load.waiting() == 0 and not chaos.stage.rows("SELECT 1 FROM cases WHERE state = 'assessing'")
        if asked and not chaos.stage.rows("SELECT 1 FROM refunds WHERE state IN ('intended', 'submitting')"):
            return
        time.sleep(0.05)


def _evidence(plan: Plan, books: Books, town: Town, load: Load, chaos: Chaos, *, at_rest: bool) -> Evidence:
    limits = {charge.currency: SMALL_BUDGET for charge in town.charges.values()}
    return Evidence(
        books=books,
        town=town,
        load=load,
        limits={**limits, "usd": 1_000_000_000},
        daily_count=plan.daily_count,
        one_person={**dict.fromkeys(limits, _MUCH), "usd": ONE_PERSON},
        accepted_by_database=chaos.accepted_by_database,
        at_rest=at_rest,
    )


def _count(result: Result, stage: Stage, seen: Evidence, people: People, chaos: Chaos) -> None:
    books, town, load = seen.books, seen.town, seen.load
    deliveries = stage.stripe.deliveries()
    stage.tally.add("webhook.duplicate", sum(told["duplicate"] for told in deliveries))
    stage.tally.add("usage.down", stage.product.failures)
    result.customers, result.charges = town.people, len(town.charges)
    result.requests, result.acts, result.nights = len(load.answered), sum(people.did.values()), chaos.nights
    result.people, result.credit_notes = dict(people.did.most_common()), len(books.notes)
    result.entries = dict(Counter(entry.kind for entry in books.entries if entry.kind in _TOLD))
    origins = Counter(_origin(books, found) for found in books.at_stripe.values() if found["status"] == "succeeded")
    result.refunds = dict(sorted(origins.items()))
    ends = Counter(str(case["outcome"] or case["reason"]) for case in books.cases.values())
    result.cases = dict(ends.most_common())
    result.disputes = dict(Counter(str(one["status"]) for one in books.disputes_at_stripe).most_common())
    result.answers = dict(Counter(f"{row['kind']} {row['state']}" for row in books.answers).most_common())
    result.events = len(stage.rows("SELECT 1 FROM inbox"))
    result.jobs = len(stage.rows("SELECT 1 FROM jobs"))
    result.calls_to_pay = sum(map(_is_ours, books.paying_calls))
    result.saved_by_stripe = saved_by_stripe(seen)


def _is_ours(call: dict[str, Any]) -> bool:
    return call["witness"] is not None and call["witness"] != "outside"


def _origin(books: Books, found: dict[str, Any]) -> str:
    row = books.refunds.get(found["metadata"].get(OUR_REFUND, ""))
    return str(row["origin"]) if row else "external"


def _leaks(stage: Stage) -> list[str]:
    """Connections and processes that are still there after everybody was told to go."""
    left = []
    until = time.monotonic() + 5
    while time.monotonic() < until:  # Postgres notices a closed socket when it reads it next
        left = stage.rows("SELECT pid, state, query FROM pg_stat_activity WHERE application_name = 'billingbot'")
        if not left:
            break
        time.sleep(0.1)
    connections = [f"a connection to Postgres is left: {row['state']} {row['query'][:80]}" for row in left]
    expected = {os.getpid(), *(process.pid for process in stage.running.values())}
    return connections + [f"process {pid} is left: {what}" for pid, what in _marked(stage.mark) if pid not in expected]


def _marked(mark: str) -> list[tuple[int, str]]:
    """Processes that carry the run's mark in their environment, with their command lines."""
    found = []
    for process in Path("/proc").glob("[0-9]*") if sys.platform == "linux" else ():
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                found.append((int(process.name), command.strip()))
        except OSError:
            continue  # it is just ending
    return found


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def _say(plan: Plan, line: str) -> None:
    if plan.tell:
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
