"""The product whose customers are charged: an HTTP server that knows who used it, and may change its mind."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

# The product remembers everything since long before the sandbox's clock began.
_OPENED: Final = "2020-01-01T00:00:00+00:00"


@dataclass(slots=True)
class Product:
    """Who used it, of whom it cannot tell, and who begins to use it the moment anybody has asked."""

    used: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    flips: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    down: bool = False
    failures: int = 0
    """How often it answered 503 while it was down as a whole."""
    url: str = ""
    port: int = 0

    def usage(self, customer: str) -> tuple[int, dict[str, object]]:
        """The HTTP status and what it says about a customer.

        Of the silent ones it does not know some, and knows the others' days only up to the day before yesterday. Both
        are answers: a source that failed for them with 5xx would be left alone for a while, for everybody.
        """
        if self.down:
            self.failures += 1
            return 503, {}
        if customer in self.silent and customer[-1].islower():
            return 404, {}
        used = customer in self.used or (customer in self.flips and customer in self.asked)
        self.asked.add(customer)
        now = datetime.now(UTC)
        covered_to = now - timedelta(days=2) if customer in self.silent else now
        return 200, {
            "events": 7 if used else 0,
            "first_at": (now - timedelta(minutes=2)).isoformat() if used else None,
            "last_at": (now - timedelta(minutes=1)).isoformat() if used else None,
            "covered": {"from": _OPENED, "to": covered_to.isoformat()},
        }


@contextmanager
def running_product() -> Iterator[Product]:
    """The product's API on a free port of this machine, for as long as the block lasts."""
    product = Product()

    class Handler(BaseHTTPRequestHandler):
        """GET /usage/{customer} and /support/{customer}."""

        def do_GET(self) -> None:
            _, what, customer = self.path.split("/", 2)
            status, answer = product.usage(customer) if what == "usage" else (200, {"cancellation_asked_at": None})
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives
            """Quiet: the links keep count."""

        def handle(self) -> None:
            with suppress(OSError):  # the link was cut, as planned
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    product.port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, name="product", daemon=True)
    thread.start()
    try:
        yield product
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
