"""The console's door: who comes in, by which forms, with which headers, and what a fault looks like to a person."""

import hmac
from collections.abc import Callable, Coroutine, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlsplit

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from billingbot.core.errors import (
    BillingbotError,
    ConflictError,
    ForbiddenError,
    InputError,
    NotFoundError,
    PowerMissingError,
    RetryLaterError,
    StripeFaultError,
)
from billingbot.web.answers import problems_of
from billingbot.web.console.rendering import render
from billingbot.web.console.visit import NotSignedInError, Visit, admit

_READS: Final = frozenset({"GET", "HEAD"})
# Everything from here, nothing inline, in nobody's frame. Pictures may be drawn in place (a QR code).
# https://cheatsheetseries.owasp.org/cheatsheets/Content_Security_Policy_Cheat_Sheet.html
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_REFUSED: Final[Mapping[HTTPStatus, tuple[str, str, str]]] = {
    HTTPStatus.NOT_FOUND: (
        "Not here",
        "There is no page at this address.",
        "Check it, or search for what you want.",
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: ("Not taken", "This address takes another kind of request.", "Begin at a page."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("Too large", "That is more than is taken here.", "Send less at a time."),
    HTTPStatus.REQUEST_TIMEOUT: ("Too slow", "It did not come in time.", "Send it again."),
}

# Whether anything came of it is not known here: the page itself tells.
_PERHAPS: Final = "What was asked for may have been done: load the page again before repeating it."
_ASK_FOR_IT: Final = "Whoever manages people here can give it to you."

log = structlog.get_logger(__name__)


class ForgedError(BillingbotError):
    """A form that did not come from a page of this session."""


class PublicRoute(APIRoute):
    """A page that anybody may see: signing in. Faults are pages, and every answer has the console's headers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's own handler, behind the door."""
        handle = super().get_route_handler()

        async def behind_the_door(request: Request) -> Response:
            try:
                await self.check(request)
                answer = await handle(request)
            except NotSignedInError:
                answer = _to_sign_in(request)
            except ClientDisconnect:  # gone before the form had come whole: nothing was asked, nobody reads an answer
                answer = Response(status_code=HTTPStatus.BAD_REQUEST)
            except Exception as fault:  # noqa: BLE001 - whatever breaks, a person reads a page about it
                answer = fault_page(request, fault)
            for name, value in HEADERS.items():
                answer.headers.setdefault(name, value)  # a download says for itself how long it may be kept
            return answer

        return behind_the_door

    async def check(self, request: Request) -> None:
        """What must hold before the page is asked: a form from another site never does, nor what cannot be stored."""
        if request.method not in _READS and not _is_from_here(request):
            raise ForgedError("this form came from another site")
        _refuse_nul([("address", str(request.scope["path"])), *request.query_params.multi_items()])


def _is_from_here(request: Request) -> bool:
    """What the browser itself says of where a form comes from; older ones say no more than the origin."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin is None or urlsplit(origin).netloc == request.url.netloc


class ConsoleRoute(PublicRoute):
    """A page for people who are signed in; a form must carry the mark of their session."""

    async def check(self, request: Request) -> None:
        """NotSignedInError, ForgedError."""
        await super().check(request)
        await admit(request)
        if request.method in _READS:
            return
        visit: Visit = request.state.visit
        form = await request.form()
        sent = request.headers.get("x-csrf-token") or str(form.get("csrf", ""))
        if not hmac.compare_digest(sent.encode(), visit.csrf.encode()):
            raise ForgedError("this form has grown old, or did not come from here: load the page again")
        _refuse_nul([(name, value) for name, value in form.multi_items() if isinstance(value, str)])


def _refuse_nul(told: Iterable[tuple[str, str]]) -> None:
    """InputError for the one character that Postgres keeps in no text; everything else is a matter of the page."""
    for name, value in told:
        if "\x00" in name or "\x00" in value:
            raise InputError(name.replace("\x00", ""), "expected text without NUL")


def fault_page(request: Request, fault: Exception) -> Response:
    """What happened, whether money moved, and what to do: as a page, or as a message within one."""
    status, title, told, advice = _told(fault)
    if request.method in _READS and advice.endswith(_PERHAPS):
        advice = "Nothing was changed and no money moved: you only looked. Load the page again in a minute."
    context = {"status": status, "title": title, "told": told, "advice": advice}
    visit: Visit | None = getattr(request.state, "visit", None)
    if visit is None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        context["told"] = "What this page is made from does not answer."  # where it stands is nothing for strangers
    if "hx-request" in request.headers:
        # Within a page: shown beside it, so that nothing which was typed is lost.
        answer = HTMLResponse(render("fault_message.html", context), status_code=status)
        answer.headers["HX-Retarget"] = "#messages"
        answer.headers["HX-Reswap"] = "innerHTML"
        return answer
    if visit is not None:
        return visit.show("fault.html", status=status, **{k: v for k, v in context.items() if k != "status"})
    return HTMLResponse(render("fault_public.html", context), status_code=status)


def _told(fault: Exception) -> tuple[HTTPStatus, str, str, str]:
    nothing = "Nothing was changed and no money moved."
    match fault:
        case InputError() | RequestValidationError():
            told = "; ".join(f"{field}: {expected}" for field, expected in problems_of(fault))
            return HTTPStatus.UNPROCESSABLE_ENTITY, "That cannot be used", told, f"{nothing} Mend it and send it again."
        case ConflictError():
            return HTTPStatus.CONFLICT, "It has changed meanwhile", str(fault), f"{nothing} Load the page again."
        case ForgedError():
            return HTTPStatus.FORBIDDEN, "Not taken", str(fault), nothing
        case PowerMissingError(roles=roles):
            return HTTPStatus.FORBIDDEN, "Not allowed", f"It takes the role {roles}.", f"{nothing} {_ASK_FOR_IT}"
        case ForbiddenError():
            return HTTPStatus.FORBIDDEN, "Not allowed", str(fault), nothing
        case NotFoundError():
            return HTTPStatus.NOT_FOUND, "Not here", str(fault), "Check the id, or search for it."
        case RetryLaterError():
            log.warning("web.unavailable", why=str(fault))
            return HTTPStatus.SERVICE_UNAVAILABLE, "Not reachable just now", str(fault), f"Nothing is lost. {_PERHAPS}"
        case StripeFaultError():
            log.error("web.stripe_fault", why=str(fault))
            return HTTPStatus.BAD_GATEWAY, "Stripe could not be read", str(fault), nothing
        case HTTPException(status_code=status):
            return HTTPStatus(status), *_REFUSED.get(HTTPStatus(status), ("Not taken", "This cannot be read.", nothing))
        case _:
            log.exception("web.failed", why=type(fault).__name__)
            told = "Something broke on our side. What broke stands in the log of the web process, as web.failed."
            return HTTPStatus.INTERNAL_SERVER_ERROR, "It broke", told, _PERHAPS


def _to_sign_in(request: Request) -> Response:
    if "hx-request" in request.headers:
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": "/sign-in"})
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = f"?next={quote(path, safe='')}" if request.method in _READS and path != "/" else ""
    return RedirectResponse(f"/sign-in{back}", status_code=HTTPStatus.SEE_OTHER)
