"""Signing in and out: by a one-time link, by password and code. A link is looked at first: programs open links too."""

from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from billingbot.core.access.session import LASTS, STEP_LASTS, LinkPurpose
from billingbot.core.errors import ForbiddenError
from billingbot.flows.access import sign_in, sign_in_oidc
from billingbot.flows.access.sign_in_local import TooManyTriesError, WrongError, by_code, by_password
from billingbot.flows.desk import Desk
from billingbot.web.console.door import ConsoleRoute, PublicRoute
from billingbot.web.console.rendering import render
from billingbot.web.console.visit import Here, cookie_name, is_secure, local_path
from billingbot.web.reading import desk_of

public = APIRouter(route_class=PublicRoute)
router = APIRouter(route_class=ConsoleRoute)

TheDesk = Annotated[Desk, Depends(desk_of)]
Text = Annotated[str, Form(max_length=1000)]

_STEP: Final = "billingbot_step"
_ERRAND: Final = "billingbot_errand"
FIRST_PASSWORD: Final = "/account/password"  # noqa: S105 # a page, not a secret


@public.get("/sign-in")
def page(desk: TheDesk, next: str = "/") -> Response:  # noqa: A002 # what the query says
    """How to come in."""
    return _page(desk, to=next)


@public.post("/sign-in")
def come_by_password(
    request: Request,
    desk: TheDesk,
    who: Text = "",
    password: Text = "",
    next: Text = "/",  # noqa: A002 # what the form says
) -> Response:
    """By name or address, and password. A wrong one and an unknown one are told alike."""
    try:
        entered = by_password(desk, who, password, address=_address(request), user_agent=_agent(request))
    except TooManyTriesError as fault:
        return _page(desk, to=next, who=who, told=str(fault), status=HTTPStatus.TOO_MANY_REQUESTS)
    except WrongError as fault:
        return _page(desk, to=next, who=who, told=str(fault), status=HTTPStatus.FORBIDDEN)
    return come_in(request, entered, to=next)


@public.get("/sign-in/oidc")
def set_out(request: Request, desk: TheDesk, next: str = "/") -> Response:  # noqa: A002 # what the query says
    """Out to the company's own sign-in."""
    leaves = sign_in_oidc.set_out(desk, redirect_uri=_way_back(request), to=local_path(next))
    answer = RedirectResponse(leaves.url, status_code=HTTPStatus.SEE_OTHER)
    set_secret(answer, request, _own(_ERRAND, request), leaves.cookie, seconds=int(STEP_LASTS.total_seconds()))
    return answer


@public.get("/sign-in/oidc/back")
def come_back(request: Request, desk: TheDesk, code: str = "", state: str = "") -> Response:
    """Back from it, with a code that says who it is."""
    errand = request.cookies.get(_own(_ERRAND, request), "")
    entered, to = sign_in_oidc.come_back(
        desk, errand, redirect_uri=_way_back(request), state=state, code=code, user_agent=_agent(request)
    )
    answer = come_in(request, entered, to=to)
    answer.delete_cookie(_own(_ERRAND, request), path="/", secure=is_secure(request), httponly=True)
    return answer


@public.get("/sign-in/code")
def ask_for_code(next: str = "/") -> Response:  # noqa: A002 # what the query says
    """The second factor."""
    return _code_page(to=next)


@public.post("/sign-in/code")
def come_by_code(
    request: Request,
    desk: TheDesk,
    code: Text = "",
    next: Text = "/",  # noqa: A002 # what the form says
) -> Response:
    """By the code that the authenticator shows, or by a recovery code."""
    try:
        entered = by_code(desk, request.cookies.get(_own(_STEP, request), ""), code, user_agent=_agent(request))
    except WrongError as fault:
        return _code_page(to=next, told=str(fault), status=HTTPStatus.FORBIDDEN)
    except ForbiddenError as fault:
        return _page(desk, to=next, told=str(fault), status=HTTPStatus.FORBIDDEN)
    answer = come_in(request, entered, to=next)
    answer.delete_cookie(_own(_STEP, request), path="/", secure=is_secure(request), httponly=True)
    return answer


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
    """Signs in, and uses the link up. Who has an address and no password yet is asked for one."""
    entered = sign_in.by_link(desk, secret, name=name or None, email=email or None, user_agent=_agent(request))
    wants_password = (
        isinstance(entered, sign_in.SignedIn) and entered.person.email is not None and not entered.person.has_password
    )
    return come_in(request, entered, to=FIRST_PASSWORD if wants_password else "/")


@router.post("/sign-out")
def sign_out(here: Here) -> Response:
    """Ends this session."""
    sign_in.sign_out(here.desk, here.session)
    answer = RedirectResponse("/sign-in", status_code=HTTPStatus.SEE_OTHER)
    answer.delete_cookie(cookie_name(here.request), path="/", secure=is_secure(here.request), httponly=True)
    return answer


def come_in(request: Request, entered: sign_in.SignedIn | sign_in.Halfway, *, to: str = "/") -> Response:
    """The way in: the session's cookie, for no script and no other site; or on to the second factor."""
    if isinstance(entered, sign_in.Halfway):
        answer = _go("/sign-in/code", to=to)
        set_secret(answer, request, _own(_STEP, request), entered.secret, seconds=int(STEP_LASTS.total_seconds()))
        return answer
    answer = RedirectResponse(local_path(to), status_code=HTTPStatus.SEE_OTHER)
    set_secret(answer, request, cookie_name(request), entered.secret, seconds=int(LASTS.total_seconds()))
    return answer


def base_of(request: Request) -> str:
    """Where people reach us: as configured, else as they came."""
    desk: Desk = request.app.state.desk
    return (desk.public_url or str(request.base_url)).rstrip("/")


def set_secret(answer: Response, request: Request, name: str, secret: str, *, seconds: int) -> None:
    """A secret for this browser alone. Lax: the company's own sign-in leads back here from another site."""
    answer.set_cookie(name, secret, max_age=seconds, path="/", secure=is_secure(request), httponly=True, samesite="lax")


def _own(name: str, request: Request) -> str:
    """The name of a cookie of somebody who is in the middle of coming in: bound to this host where the way is https."""
    return f"__Host-{name}" if is_secure(request) else name


def _way_back(request: Request) -> str:
    return f"{base_of(request)}/sign-in/oidc/back"


def _go(path: str, *, to: str) -> Response:
    to = local_path(to)
    back = f"?next={quote(to, safe='')}" if to != "/" else ""
    return RedirectResponse(f"{path}{back}", status_code=HTTPStatus.SEE_OTHER)


def _page(desk: Desk, *, to: str, who: str = "", told: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    context = {
        "next": local_path(to),
        "who": who,
        "told": told,
        "company": desk.oidc.name if desk.oidc else None,
        "passwords": desk.passwords,
    }
    return HTMLResponse(render("sign_in/page.html", context), status_code=status)


def _code_page(*, to: str, told: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    return HTMLResponse(render("sign_in/code.html", {"next": local_path(to), "told": told}), status_code=status)


def _address(request: Request) -> str:
    """Where the request came from: the proxy's client, where a proxy is believed (BILLINGBOT_PROXIES)."""
    return request.client.host if request.client else ""


def _agent(request: Request) -> str:
    return request.headers.get("user-agent", "")
