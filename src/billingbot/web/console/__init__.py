"""The console: pages for support, ops and finance, rendered here, with nothing loaded from elsewhere."""

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from billingbot.web.answers import refused
from billingbot.web.console import assets
from billingbot.web.console.door import HEADERS, fault_page
from billingbot.web.console.pages import public, routers
from billingbot.web.console.pulse import Pulse


def install(app: FastAPI) -> None:
    """Adds the console to the application; an address that leads nowhere is a page for people, JSON for programs."""
    app.state.pulse = Pulse(app.state.desk)
    app.include_router(assets.router)
    for router in (*public, *routers):
        app.include_router(router, include_in_schema=False)
    app.add_exception_handler(HTTPException, _nowhere)


async def _nowhere(request: Request, fault: Exception) -> Response:
    accepts_pages = "text/html" in request.headers.get("accept", "")
    if not accepts_pages or request.url.path.startswith(("/api/", "/webhooks", "/static/")):
        return await refused(request, fault)
    answer = fault_page(request, fault)
    answer.headers.update(HEADERS)
    return answer
