"""Privacy: what is kept of a customer, and erasing it. The address travels in forms, never in an address line."""

import json
from typing import Annotated, Final

from fastapi import APIRouter, Form
from starlette.responses import Response

from billingbot.core.access.powers import Power
from billingbot.core.errors import InputError
from billingbot.core.ids import Kind
from billingbot.core.privacy import Held
from billingbot.flows import privacy_searches
from billingbot.store import searches
from billingbot.web.api.fields import id_of
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here

router = APIRouter(route_class=ConsoleRoute, prefix="/settings/privacy")

Text = Annotated[str, Form(max_length=1000)]
_SHOWN: Final = 20


@router.get("")
def page(here: Here) -> Response:
    """Whose data is meant, and what was looked for before."""
    here.desk.require(Power.MANAGE)
    return here.show("settings/privacy.html", searches=here.read(searches.latest, limit=_SHOWN))


@router.post("")
def look(here: Here, email: Text = "") -> Response:
    """Has a worker look."""
    return here.go(f"/settings/privacy/{privacy_searches.look(here.desk, email, by=here.name)}")


@router.get("/{search_id}")
def one(here: Here, search_id: str) -> Response:
    """How far it is, what was found, and what has gone."""
    here.desk.require(Power.MANAGE)
    whose = privacy_searches.whose(here.desk, id_of(Kind.ERASURE, search_id))
    found = here.read(searches.get, search_id)
    part = "hx-request" in here.request.headers
    return here.show(
        "settings/privacy_found.html" if part else "settings/privacy_search.html",
        search=found,
        whose=whose,
        counts=_counts(found.held),
        gone=_counts(found.erased),
    )


@router.post("/{search_id}/show")
def show(here: Here, search_id: str) -> Response:
    """Everything that is kept, as a file to hand over."""
    found = privacy_searches.show(here.desk, search_id, by=here.name)
    name = 'attachment; filename="personal-data.json"'
    content = json.dumps(found, default=str, indent=2, ensure_ascii=False)
    return Response(content, media_type="application/json", headers={"Content-Disposition": name})


@router.post("/{search_id}/erase")
def erase(here: Here, search_id: str, sure: Text = "") -> Response:
    """Gone for good; what is under way stays until it ends."""
    here.desk.require(Power.MANAGE)
    if not sure:
        raise InputError("sure", "expected, since it cannot be undone")
    privacy_searches.agree(here.desk, search_id, by=here.name)
    return here.go(f"/settings/privacy/{search_id}")


@router.post("/{search_id}/drop")
def drop(here: Here, search_id: str) -> Response:
    """Nothing is erased, and the address is forgotten."""
    privacy_searches.drop(here.desk, search_id)
    return here.go("/settings/privacy", said="Nothing was erased, and the address is forgotten.")


def _counts(held: Held | None) -> list[tuple[str, int]]:
    counted = held.counted() if held else {}
    return [(name, count) for name, count in counted.items() if not name.startswith("open_")]
