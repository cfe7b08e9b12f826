"""What one Python process could do with no database behind the door: for context, not for comparison."""

import os
import sys
import time

from starlette.types import Receive, Scope, Send

from billingbot.flows.receive import Endpoint, Wanted, admit
from billingbot.web.serve import serve


class Ceiling:
    """`/door` verifies and decodes as our door does, and forgets; `/nothing` reads the body and says yes."""

    def __init__(self, secret: str) -> None:
        self._endpoint = Endpoint(account="default", livemode=False, secrets=(secret,), stripe_account=None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status = 200 if scope["path"] != "/door" or self._admits(scope, body) else 400
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def _admits(self, scope: Scope, body: bytes) -> bool:
        signature = next((value for name, value in scope["headers"] if name == b"stripe-signature"), None)
        return isinstance(admit(self._endpoint, body, signature, now=int(time.time())), Wanted)


async def _live(receive: Receive, send: Send) -> None:
    """The server's start and end."""
    for told in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{told}.complete"})


if __name__ == "__main__":
    serve(Ceiling(os.environ["CEILING_WEBHOOK_SECRET"]), "127.0.0.1", int(sys.argv[1]))
