"""`/charges/{id}`: one address for a charge, with all that was ever asked, refunded and disputed about it."""

from fastapi import APIRouter
from starlette.responses import Response

from billingbot.store.views.case_story import charge_story
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here

router = APIRouter(route_class=ConsoleRoute)


@router.get("/charges/{charge_id}")
def page(here: Here, charge_id: str) -> Response:
    """Everything that we know of the charge."""
    return here.show("charges/page.html", found=here.read(charge_story, charge_id, sorted(here.desk.accounts)))
