"""Replays: what running jobs or events again would do, in money; a run while it goes; and putting jobs away."""

from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import APIRouter, Form, Query
from pydantic import Field, ValidationError
from starlette.responses import Response

from billingbot.core.errors import InputError
from billingbot.core.ids import Kind, is_id
from billingbot.core.job import JobState
from billingbot.core.money import Money
from billingbot.core.replay import DEFAULT_RATE, FASTEST_RATE, ItemState, ReplayRun, RunState
from billingbot.flows.replay import replay as replaying
from billingbot.flows.replay import replay_runs
from billingbot.flows.replay.replay import Survey, Totals
from billingbot.store import replays
from billingbot.store.jobs import FailedFilter
from billingbot.store.views.events import EventFilter
from billingbot.store.views.runs import RunItem, run_items
from billingbot.web.api.events import EventWanted
from billingbot.web.api.fields import Cursor, Instant
from billingbot.web.api.jobs import MOST_IDS
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.pages.jobs import FailedQuery
from billingbot.web.console.visit import Here, Visit

router = APIRouter(route_class=ConsoleRoute)

_RUNS_SHOWN: Final = 50
# Told of one by one: what somebody may read before agreeing; the figures are over all.
_TOLD: Final = 100
_IDS_LENGTH: Final = MOST_IDS * 40


class JobsWanted(FailedQuery):
    """Failed jobs by their ids, separated by commas, or by a filter. `now` does without a script's help."""

    ids: Annotated[str | None, Field(max_length=_IDS_LENGTH)] = None
    now: bool = False


class EventsWanted(Asked, EventWanted):
    """Events by their ids, separated by commas, or by a filter. `now` as above."""

    ids: Annotated[str | None, Field(max_length=_IDS_LENGTH)] = None
    now: bool = False


class Agreed(Asked):
    """What may be paid, as the preview told it, and that somebody agreed to it."""

    confirmed: Annotated[str, Field(max_length=2000)] = ""
    """What the preview came to: `usd:419600 eur:100`."""
    unknown: Annotated[int, Field(ge=0)] = 0
    agreed: bool = False

    @property
    def totals(self) -> Totals:
        """The amounts. InputError where nobody agreed to them, or where they are none."""
        found = _totals(self.confirmed, self.unknown)
        if (found.amounts or found.unknown) and not self.agreed:
            raise InputError("agreed", "expected a tick at what may be paid")
        return found


class Seen(Asked):
    """Which jobs a preview told of: what it was asked for, and how far it looked."""

    asked: Annotated[str, Field(max_length=_IDS_LENGTH)] = ""
    """The parameters of the preview's address."""
    as_of: Instant
    through: Annotated[str, Field(max_length=100)]
    of_events: bool = False

    def jobs(self, here: Visit) -> FailedFilter:
        """The same jobs again, without any that has failed since. InputError for what no preview wrote."""
        if not is_id(Kind.JOB, self.through):
            raise InputError("through", "expected the last job of the preview")
        try:
            chosen = _chosen(here, dict(parse_qsl(self.asked)), of_events=self.of_events)
        except ValidationError:
            raise InputError("asked", "expected what the preview was asked for") from None
        until = min(chosen.until or self.as_of, self.as_of)
        return replace(chosen, until=until, through=self.through)


class PutAway(Seen):
    """Failed jobs that are put away, and why."""

    why: Annotated[str, Field(max_length=5000)]


class Wanted(Agreed, Seen):
    """The form that begins a replay: the jobs that the preview told of, and what was agreed to."""

    name: Annotated[str, Field(max_length=200)]
    why: Annotated[str, Field(max_length=5000)]
    rate: Annotated[int, Field(ge=1, le=FASTEST_RATE)] = DEFAULT_RATE


@router.get("/jobs/replay")
def preview_jobs(here: Here, query: Annotated[JobsWanted, Query()]) -> Response:
    """What a replay of these failed jobs would do; the page comes at once, and the figures follow."""
    return _preview(here, "/jobs/replay", query, of_events=False)


@router.get("/events/replay")
def preview_events(here: Here, query: Annotated[EventsWanted, Query()]) -> Response:
    """The same for events: those that ended well are interpreted again too."""
    return _preview(here, "/events/replay", query, of_events=True)


@router.post("/replays")
def begin(here: Here, wanted: Annotated[Wanted, Form()]) -> Response:
    """Begins the run; under a name that was used before it shows that one, and nothing is done twice."""
    confirmed = wanted.totals
    earlier = here.read(replays.find, wanted.name)
    run = replay_runs.start(
        here.desk,
        wanted.jobs(here),
        name=wanted.name,
        by=here.name,
        why=wanted.why,
        rate=wanted.rate,
        confirmed=confirmed,
        of_events=wanted.of_events,
    )
    if run.state is RunState.RUNNING and not run.is_held:
        replay_runs.enqueue(here.desk, run.name)
    said = "A replay of this name was there already: nothing was done twice." if earlier else "The replay has begun."
    return here.go(_path(run.name), said=said)


@router.post("/jobs/dismiss")
def dismiss(here: Here, wanted: Annotated[PutAway, Form()]) -> Response:
    """Puts failed jobs away for good."""
    count = replaying.dismiss(here.desk, wanted.jobs(here), by=here.name, why=wanted.why)
    return here.go("/jobs", said=f"{here.reader.number(count)} {'job was' if count == 1 else 'jobs were'} put away.")


@router.get("/replays")
def runs(here: Here) -> Response:
    """Every run, the newest first."""
    return here.show("replays/list.html", runs=here.read(replays.latest, limit=_RUNS_SHOWN))


class ItemQuery(Asked):
    """A page of the jobs of a run."""

    state: ItemState | None = None
    after: Cursor | None = None


@router.get("/replays/{name}")
def run(here: Here, name: str, query: Annotated[ItemQuery, Query()]) -> Response:
    """How far it is; while it runs, the page asks again each second."""
    found = here.read(replays.get, name)
    spent = here.read(replays.spent, name, with_unknown=True)
    page = here.read(run_items, name, state=query.state, after=query.after)
    chosen = {"state": query.state.value} if query.state else {}
    template = "replays/progress.html" if _is_part(here) else "replays/page.html"
    return here.show(
        template,
        run=found,
        spent=[(amount, currency) for currency, amount in sorted(spent.items())],
        page=page,
        path=_path(name),
        here_now=f"{_path(name)}?{urlencode({**chosen, **({'after': query.after} if query.after else {})})}",
        more=f"{_path(name)}?{urlencode({**chosen, 'after': page.next})}" if page.next else None,
        tabs=_item_tabs(found, query.state),
        is_moving=found.state is RunState.RUNNING or any(_is_under_way(item) for item in page.items),
    )


@router.post("/replays/{name}/stop")
def stop(here: Here, name: str) -> Response:
    """Before its next job."""
    replay_runs.stop(here.desk, name, by=here.name)
    return here.go(_path(name), said="The replay stops before its next job.")


class RestQuery(Asked):
    """`now` does without a script's help."""

    now: bool = False


@router.get("/replays/{name}/resume")
def before_resuming(here: Here, name: str, query: Annotated[RestQuery, Query()]) -> Response:
    """What the rest of it would do now; the page comes at once, and the figures follow."""
    found, path = here.read(replays.get, name), _path(name)
    if not _is_part(here) and not query.now:
        return here.show("replays/resume.html", run=found, told=None, confirmed="", path=path)
    rest = replay_runs.remaining(here.desk, name, told=0)
    template = "replays/rest.html" if _is_part(here) else "replays/resume.html"
    return here.show(template, run=found, told=rest, confirmed=_confirmed(rest), path=path)


@router.post("/replays/{name}/resume")
def resume(here: Here, name: str, wanted: Annotated[Agreed, Form()]) -> Response:
    """Lets it go on, within what is confirmed now for the rest, beside what it has set going."""
    rest = wanted.totals
    found = replay_runs.resume(here.desk, name, by=here.name, rest=rest)
    if found.state is RunState.RUNNING:
        replay_runs.enqueue(here.desk, name)
    return here.go(_path(name), said="The replay goes on.")


def _is_under_way(item: RunItem) -> bool:
    return item.state is ItemState.REPLAYED and item.job_state is JobState.READY and item.last_error is None


def _is_part(here: Visit) -> bool:
    return "hx-request" in here.request.headers


def _preview(here: Visit, path: str, query: "JobsWanted | EventsWanted", *, of_events: bool) -> Response:
    asked = {name: value for name, value in query.given.items() if name != "now"}
    common: dict[str, Any] = {
        "of_events": of_events,
        "asked": urlencode(asked),
        "name": f"{here.reader.now:%Y-%m-%d %H:%M:%S} {here.name}"[:100],
        "rate": DEFAULT_RATE,
        "fastest": FASTEST_RATE,
    }
    if not _is_part(here) and not query.now:
        whole = f"{path}?{urlencode({**asked, 'now': 'true'})}"
        part = f"{path}?{urlencode(asked)}"
        return here.show("replays/preview.html", part=part, whole=whole, told=None, **common)
    told = replaying.survey(here.desk, _chosen(here, asked, of_events=of_events), told=_TOLD)
    template = "replays/told.html" if _is_part(here) else "replays/preview.html"
    return here.show(template, part=None, whole=None, told=told, confirmed=_confirmed(told), **common)


def _chosen(here: Visit, asked: dict[str, str], *, of_events: bool) -> FailedFilter:
    """The jobs that a preview of this address is about."""
    if not of_events:
        query = JobsWanted.model_validate(asked)
        return FailedFilter(ids=_ids(query.ids), **query.model_dump(exclude={"ids", "now"}))
    wanted = EventsWanted.model_validate(asked)
    ids = tuple(wanted.ids.split(",")) if wanted.ids else None
    return replay_runs.jobs_of_events(here.desk, EventFilter() if ids else wanted.filter(), ids=ids)


def _confirmed(told: Survey) -> str:
    return " ".join(f"{amount.currency}:{amount.amount_minor}" for amount in told.totals.amounts)


def _totals(text: str, unknown: int) -> Totals:
    """Amounts as the preview wrote them. InputError for anything else."""
    amounts = []
    for part in text.split():
        currency, _, minor = part.partition(":")
        if not (len(currency) == 3 and currency.isascii() and currency.islower() and minor.isdecimal()):
            raise InputError("confirmed", "expected amounts as the preview told them")
        amounts.append(Money(amount_minor=int(minor), currency=currency))
    return Totals(amounts=tuple(amounts), unknown=unknown)


def _ids(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    ids = tuple(text.split(","))
    if len(ids) > MOST_IDS or not all(is_id(Kind.JOB, one) for one in ids):
        raise InputError("ids", f"expected at most {MOST_IDS} ids of jobs, separated by commas")
    return ids


def _item_tabs(run: ReplayRun, chosen: ItemState | None) -> list[tuple[str, str, int | None, bool]]:
    each = [
        (f"{_path(run.name)}?state={one.value}", one.value.capitalize(), run.count(one), one is chosen)
        for one in ItemState
    ]
    return [(_path(run.name), "All", run.total, chosen is None), *each]


def _path(name: str) -> str:
    return f"/replays/{quote(name, safe='')}"
