"""The queue: what waits for a person, by due time; taking cases one by one or several; lists under a name."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from pydantic import ConfigDict
from starlette.responses import Response

from billingbot.flows.casework import queue
from billingbot.store import queue_views
from billingbot.store.views.worklist import (
    MOST_COUNTED,
    Shown,
    Tallies,
    Who,
    choices,
    mention_list,
    tallies,
    worklist,
)
from billingbot.web.console.casework import because
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here, Visit
from billingbot.web.queue_query import QueueQuery

router = APIRouter(route_class=ConsoleRoute)


class ListQuery(QueueQuery):
    """The queue's address: a list can be sent to a colleague, and kept."""

    model_config = ConfigDict(extra="ignore")

    def address(self, **changes: object) -> str:
        """The query of this list, with these changes: what is as usual is left out."""
        told = self.model_copy(update={"after": None, **changes}).model_dump(mode="json", exclude_defaults=True)
        return urlencode({name: "yes" if value is True else value for name, value in told.items() if value})


Wanted = Annotated[ListQuery, Query()]
CaseIds = Annotated[list[str], Form(alias="case", min_length=1, max_length=queue.MOST_AT_ONCE)]
Back = Annotated[str, Form(max_length=1_000)]


@router.get("/queue")
def page(here: Here, wanted: Wanted) -> Response:
    """The list with its filters, tabs and sums."""
    offered = here.read(choices)
    return here.show(
        "queue/page.html",
        **_list(here, wanted),
        accounts=[("", "any"), *((name, name) for name in sorted({*here.desk.accounts, *offered.accounts}))],
        reasons=[(name, because(name)) for name in _with(offered.reasons, wanted.reason)],
        currencies=[(name, name.upper()) for name in _with(offered.currencies, wanted.currency)],
        saved=here.read(queue_views.of_owner, here.name),
    )


@router.get("/queue/rows")
def rows(here: Here, wanted: Wanted) -> Response:
    """The same as it is now, for a page that updates itself."""
    return here.show("queue/rows.html", **_list(here, wanted))


@router.post("/queue/next")
def take_next(here: Here, account: Annotated[str | None, Form(max_length=200)] = None) -> Response:
    """Takes the most urgent case in nobody's hands, and opens it."""
    case = queue.claim_next(here.desk, here.name, account=account or None)
    if case is None:
        return here.go("/queue", said="Nothing waits that you could take. Well done.")
    return here.go(f"/cases/{case.id}")


@router.post("/queue/claim")
def claim(here: Here, cases: CaseIds, back: Back = "") -> Response:
    """Takes the chosen cases."""
    return _handled(here, queue.claim_all(here.desk, here.name, cases), "Yours now", back)


@router.post("/queue/release")
def release(here: Here, cases: CaseIds, back: Back = "") -> Response:
    """Gives the chosen cases back."""
    return _handled(here, queue.release_all(here.desk, here.name, cases), "Back in the queue", back)


@router.post("/queue/views")
def save(here: Here, name: Annotated[str, Form(max_length=200)], query: Back = "") -> Response:
    """Keeps this list under a name."""
    view = queue.save_view(here.desk, here.name, name=name, query=query)
    return here.go(f"/queue?{view.query}", said=f"Kept as “{view.name}”.")


@router.get("/queue/views/{view_id}")
def open_view(here: Here, view_id: str) -> Response:
    """A kept list by its address, whoever keeps it."""
    return here.go(f"/queue?{here.read(queue_views.get, view_id).query}")


@router.post("/queue/views/{view_id}/drop")
def drop(here: Here, view_id: str) -> Response:
    """Forgets a list of one's own."""
    queue.drop_view(here.desk, here.name, view_id)
    return here.go("/queue", said="The list is forgotten; its cases are where they were.")


@router.get("/mentions")
def mentions(here: Here) -> Response:
    """The notes that name whoever looks."""
    return here.show("queue/mentions.html", mentions=here.read(mention_list, here.name))


def _with(offered: Sequence[str], chosen: str | None) -> list[str]:
    """What there is to choose from, and what is chosen though nothing has it any more."""
    return sorted({*offered, chosen} - {None}) if chosen else list(offered)


def _list(here: Visit, wanted: ListQuery) -> dict[str, Any]:
    now = here.reader.now.astimezone(here.reader.zone)
    filters = wanted.filter(me=here.name, midnight=now.replace(hour=0, minute=0, second=0, microsecond=0))
    counts = here.read(tallies, filters)
    return {
        "wanted": wanted,
        "lines": here.read(worklist, filters, after=wanted.after),
        "tabs": _tabs(wanted, counts),
        "sums": counts.sums,
        "mentioned": counts.mentions,
        "address": wanted.address(),
        "because": because,
    }


def _tabs(wanted: ListQuery, counts: Tallies) -> list[tuple[str, str, str, bool]]:
    """Address, name, count in words, and whether it is the one shown."""
    usual = {"show": Shown.WAITING, "who": Who.ANYBODY, "overdue": False}
    entries: list[tuple[str, int, dict[str, object]]] = [
        ("Waiting", counts.waiting, {}),
        ("Mine", counts.mine, {"who": Who.MINE}),
        ("Unassigned", counts.nobody, {"who": Who.NOBODY}),
        ("Overdue", counts.overdue, {"overdue": True}),
        ("Put off", counts.snoozed, {"show": Shown.SNOOZED}),
        ("Closed today", counts.closed, {"show": Shown.CLOSED}),
    ]
    return [
        (
            f"/queue?{wanted.address(**usual | changes)}",
            name,
            f"{MOST_COUNTED:,}+" if count > MOST_COUNTED else f"{count:,}",
            all(getattr(wanted, field) == value for field, value in (usual | changes).items()),
        )
        for name, count, changes in entries
    ]


def _handled(here: Visit, handled: queue.Handled, done: str, back: str) -> Response:
    told = [f"{done}: {len(handled.done)}."] if handled.done else []
    told += [f"Not {case_id}: {why.partition(': ')[2] or why}." for case_id, why in handled.refused[:3]]
    if len(handled.refused) > 3:
        told.append(f"And {len(handled.refused) - 3} more were not.")
    if len(handled.done) == 1 and not handled.refused and done == "Yours now":
        return here.go(f"/cases/{handled.done[0]}")
    return here.go(f"/queue?{back}" if back else "/queue", said=" ".join(told))
