"""The porch, passed on the way in and out: no body without end, strict headers, a time taken, never a bare crash."""

import asyncio
from http import HTTPStatus
from time import perf_counter
from typing import Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billingbot.web.answers import error, unavailable
from billingbot.web.metrics import Metrics

# No page lives here: nothing may be sniffed, framed, cached, or loaded from an answer.
# https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html#security-headers
STRICT_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
# Forms and orders have a few kilobytes; what is larger takes seconds to refuse field by field.
MOST_BODY_BYTES: Final = 256 * 1024
# Ten thousand hits of the largest shape have about 4 MB. A policy has half a megabyte, three times that in a form.
_WIDER: Final = {"/api/v1/activity": 5 * 1024 * 1024, "/api/v1/policies": 2 * 1024 * 1024, "/policy": 2 * 1024 * 1024}
# The widest body over a poor line; whoever takes longer holds a connection for nothing.
BODY_SECONDS: Final = 30.0

_CUT_SHORT: Final = "billingbot is being restarted; what was asked for may have been done: look before repeating it"

log = structlog.get_logger(__name__)


class Porch:
    """ASGI middleware around everything: counts what comes in, completes the headers of what goes out, times both.

    What is at or below `hot_path` goes to `hot`, past the framework. A body has to be whole within `body_seconds`.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, hot: ASGIApp, hot_path: str, body_seconds: float = BODY_SECONDS
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._hot = hot
        self._hot_path = hot_path
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        way_out = _WayOut(send)
        began = perf_counter()
        is_hot = scope["path"] == self._hot_path or scope["path"].startswith(f"{self._hot_path}/")
        try:
            if is_hot:
                await self._hot(scope, receive, way_out.send)
            else:
                way_in = _WayIn(receive, most_bytes(scope["path"]), self._body_seconds)
                await self._app(scope, way_in.receive, way_out.send)
        except ClientDisconnect:
            log.debug("web.went_away", method=scope["method"])  # in the middle of their body: nobody to answer
        except asyncio.CancelledError:  # the server ends, and will not wait any longer; the work may come to its end
            log.warning("web.cut_short", method=scope["method"])
            if way_out.status is None:
                await unavailable(_CUT_SHORT)(scope, receive, way_out.send)
        except Exception as fault:
            log.exception("web.failed", method=scope["method"], why=type(fault).__name__)
            if way_out.status is None:
                says = "something broke on our side; it is in the log"
                answer = error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", says)
                await answer(scope, receive, way_out.send)
        if way_out.status is not None:
            route = self._hot_path if is_hot else _route(scope)
            self._metrics.request(scope["method"], route, way_out.status, perf_counter() - began)


def most_bytes(path: str) -> int:
    """The largest body that is taken at this path."""
    return next((most for at, most in _WIDER.items() if path == at or path.startswith(f"{at}/")), MOST_BODY_BYTES)


class _WayIn:
    """The receiving side of one request."""

    def __init__(self, receive: Receive, most: int, seconds: float) -> None:
        self._receive = receive
        self._left = most
        self._until = asyncio.get_running_loop().time() + seconds
        self._is_whole = False

    async def receive(self) -> Message:
        if self._is_whole:  # a stream of news waits here for its reader to go, however long that takes
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, headers={"Connection": "close"}) from None
        self._is_whole = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return message


class _WayOut:
    """The sending side of one request."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            there = {name for name, _ in headers}
            missing = [header for header in STRICT_HEADERS if header[0] not in there]
            message = {**message, "headers": [*headers, *missing]}
        await self._send(message)


def _route(scope: Scope) -> str:
    """The template of the route, such as `/api/v1/cases/{case_id}`; one word for all paths that lead nowhere.

    Made from the path and its parameters, since FastAPI does not tell an included route's whole path.
    """
    if "endpoint" not in scope:
        return "none"
    names = {value: name for name, value in scope.get("path_params", {}).items()}
    parts = (f"{{{names[part]}}}" if part in names else part for part in scope["path"].split("/"))
    return "/".join(parts)
