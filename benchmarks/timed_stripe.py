"""The local Stripe with a stopwatch: what it took to answer each call, for as long as it runs."""

import sys
import time
from datetime import datetime
from typing import Final

import msgspec
import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from billingbot.sandbox.app import SandboxApp
from billingbot.sandbox.local import LocalStripe
from billingbot.sandbox.state import Options

CALLS: Final = "/_benchmark/calls"


class Call(msgspec.Struct, frozen=True):
    """One call to the API: when it began (Unix seconds), how long it took, and what it was."""

    at: float
    seconds: float
    what: str


class TimedStripe:
    """Passes every request on to the local Stripe; `CALLS` tells the calls to /v1 so far, and forgets them."""

    def __init__(self, app: SandboxApp) -> None:
        self._app = app
        self._calls: list[Call] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == CALLS:
            told, self._calls = self._calls, []
            await Response(msgspec.json.encode(told), media_type="application/json")(scope, receive, send)
            return
        at, began = time.time(), time.perf_counter()
        await self._app(scope, receive, send)
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            what = f"{scope['method']} {_shape(scope['path'])}"
            self._calls.append(Call(at=at, seconds=time.perf_counter() - began, what=what))


def _shape(path: str) -> str:
    """The path with its ids taken out: they have digits or capitals, names of collections have neither."""
    parts = path.removeprefix("/v1").split("/")
    return "/".join("{id}" if any(one.isdigit() or one.isupper() for one in part) else part for part in parts)


def main(port: int, start_at: datetime) -> None:
    """Serves until SIGTERM."""
    local = LocalStripe(Options(start_at=start_at))
    local.start()
    try:
        # As the sandbox serves itself.
        settings = {"http": "h11", "ws": "none", "lifespan": "off", "log_level": "critical", "access_log": False}
        uvicorn.run(TimedStripe(SandboxApp(local)), host="127.0.0.1", port=port, **settings)  # type: ignore[arg-type] # mypy joins their types
    finally:
        local.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]), datetime.fromisoformat(sys.argv[2]))
