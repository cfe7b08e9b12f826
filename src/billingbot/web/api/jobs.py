"""`/api/v1/jobs`: what waits, what failed and why; and running failed jobs again, or putting them away."""

from collections.abc import Sequence
from typing import Annotated, Final, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from billingbot.core.errors import InputError
from billingbot.core.ids import Kind
from billingbot.core.job import Actor, JobState
from billingbot.flows import replay as replaying
from billingbot.flows.replay import Effect, Preview, Replayed
from billingbot.store import views
from billingbot.store.jobs import FailedFilter
from billingbot.web.api.fields import Body, Cursor, Instant, Person, Prose, Rows, Word, YesNo, id_of
from billingbot.web.api.shown import AmountShown, Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

# Each job is a commit of some milliseconds: so many are done well before a client gives up waiting.
MOST_JOBS: Final = 500

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=SignedInRoute, dependencies=[bearer])


class JobQuery(Body):
    """Which jobs: all that are given must hold."""

    state: JobState | None = None
    actor: Actor | None = None
    subject: Word | None = None
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
    since: Annotated[Instant | None, Field(description="Given up at or after")] = None
    until: Annotated[Instant | None, Field(description="Given up before")] = None
    after: Annotated[Word | None, Field(description="Only behind this job: `next` of the last answer")] = None


class Dismissal(Body):
    """Failed jobs to put away, by their ids or by a filter; who, and why."""

    ids: Annotated[tuple[Word, ...] | None, Field(max_length=MOST_JOBS)] = None
    filter: FailedWanted | None = None
    by: Person
    why: Prose


class ReplayWanted(Body):
    """Failed jobs to run again, by their ids or by a filter; `name`, `by` and `why` unless it is a dry run."""

    ids: Annotated[tuple[Word, ...] | None, Field(max_length=MOST_JOBS)] = None
    filter: FailedWanted | None = None
    dry_run: YesNo = False
    name: Word | None = None
    by: Person | None = None
    why: Prose | None = None


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


class ReplayedShown(BaseModel):
    """How many jobs are ready again; `already` under this name before, `left` for a person."""

    count: int
    already: int
    left: int


class ReplayAnswer(BaseModel):
    """The preview, the money that may move (each refund once), and what was done: null for a dry run."""

    jobs: list[PreviewShown]
    may_move: list[AmountShown]
    amounts_unknown: int
    replayed: ReplayedShown | None
    next: str | None

    @classmethod
    def of(cls, previews: Sequence[Preview], done: Replayed | None, *, following: str | None = None) -> Self:
        """The answer from outside."""
        sums = replaying.totals(previews)
        return cls(
            jobs=[PreviewShown.of(told) for told in previews],
            may_move=[AmountShown.of(amount.amount_minor, amount.currency) for amount in sums.amounts],
            amounts_unknown=sums.unknown,
            replayed=ReplayedShown(count=done.count, already=done.already, left=done.left) if done else None,
            next=following,
        )


class DismissAnswer(BaseModel):
    """How many jobs were put away."""

    count: int


@router.get("", summary="List jobs")
def list_jobs(query: Annotated[JobQuery, Query()], desk: TheDesk) -> Listed[views.JobLine]:
    """Newest first; `state=failed` are those that wait for a person."""
    filters = views.JobFilter(state=query.state, actor=query.actor, subject=query.subject)
    page = read(desk, views.job_list, filters, after=query.after, limit=query.limit)
    return Listed(items=list(page.items), next=page.next)


@router.get("/{job_id}", summary="One job")
def show_job(job_id: str, desk: TheDesk) -> JobPageShown:
    """With every failure and its traceback."""
    page = read(desk, views.job_page, id_of(Kind.JOB, job_id))
    return JobPageShown(job=page.job, failures=page.failures, event=page.event, case_id=page.case_id)


@router.post("/replay", summary="Run failed jobs again, or see what that would do")
def replay_jobs(wanted: ReplayWanted, desk: TheDesk) -> ReplayAnswer:
    """Up to 500 jobs, oldest first; `next` goes into `filter.after`. Under one name a job is replayed once."""
    chosen = _chosen(wanted.ids, wanted.filter)
    if not wanted.dry_run:
        replaying.check(name=wanted.name or "", by=wanted.by or "", why=wanted.why or "")
    previews = replaying.preview(desk, chosen, limit=MOST_JOBS)
    following = previews[-1].job.id if len(previews) == MOST_JOBS else None
    if wanted.dry_run:
        return ReplayAnswer.of(previews, None, following=following)
    seen = FailedFilter(ids=tuple(told.job.id for told in previews))  # no others than the answer tells of
    done = replaying.replay(desk, seen, name=wanted.name or "", by=wanted.by or "", why=wanted.why or "")
    return ReplayAnswer.of(previews, done, following=following)


@router.post("/dismiss", summary="Put failed jobs away for good")
def dismiss_jobs(wanted: Dismissal, desk: TheDesk) -> DismissAnswer:
    """Up to 500 jobs, oldest first; they stay readable under `state=dismissed`."""
    chosen = _chosen(wanted.ids, wanted.filter)
    return DismissAnswer(count=replaying.dismiss(desk, chosen, by=wanted.by, why=wanted.why, limit=MOST_JOBS))


def _chosen(ids: tuple[str, ...] | None, wanted: FailedWanted | None) -> FailedFilter:
    if (ids is None) == (wanted is None):
        raise InputError("ids", "expected either ids or a filter")
    return FailedFilter(ids=ids) if wanted is None else FailedFilter(**wanted.model_dump())
