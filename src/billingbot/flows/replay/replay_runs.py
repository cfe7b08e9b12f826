"""Replay runs: failed jobs run again under one name, at a rate, within what people confirmed, stoppable anywhere."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto
from time import monotonic, sleep
from typing import Final
from uuid import uuid4

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.canonical import digest
from billingbot.core.errors import ConflictError, InputError
from billingbot.core.job import ENDED, Actor, Job, JobState
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.money import Money
from billingbot.core.replay import DEFAULT_RATE, FASTEST_RATE, ItemState, ReplayRun, RunState, excess
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.recheck import reassess
from billingbot.flows.replay.foretell import Effect, Preview, foretell, is_stranded, policy_name
from billingbot.flows.replay.replay import MOST_AT_ONCE, TOLD, Survey, Tally, Totals, check, look, survey
from billingbot.flows.replay.stored import Stored
from billingbot.store import cases, database, jobs, refunds, replays
from billingbot.store.database import transaction
from billingbot.store.jobs import FailedFilter
from billingbot.store.views import events
from billingbot.store.views.events import EventFilter

Pause = Callable[[float], bool]
"""Waits so many seconds; True where whoever drives has to end now."""

# A worker carries a run for so long before it takes the next job: well within the job's own lease.
_TURN_SECONDS: Final = 20.0
# Somebody else is at it; it will be over, or their lease will be.
_LATER: Final = timedelta(seconds=10)


def start(
    desk: Desk,
    wanted: FailedFilter,
    *,
    name: str,
    by: str,
    why: str,
    rate: int = DEFAULT_RATE,
    confirmed: Totals | None = None,
    is_capped: bool = False,
    of_events: bool = False,
) -> ReplayRun:
    """Writes down what is to be run again; nothing runs before `drive`. A run that has this name stays as it is.

    `rate` in jobs a second. `confirmed` is what somebody agreed to: ConflictError where the jobs may pay more than
    that by now. With `is_capped` it also bounds what jobs of unknown amount come to. With `of_events` jobs that
    ended well are run again too, as `wanted` names them.
    MOST_AT_ONCE jobs at the most, oldest first. Raises InputError for what cannot be kept, NotFoundError for an id
    that no job has.
    """
    desk.require(Power.RUN)
    check(name=name, by=by, why=why)
    if not 1 <= rate <= FASTEST_RATE:
        raise InputError("rate", f"expected 1 to {FASTEST_RATE} jobs a second")
    with transaction(desk.db) as connection:
        if (earlier := replays.find(connection, name)) is not None:
            return earlier
    tally, items = Tally(), []
    for told in look(desk, wanted):
        tally.add(told)
        items.append(_item(told))
    sums = tally.totals
    agreed = confirmed or sums
    _must_not_exceed(sums, agreed, is_capped=is_capped)
    with step(desk) as this:
        run = ReplayRun(
            name=name,
            state=RunState.RUNNING,
            started_by=by,
            why=why,
            rate=rate,
            confirmed=_by_currency(agreed),
            confirmed_unknown=max(agreed.unknown, sums.unknown) if is_capped else agreed.unknown,
            is_capped=is_capped,
            of_events=of_events,
            stop_asked_by=None,
            stopped_why=None,
            is_held=False,
            began_at=database.now(this.db),
            ended_at=None,
            counts={},
        )
        if replays.write(this.db, run, items):
            _record(this, run, EntryKind.REPLAY_STARTED, by, {"jobs": len(items), "why_digest": digest(why.encode())})
        return replays.get(this.db, name)


def remaining(desk: Desk, name: str, *, told: int = TOLD) -> Survey:
    """What the jobs of a run whose turn has not come would do now, the first `told` in full. Raises NotFoundError."""
    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        run = replays.get(connection, name)
        ids = tuple(replays.waiting(connection, name))
    return survey(desk, FailedFilter(ids=ids, states=_states(run)), told=told)


def resume(desk: Desk, name: str, *, by: str, expected: Totals | None = None, rest: Totals | None = None) -> ReplayRun:
    """Lets a stopped or interrupted run go on with the jobs whose turn has not come; one that is done stays done.

    `expected` is what the whole run may pay, where somebody says so; else what it has set going and what is left,
    which may not be more than `rest`, where somebody agreed to that.
    ConflictError where another process is at it, or where more would be paid than was expected.
    """
    desk.require(Power.RUN)
    person(by)
    left = remaining(desk, name, told=0).totals
    if rest is not None:
        _must_not_exceed(left, rest, is_capped=False)
    with step(desk) as this:
        run = replays.lock(this.db, name)
        if run.state is RunState.DONE:
            return run
        if run.is_held:
            raise ConflictError(f"replay {name}: another process is at it")
        is_capped = expected is not None or run.is_capped
        spent = replays.spent(this.db, name, with_unknown=is_capped)
        whole = _sum(spent, _by_currency(left))
        allowed = _by_currency(expected) if expected is not None else dict(run.confirmed) if run.is_capped else whole
        if over := excess(whole, allowed):
            raise ConflictError(_says_over(name, over, whole, allowed))
        unknown = replays.unknown_spent(this.db, name) + left.unknown
        replays.resume(this.db, name, confirmed=allowed, unknown=unknown, is_capped=is_capped)
        run = replays.get(this.db, name)
        _record(this, run, EntryKind.REPLAY_RESUMED, by, {"left": run.count(ItemState.WAITING)})
        return run


def stop(desk: Desk, name: str, *, by: str) -> ReplayRun:
    """Has a run stop before its next job; at once where nobody is at it. NotFoundError where there is none."""
    desk.require(Power.RUN)
    person(by)
    with step(desk) as this:
        run = replays.lock(this.db, name)
        if run.state is not RunState.RUNNING:
            return run
        if run.is_held:
            replays.ask_stop(this.db, name, by)
        else:
            _end(this, run, RunState.STOPPED, by=by, why=f"stopped by {by}")
        return replays.get(this.db, name)


def drive(
    desk: Desk, name: str, *, pause: Pause, moved: Callable[[], object] = lambda: None, token: str | None = None
) -> ReplayRun:
    """Runs the jobs of a run one after the other at its rate, until it is done or stopped, or `pause` says to end.

    Each job is one commit: whoever dies in between leaves a run that anybody can go on with. ConflictError where
    another process is at it; LeaseLostError where one took over.
    """
    desk.require(Power.RUN)
    own = token or uuid4().hex
    by_policy = policy_name(desk)
    with transaction(desk.db) as connection:
        run = replays.get(connection, name)
        if run.state is RunState.RUNNING and not replays.hold(connection, name, own):
            raise ConflictError(f"replay {name}: another process is at it")
    if run.state is not RunState.RUNNING:
        return run
    while True:
        with step(desk) as this:
            turn = _one(this, desk, replays.keep(this.db, name, own), by_policy)
        if turn is _Turn.OVER:
            break
        moved()
        if pause(1 / run.rate if turn is _Turn.REPLAYED else 0):
            with transaction(desk.db) as connection:
                replays.let_go(connection, name, own)
            break
    with transaction(desk.db) as connection:
        return replays.get(connection, name)


def let_go(desk: Desk, name: str, *, by: str) -> ReplayRun:
    """Stops a run whose driver was told to end by whoever sits before it; the next job has not begun."""
    desk.require(Power.RUN)
    with step(desk) as this:
        run = replays.lock(this.db, name)
        if run.state is RunState.RUNNING:
            _end(this, run, RunState.STOPPED, by=by, why=f"interrupted by {by}")
        return replays.get(this.db, name)


def jobs_of_events(desk: Desk, wanted: EventFilter, *, ids: Sequence[str] | None = None) -> FailedFilter:
    """The jobs that interpret these events again, for `survey` and `start(of_events=True)`: one more than these take.

    NotFoundError for an id that no event has. An event whose job has not ended yet is not among them.
    """
    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        chosen = events.jobs_of_events(connection, wanted, ids=ids, limit=MOST_AT_ONCE + 1)
    return FailedFilter(ids=tuple(chosen), states=ENDED)


def enqueue(desk: Desk, name: str) -> None:
    """Has a worker drive the run."""
    desk.require(Power.RUN)
    with step(desk) as this:
        this.enqueue(Actor.REPLAY, name)


def carry_on(desk: Desk, job: Job) -> None:
    """Drives a run for a turn, for those who asked through the API and did not stay; comes right back for the next."""
    deadline = monotonic() + _TURN_SECONDS

    def pause(seconds: float) -> bool:
        sleep(min(seconds, 1.0))
        return monotonic() > deadline

    try:
        run = drive(desk, job.subject, pause=pause, token=job.token)
    except ConflictError:
        with transaction(desk.db) as connection:
            jobs.postpone(connection, job, _LATER)
        return
    with step(desk) as this:
        if run.state is RunState.RUNNING:
            jobs.go_on(this.db, job)
            this.bells.append(job.id)
        else:
            jobs.finish(this.db, job)


def interrupt(this: Step, name: str, *, why: str) -> None:
    """Stops a run whose worker gave up on it."""
    run = replays.lock(this.db, name)
    if run.state is RunState.RUNNING:
        _end(this, run, RunState.STOPPED, by="billingbot", why=why)


# ---------------------------------------------------------------- one job


class _Turn(Enum):
    """What one turn came to."""

    REPLAYED = auto()
    PASSED = auto()
    OVER = auto()


def _one(this: Step, desk: Desk, run: ReplayRun, by_policy: str) -> _Turn:
    if run.stop_asked_by is not None:
        return _end(this, run, RunState.STOPPED, by=run.stop_asked_by, why=f"stopped by {run.stop_asked_by}")
    job_id = replays.next_job(this.db, run.name)
    if job_id is None:
        return _end(this, run, RunState.DONE, by=run.started_by, why=None)
    found = jobs.failed(this.db, FailedFilter(ids=(job_id,), states=_states(run)))
    if not found:
        gone = replays.Item(job_id=job_id, subject="", effect=Effect.NOTHING, why="no longer failed",
                            amount_minor=None, currency=None)  # fmt: skip
        replays.close_item(this.db, run.name, gone, ItemState.GONE)
        return _Turn.PASSED
    told = foretell(Stored(this.db, found), desk, found[0], by_policy)
    if told.effect is Effect.NEEDS_PERSON:
        replays.close_item(this.db, run.name, _item(told), ItemState.LEFT)
        return _Turn.PASSED
    if told.effect is Effect.MAY_PAY and (over := _over(this, run, told)):
        return _end(this, run, RunState.STOPPED, by="billingbot", why=over)
    _again(this, run, told)
    return _Turn.REPLAYED


def _again(this: Step, run: ReplayRun, told: Preview) -> None:
    job = told.job
    if jobs.revive(this.db, job.id, states=_states(run)):
        this.bells.append(job.id)
        _take_back(this, told, run)
    replays.close_item(this.db, run.name, _item(told), ItemState.REPLAYED)
    body = {
        "job_actor": job.actor,
        "about": job.subject,
        "error_class": job.error_class,
        "name": run.name,
        "why_digest": digest(run.why.encode()),
        "effect": told.effect,
    }
    this.record(
        Draft(kind=EntryKind.JOB_REPLAYED, account=told.account, subject=job.id, actor=run.started_by, body=body)
    )


def _take_back(this: Step, told: Preview, run: ReplayRun) -> None:
    """A case that a person has only because its job gave up, and that nobody has taken, is assessed again."""
    case_id = told.job.subject if told.job.actor is Actor.ASSESS else None
    if told.job.actor is Actor.SUBMIT:
        case_id = refunds.get(this.db, told.job.subject).case_id
    if case_id is not None and is_stranded(cases.lock(this.db, case_id)):
        reassess(this, case_id, by=run.started_by, why=f"replay {run.name}")


# ---------------------------------------------------------------- money


def _over(this: Step, run: ReplayRun, told: Preview) -> str | None:
    """Why this job must not be run: more would be paid than was confirmed. None where it stays within."""
    if replays.is_counted(this.db, run.name, told.job.subject):
        return None
    spent = replays.spent(this.db, run.name, with_unknown=run.is_capped)
    if told.amount_minor is None or told.currency is None:
        if replays.unknown_spent(this.db, run.name) >= run.confirmed_unknown:
            return f"{told.job.id} may pay an amount that nobody knows yet, and that was not confirmed"
    else:
        spent = _sum(spent, {told.currency: told.amount_minor})
    over = excess(spent, run.confirmed)
    return _says_over(run.name, over, spent, run.confirmed) if over else None


def _must_not_exceed(sums: Totals, agreed: Totals, *, is_capped: bool) -> None:
    now, allowed = _by_currency(sums), _by_currency(agreed)
    if over := excess(now, allowed):
        raise ConflictError(_says_over("", over, now, allowed))
    if not is_capped and sums.unknown > agreed.unknown:
        raise ConflictError(
            f"{sums.unknown} of these jobs may pay an amount that nobody knows yet; {agreed.unknown} were confirmed"
        )


def _says_over(name: str, currency: str, would: Mapping[str, int], confirmed: Mapping[str, int]) -> str:
    paid = Money(amount_minor=would[currency], currency=currency)
    agreed = Money(amount_minor=confirmed.get(currency, 0), currency=currency)
    return f"{f'replay {name}: ' if name else ''}{paid} would be paid now, and {agreed} were confirmed"


def _by_currency(sums: Totals) -> dict[str, int]:
    return {amount.currency: amount.amount_minor for amount in sums.amounts}


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {currency: one.get(currency, 0) + other.get(currency, 0) for currency in {*one, *other}}


# ---------------------------------------------------------------- writing down


def _states(run: ReplayRun) -> tuple[JobState, ...]:
    return ENDED if run.of_events else (JobState.FAILED,)


def _item(told: Preview) -> replays.Item:
    return replays.Item(
        job_id=told.job.id,
        subject=told.job.subject,
        effect=told.effect,
        why=told.why,
        amount_minor=told.amount_minor,
        currency=told.currency,
    )


def _end(this: Step, run: ReplayRun, state: RunState, *, by: str, why: str | None) -> _Turn:
    replays.end(this.db, run.name, state, why=why)
    kind = EntryKind.REPLAY_ENDED if state is RunState.DONE else EntryKind.REPLAY_STOPPED
    ended = replace(run, state=state)
    spent = replays.spent(this.db, run.name, with_unknown=run.is_capped)
    body = {**{count.value: number for count, number in ended.counts.items()}, "may_pay": spent, "why": why}
    _record(this, ended, kind, by, body)
    return _Turn.OVER


def _record(this: Step, run: ReplayRun, kind: EntryKind, by: str, body: Mapping[str, object]) -> None:
    money = {"confirmed": dict(run.confirmed), "confirmed_unknown": run.confirmed_unknown, "capped": run.is_capped}
    this.record(Draft(kind=kind, account="", subject=run.name, actor=by, body={**money, **body, "rate": run.rate}))
