"""The webhook door: raw bytes in, 2xx only once the event is committed, a reason for everything else."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from billingbot.core.errors import RetryLaterError
from billingbot.flows.receive import Endpoint, NotNeeded, Rejected, Wanted, admit
from billingbot.web.answers import error, unavailable
from billingbot.web.batches import Batches
from billingbot.web.metrics import Metrics

WEBHOOKS: Final = "/webhooks/stripe"
DEFAULT_ACCOUNT: Final = "default"
# Stripe's largest events stay under 256 KiB; four times that leaves room.
MOST_BYTES: Final = 1024 * 1024
# Stripe sends a body in one piece. Ten seconds are a slow line; longer is somebody who holds connections open.
BODY_SECONDS: Final = 10.0
_SIGNATURE: Final = b"stripe-signature"
_ACCOUNT: Final = re.compile(r"[a-z][a-z0-9-]{0,40}")
_UNKNOWN: Final = "unknown"
_STATUS: Final = {"too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_slow": HTTPStatus.REQUEST_TIMEOUT}

log = structlog.get_logger(__name__)


class WebhookDoor:
    """An ASGI application for `/webhooks/stripe` and `/webhooks/stripe/{account}`.

    Plain ASGI, since this is the hot path: no framework between the socket and the bytes that are signed. The
    framework's way in would cost as much as the signature, the decoding and the queue together.
    """

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        batches: Batches,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        """`clock` gives Unix seconds, to compare with the instant that Stripe signed."""
        self._endpoints = endpoints
        self._batches = batches
        self._metrics = metrics
        self._clock = clock
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(scope, receive)
        if answer is not None:
            await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        """The answer to one delivery; None where the client has gone."""
        if scope["method"] != "POST":
            answer = error(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "method: expected POST")
            answer.headers["Allow"] = "POST"
            return answer
        name = DEFAULT_ACCOUNT if scope["path"] == WEBHOOKS else scope["path"].removeprefix(f"{WEBHOOKS}/")
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            known = name if _ACCOUNT.fullmatch(name) else "?"
            log.warning("webhook.rejected", reason="unknown_account", account=known, size=None)
            self._metrics.rejection(_UNKNOWN, "unknown_account")
            return error(HTTPStatus.NOT_FOUND, "unknown_account", "account: expected one that is configured here")
        body = await self._read(scope, receive)
        if isinstance(body, Rejected):
            return self._reject(name, body, size=None)
        return None if body is None else await self._take(endpoint, scope, body)

    async def _take(self, endpoint: Endpoint, scope: Scope, body: bytes) -> Response:
        signatures = [value for header, value in scope["headers"] if header == _SIGNATURE]
        if len(signatures) > 1:
            says = "Stripe-Signature: expected one such header"
            return self._reject(endpoint.account, Rejected(reason="signature_repeated", says=says), size=len(body))
        signature = signatures[0] if signatures else None
        match admit(endpoint, body, signature, now=int(self._clock())):
            case Rejected() as rejected:
                return self._reject(endpoint.account, rejected, size=len(body))
            case NotNeeded():
                self._metrics.webhooks.labels(endpoint.account, "not_needed").inc()
            case Wanted(envelope=envelope):
                try:
                    await self._batches.put(envelope)
                except RetryLaterError:
                    self._metrics.webhooks.labels(endpoint.account, "unavailable").inc()
                    return unavailable("the event could not be stored now; deliver it again")
                self._metrics.webhooks.labels(endpoint.account, "accepted").inc()
        return Response()  # nobody reads a word of it, and an empty body saves a write to the socket

    def _reject(self, account: str, rejected: Rejected, *, size: int | None) -> Response:
        log.warning("webhook.rejected", reason=rejected.reason, account=account, size=size)
        self._metrics.rejection(account, rejected.reason)
        return error(_STATUS.get(rejected.reason, HTTPStatus.BAD_REQUEST), rejected.reason, rejected.says)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | Rejected | None:
        """The whole body, why not, or None where the client has gone. Counts what comes, whatever was announced."""
        too_large = Rejected(reason="too_large", says=f"body: expected at most {MOST_BYTES} bytes")
        if any(name == b"content-length" and _exceeds(value) for name, value in scope["headers"]):
            return too_large
        pieces = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    pieces += message.get("body", b"")
                    if len(pieces) > MOST_BYTES:
                        return too_large
                    if not message.get("more_body", False):
                        return bytes(pieces)
        except TimeoutError:
            return Rejected(reason="too_slow", says=f"body: expected within {self._body_seconds:g} seconds")


def _exceeds(content_length: bytes) -> bool:
    # A number of more digits than the limit has needs no arithmetic; the server refuses what is no number.
    return not content_length.isdigit() or len(content_length) > 20 or int(content_length) > MOST_BYTES
