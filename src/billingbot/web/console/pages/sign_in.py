"""Signing in and out: a one-time link is looked at first and used by a button, since programs open links too."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from billingbot.core.session import LASTS, LinkPurpose
from billingbot.flows import sign_in
from billingbot.flows.desk import Desk
from billingbot.web.console.door import ConsoleRoute, PublicRoute
from billingbot.web.console.rendering import render
from billingbot.web.console.visit import Here, cookie_name, local_path
from billingbot.web.reading import desk_of

public = APIRouter(route_class=PublicRoute)
router = APIRouter(route_class=ConsoleRoute)

TheDesk = Annotated[Desk, Depends(desk_of)]


@public.get("/sign-in")
def page() -> Response:
    """How to come in."""
    return HTMLResponse(render("sign_in/page.html", {}))


@public.get("/sign-in/link/{secret}")
def look_at_link(secret: str, request: Request, desk: TheDesk) -> Response:
    """What the link would do, with the button that does it."""
    link = sign_in.look_at_link(desk, secret)
    first = link.purpose is LinkPurpose.FIRST_ADMIN
    return HTMLResponse(render("sign_in/link.html", {"action": request.url.path, "first": first, "name": link.name}))


@public.post("/sign-in/link/{secret}")
def use_link(
    secret: str,
    request: Request,
    desk: TheDesk,
    name: Annotated[str | None, Form()] = None,
    email: Annotated[str | None, Form()] = None,
) -> Response:
    """Signs in, and uses the link up."""
    agent = request.headers.get("user-agent", "")
    return come_in(request, sign_in.by_link(desk, secret, name=name or None, email=email or None, user_agent=agent))


@router.post("/sign-out")
def sign_out(here: Here) -> Response:
    """Ends this session."""
    sign_in.sign_out(here.desk, here.session)
    answer = RedirectResponse("/sign-in", status_code=HTTPStatus.SEE_OTHER)
    answer.delete_cookie(cookie_name(here.request), path="/")
    return answer


def come_in(request: Request, signed_in: sign_in.SignedIn, *, to: str = "/") -> Response:
    """The way in: the session's cookie, for no script and no other site, and the page that was wanted."""
    answer = RedirectResponse(local_path(to), status_code=HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        cookie_name(request),
        signed_in.secret,
        max_age=int(LASTS.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return answer
