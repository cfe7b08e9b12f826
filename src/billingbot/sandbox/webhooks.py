"""Signed deliveries to any URL: from background threads, with retries, and on demand late, twice or out of order."""

import hashlib
import heapq
import hmac
import ssl
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import httpx
import msgspec

from billingbot.sandbox import versions
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj, encode, snapshot

WORKERS: Final = 4  # several, since Stripe promises no order either
_IDLE_SECONDS: Final = 5.0  # how long a worker without work sleeps before it looks again


@cache
def _tls() -> ssl.SSLContext:
    """Read once, not at each reset: the certificates of the world are many."""
    return httpx.create_ssl_context(trust_env=False)


@dataclass(slots=True, kw_only=True)
class Weather:
    """How deliveries travel. `duplicate`: chance that one is sent twice; `delay_seconds`: all wait so long;
    `disorder_seconds`: each waits at random up to so long; `held`: none leaves until released; `v0`: the header
    also carries a worthless v0 signature, as Stripe's test mode does."""

    duplicate: float = 0
    delay_seconds: float = 0
    disorder_seconds: float = 0
    held: bool = False
    v0: bool = False


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One event on its way to one endpoint."""

    event: str
    kind: str
    endpoint: str
    body: bytes
    duplicate: bool = False
    attempts: list[Obj] = field(default_factory=list)
    state: str = "pending"  # then `delivered`, `failed` or `dropped`


def sign(body: bytes, secrets: list[str], at: int, *, v0: bool = False) -> str:
    """The `Stripe-Signature` header: one v1 per secret. https://docs.stripe.com/webhooks#verify-manually"""
    made = [f"t={at}"]
    for secret in secrets:
        mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
        made.append(f"v1={mac.hexdigest()}")
    if v0:
        made.append(f"v0={'0' * 64}")
    return ",".join(made)


class Outbox:
    """Takes events, and sees to it that the endpoints hear of them."""

    def __init__(self, box: Sandbox) -> None:
        self._box = box
        self.weather = Weather()
        self.log: list[Delivery] = []
        self.secrets: dict[str, list[str]] = {}  # by endpoint: all that are active
        self.thin: set[str] = set()  # endpoints that asked for thin events
        self._by_event: dict[str, list[Delivery]] = {}
        self._heap: list[tuple[float, int, Delivery]] = []
        self._queued = 0
        self._busy = 0
        self._stopping = False
        self._wake = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._client: httpx.Client | None = None
        box.listeners.append(self.tell)

    def start(self) -> None:
        """Start the workers, with one client among them."""
        seconds = self._box.options.webhook_timeout_seconds
        self._client = httpx.Client(timeout=seconds, trust_env=False, follow_redirects=False, verify=_tls())
        self._threads = [threading.Thread(target=self._work, name=f"webhooks-{n}") for n in range(WORKERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the workers; what is still on its way stays undelivered."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()
        if self._client is not None:
            self._client.close()

    def tell(self, event: Obj | None, thin: Obj | None) -> None:
        """An event happened: queue it for each endpoint that wants it."""
        wanted: list[tuple[Obj, Obj]] = []
        for endpoint in self._box.tables["webhook_endpoint"].rows.values():
            told = thin if endpoint["id"] in self.thin else event
            if told is not None and endpoint["status"] == "enabled" and _wants(endpoint, told["type"]):
                wanted.append((endpoint, told))
        if event is not None:
            event["pending_webhooks"] = len(wanted)
        for endpoint, told in wanted:
            self._send(endpoint, told)

    def _send(self, endpoint: Obj, event: Obj) -> None:
        self.send(endpoint["id"], event, self._body(endpoint, event))

    def send(self, endpoint: str, event: Obj, body: bytes) -> None:
        """Put a body on its way to an endpoint, as often as the weather will have it."""
        copies = 2 if self._box.chance.random() < self.weather.duplicate else 1
        for copy in range(copies):
            delivery = Delivery(event=event["id"], kind=event["type"], endpoint=endpoint, body=body, duplicate=copy > 0)
            self.log.append(delivery)
            self._by_event.setdefault(event["id"], []).append(delivery)
            scatter = self._box.chance.random() * self.weather.disorder_seconds
            self._queue(delivery, self.weather.delay_seconds + scatter)

    def _body(self, endpoint: Obj, event: Obj) -> bytes:
        told = event
        if event["object"] == "event":
            version = endpoint["api_version"] or event["api_version"]
            if versions.is_older(version):
                told = snapshot(event)
                versions.render(self._box, told["data"]["object"], version)
            told = {**told, "api_version": version}
        return msgspec.json.format(encode(told), indent=2)

    def resend(self, event: Obj, endpoint: Obj) -> None:
        """Send an event again by hand; it does not stop the automatic attempts."""
        self._send(endpoint, event)

    def _queue(self, delivery: Delivery, seconds: float) -> None:
        with self._wake:
            self._queued += 1
            heapq.heappush(self._heap, (time.monotonic() + seconds, self._queued, delivery))
            self._wake.notify()

    def release(self) -> None:
        """Let what was held go."""
        with self._wake:
            self.weather.held = False
            self._wake.notify_all()

    def release_backwards(self, gap_seconds: float) -> None:
        """Let what was held go, the newest first, and one so long after the other that they arrive so."""
        with self._wake:
            held = sorted(self._heap, key=lambda entry: entry[1], reverse=True)
            now = time.monotonic()
            self._heap = [(now + at * gap_seconds, number, each) for at, (_, number, each) in enumerate(held)]
            heapq.heapify(self._heap)
        self.release()

    def undelivered(self, event_id: str) -> bool:
        """True where some endpoint has not taken the event (yet)."""
        return any(each.state != "delivered" for each in self._by_event.get(event_id, ()))

    def quiet(self, timeout_seconds: float) -> bool:
        """Wait until nothing is on its way any more; False when that took too long."""
        until = time.monotonic() + timeout_seconds
        with self._wake:
            while self._heap or self._busy:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._wake.wait(min(left, 0.05))
        return True

    def _work(self) -> None:
        while True:
            delivery = self._next()
            if delivery is None:
                return
            try:
                self._attempt(delivery)
            finally:
                with self._wake:
                    self._busy -= 1
                    self._wake.notify_all()

    def _next(self) -> Delivery | None:
        with self._wake:
            while not self._stopping:
                pause = _IDLE_SECONDS
                if self._heap and not self.weather.held:
                    pause = self._heap[0][0] - time.monotonic()
                    if pause <= 0:
                        self._busy += 1
                        return heapq.heappop(self._heap)[2]
                self._wake.wait(pause)
            return None

    def _attempt(self, delivery: Delivery) -> None:
        endpoint = self._box.tables["webhook_endpoint"].get(delivery.endpoint)
        if endpoint is None or endpoint["status"] != "enabled":
            delivery.state = "dropped"
            return
        outcome = self._post(endpoint["url"], delivery)
        delivery.attempts.append(outcome)
        waits = self._box.options.retry_seconds
        if 200 <= outcome["status"] < 300:
            delivery.state = "delivered"
            self._box_delivered(delivery)
        elif len(delivery.attempts) <= len(waits):
            self._queue(delivery, waits[len(delivery.attempts) - 1])
        else:
            delivery.state = "failed"

    def _post(self, url: str, delivery: Delivery) -> Obj:
        at = int(time.time())  # the real clock: receivers check the signature's age
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": sign(delivery.body, self.secrets[delivery.endpoint], at, v0=self.weather.v0),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        if self._client is None:
            raise RuntimeError("the outbox has not been started")
        try:
            answer = self._client.post(url, content=delivery.body, headers=headers)
        except httpx.HTTPError as error:
            return {"at": at, "status": 0, "error": type(error).__name__}
        return {"at": at, "status": answer.status_code, "error": None}

    def _box_delivered(self, delivery: Delivery) -> None:
        with self._box.lock:
            event = self._box.tables["event"].get(delivery.event)
            if event is not None and event["pending_webhooks"] and not delivery.duplicate:
                event["pending_webhooks"] -= 1


def _wants(endpoint: Obj, kind: str) -> bool:
    wanted = endpoint["enabled_events"]
    return "*" in wanted or kind in wanted or kind.removeprefix("v1.") in wanted
