"""The ASGI application: Stripe's API under /v1 and /v2, the control API under /_sandbox/, connections cut on demand."""

import logging
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from billingbot.sandbox import banks as _banks  # noqa: F401 - registers its commands
from billingbot.sandbox import control, files
from billingbot.sandbox.api import Incoming, Reply, answer, crash_reply
from billingbot.sandbox.local import LocalStripe

_LOG: Final = logging.getLogger("billingbot.sandbox")


class SandboxApp:
    """Speaks HTTP for one local Stripe."""

    def __init__(self, local: LocalStripe) -> None:
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's request, or the server's start and end."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        if request.url.path.startswith("/_sandbox"):
            reply = await run_in_threadpool(
                control.answer, self._local, request.method, request.url.path, request.url.query, body
            )
        else:
            reply = await run_in_threadpool(self._stripe, _incoming(request, body))
        await _deliver(reply, scope, receive, send)

    def _stripe(self, incoming: Incoming) -> Reply:
        try:
            return answer(self._local, incoming)
        except Exception:  # noqa: BLE001 - a bug of the sandbox is a 500 of Stripe's to its caller, and is logged
            _LOG.exception("sandbox bug: %s %s", incoming.method, incoming.path)
            return crash_reply("req_bug")


def _incoming(request: Request, body: bytes) -> Incoming:
    with_body = request.method not in ("GET", "DELETE")
    form = body.decode("utf-8", "replace") if with_body else request.url.query
    if request.method == "DELETE" and body:
        form = "&".join(part for part in (form, body.decode("utf-8", "replace")) if part)
    headers = {name.lower(): value for name, value in request.headers.items()}
    if with_body and headers.get("content-type", "").startswith("multipart/form-data"):
        form = files.as_form(headers["content-type"], body)
    return Incoming(method=request.method, path=request.url.path, form=form, headers=headers)


async def _deliver(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    if reply.cut is None:
        await Response(reply.body, reply.status, reply.headers)(scope, receive, send)
        return
    if reply.cut == "half":
        length = str(len(reply.body)).encode()
        headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
        start: dict[str, Any] = {"type": "http.response.start", "status": reply.status}
        await send({**start, "headers": [*headers, (b"content-length", length)]})
        half = reply.body[: len(reply.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
    await _hang_up(receive, send)


async def _hang_up(receive: Receive, send: Send) -> None:
    """Close the connection under uvicorn's feet: ASGI has no word for it, but its `send` belongs to the cycle that
    owns the transport. Then wait until uvicorn has noticed, so that it does not answer 500 in our place."""
    send.__self__.transport.close()  # type: ignore[attr-defined] # a bound method of uvicorn's RequestResponseCycle
    while (await receive())["type"] != "http.disconnect":
        pass
