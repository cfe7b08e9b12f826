"""`/api/v1/jobs`: what waits, what failed, and why; for reading only."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from billingbot.core.ids import Kind
from billingbot.core.job import Actor, JobState
from billingbot.store import views
from billingbot.web.api.fields import Body, Cursor, Rows, Word, id_of
from billingbot.web.api.shown import Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

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
