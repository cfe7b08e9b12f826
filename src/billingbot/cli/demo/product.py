"""The demo's SaaS itself: a small HTTP server that knows who used the product and who wrote to support."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

# The product remembers everything since long before the demo's month.
_OPENED: Final = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Customer:
    """What the product knows of one customer; by default: covered throughout, and never used."""

    first_at: datetime | None = None
    last_at: datetime | None = None
    events: int = 0
    tag_installed_at: datetime | None = None
    covered_from: datetime = _OPENED
    down: bool = False
    stale: bool = False
    when_asked: Callable[[], None] | None = None
    """Happens once, right after the first question: the world goes on between a decision and its payment."""
    cancellation_asked_at: datetime | None = None


@dataclass(slots=True)
class Product:
    """The product's own records, by Stripe customer id."""

    customers: dict[str, Customer] = field(default_factory=dict)
    url: str = ""

    def of(self, customer_id: str) -> Customer:
        """The record of a customer; new ones are blank."""
        return self.customers.setdefault(customer_id, Customer())

    def usage(self, customer_id: str) -> dict[str, object] | None:
        """The answer to a question about use; None where the source is down."""
        known = self.of(customer_id)
        if known.down:
            return None
        now = datetime.now(UTC)
        answer: dict[str, object] = {
            "events": known.events,
            "first_at": _iso(known.first_at),
            "last_at": _iso(known.last_at),
            "tag_installed_at": _iso(known.tag_installed_at),
            "covered": {"from": _iso(known.covered_from), "to": _iso(now - timedelta(days=2) if known.stale else now)},
        }
        happens, known.when_asked = known.when_asked, None
        if happens is not None:
            happens()
        return answer

    def support(self, customer_id: str) -> dict[str, object]:
        """The answer to a question about a cancellation."""
        return {"cancellation_asked_at": _iso(self.of(customer_id).cancellation_asked_at)}


@contextmanager
def running_product() -> Iterator[Product]:
    """The product's API on a free port of this machine, for as long as the block lasts."""
    product = Product()

    class Handler(BaseHTTPRequestHandler):
        """GET /usage/{customer} and /support/{customer}."""

        def do_GET(self) -> None:
            _, what, customer_id = self.path.split("/", 2)
            answer = product.usage(customer_id) if what == "usage" else product.support(customer_id)
            body = json.dumps(answer).encode()
            self.send_response(503 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives
            """Quiet: the demo has its own view."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    product.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, name="product", daemon=True)
    thread.start()
    try:
        yield product
    finally:
        server.shutdown()
        server.server_close()


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
