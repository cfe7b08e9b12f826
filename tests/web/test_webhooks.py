"""The webhook door on a real server and a real Postgres: stored once before 2xx, a reason for everything else."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa
import structlog
from starlette.applications import Starlette
from starlette.routing import Route

from billingbot.core.errors import RetryLaterError
from billingbot.core.signals import Envelope
from billingbot.flows.desk import Desk
from billingbot.web.app import make_app
from billingbot.web.batches import MOST_IN_BATCH, Batches
from billingbot.web.metrics import Metrics
from billingbot.web.webhooks import MOST_BYTES, WebhookDoor
from tests.calls import visitor
from tests.engines.shared import Database, SharedPostgres
from tests.web.street import SECOND_SECRET, CountingBell, close_desk, endpoints, open_desk, served, sign, snapshot, thin
from tests.web.test_health import AWAY

DOOR = "/webhooks/stripe"


def deliver(client: httpx.Client, body: bytes, *, to: str = DOOR, **headers: str) -> httpx.Response:
    return client.post(to, content=body, headers={"Stripe-Signature": sign(body)} | headers)


def stored(owner: sa.Engine) -> list[Any]:
    with owner.begin() as connection:
        query = "SELECT i.*, j.id AS job FROM inbox i LEFT JOIN jobs j ON j.subject = i.id ORDER BY i.event_id"
        return list(connection.execute(sa.text(query)).all())


# ---------------------------------------------------------------- what is taken


def test_an_event_is_stored_with_its_job_before_it_is_answered_and_its_bell_rings(
    desk: Desk, street: httpx.Client, owner: sa.Engine
) -> None:
    body = snapshot()

    answer = deliver(street, body)

    [row] = stored(owner)
    assert answer.status_code == 200
    assert bytes(row.body) == body
    assert (row.account, row.event_id, row.type, row.object_id) == ("default", "evt_1", "invoice.paid", "in_1")
    assert isinstance(desk.bell, CountingBell)
    assert desk.bell.rung == [row.job]


def test_the_thin_twin_of_an_event_is_taken_too(street: httpx.Client, owner: sa.Engine) -> None:
    assert deliver(street, thin()).status_code == 200

    [row] = stored(owner)
    assert (row.thin, row.type, row.object_id) == (True, "v1.invoice.paid", "in_1")


def test_each_account_has_a_door_with_its_own_secret_mode_and_events(street: httpx.Client, owner: sa.Engine) -> None:
    body = snapshot(livemode=True, account="acct_2")

    wrong = deliver(street, body, to=f"{DOOR}/default")
    right = deliver(street, body, to=f"{DOOR}/second", **{"Stripe-Signature": sign(body, secret="whsec_second")})

    assert (wrong.status_code, wrong.json()["error"]["reason"]) == (400, "wrong_mode")
    assert right.status_code == 200
    assert [row.account for row in stored(owner)] == ["second"]


def test_either_secret_will_do_while_one_is_rotated(street: httpx.Client) -> None:
    body = snapshot()

    assert deliver(street, body, **{"Stripe-Signature": sign(body, secret=SECOND_SECRET)}).status_code == 200


def test_an_event_that_nobody_needs_is_acknowledged_and_not_stored(street: httpx.Client, owner: sa.Engine) -> None:
    answer = deliver(street, snapshot(type="customer.created"))

    assert answer.status_code == 200
    assert stored(owner) == []


def test_two_hundred_deliveries_of_one_event_at_once_are_one_row_and_one_job(app: Any, owner: sa.Engine) -> None:
    body = snapshot()
    headers = {"Stripe-Signature": sign(body)}

    async def storm(url: str) -> list[int]:
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
            answers = await asyncio.gather(*(client.post(DOOR, content=body, headers=headers) for _ in range(200)))
        return [answer.status_code for answer in answers]

    with served(app) as url:
        statuses = asyncio.run(storm(url))

    assert set(statuses) == {200}
    assert len(stored(owner)) == 1


def test_many_events_at_once_share_commits(desk: Desk, owner: sa.Engine) -> None:
    sizes: list[int] = []

    def noting(envelopes: Sequence[Envelope]) -> int:
        from billingbot.flows.receive import store

        sizes.append(len(envelopes))
        return store(desk, envelopes)

    async def burst() -> None:
        batches = Batches(noting, Metrics())
        await asyncio.gather(*(batches.put(_envelope(f"evt_{n}")) for n in range(600)))
        await batches.close()

    asyncio.run(burst())

    assert sum(sizes) == len(stored(owner)) == 600
    assert max(sizes) == 256
    assert len(sizes) <= 4


# ---------------------------------------------------------------- what is not


def test_every_header_is_strict_on_every_answer(street: httpx.Client) -> None:
    for answer in (
        deliver(street, snapshot()),
        deliver(street, b"{}"),
        street.get("/healthz"),
        street.get("/nowhere"),
        street.get("/api/v1/cases"),
    ):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "server" not in answer.headers


def _later(seconds: int) -> Callable[[bytes], dict[str, str]]:
    return lambda body: {"Stripe-Signature": sign(body, at=time.time() + seconds)}


def _signed(body: bytes) -> dict[str, str]:
    return {"Stripe-Signature": sign(body)}


_DEEP = b"[" * 100_000 + b"]" * 100_000
_HOSTILE: dict[str, tuple[bytes, Callable[[bytes], Any], str]] = {
    "no signature": (snapshot(), lambda _: {}, "signature_missing"),
    "an empty signature": (snapshot(), lambda _: {"Stripe-Signature": ""}, "signature_missing"),
    "nonsense for a signature": (snapshot(), lambda _: {"Stripe-Signature": "hello"}, "signature_malformed"),
    "a signature for another body": (snapshot(), lambda _: _signed(b"other"), "signature_no_match"),
    "another endpoint's secret": (
        snapshot(),
        lambda body: {"Stripe-Signature": sign(body, secret="whsec_x")},
        "signature_no_match",
    ),
    "only a v0 signature": (
        snapshot(),
        lambda body: {"Stripe-Signature": sign(body).replace("v1=", "v0=")},
        "signature_malformed",
    ),
    "a signature of yesterday": (snapshot(), _later(-301), "signature_too_old"),
    "a signature of tomorrow": (snapshot(), _later(301), "signature_too_new"),
    "bytes beyond ASCII in the header": (
        snapshot(),
        lambda body: [(b"Stripe-Signature", sign(body).encode() + b"\xff\xe9")],
        "signature_not_ascii",
    ),
    "a digit that is none in ASCII": (
        snapshot(),
        lambda _: [(b"Stripe-Signature", "t=１２３,v1=00".encode())],
        "signature_not_ascii",
    ),
    "two signature headers": (
        snapshot(),
        lambda body: [(b"Stripe-Signature", sign(body).encode())] * 2,
        "signature_repeated",
    ),
    "an empty body": (b"", _signed, "bad_json"),
    "no JSON": (b"hello", _signed, "bad_json"),
    "half a JSON": (snapshot()[:-5], _signed, "bad_json"),
    "no UTF-8": (b'{"object": "event", "id": "evt_\xff"}', _signed, "bad_json"),
    "a list": (b"[]", _signed, "not_an_event"),
    "an object that is no event": (b'{"object": "charge"}', _signed, "not_an_event"),
    "nested too deeply": (_DEEP, _signed, "bad_json"),
    "an event of live mode": (snapshot(livemode=True), _signed, "wrong_mode"),
    "a mode that is no bool": (snapshot(livemode="false"), _signed, "bad_field"),
    "an event of another account": (snapshot(account="acct_other"), _signed, "wrong_account"),
    "an event without an id": (snapshot(id=None), _signed, "bad_field"),
    "an event id with a NUL": (snapshot(id="evt_\x00"), _signed, "bad_field"),
    "an event about nothing": (snapshot(data={"object": {}}), _signed, "missing_object_id"),
    "a name that is there twice": (snapshot()[:-2] + b', "livemode": false}', _signed, "bad_json"),
}


@pytest.mark.parametrize("case", _HOSTILE)
def test_what_is_no_delivery_of_ours_is_turned_away_with_its_reason_and_never_stored(
    street: httpx.Client, owner: sa.Engine, case: str
) -> None:
    body, headers, reason = _HOSTILE[case]

    with structlog.testing.capture_logs() as logs:
        answer = street.post(DOOR, content=body, headers=headers(body))

    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, reason)
    assert answer.json()["error"]["message"]
    assert stored(owner) == []
    [line] = [line for line in logs if line["event"] == "webhook.rejected"]
    assert (line["reason"], line["account"], line["size"]) == (reason, "default", len(body))
    assert set(line) == {"event", "log_level", "reason", "account", "size"}


def test_a_refusal_repeats_nothing_of_the_payload(street: httpx.Client) -> None:
    body = snapshot(id="evt_secret-marker", livemode="marker@example.com")

    with structlog.testing.capture_logs() as logs:
        answer = deliver(street, body)

    assert "marker" not in answer.text
    assert "marker" not in str(logs)


def test_an_account_that_is_not_configured_is_not_found_and_not_repeated(street: httpx.Client) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = deliver(street, snapshot(), to=f"{DOOR}/%3Cscript%3E")
        named = deliver(street, snapshot(), to=f"{DOOR}/other")

    assert (answer.status_code, answer.json()["error"]["reason"]) == (404, "unknown_account")
    assert "script" not in answer.text
    assert named.status_code == 404
    assert [line["account"] for line in logs if line["event"] == "webhook.rejected"] == ["?", "other"]


@pytest.mark.parametrize("path", [f"{DOOR}/", f"{DOOR}/a/b", "/webhooks", "//webhooks/stripe"])
def test_a_door_next_to_the_door_is_not_found_and_never_a_redirect(street: httpx.Client, path: str) -> None:
    request = street.build_request("POST", "/", content=snapshot())
    request.url = request.url.copy_with(raw_path=path.encode())

    answer = street.send(request)

    assert answer.status_code == 404
    assert answer.json()["error"]["reason"] in {"not_found", "unknown_account"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
def test_only_post_is_taken(street: httpx.Client, method: str) -> None:
    answer = street.request(method, DOOR)

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.json()["error"]["reason"] == "method_not_allowed"


# ---------------------------------------------------------------- size and time


def _padded(size: int) -> bytes:
    bare = len(snapshot(pad=""))
    return snapshot(pad="x" * (size - bare))


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(MOST_BYTES - 1, 200), (MOST_BYTES, 200), (MOST_BYTES + 1, 413)])
def test_a_mebibyte_is_the_most(
    street: httpx.Client, owner: sa.Engine, size: int, status: int, *, chunked: bool
) -> None:
    body = _padded(size)
    assert len(body) == size

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    content = pieces() if chunked else body
    answer = street.post(DOOR, content=content, headers={"Stripe-Signature": sign(body)})

    assert answer.status_code == status
    assert len(stored(owner)) == (1 if status == 200 else 0)
    if status == 413:
        assert answer.json()["error"]["reason"] == "too_large"
        assert deliver(street, snapshot()).status_code == 200  # the connection and the door live on


def _raw(url: str, head: str, body: bytes = b"") -> socket.socket:
    address = urlsplit(url)
    line = socket.create_connection((address.hostname, address.port), timeout=10)
    line.sendall(f"{head}\r\nHost: x\r\n\r\n".encode() + body)
    return line


def _said(line: socket.socket) -> bytes:
    heard = b""
    while piece := line.recv(65536):
        heard += piece
        if b"\r\n\r\n" in heard and heard.endswith(b"}"):
            break
    line.close()
    return heard


@pytest.mark.parametrize("length", ["99999999", "9" * 19, "1048577"])
def test_a_body_announced_too_large_is_refused_before_it_comes(app: Any, length: str) -> None:
    with served(app) as url:
        heard = _said(_raw(url, f"POST {DOOR} HTTP/1.1\r\nContent-Length: {length}"))

    assert heard.startswith(b"HTTP/1.1 413")
    assert b"too_large" in heard


def test_a_client_that_promises_more_than_it_sends_and_leaves_costs_nothing(app: Any, owner: sa.Engine) -> None:
    body = snapshot()
    with served(app) as url:
        head = f"POST {DOOR} HTTP/1.1\r\nContent-Length: {len(body) + 10}\r\nStripe-Signature: {sign(body)}"
        _raw(url, head, body).close()
        with visitor(url) as client:
            assert deliver(client, snapshot("evt_2")).status_code == 200

    assert [row.event_id for row in stored(owner)] == ["evt_2"]


def test_a_slow_body_is_given_up_with_its_reason() -> None:
    metrics = Metrics()
    batches = Batches(len, metrics)
    door = WebhookDoor(endpoints(), batches, metrics, body_seconds=0.2)
    with served(Starlette(routes=[Route(DOOR, door)])) as url:
        heard = _said(_raw(url, f"POST {DOOR} HTTP/1.1\r\nContent-Length: 100", b"{"))

    assert heard.startswith(b"HTTP/1.1 408")
    assert b"too_slow" in heard


def test_an_accepted_event_is_stored_although_its_client_has_gone(app: Any, owner: sa.Engine) -> None:
    body = snapshot()
    with served(app) as url:
        head = f"POST {DOOR} HTTP/1.1\r\nContent-Length: {len(body)}\r\nStripe-Signature: {sign(body)}"
        _raw(url, head, body).close()
        deadline = time.monotonic() + 5
        while not stored(owner) and time.monotonic() < deadline:
            time.sleep(0.01)

    assert [row.event_id for row in stored(owner)] == ["evt_1"]


@pytest.mark.parametrize("noise", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"POST /webhooks/stripe HTTP/9.9\r\n\r\n"])
def test_noise_on_the_line_ends_that_line_alone(app: Any, noise: bytes) -> None:
    with served(app) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=10) as line:
            line.sendall(noise)
            assert b" 500 " not in line.recv(65536)
        with visitor(url) as client:
            assert deliver(client, snapshot()).status_code == 200


# ---------------------------------------------------------------- bad days


def test_without_postgres_stripe_is_asked_to_come_again() -> None:
    desk = open_desk(AWAY)
    with served(make_app(desk, endpoints())) as url, visitor(url) as client:
        answer = deliver(client, snapshot())
    close_desk(desk)

    assert (answer.status_code, answer.json()["error"]["reason"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_events_come_through_again_once_postgres_is_back(
    street: httpx.Client, owner: sa.Engine, postgres: SharedPostgres, database: Database
) -> None:
    assert deliver(street, snapshot("evt_1")).status_code == 200

    with sa.create_engine(postgres.superuser_url, isolation_level="AUTOCOMMIT").connect() as superuser:
        superuser.execute(sa.text(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false"))
        superuser.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": database.name},
        )
        away = deliver(street, snapshot("evt_2")).status_code
        superuser.execute(sa.text(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true"))
        owner.dispose()
        between = [row.event_id for row in stored(owner)]
        back = deliver(street, snapshot("evt_2")).status_code

    assert (away, between, back) == (503, ["evt_1"], 200)
    assert [row.event_id for row in stored(owner)] == ["evt_1", "evt_2"]


def _envelope(event_id: str, **changes: Any) -> Envelope:
    fields: dict[str, Any] = {
        "account": "default",
        "event_id": event_id,
        "type": "invoice.paid",
        "thin": False,
        "livemode": False,
        "api_version": None,
        "created": 1_780_000_000,
        "object_id": "in_1",
        "trial_end_before": None,
        "body": b"{}",
    }
    return Envelope(**(fields | changes))


def test_the_neighbours_of_an_event_that_cannot_be_stored_are_stored(desk: Desk, owner: sa.Engine) -> None:
    from billingbot.flows.receive import store

    unstorable = _envelope("evt_bad", object_id="\x00")  # Postgres has no text with a NUL

    async def deliveries() -> list[BaseException | None]:
        batches = Batches(lambda envelopes: store(desk, envelopes), Metrics())
        good = [batches.put(_envelope(f"evt_{n}")) for n in range(3)]
        answers = await asyncio.gather(*good, batches.put(unstorable), return_exceptions=True)
        await batches.close()
        return answers

    *good, bad = asyncio.run(deliveries())

    assert good == [None, None, None]
    assert isinstance(bad, Exception)
    assert [row.event_id for row in stored(owner)] == ["evt_0", "evt_1", "evt_2"]


def test_nobody_waits_for_ever_where_the_intake_itself_breaks() -> None:
    class Broken(Metrics):
        def stored(self, *, new: int, events: int, seconds: float) -> None:
            raise OSError("the disk of the log is full")

    async def deliver() -> list[BaseException | None]:
        batches = Batches(len, Broken())
        waiting = (batches.put(_envelope(f"evt_{n}")) for n in range(MOST_IN_BATCH + 1))  # two batches
        return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), timeout=5)

    assert {type(answer) for answer in asyncio.run(deliver())} == {RetryLaterError}


def test_too_many_waiting_events_are_put_off_instead_of_kept_in_memory() -> None:
    release = threading.Event()

    def stuck(envelopes: Sequence[Envelope]) -> int:
        release.wait(10)
        return len(envelopes)

    async def flood() -> list[BaseException | None]:
        batches = Batches(stuck, Metrics())
        large = b"x" * (1024 * 1024)
        puts = [asyncio.create_task(batches.put(_envelope(f"evt_{n}", body=large))) for n in range(400)]
        await asyncio.sleep(0)
        release.set()
        answers = await asyncio.gather(*puts, return_exceptions=True)
        await batches.close()
        return answers

    answers = asyncio.run(flood())

    taken = [answer for answer in answers if answer is None]
    assert 60 <= len(taken) < 400
    assert {str(answer) for answer in answers if answer} == {"intake: too many events wait already"}


def test_closing_waits_for_what_was_taken_and_takes_no_more(desk: Desk, owner: sa.Engine) -> None:
    from billingbot.flows.receive import store

    async def late() -> str:
        batches = Batches(lambda envelopes: store(desk, envelopes), Metrics())
        first = asyncio.create_task(batches.put(_envelope("evt_1")))
        await asyncio.sleep(0)
        await batches.close()
        await first
        try:
            await batches.put(_envelope("evt_2"))
        except Exception as fault:  # noqa: BLE001  # whichever it is, it is told
            return type(fault).__name__
        return "taken"

    assert asyncio.run(late()) == "RetryLaterError"
    assert [row.event_id for row in stored(owner)] == ["evt_1"]


def test_one_who_stops_waiting_does_not_take_the_event_along(desk: Desk, owner: sa.Engine) -> None:
    from billingbot.flows.receive import store

    async def impatient() -> None:
        batches = Batches(lambda envelopes: store(desk, envelopes), Metrics())
        waiting = asyncio.create_task(batches.put(_envelope("evt_1")))
        other = asyncio.create_task(batches.put(_envelope("evt_2")))
        await asyncio.sleep(0)
        waiting.cancel()
        await other
        await batches.close()

    asyncio.run(impatient())

    assert [row.event_id for row in stored(owner)] == ["evt_1", "evt_2"]


def test_the_body_of_an_answer_is_json_even_to_a_signed_stranger(street: httpx.Client) -> None:
    answer = deliver(street, b"null")

    assert json.loads(answer.content)["error"]["reason"] == "not_an_event"
