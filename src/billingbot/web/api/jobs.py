"""`/api/v1/jobs`: what waits, what failed and why; and running failed jobs again, or putting them away."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from billingbot.core.errors import InputError
from billingbot.core.ids import Kind
from billingbot.core.job import Actor, JobState
from billingbot.core.money import Money
from billingbot.core.replay import DEFAULT_RATE, FASTEST_RATE, ItemState, ReplayRun, RunState
from billingbot.flows.desk import Desk
from billingbot.flows.replay import replay as replaying
from billingbot.flows.replay import replay_runs
from billingbot.flows.replay.foretell import Effect, Preview
from billingbot.flows.replay.replay import Survey, Totals
from billingbot.store import replays, views
from billingbot.store.jobs import FailedFilter
from billingbot.web.api.fields import Body, ByName, Count, Cursor, Instant, Person, Prose, Rows, Word, YesNo, id_of
from billingbot.web.api.shown import AmountShown, Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

# Ids that a client names itself; a filter chooses more (`flows.replay.replay.MOST_AT_ONCE`).
MOST_IDS: Final = 500
# Currencies of one replay: more than any account takes.
_MOST_CURRENCIES: Final = 50

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=SignedInRoute, dependencies=[bearer])


class JobQuery(Body):
    """Which jobs: all that are given must hold."""

    state: JobState | None = None
    actor: Actor | None = None
    subject: Word | None = None
    error_class: Annotated[Word | None, Field(description="That of the last failure")] = None
    account: Word | None = None
    case: Word | None = None
    since: Annotated[Instant | None, Field(description="Made at or after")] = None
    until: Annotated[Instant | None, Field(description="Made before")] = None
    after: Cursor | None = None
    limit: Rows = views.PAGE_ROWS


class JobPageShown(BaseModel):
    """One job, its failures, and what it is about."""

    job: views.JobLine
    failures: tuple[views.Failure, ...]
    event: views.EventLine | None
    case_id: str | None


class FailedWanted(Body):
    """Which failed jobs: all that are given must hold; `{}` means every one."""

    actor: Actor | None = None
    error_class: Word | None = None
    account: Word | None = None
    case: Word | None = None
    since: Annotated[Instant | None, Field(description="Given up at or after")] = None
    until: Annotated[Instant | None, Field(description="Given up before")] = None
    after: Annotated[Word | None, Field(description="Only behind this job: `next` of the last answer")] = None


class Dismissal(Body):
    """Failed jobs to put away, by their ids or by a filter; who, and why."""

    ids: Annotated[tuple[Word, ...] | None, Field(max_length=MOST_IDS)] = None
    filter: FailedWanted | None = None
    by: Person
    why: Prose


class AmountWanted(Body):
    """An amount that somebody expects, in minor units."""

    minor: Count
    currency: Annotated[str, Field(pattern="^[a-z]{3}$")]


class Resumption(ByName):
    """Who lets a replay go on, and the most that the whole of it may pay."""

    expect_total: Annotated[tuple[AmountWanted, ...] | None, Field(max_length=_MOST_CURRENCIES)] = None


class ReplayQuery(Body):
    """How many replays."""

    limit: Rows = views.PAGE_ROWS


class Act(Body):
    """A replay: `name`, `by` and `why` unless it is a dry run."""

    dry_run: YesNo = False
    name: Word | None = None
    by: Person | None = None
    why: Prose | None = None
    rate: Annotated[int, Field(strict=True, ge=1, le=FASTEST_RATE, description="Jobs a second")] = DEFAULT_RATE
    expect_total: Annotated[
        tuple[AmountWanted, ...] | None,
        Field(max_length=_MOST_CURRENCIES, description="The most that it may pay; it stops before it would pay more"),
    ] = None


class ReplayWanted(Act):
    """Failed jobs to run again, by their ids or by a filter."""

    ids: Annotated[tuple[Word, ...] | None, Field(max_length=MOST_IDS)] = None
    filter: FailedWanted | None = None


class PreviewShown(BaseModel):
    """What a replay of one failed job would do."""

    job: str
    actor: Actor
    subject: str
    account: str
    error_class: str | None
    effect: Effect
    why: str
    amount: AmountShown | None

    @classmethod
    def of(cls, told: Preview) -> Self:
        """The preview from outside."""
        known = told.amount_minor is not None and told.currency is not None
        return cls(
            job=told.job.id,
            actor=told.job.actor,
            subject=told.job.subject,
            account=told.account,
            error_class=told.job.error_class,
            effect=told.effect,
            why=told.why,
            amount=AmountShown.of(told.amount_minor or 0, told.currency or "") if known else None,
        )


class RunShown(BaseModel):
    """A replay under its name: how far it is, what it may pay, and why it stopped if it did."""

    name: str
    state: RunState
    started_by: str
    why: str
    rate: int
    of_events: bool
    is_held: Annotated[bool, Field(description="Whether a process is at it now; running and not held: interrupted")]
    jobs: int
    waiting: int
    replayed: int
    gone: int
    left: int
    confirmed: list[AmountShown]
    confirmed_unknown: int
    stopped_why: str | None
    began_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, run: ReplayRun) -> Self:
        """The run from outside."""
        same = {name: getattr(run, name) for name in cls.model_fields if name in ReplayRun.__slots__}
        confirmed = [AmountShown.of(minor, currency) for currency, minor in sorted(run.confirmed.items())]
        counts = {state.value: run.count(state) for state in ItemState}
        return cls(**{**same, **counts, "jobs": run.total, "confirmed": confirmed})


class ReplayAnswer(BaseModel):
    """What a replay does: `jobs` are the 500 oldest one by one; all figures are over every job that is chosen."""

    jobs: list[PreviewShown]
    count: int
    effects: dict[Effect, int]
    may_move: Annotated[list[AmountShown], Field(description="Each case and refund once")]
    amounts_unknown: int
    as_of: Annotated[datetime, Field(description="As `filter.until`, it leaves out what has failed since")]
    run: Annotated[RunShown | None, Field(description="The replay that begins; null for a dry run")]
    next: Annotated[str | None, Field(description="Where there are more than one replay takes: `filter.after`")]

    @classmethod
    def of(cls, found: Survey, run: ReplayRun | None) -> Self:
        """The answer from outside."""
        sums = found.totals
        return cls(
            jobs=[PreviewShown.of(told) for told in found.previews],
            count=found.count,
            effects=dict(found.effects),
            may_move=[AmountShown.of(amount.amount_minor, amount.currency) for amount in sums.amounts],
            amounts_unknown=sums.unknown,
            as_of=found.as_of,
            run=RunShown.of(run) if run else None,
            next=found.through if found.is_cut else None,
        )


class DismissAnswer(BaseModel):
    """How many jobs were put away."""

    count: int


@router.get("", summary="List jobs")
def list_jobs(query: Annotated[JobQuery, Query()], desk: TheDesk) -> Listed[views.JobLine]:
    """Newest first; `state=failed` are those that wait for a person."""
    filters = views.JobFilter(**query.model_dump(exclude={"after", "limit"}))
    page = read(desk, views.job_list, filters, after=query.after, limit=query.limit)
    return Listed(items=list(page.items), next=page.next)


@router.get("/replays", summary="List replays")
def list_replays(query: Annotated[ReplayQuery, Query()], desk: TheDesk) -> Listed[RunShown]:
    """Newest first."""
    return Listed(items=[RunShown.of(run) for run in read(desk, replays.latest, limit=query.limit)], next=None)


@router.get("/replays/{name}", summary="One replay")
def show_replay(name: Word, desk: TheDesk) -> RunShown:
    """How far it is."""
    return RunShown.of(read(desk, replays.get, name))


@router.post("/replays/{name}/stop", summary="Stop a replay")
def stop_replay(name: Word, wanted: ByName, desk: TheDesk) -> RunShown:
    """Before its next job; what it has run already goes on."""
    return RunShown.of(replay_runs.stop(desk, name, by=wanted.by))


@router.post("/replays/{name}/resume", summary="Let a stopped replay go on")
def resume_replay(name: Word, wanted: Resumption, desk: TheDesk) -> RunShown:
    """With the jobs whose turn has not come. 409 where it would pay more than is expected of the whole."""
    run = replay_runs.resume(desk, name, by=wanted.by, expected=_expected(wanted.expect_total))
    if run.state is RunState.RUNNING:
        replay_runs.enqueue(desk, name)
    return RunShown.of(run)


@router.get("/{job_id}", summary="One job")
def show_job(job_id: str, desk: TheDesk) -> JobPageShown:
    """With every failure and its traceback."""
    page = read(desk, views.job_page, id_of(Kind.JOB, job_id))
    return JobPageShown(job=page.job, failures=page.failures, event=page.event, case_id=page.case_id)


@router.post("/replay", summary="Run failed jobs again, or see what that would do")
def replay_jobs(wanted: ReplayWanted, desk: TheDesk) -> ReplayAnswer:
    """Up to 10,000 jobs, oldest first; `next` goes into `filter.after`. Workers run them, at the rate; see `/replays`.

    A name that was used before begins nothing: the answer tells how that replay stands.
    """
    return answer_to(desk, wanted, _chosen(wanted.ids, wanted.filter))


@router.post("/dismiss", summary="Put failed jobs away for good")
def dismiss_jobs(wanted: Dismissal, desk: TheDesk) -> DismissAnswer:
    """Up to 10,000 jobs, oldest first, a batch at a time; they stay readable under `state=dismissed`."""
    chosen = _chosen(wanted.ids, wanted.filter)
    return DismissAnswer(count=replaying.dismiss(desk, chosen, by=wanted.by, why=wanted.why))


def answer_to(desk: Desk, wanted: Act, chosen: FailedFilter, *, of_events: bool = False) -> ReplayAnswer:
    """Tells what a replay of these jobs would do, and has it begin unless it is a dry run."""
    if not wanted.dry_run:
        replaying.check(name=wanted.name or "", by=wanted.by or "", why=wanted.why or "")
    found = replaying.survey(desk, chosen)
    if wanted.dry_run:
        return ReplayAnswer.of(found, None)
    run = replay_runs.start(
        desk,
        found.of(chosen),  # no others than the answer tells of
        name=wanted.name or "",
        by=wanted.by or "",
        why=wanted.why or "",
        rate=wanted.rate,
        confirmed=_expected(wanted.expect_total) or found.totals,
        is_capped=wanted.expect_total is not None,
        of_events=of_events,
    )
    if run.state is RunState.RUNNING and not run.is_held:
        replay_runs.enqueue(desk, run.name)
    return ReplayAnswer.of(found, run)


def _expected(amounts: Sequence[AmountWanted] | None) -> Totals | None:
    if amounts is None:
        return None
    sums: dict[str, int] = {}
    for amount in amounts:
        sums[amount.currency] = sums.get(amount.currency, 0) + amount.minor
    return _totals(sums)


def _totals(sums: Mapping[str, int]) -> Totals:
    money = (Money(amount_minor=minor, currency=currency) for currency, minor in sorted(sums.items()))
    return Totals(amounts=tuple(money), unknown=0)


def _chosen(ids: tuple[str, ...] | None, wanted: FailedWanted | None) -> FailedFilter:
    if (ids is None) == (wanted is None):
        raise InputError("ids", "expected either ids or a filter")
    return FailedFilter(ids=ids) if wanted is None else FailedFilter(**wanted.model_dump())
