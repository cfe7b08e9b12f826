"""Privacy: what is kept of a customer, and erasing it. The address travels in forms, never in an address line."""

import json
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.responses import Response

from billingbot.core.access.powers import Power
from billingbot.core.errors import InputError
from billingbot.core.privacy import Held
from billingbot.flows import privacy
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here

router = APIRouter(route_class=ConsoleRoute, prefix="/settings/privacy")

Text = Annotated[str, Form(max_length=1000)]


@router.get("")
def page(here: Here) -> Response:
    """Whose data is meant."""
    here.desk.require(Power.MANAGE)
    return here.show("settings/privacy.html", email="", counts=None, held=None)


@router.post("/preview")
def preview(here: Here, email: Text = "") -> Response:
    """How much is kept, and how much of it can go."""
    held = privacy.preview(here.desk, email)
    return here.show("settings/privacy.html", email=email, counts=_counts(held), held=held)


@router.post("/show")
def show(here: Here, email: Text = "") -> Response:
    """Everything that is kept, as a file to hand over."""
    found = json.dumps(privacy.show(here.desk, email, by=here.name), default=str, indent=2, ensure_ascii=False)
    name = 'attachment; filename="personal-data.json"'
    return Response(found, media_type="application/json", headers={"Content-Disposition": name})


@router.post("/erase")
def erase(here: Here, email: Text = "", sure: Text = "") -> Response:
    """Gone for good; what is under way stays until it ends."""
    if not sure:
        raise InputError("sure", "expected, since it cannot be undone")
    done = privacy.erase(here.desk, email, by=here.name)
    gone = ", ".join(f"{count} {name}" for name, count in _counts(done)) or "nothing: it was gone already"
    stays = (
        f" {done.open_cases} open cases and {done.open_disputes} open disputes stay until they end; erase again then."
    )
    return here.go("/settings/privacy", said=f"Erased: {gone}.{stays if done.open_cases or done.open_disputes else ''}")


def _counts(held: Held) -> list[tuple[str, int]]:
    return [(name, count) for name, count in held.counted().items() if not name.startswith("open_")]
