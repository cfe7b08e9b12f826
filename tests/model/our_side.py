"""Our side as the model sees it: rows, jobs and processes, which ask the same functions as the flows do.

A process is a generator that stops wherever another process may act, or death may come: before and after each
transaction and each word with Stripe. What lies between two stops is one transaction: all of it or nothing.
"""

import copy
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from billingbot.core import case as case_table
from billingbot.core import following, paying
from billingbot.core.case import CaseMove, CaseState
from billingbot.core.errors import LeaseLostError, RetryLaterError
from billingbot.core.evidence.dossier import Refund
from billingbot.core.ids import attempt_key
from billingbot.core.job import LEASE, MOST_ATTEMPTS, backoff
from billingbot.core.mode import Mode
from billingbot.core.paying import Known, Move
from billingbot.core.refund import (
    ENDED_BADLY,
    LIVE_STATES,
    Attempt,
    AttemptOutcome,
    Origin,
    RefundIntent,
    RefundState,
    become,
    state_of,
)
from billingbot.gateway.answers import Accepted, Halted, NotDone, RefundAnswer, Refused, UnknownOutcome
from tests.builders import CHARGED
from tests.model.stripe_side import Request, Stripe

UNRESOLVED = (AttemptOutcome.OPEN, AttemptOutcome.UNKNOWN)
ASKED = 40  # a part of the charge, so that Stripe itself would not refuse a second payment of it


class BrokenIndexError(Exception):
    """What a unique index of the database refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The decisions under test; a mutant has one of them another way."""

    next_move: Callable[[Known], Move] = paying.next_move
    still_as_seen: Callable[[Known, RefundIntent, Attempt | None], bool] = paying.still_as_seen
    still_holds_at: Callable[[Known, datetime], bool] = paying.still_holds_at
    may_leave: Callable[[Mode, Origin], bool] = paying.may_leave
    is_current: Callable[[RefundIntent, Attempt | None, Attempt], bool] = paying.is_current
    news_of: Callable[[RefundIntent, Refund], following.News] = following.news_of
    whose: Callable[[RefundIntent, Refund, RefundIntent | None], following.Whose] = following.whose
    leaves_within: timedelta = paying.LEAVES_WITHIN
    key_on_resend: Callable[[Attempt], str] = lambda attempt: attempt.key


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelJob:
    """A job row."""

    id: int
    verb: str
    subject: str
    run_at: datetime
    state: str = "ready"
    attempts: int = 0
    token: int | None = None
    lease_until: datetime | None = None


@dataclass(slots=True)
class Books:
    """What is committed. Small, so that a transaction that fails is undone by putting the old one back."""

    refunds: dict[str, RefundIntent] = field(default_factory=dict)
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    jobs: dict[int, ModelJob] = field(default_factory=dict)
    case: CaseState = CaseState.REFUNDING
    mode: Mode = Mode.AUTO

    def unresolved(self, refund_id: str) -> Attempt | None:
        """The attempt that may still pay."""
        return next((one for one in self.attempts.get(refund_id, []) if one.outcome in UNRESOLVED), None)

    def live(self) -> list[RefundIntent]:
        """Intents of ours that stand in the way of another: one at the most, by a unique index."""
        ours = (one for one in self.refunds.values() if one.origin is not Origin.EXTERNAL)
        return [one for one in ours if one.state in LIVE_STATES]


# What a process stops for: a word with Stripe, a paying call, or nothing but the chance to be overtaken.
Stop: TypeAlias = str | Request
Process: TypeAlias = Generator[Stop, Any, None]


class OurSide:
    """The books and the processes that work on them."""

    def __init__(self, stripe: Stripe, rules: Rules) -> None:
        self.stripe = stripe
        self.rules = rules
        self.books = Books()
        self.ids = 0
        self.look_at: dict[int | None, datetime] = {}
        self.committed_in: dict[str, Mode] = {}
        with self.transaction():
            self._intend(Origin.POLICY)

    @property
    def now(self) -> datetime:
        return self.stripe.now

    @contextmanager
    def transaction(self) -> Iterator[Books]:
        """All of it, or nothing; the unique indexes hold at its end."""
        before = copy.copy(self.books)
        before.refunds, before.jobs = dict(self.books.refunds), dict(self.books.jobs)
        before.attempts = {name: list(made) for name, made in self.books.attempts.items()}
        try:
            yield self.books
            if len(self.books.live()) > 1:
                raise BrokenIndexError("uq_refunds_live_charge")
        except BaseException:
            self.books = before
            raise

    # ------------------------------------------------------------ jobs

    def enqueue(self, verb: str, subject: str) -> None:
        self.ids += 1
        self.books.jobs[self.ids] = ModelJob(id=self.ids, verb=verb, subject=subject, run_at=self.now)

    def due(self) -> list[ModelJob]:
        """Jobs that a worker could claim now."""
        ready = (job for job in self.books.jobs.values() if job.state == "ready" and job.run_at <= self.now)
        return [job for job in ready if job.lease_until is None or job.lease_until < self.now]

    def claim(self, job: ModelJob) -> Process:
        """A worker takes the job and begins."""
        self.ids += 1
        held = replace(job, token=self.ids, lease_until=self.now + LEASE, attempts=job.attempts + 1)
        self.books.jobs[job.id] = held
        return self._run(held)

    def _run(self, job: ModelJob) -> Process:
        verbs = {"submit": self.submit, "hear": self.hear, "assess": self.assess}
        try:
            if job.attempts > MOST_ATTEMPTS:
                raise RetryLaterError("the worker died each time")
            yield from verbs[job.verb](job)
        except LeaseLostError:
            return
        except RetryLaterError:
            yield "pause"
            with self.transaction():
                self._failed(job)

    def _failed(self, job: ModelJob) -> None:
        wait = backoff(job.attempts)
        try:
            if wait is not None:
                self._with_token(job, run_at=self.now + wait, token=None, lease_until=None)
                return
            self._with_token(job, state="failed", token=None, lease_until=None)
        except LeaseLostError:
            return
        if job.verb == "submit":
            self._abandon(self.books.refunds[job.subject])
        elif job.verb == "assess" and self.books.case is CaseState.ASSESSING:
            self._move(CaseMove.GIVEN_UP)

    def _abandon(self, refund: RefundIntent) -> None:
        if refund.state is RefundState.INTENDED:
            self._end(refund, RefundState.WITHDRAWN)
            self._show()
        elif refund.state in paying.ON_ITS_WAY:
            self._show()

    def _with_token(self, job: ModelJob, **values: Any) -> None:
        row = self.books.jobs[job.id]
        if row.token != job.token or row.state != "ready":
            raise LeaseLostError("another worker took it over")
        self.books.jobs[job.id] = replace(row, **values)

    def _finish(self, job: ModelJob) -> None:
        self._with_token(job, state="done", token=None, lease_until=None)

    def sweep(self) -> None:
        """Refunds on their way out that no job carries get one, as the schedule does."""
        carried = {job.subject for job in self.books.jobs.values() if job.verb == "submit" and job.state == "ready"}
        for refund in self.books.refunds.values():
            open_ = refund.state is RefundState.INTENDED or refund.state in paying.ON_ITS_WAY
            ours = refund.origin is not Origin.EXTERNAL and refund.stripe_refund_id is None
            if open_ and ours and refund.id not in carried:
                self.enqueue("submit", refund.id)

    # ------------------------------------------------------------ submit, as flows/submit does it

    def submit(self, job: ModelJob) -> Process:
        refund = self.books.refunds[job.subject]
        known = Known(refund=refund, attempt=self.books.unresolved(refund.id), now=self.now)
        while True:
            yield "pause"
            move = self.rules.next_move(known)
            if move is Move.ASK_STRIPE:
                if (yield from self._adopt(refund, job)):
                    return
                looked = known.go is not None
                known = replace(known, absent_before=known.absent_before or not looked, absent_after=looked)
            elif move is Move.LOOK:
                known = replace(known, go=(yield from self._look(refund.origin)))
                self.look_at[job.token] = self.now
            else:
                break
        yield from self._make(job, known, move)

    def _make(self, job: ModelJob, known: Known, move: Move) -> Process:
        if move in {Move.BEGIN, Move.RESEND}:
            attempt = self._commit_send(job, known, move)
            if attempt is not None:
                yield from self._send(job, known.refund, attempt)
        elif move is Move.WAIT:
            raise RetryLaterError("an earlier call may be under way")
        else:
            with self.transaction():
                locked = self.books.refunds[known.refund.id]
                if move is not Move.FINISH and self._stands(known, locked):
                    self._end(locked, RefundState.WITHDRAWN)
                    self._show()
                self._finish(job)

    def _look(self, origin: Origin) -> Generator[Stop, Any, bool]:
        """Charge, disputes and mode, read afresh; usage is of no concern here."""
        if (yield "read") == "fails":
            raise RetryLaterError("Stripe is away")
        possible = not self.stripe.disputed and self.stripe.remaining() >= ASKED
        untouched = origin is Origin.PERSON or not self.stripe.refunds
        return possible and untouched and paying.may_leave(self.books.mode, origin)

    def _adopt(self, refund: RefundIntent, job: ModelJob) -> Generator[Stop, Any, bool]:
        how = yield "read"
        if how == "fails":
            raise RetryLaterError("Stripe is away")
        ours = [one for one in self.stripe.listed(lagging=how == "lags") if one.our_refund_id == refund.id]
        if not ours:
            return False
        yield "pause"
        with self.transaction():
            for found in ours:
                self.apply(found)
            self._finish(job)
        return True

    def _commit_send(self, job: ModelJob, known: Known, move: Move) -> Attempt | None:
        with self.transaction() as books:
            locked = books.refunds[known.refund.id]
            if not self._stands(known, locked):
                if move is Move.RESEND:
                    raise RetryLaterError("another worker is on it")
                self._finish(job)
                return None
            self._with_token(job, lease_until=self.now + LEASE)
            if not self.rules.still_holds_at(known, self.now):
                raise RetryLaterError("the look is too long ago")
            if not self.rules.may_leave(books.mode, locked.origin):
                raise RetryLaterError("switched off")
            if move is Move.RESEND and known.attempt is not None:
                again = replace(known.attempt, sends=known.attempt.sends + 1, last_sent_at=self.now)
                return self._keep(replace(again, key=self.rules.key_on_resend(again)))
            return self._start(known, locked)

    def _start(self, known: Known, locked: RefundIntent) -> Attempt:
        self._resolve(locked.id, AttemptOutcome.ABSENT)
        number = paying.number_after(known.attempt)
        key = attempt_key(livemode=False, charge_id=locked.charge_id, refund_id=locked.id, attempt=number)
        made = self.books.attempts.setdefault(locked.id, [])
        if any(one.number == number for one in made):
            raise BrokenIndexError("uq_refund_attempts_number")
        made.append(_attempt(locked, number, key, self.now))
        if locked.state is not RefundState.SUBMITTING:
            self._become(locked, RefundState.SUBMITTING)
        return self._send_committed(made[-1])

    def _send_committed(self, attempt: Attempt) -> Attempt:
        self.committed_in[attempt.key] = self.books.mode
        return attempt

    def _keep(self, attempt: Attempt) -> Attempt:
        made = self.books.attempts[attempt.refund_id]
        made[attempt.number - 1] = attempt
        return self._send_committed(attempt)

    def _stands(self, known: Known, locked: RefundIntent) -> bool:
        return self.rules.still_as_seen(known, locked, self.books.unresolved(locked.id))

    def _send(self, job: ModelJob, refund: RefundIntent, attempt: Attempt) -> Process:
        committed = self.now
        yield "pause"
        if self.now - committed > self.rules.leaves_within:
            raise RetryLaterError("held up between commit and call")
        answer: RefundAnswer = yield Request(
            intent=refund.id,
            key=attempt.key,
            amount=refund.amount_minor,
            left_at=self.now,
            looked_at=self.look_at[job.token],
        )
        match answer:
            case Accepted():
                with self.transaction():
                    self.apply(answer.refund)
                    self._finish(job)
            case Refused():
                if not (yield from self._adopt(refund, job)):
                    yield "pause"
                    self._refuse(job, refund, attempt)
            case NotDone():
                with self.transaction():
                    wait = backoff(job.attempts) or timedelta(0)
                    self._with_token(job, run_at=self.now + wait, token=None, lease_until=None)
            case UnknownOutcome():
                with self.transaction() as books:
                    if books.refunds[refund.id].state is RefundState.SUBMITTING:
                        self._become(books.refunds[refund.id], RefundState.UNKNOWN)
                raise RetryLaterError("unknown")
            case Halted():
                raise RetryLaterError("halted")

    def _refuse(self, job: ModelJob, refund: RefundIntent, attempt: Attempt) -> None:
        with self.transaction() as books:
            locked = books.refunds[refund.id]
            if self.rules.is_current(locked, books.unresolved(refund.id), attempt):
                self._end(locked, RefundState.REFUSED)
                self._show()
            self._finish(job)

    # ------------------------------------------------------------ settle and interpret, as the flows do them

    def hear(self, job: ModelJob) -> Process:
        """News of a refund: read it afresh, and write down what was read, perhaps much later."""
        if (yield "read") == "fails":
            raise RetryLaterError("Stripe is away")
        found = self.stripe.refunds[job.subject]
        yield "pause"
        with self.transaction():
            self.apply(found)
            self._finish(job)

    def apply(self, found: Refund) -> None:
        refund = self._ours(found)
        if refund is None:
            self._adopt_external(found)
            return
        news, state = self.rules.news_of(refund, found), state_of(found.status)
        if state is not None and news is following.News.FOLLOWED:
            self._take_over(refund, state, found)
        elif news is following.News.UNRECOGNISED:
            self._resolve(refund.id, AttemptOutcome.ACCEPTED)
            self.books.refunds[refund.id] = replace(refund, stripe_refund_id=found.id)
            self._show()

    def _ours(self, found: Refund) -> RefundIntent | None:
        by_id = (one for one in self.books.refunds.values() if one.stripe_refund_id == found.id)
        known = next(by_id, None)
        if known is not None or found.our_refund_id is None:
            return known
        refund = self.books.refunds[found.our_refund_id]
        answer = self.rules.whose(refund, found, next(iter(self.books.live()), None))
        if answer is following.Whose.NOT_YET:
            raise RetryLaterError("given up, and made after all while another is live")
        if answer is following.Whose.ANOTHERS:
            self._show(reopen=True)
            return None
        return refund

    def _take_over(self, refund: RefundIntent, state: RefundState, found: Refund) -> None:
        self._resolve(refund.id, AttemptOutcome.ACCEPTED)
        if state is not refund.state:
            self._become(replace(refund, stripe_refund_id=found.id), state)
        if state is RefundState.SUCCEEDED and refund.origin is not Origin.EXTERNAL:
            if case_table.can(self.books.case, CaseMove.REFUND_SUCCEEDED):
                self._move(CaseMove.REFUND_SUCCEEDED)
        elif state in ENDED_BADLY:
            self._show(reopen=True)

    def _adopt_external(self, found: Refund) -> None:
        state = state_of(found.status) or RefundState.UNKNOWN
        external = an_intent(f"external_{found.id}", Origin.EXTERNAL, state=state, amount_minor=found.amount_minor)
        self.books.refunds[external.id] = replace(external, stripe_refund_id=found.id)
        if self.books.case is CaseState.REVIEW:
            self._move(CaseMove.REASSESSED)
            self.enqueue("assess", "case")

    # ------------------------------------------------------------ assessing, and people

    def assess(self, job: ModelJob) -> Process:
        """Decides anew what a person's queue, or Stripe's news, sent back."""
        go = yield from self._look(Origin.POLICY)
        yield "pause"
        with self.transaction() as books:
            if books.case is CaseState.ASSESSING:
                if go and not books.live():
                    self._intend(Origin.POLICY)
                    self._move(CaseMove.DECIDED_REFUND)
                else:
                    closes = not self.stripe.remaining()
                    self._move(CaseMove.DECIDED_CLOSE if closes else CaseMove.DECIDED_REVIEW)
            self._finish(job)

    def approve(self) -> Process:
        """A person approves what waits for one, after a look."""
        try:
            go = yield from self._look(Origin.PERSON)
        except RetryLaterError:
            return
        yield "pause"
        if go and self.books.case is CaseState.REVIEW and not self.books.live():
            with self.transaction():
                self._intend(Origin.PERSON)
                self._move(CaseMove.APPROVED)

    def _intend(self, origin: Origin) -> None:
        self.ids += 1
        refund = an_intent(f"rfd_{self.ids}", origin)
        self.books.refunds[refund.id] = refund
        self.enqueue("submit", refund.id)

    # ------------------------------------------------------------ rows

    def _end(self, refund: RefundIntent, state: RefundState) -> None:
        refused = state is RefundState.REFUSED
        self._resolve(refund.id, AttemptOutcome.REFUSED if refused else AttemptOutcome.ABSENT)
        self._become(refund, state)

    def _become(self, refund: RefundIntent, state: RefundState) -> None:
        before = self.books.refunds[refund.id].state
        self.books.refunds[refund.id] = replace(refund, state=become(before, state))

    def _resolve(self, refund_id: str, outcome: AttemptOutcome) -> None:
        made = self.books.attempts.get(refund_id, [])
        made[:] = [replace(one, outcome=outcome) if one.outcome in UNRESOLVED else one for one in made]

    def _show(self, *, reopen: bool = False) -> None:
        case = self.books.case
        if case is CaseState.CLOSED and not reopen:
            return
        if case is CaseState.ASSESSING and reopen:
            raise RetryLaterError("the case is being assessed")
        if case_table.can(case, CaseMove.REFUND_STOPPED):
            self._move(CaseMove.REFUND_STOPPED)

    def _move(self, move: CaseMove) -> None:
        self.books.case = case_table.after(self.books.case, move)


def an_intent(refund_id: str, origin: Origin, **values: Any) -> RefundIntent:
    """An intent as it is first written."""
    base: dict[str, Any] = {
        "id": refund_id, "case_id": "case", "account": "default", "livemode": False, "charge_id": "ch_1",
        "amount_minor": ASKED, "currency": "usd", "state": RefundState.INTENDED, "origin": origin,
        "decision_id": None, "clause": None, "decided_by": "model", "stripe_refund_id": None, "why": None,
        "intended_at": CHARGED, "settled_at": None,
    }  # fmt: skip
    return RefundIntent(**(base | values))


def _attempt(refund: RefundIntent, number: int, key: str, now: datetime) -> Attempt:
    return Attempt(
        id=f"{refund.id}_{number}",
        refund_id=refund.id,
        number=number,
        key=key,
        params={},
        outcome=AttemptOutcome.OPEN,
        sends=1,
        first_sent_at=now,
        last_sent_at=now,
    )
