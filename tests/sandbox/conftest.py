"""A sandbox per test, the real Stripe SDK pointed at it, and a receiver for its webhooks."""

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe
from tests.sandbox.shop import Shop

from billingbot.sandbox.server import RunningSandbox, running_sandbox


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    """A sandbox whose webhooks are retried almost at once."""
    with running_sandbox(seed=7, retry_seconds=(0.02, 0.05)) as running:
        yield running


@pytest.fixture
def shop(sandbox: RunningSandbox) -> Shop:
    """A small SaaS on that sandbox."""
    return Shop(sandbox)


@pytest.fixture
def sdk(shop: Shop) -> stripe.StripeClient:
    """The real SDK."""
    return shop.sdk


@dataclass
class Receiver:
    """What a webhook endpoint received; `answers` are the statuses it gives first, 200 afterwards."""

    url: str = ""
    received: list[tuple[str, bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def events(self, secret: str) -> list[Any]:
        """Every body, verified and parsed by the SDK."""
        return [stripe.Webhook.construct_event(body, signature, secret) for signature, body in self.received]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook endpoint of our own."""
    told = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.received.append((self.headers["Stripe-Signature"], body))
            self.send_response(told.answers.pop(0) if told.answers else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield told
        server.shutdown()
        thread.join()
