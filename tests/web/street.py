"""What stands before the doors: a desk to open them on, a real server, and Stripe's way of signing."""

import asyncio
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from billingbot.bootstrap.build import new_id
from billingbot.core.evidence.usage import Span, Subject, UsageReport
from billingbot.flows.desk import Account, Desk
from billingbot.flows.receive import Endpoint
from billingbot.gateway.client import StripeGateway
from billingbot.web.serve import ImpatientProtocol, config
from tests.builders import shipped_policy
from tests.desks import engine_on

SECRET = "whsec_street"
SECOND_SECRET = "whsec_street_after_rotation"


class CountingBell:
    """Notes who was rung for."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, job_ids: Sequence[str]) -> None:
        self.rung.extend(job_ids)


@dataclass(slots=True)
class PushedUsage:
    """A push source that has been told nothing yet."""

    name: str = "product"
    pushed: bool = True
    spans: tuple[Span, ...] = field(default=())

    def report(self, subject: Subject, *, now: datetime) -> UsageReport:
        raise AssertionError(f"nobody asks {self.name} about {subject.customer_id} at {now} in these tests")


def open_desk(url: str) -> Desk:
    """A desk with two accounts, one of them live, and one push source; nobody calls Stripe."""
    return Desk(
        db=engine_on(url),
        accounts={
            name: Account(
                name=name,
                livemode=live,
                stripe=StripeGateway(name, f"rk_{'live' if live else 'test'}_x", live, "http://127.0.0.1:9"),
            )
            for name, live in (("default", False), ("second", True))
        },
        usage=(PushedUsage(),),
        support=(),
        policy=shipped_policy,
        bell=CountingBell(),
        new_id=new_id,
        recheck_after=timedelta(seconds=60),
    )


def endpoints() -> dict[str, Endpoint]:
    """Endpoints of both accounts; the first one's secret is being rotated."""
    return {
        "default": Endpoint(account="default", livemode=False, secrets=(SECRET, SECOND_SECRET), stripe_account=None),
        "second": Endpoint(account="second", livemode=True, secrets=("whsec_second",), stripe_account="acct_2"),
    }


def close_desk(desk: Desk) -> None:
    """Closes what `open_desk` opened."""
    for account in desk.accounts.values():
        account.stripe.close()
    desk.db.dispose()


class PromptServer(uvicorn.Server):
    """Looks ten times as often whether it is to end: hundreds of tests wait for that."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            await asyncio.sleep(0.01)


@contextmanager
def served(app: ASGIApp, *, protocol: type[ImpatientProtocol] = ImpatientProtocol) -> Iterator[str]:
    """The application behind a real server in a thread of its own; gives its URL."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        settings = config(app, "127.0.0.1", 0)
        settings.http = protocol
        server = PromptServer(settings)
        thread = threading.Thread(target=server.run, args=([listener],), name="web-under-test")
        thread.start()
        try:
            deadline = time.monotonic() + 10
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def sign(body: bytes, *, secret: str = SECRET, at: float | None = None) -> str:
    """The header that Stripe would send with this body."""
    stamp = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={mac}"


def snapshot(event_id: str = "evt_1", **changes: Any) -> bytes:
    """A snapshot event that somebody here needs."""
    event: dict[str, Any] = {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(datetime.now(UTC).timestamp()),
        "livemode": False,
        "type": "invoice.paid",
        "data": {"object": {"id": "in_1", "object": "invoice"}},
    }
    return json.dumps(event | changes, indent=2).encode()


def thin(event_id: str = "evt_thin", **changes: Any) -> bytes:
    """The thin twin of the same event."""
    event: dict[str, Any] = {
        "id": event_id,
        "object": "v2.core.event",
        "created": datetime.now(UTC).isoformat(),
        "livemode": False,
        "type": "v1.invoice.paid",
        "related_object": {"id": "in_1", "type": "invoice", "url": "/v1/invoices/in_1"},
    }
    return json.dumps(event | changes).encode()
