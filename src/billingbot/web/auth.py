"""Who is at the API's door, and what they may do: an API key, checked before a byte of the body is read."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.responses import Response

from billingbot.core.access.powers import Power
from billingbot.flows.desk import Desk
from billingbot.flows.switch import who_has
from billingbot.store.keys import ApiKey
from billingbot.web.answers import UnauthorizedError
from billingbot.web.reading import desk_of

_EXPECTED: Final = "Authorization: expected `Bearer` and an API key that is in use (billingbot keys create)"
# A key is `bbk_` and 43 characters; nothing longer than this is worth a digest.
_MOST_KEY: Final = 200

bearer = Security(HTTPBearer(auto_error=False, description="An API key of billingbot: `Bearer bbk_...`"))
"""Tells the OpenAPI page how to sign in; the check itself is `SignedInRoute`."""


class SignedInRoute(APIRoute):
    """A route that nobody takes without a key. UnauthorizedError comes before the body is read or parsed.

    What only reads takes a key that may see; all else asks the verb behind it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's own handler, behind the check."""
        handle = super().get_route_handler()

        async def behind_the_check(request: Request) -> Response:
            desk = await desk_of(request)
            sent = request.headers.getlist("authorization")
            key = await run_in_threadpool(_check, desk, sent)
            request.state.key = key
            request.state.desk = replace(desk, powers=key.powers, through=f"key:{key.id}")
            if request.method == "GET":
                request.state.desk.require(Power.SEE)
            return await handle(request)

        return behind_the_check


async def _caller(request: Request) -> ApiKey:
    key: ApiKey = request.state.key
    return key


async def _desk(request: Request) -> Desk:
    desk: Desk = request.state.desk
    return desk


Caller = Annotated[ApiKey, Depends(_caller)]
TheDesk = Annotated[Desk, Depends(_desk)]
"""The desk, with the powers of the caller's key."""


def _check(desk: Desk, sent: list[str]) -> ApiKey:
    scheme, _, secret = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    secret = secret.strip()
    shaped = scheme.lower() == "bearer" and secret.startswith("bbk_") and len(secret) <= _MOST_KEY
    key = who_has(desk, secret) if shaped else None
    if key is None:
        raise UnauthorizedError(_EXPECTED)
    return key
