"""Search: one field for any id, address or amount; a single hit opens at once."""

from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from billingbot.store.views.search import MOST_QUERY, Hit, search
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here

router = APIRouter(route_class=ConsoleRoute)

_PLACES: Final = {
    "case": "/cases/",
    "refund": "/refunds/",
    "job": "/jobs/",
    "event": "/events/",
    "dispute": "/disputes/",
}


@router.get("/search")
def find(here: Here, q: Annotated[str, Query(max_length=MOST_QUERY)] = "") -> Response:
    """What was meant, or a list of what may have been."""
    found = [_shown(hit) for hit in here.read(search, q, accounts=sorted(here.desk.accounts))]
    if len(found) == 1:
        return here.go(str(found[0]["href"]))
    return here.show("search/page.html", q=q.strip(), found=found)


def _shown(hit: Hit) -> dict[str, object]:
    fields = {name: getattr(hit, name) for name in Hit.__slots__}
    return fields | {"href": f"{_PLACES[hit.kind]}{hit.id}"}
