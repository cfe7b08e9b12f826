"""A life: our side, Stripe and the wire between them, moved by one small event at a time, with laws that must hold."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from billingbot.core.case import CaseState
from billingbot.core.errors import ConflictError
from billingbot.core.mode import Mode
from billingbot.core.paying import LEAVES_WITHIN, LOOK_HOLDS, may_leave
from billingbot.core.refund import KEY_LIFE, QUIET_BEFORE_ABSENT, AttemptOutcome, Origin, RefundState, state_of
from billingbot.gateway.answers import RefundAnswer, UnknownOutcome
from tests.model.our_side import BrokenIndexError, OurSide, Process, Rules, Stop
from tests.model.stripe_side import HOWS, KEY_STORE, Request, Stripe

BORN: Final = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
WANDERS: Final = timedelta(seconds=60)  # how long a request may wander through the network before it arrives
GIVES_UP: Final = timedelta(seconds=25)  # our longest call
WORKERS: Final = 3
SMALL: Final = timedelta(seconds=5)
WAITS: Final = (
    timedelta(seconds=1), timedelta(seconds=20), timedelta(seconds=70),
    timedelta(minutes=6), timedelta(hours=1), timedelta(hours=13),
)  # fmt: skip
Event: TypeAlias = tuple[str, tuple[object, ...]]


class BrokenLawError(AssertionError):
    """A law does not hold; the story says how it came to that."""


@dataclass(slots=True)
class Worker:
    """A process and what it waits for."""

    process: Process
    stop: Stop
    dead: bool = False


@dataclass(slots=True)
class Flight:
    """A paying call on the wire; `worker` is None once nobody waits for its answer."""

    request: Request
    worker: Worker | None
    answer: RefundAnswer | None = None


@dataclass(slots=True)
class Life:
    """One refund's life. `do` makes one event happen and checks every law after it."""

    rules: Rules = field(default_factory=Rules)
    stripe: Stripe = field(init=False)
    ours: OurSide = field(init=False)
    workers: list[Worker] = field(default_factory=list)
    wire: list[Flight] = field(default_factory=list)
    story: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stripe = Stripe(now=BORN)
        self.ours = OurSide(self.stripe, self.rules)

    # ------------------------------------------------------------ what may happen

    def options(self) -> Iterator[tuple[int, str, tuple[object, ...]]]:
        """Everything that may happen next, with a weight: what leads on is more likely than what ends it all."""
        if len(self.workers) < WORKERS:
            yield from ((60, "claim", (job.id,)) for job in self.ours.due())
        for place, worker in enumerate(self.workers):
            if not isinstance(worker.stop, Request):
                yield 60, "step", (place, "fine")
                yield 60, "run", (place,)
                yield 4, "crash", (place,)
                if worker.stop == "read":
                    yield from ((5, "step", (place, how)) for how in ("lags", "fails"))
        for place, flight in enumerate(self.wire):
            if flight.answer is None:
                yield from ((20, "arrive", (place, how)) for how in HOWS)
            elif flight.worker is not None:
                yield 60, "answer", (place,)
            if flight.worker is not None:
                yield 30, "hang_up", (place,)
        yield from ((8, "pass_time", (wait,)) for wait in (*WAITS, *self.edges()))
        yield from self._world()

    def edges(self) -> Iterator[timedelta]:
        """Just before and just after what a clock decides: a key's end here and at Stripe, silence, a job's time."""
        now = self.stripe.now
        ends = [job.run_at for job in self.ours.books.jobs.values() if job.state == "ready"]
        for made in self.ours.books.attempts.values():
            ends += [made[-1].first_sent_at + KEY_LIFE, made[-1].last_sent_at + QUIET_BEFORE_ABSENT]
            ends.append(made[-1].first_sent_at + KEY_STORE)
        for end in ends:
            yield from (wait for wait in (end - now - SMALL, end - now + SMALL) if wait > timedelta(0))

    def _world(self) -> Iterator[tuple[int, str, tuple[object, ...]]]:
        """What Stripe, the bank and people do."""
        yield 1, "external", ()
        yield 40 if self.stripe.disputed else 5, "dispute", ()
        for mode in Mode:
            if mode is not self.ours.books.mode:
                yield 60 if mode is Mode.AUTO else 3, "switch", (mode,)
        yield 5, "sweep", ()
        yield from ((3, "again", (refund_id,)) for refund_id in self.ours.books.refunds)
        if self.ours.books.case is CaseState.REVIEW:
            yield 30, "approve", ()
        yield from ((10, "roll_forward", (place,)) for place in range(len(self.stripe.later)))
        yield from ((12, "hear", (refund_id,)) for refund_id in self.stripe.refunds)
        for refund in self.stripe.refunds.values():
            if refund.status == "pending":
                yield from ((8, "turn", (refund.id, status)) for status in ("succeeded", "failed"))
            elif refund.status == "succeeded":
                yield 2, "turn", (refund.id, "failed")

    def do(self, name: str, *given: object) -> None:
        """Makes it happen. BrokenLawError, with the story, where a law does not hold after it."""
        self.story.append((name, given))
        try:
            happening: Callable[..., None] = getattr(self, f"on_{name}")
            happening(*given)
            self.check()
        except (BrokenIndexError, ConflictError) as fault:
            raise self.broken(f"{type(fault).__name__}: {fault}") from fault

    def broken(self, law: str) -> BrokenLawError:
        told = "\n".join(f"  {name} {' '.join(map(str, given))}" for name, given in self.story)
        return BrokenLawError(f"{law}\n{told}")

    # ------------------------------------------------------------ events

    def on_claim(self, job_id: int) -> None:
        self._begin(self.ours.claim(self.ours.books.jobs[job_id]))

    def on_approve(self) -> None:
        self._begin(self.ours.approve())

    def _begin(self, process: Process) -> None:
        worker = Worker(process, "pause")
        self.workers.append(worker)
        self._go_on(worker, None)

    def on_step(self, place: int, how: str) -> None:
        self._go_on(self.workers[place], how)

    def on_run(self, place: int) -> None:
        """Nobody comes in between until the next paying call, or the end."""
        worker = self.workers[place]
        while worker in self.workers and not isinstance(worker.stop, Request):
            self._go_on(worker, "fine")

    def _go_on(self, worker: Worker, word: object) -> None:
        try:
            worker.stop = worker.process.send(word)
        except StopIteration:
            self.workers.remove(worker)
            return
        if isinstance(worker.stop, Request):
            self._may_leave(worker.stop)
            self.wire.append(Flight(worker.stop, worker))

    def on_crash(self, place: int) -> None:
        self.workers.pop(place).process.close()

    def on_arrive(self, place: int, how: str) -> None:
        flight = self.wire[place]
        flight.answer = self.stripe.execute(flight.request, how)
        if flight.worker is None:
            self.wire.remove(flight)

    def on_answer(self, place: int) -> None:
        flight = self.wire.pop(place)
        if flight.worker is not None and flight.answer is not None:
            self._go_on(flight.worker, flight.answer)

    def on_hang_up(self, place: int) -> None:
        """The answer is lost, or too late; the request may arrive yet."""
        flight = self.wire[place]
        worker, flight.worker = flight.worker, None
        if flight.answer is not None:
            self.wire.remove(flight)
        if worker is not None:
            self._go_on(worker, UnknownOutcome(why="no answer"))

    def on_pass_time(self, wait: timedelta) -> None:
        self.stripe.pass_time(wait)
        for flight in list(self.wire):
            age = self.stripe.now - flight.request.left_at
            if flight.worker is not None and age > GIVES_UP and flight in self.wire:
                self.on_hang_up(self.wire.index(flight))
        self.wire = [
            flight for flight in self.wire
            if flight.worker is not None or self.stripe.now - flight.request.left_at <= WANDERS
        ]  # fmt: skip

    def on_external(self) -> None:
        if self.stripe.remaining() >= 50:
            self.stripe.make(50)

    def on_dispute(self) -> None:
        self.stripe.disputed = not self.stripe.disputed

    def on_turn(self, refund_id: str, status: str) -> None:
        self.stripe.turn(refund_id, status)

    def on_roll_forward(self, place: int) -> None:
        self.stripe.roll_forward(self.stripe.later[place])

    def on_hear(self, refund_id: str) -> None:
        """An event about a refund arrives, for the first time or once more."""
        if refund_id in self.stripe.told:
            self.stripe.told.remove(refund_id)
        self.ours.enqueue("hear", refund_id)

    def on_switch(self, mode: Mode) -> None:
        if mode is not self.ours.books.mode:
            self.ours.books.mode = mode

    def on_sweep(self) -> None:
        self.ours.sweep()

    def on_again(self, refund_id: str) -> None:
        """A second job for the same refund: replayed by a person, or rung for twice."""
        if not refund_id.startswith("external"):
            self.ours.enqueue("submit", refund_id)

    # ------------------------------------------------------------ laws

    def _may_leave(self, request: Request) -> None:
        """What must hold at the instant in which a paying call leaves."""
        made = self.ours.books.attempts.get(request.intent, [])
        attempt = next((one for one in made if one.key == request.key), None)
        if attempt is None:
            raise self.broken("a call left without a committed attempt")
        if attempt.outcome is AttemptOutcome.ABSENT:
            raise self.broken("a call left under a key that was given up")
        if self.stripe.now - attempt.first_sent_at >= KEY_STORE:
            raise self.broken("a call left under a key that Stripe may have forgotten")
        under_way = [flight.request for flight in self.wire if flight.answer is None] + self.stripe.later
        paid = [one.our_attempt_key for one in self.stripe.refunds.values() if one.our_refund_id == request.intent]
        others = [one.key for one in under_way if one.intent == request.intent] + paid
        if any(key != request.key for key in others):
            raise self.broken("a second key while an earlier one may pay")
        books = self.ours.books
        if not may_leave(self.ours.committed_in[request.key], books.refunds[request.intent].origin):
            raise self.broken("a send was committed though the mode forbids it")
        if self.stripe.now - request.looked_at > LOOK_HOLDS + LEAVES_WITHIN:
            raise self.broken("a call left on an old look")

    def check(self) -> None:
        """What must hold at every instant."""
        intents = [one.our_refund_id for one in self.stripe.refunds.values() if one.our_refund_id]
        if len(intents) != len(set(intents)):
            raise self.broken("two refunds at Stripe for one intent")
        if self.stripe.remaining() < 0:
            raise self.broken("more refunded than captured")
        keys = {one.key: one for made in self.ours.books.attempts.values() for one in made}
        for refund in self.stripe.refunds.values():
            if refund.our_refund_id and refund.our_attempt_key not in keys:
                raise self.broken("a refund at Stripe without its committed attempt")
        for flight in self.wire:
            attempt = keys.get(flight.request.key)
            if flight.answer is None and attempt and attempt.outcome is AttemptOutcome.ABSENT:
                raise self.broken("an absence was taken for proven while a call was under way")

    # ------------------------------------------------------------ the end

    def come_to_rest(self) -> None:
        """All is well again: whatever is under way ends, every job runs, and the books say what Stripe says."""
        self.story.append(("come_to_rest", ()))
        try:
            self._rest()
        except (BrokenIndexError, ConflictError) as fault:
            raise self.broken(f"{type(fault).__name__}: {fault}") from fault
        self.check()
        self._agree()

    def _rest(self) -> None:
        for refund in list(self.stripe.refunds.values()):
            if refund.status == "pending":
                self.stripe.turn(refund.id, "succeeded")
        for _ in range(400):  # three keys of 12 h, with tries that come to an hour's distance
            self._finish_workers()
            while self.stripe.told:
                self.on_hear(self.stripe.told[0])
            if not self._run_due() and not self._wait_for_a_job():
                return
        raise self.broken("jobs that never end")

    def _run_due(self) -> bool:
        due = self.ours.due()
        for job in due:
            if job in self.ours.due():
                self.on_claim(job.id)
                self._finish_workers()
        return bool(due)

    def _wait_for_a_job(self) -> bool:
        """Time passes until a job is due; False where there is none any more."""
        ready = [job for job in self.ours.books.jobs.values() if job.state == "ready"]
        if not ready:
            self.ours.sweep()
            return bool(self.ours.due())
        self.on_pass_time(max(timedelta(seconds=1), min(job.run_at for job in ready) - self.stripe.now + SMALL))
        if not self.ours.due():  # somebody died with it: its lease runs out
            self.on_pass_time(timedelta(minutes=2))
        return True

    def _finish_workers(self) -> None:
        while self.workers:
            worker = self.workers[0]
            flight = next((one for one in self.wire if one.worker is worker), None)
            if flight is None:
                self._go_on(worker, "fine")
            else:
                if flight.answer is None:
                    self.on_arrive(self.wire.index(flight), "fine")
                self.on_answer(self.wire.index(flight))

    def _agree(self) -> None:
        rows = self.ours.books.refunds.values()
        by_id = {row.stripe_refund_id: row for row in rows if row.stripe_refund_id}
        for refund in self.stripe.refunds.values():
            row = by_id.get(refund.id)
            if row is None or row.state is not state_of(refund.status):
                raise self.broken(f"the books say {row and row.state} of {refund.id}, which is {refund.status}")
        ended = {RefundState.REFUSED, RefundState.WITHDRAWN}
        for row in rows:
            if row.stripe_refund_id is None and row.state not in ended:
                raise self.broken(f"refund {row.id} is {row.state}, and nobody is on it")
        failed = any(row.state is RefundState.FAILED and row.origin is not Origin.EXTERNAL for row in rows)
        case = self.ours.books.case
        if case in {CaseState.ASSESSING, CaseState.REFUNDING}:
            raise self.broken(f"the case is {case}, and nobody is on it")
        if failed and case is CaseState.CLOSED and not self.ours.books.live() and self.stripe.remaining() >= 50:
            raise self.broken("a refund failed, and the case is closed")


def wander(seed: int, *, rules: Rules, steps: int) -> Life:
    """A life of so many chance events, brought to its end. The same seed is the same life.

    Each life has its own temper: some events never happen in it, some happen all the time. Many tempers reach more
    than one that is balanced (swarm testing).
    """
    chance = random.Random(seed)  # noqa: S311 - lives to be told again, not secrets
    temper: dict[tuple[str, str], int] = {}
    life = Life(rules)
    for _ in range(steps):
        options, weights = [], []
        for weight, name, given in life.options():
            kind = (name, str(given[-1]) if given and name != "pass_time" else "")
            if name in {"claim", "hear", "again", "crash", "answer", "hang_up", "roll_forward"}:
                kind = (name, "")
            if kind not in temper:
                temper[kind] = 1 if name in {"claim", "run"} or "fine" in kind else chance.choice(_TEMPERS)
            options.append((name, given))
            weights.append(weight * temper[kind])
        name, given = chance.choices(options, weights)[0] if any(weights) else ("pass_time", (SMALL,))
        life.do(name, *given)
    life.come_to_rest()
    return life


_TEMPERS: Final = (0, 1, 1, 1, 8)
