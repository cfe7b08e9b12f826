"""Jobs: what is failing and why, each job from its start to its end, and how the queue has been."""

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import groupby
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from billingbot.core.frames import chain
from billingbot.core.ids import Kind
from billingbot.core.job import Actor
from billingbot.store import samples, views
from billingbot.store.samples import Stretch
from billingbot.store.views.failing import failing, job_counts
from billingbot.store.views.jobs import JobTab
from billingbot.web.api.fields import Cursor, Instant, Word, id_of
from billingbot.web.console import charts
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here, Visit
from billingbot.web.console.wording import does

router = APIRouter(route_class=ConsoleRoute)

# Other jobs about the same thing: the newest are what somebody wants who looks at one of them.
_SIBLINGS: Final = 10
_PLACES: Final[Mapping[Actor, str]] = {
    Actor.INTERPRET: "/events/",
    Actor.ASSESS: "/cases/",
    Actor.RECHECK: "/cases/",
    Actor.SUBMIT: "/refunds/",
    Actor.SETTLE: "/refunds/",
    Actor.REPLAY: "/replays/",
    Actor.BACKFILL: "/events/backfills/",
    Actor.BACKTEST: "/policy/backtests/",
    Actor.NOTIFY: "/notices?kind=",
}
_ENDED: Final[Mapping[JobTab, str]] = {
    JobTab.FAILED: "given up",
    JobTab.DISMISSED: "given up",
    JobTab.DONE: "done",
}
_SPANS: Final[Mapping[str, tuple[timedelta, timedelta, str]]] = {
    "day": (timedelta(days=1), timedelta(minutes=15), "the last 24 hours"),
    "week": (timedelta(days=7), timedelta(hours=1), "the last 7 days"),
}


class FailedQuery(Asked):
    """Which failed jobs: all that are given must hold."""

    actor: Actor | None = None
    error_class: Word | None = None
    frame: Word | None = None
    account: Word | None = None
    case: Word | None = None
    since: Instant | None = None
    until: Instant | None = None


class JobQuery(FailedQuery):
    """A page of jobs on one tab; without a tab, what is failing."""

    tab: JobTab | None = None
    after: Cursor | None = None


@router.get("/jobs")
def jobs(here: Here, query: Annotated[JobQuery, Query()]) -> Response:
    """What is failing, grouped; or the jobs of one tab."""
    common: dict[str, Any] = {
        "tabs": _tabs(here, query.tab),
        "tab": query.tab,
        "actors": sorted(((actor.value, does(actor)) for actor in Actor), key=lambda one: one[1]),
        "accounts": _named(here.desk.accounts),
    }
    if query.tab is None:
        groups = here.read(failing)
        shown = [(group, *_ways(group.error_class, group.frame)) for group in groups]
        return here.show("jobs/failing.html", groups=shown, **common)
    by_end = query.tab in _ENDED  # as a replay of the same filter chooses them
    filters = views.JobFilter(**query.model_dump(exclude={"after"}), by_end=by_end)
    page = here.read(views.job_list, filters, after=query.after)
    asked = {name: value for name, value in query.given.items() if name != "after"}
    chosen = {name: value for name, value in asked.items() if name != "tab"}
    return here.show(
        "jobs/list.html",
        page=page,
        filters=query,
        more=f"/jobs?{urlencode({**asked, 'after': page.next})}" if page.next else None,
        replay=f"/jobs/replay?{urlencode(chosen)}",
        span=_ENDED.get(query.tab, "made"),
        **common,
    )


@router.get("/jobs/tabs")
def tabs(here: Here, tab: JobTab | None = None) -> Response:
    """The tabs alone, as their numbers move."""
    return here.show("jobs/tabs.html", tabs=_tabs(here, tab))


class LoadQuery(Asked):
    """How far back."""

    span: Annotated[str, Query(pattern="^(day|week)$")] = "day"


@router.get("/jobs/load")
def load(here: Here, query: Annotated[LoadQuery, Query()]) -> Response:
    """How deep the queue was, how long jobs waited, and what came, went and failed."""
    span, step, said = _SPANS[query.span]
    fine = here.read(samples.series, since=here.reader.now - span, step=step)
    hourly = here.read(samples.series, since=here.reader.now - span, step=timedelta(hours=1))
    return here.show("jobs/load.html", tabs=_tabs(here, None), span=query.span, plots=_plots(here, fine, hourly, said))


@router.get("/jobs/{job_id}")
def job(here: Here, job_id: str) -> Response:
    """One job from its start to its end."""
    page = here.read(views.job_page, id_of(Kind.JOB, job_id))
    about = views.JobFilter(subject=page.job.subject, actor=page.job.actor)
    siblings = [one for one in here.read(views.job_list, about, limit=_SIBLINGS + 1).items if one.id != page.job.id]
    return here.show(
        "jobs/page.html",
        page=page,
        failures=[(failure, _told(failure.traceback)) for failure in reversed(page.failures)],
        arguments=json.dumps({"actor": page.job.actor, "subject": page.job.subject}, indent=2),
        siblings=siblings[:_SIBLINGS],
        subject=subject_href(page.job.actor, page.job.subject),
    )


def subject_href(actor: Actor, subject: str) -> str | None:
    """The page of what a job is about; None where what it names has none."""
    place = _PLACES.get(actor)
    return f"{place}{subject}" if place else None


def _named(values: Iterable[str]) -> list[tuple[str, str]]:
    return [(str(value), str(value).replace("_", " ")) for value in sorted(values)]


def _told(traceback: str) -> list[dict[str, object]]:
    """The exceptions of a traceback, each with its calls in runs of ours and of others'."""
    return [
        {
            "said": raised.said,
            "runs": [(own, list(run)) for own, run in groupby(raised.frames, key=lambda frame: frame.is_own)],
        }
        for raised in chain(traceback)
    ]


def _tabs(here: Visit, chosen: JobTab | None) -> list[tuple[str, str, int | None, bool]]:
    counts = here.read(job_counts)
    each = [
        (f"/jobs?tab={tab.value}", tab.value.capitalize(), getattr(counts, tab.value), tab is chosen) for tab in JobTab
    ]
    return [("/jobs", "Failing", None, chosen is None), *each]


def _ways(error_class: str, frame: str) -> tuple[str, str]:
    """To the failed jobs of a group, and to what replaying them would do."""
    chosen = urlencode({"error_class": error_class, "frame": frame})
    return f"/jobs?tab={JobTab.FAILED.value}&{chosen}", f"/jobs/replay?{chosen}"


def _plots(here: Visit, fine: tuple[Stretch, ...], hourly: tuple[Stretch, ...], said: str) -> list[Any]:
    """Each titled with its answer."""
    depth, wait = max((one.due for one in fine), default=0), max((one.oldest_due_seconds for one in fine), default=0.0)
    read = here.reader
    sums = {name: sum(getattr(one, name) for one in hourly) for name in ("finished", "faults", "received")}

    def line(title: str, name: str, unit: str) -> Any:
        points = [
            (read.short(one.start), getattr(one, name), f"{read.number(round(getattr(one, name)))}{unit}")
            for one in fine
        ]
        return charts.line(title, points, empty="Nothing was sampled yet; the scheduler does it each minute.")

    def hours(title: str, name: str) -> Any:
        bars = [
            charts.Bar(
                label=read.short(one.start),
                value=getattr(one, name),
                told=f"{read.number(getattr(one, name))} from {read.short(one.start)}",
            )
            for one in hourly
        ]
        return charts.bars(title, bars, empty="Nothing in this time.")

    return [
        line(
            f"At most {read.number(depth)} jobs were due at once in {said}" if fine else "Jobs that were due at once",
            "due",
            " due",
        ),
        line(
            f"The oldest due job had waited {read.number(round(wait))} s at the most" if fine else "How long jobs wait",
            "oldest_due_seconds",
            " s",
        ),
        hours(f"{read.number(sums['finished'])} jobs ended well in {said}", "finished"),
        hours(f"{read.number(sums['faults'])} tries failed in {said}", "faults"),
        hours(f"{read.number(sums['received'])} events arrived in {said}", "received"),
    ]
