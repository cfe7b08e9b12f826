"""The porch: a crash of ours becomes an answer that tells nothing, and a full house one that says so."""

import asyncio
import socket
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI

from billingbot.flows.desk import Desk
from billingbot.store.database import make_engine
from billingbot.web.app import make_app
from billingbot.web.metrics import Metrics
from billingbot.web.porch import Porch, most_bytes
from tests.calls import tls
from tests.engines.shared import Database
from tests.web.street import close_desk, endpoints, open_desk, served

FORM = "application/x-www-form-urlencoded"


def ask(app: FastAPI, path: str, **headers: str) -> httpx.Response:
    """One request straight to the application."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(request())


def test_a_crash_is_answered_in_the_one_shape_and_tells_nothing(app: FastAPI) -> None:
    @app.get("/crash")
    def crash() -> None:
        raise RuntimeError("a secret of ours")

    answer = ask(app, "/crash")

    assert (answer.status_code, answer.json()["error"]["reason"]) == (500, "internal")
    assert "secret" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_the_end_of_the_server_cuts_short_is_told_to_have_perhaps_been_done(app: FastAPI) -> None:
    begun = asyncio.Event()

    @app.get("/slow")
    async def slow() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def cut() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            asking = asyncio.create_task(client.get("/slow"))
            await begun.wait()
            asking.cancel()
            return await asking

    answer = asyncio.run(cut())
    assert (answer.status_code, answer.json()["error"]["reason"]) == (503, "unavailable")
    assert "may have been done" in answer.text


def test_an_unknown_path_and_a_wrong_method_are_refused_in_the_one_shape(app: FastAPI) -> None:
    async def both() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.get("/nothing"), await client.delete("/healthz")]

    missing, wrong = asyncio.run(both())

    assert (missing.status_code, missing.json()["error"]["reason"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["reason"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "GET"


def test_when_every_connection_is_in_use_a_request_is_put_off(database: Database) -> None:
    desk = open_desk(database.app_url)
    small = make_engine(database.app_url, pool_size=1)
    small.pool._timeout = 0.1  # type: ignore[attr-defined]  # thirty seconds otherwise
    crowded = Desk(**{name: getattr(desk, name) for name in Desk.__slots__} | {"db": small})
    try:
        with small.connect(), small.connect(), served(make_app(crowded, endpoints())) as url:
            answer = httpx.get(f"{url}/api/v1/cases", headers={"Authorization": "Bearer bbk_whoever"}, verify=tls())
    finally:
        small.dispose()
        close_desk(desk)

    assert (answer.status_code, answer.json()["error"]["reason"]) == (503, "unavailable")


def test_a_body_that_drips_in_is_given_up(app: FastAPI) -> None:
    hasty = Porch(app, Metrics(), app, "/webhooks", body_seconds=0.3)
    head = f"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 99\r\n\r\n".encode()
    with served(hasty) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=10) as line:
            line.sendall(head + b"who=")
            assert line.recv(100).startswith(b"HTTP/1.1 408")
            while line.recv(4096):  # and the line is closed
                pass


def test_no_body_is_larger_than_its_door_needs(app: FastAPI) -> None:
    assert [most_bytes(path) // 1024 for path in ("/sign-in", "/policy/publish", "/api/v1/policies")] == [
        256,
        2048,
        2048,
    ]
    with served(app) as url:
        answer = httpx.post(f"{url}/sign-in", data={"who": "x" * 270_000}, timeout=30, verify=tls())
    assert (answer.status_code, "more than is taken here" in answer.text) == (413, True)
