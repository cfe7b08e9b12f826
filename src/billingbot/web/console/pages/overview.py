"""The front page: today's money, what waits, and the health of everything, in one screen."""

from fastapi import APIRouter
from starlette.responses import Response

from billingbot.store import views
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here

router = APIRouter(route_class=ConsoleRoute)


@router.get("/")
def overview(here: Here) -> Response:
    """Everything at a glance."""
    return here.show("overview/page.html", counts=here.read(views.counts))
