"""The server around the application: it ends cleanly, and holds no connection that brings nothing."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa
from starlette.types import ASGIApp, Receive, Scope, Send

from billingbot.web.serve import ImpatientProtocol, serve
from tests.calls import visitor
from tests.engines.shared import Database
from tests.web.street import served, sign, snapshot
from tests.web.test_webhooks import stored

ROOT = Path(__file__).resolve().parents[2]
# A web process of its own: says when its runtime is closed, which comes after the server's end.
PROGRAM = """
import sys
from billingbot.web.app import make_app
from billingbot.web.serve import serve
from tests.web.street import close_desk, endpoints, open_desk
desk = open_desk(sys.argv[1])
serve(make_app(desk, endpoints()), "127.0.0.1", int(sys.argv[2]))
close_desk(desk)
print("closed", flush=True)
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def web_process(url: str) -> Iterator[tuple["subprocess.Popen[str]", httpx.Client]]:
    """A web process and a client for it, once it answers."""
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url, str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
    )
    try:
        with visitor(f"http://127.0.0.1:{port}", timeout=10) as client:
            _until_it_answers(process, client)
            yield process, client
    finally:
        process.kill()
        process.wait()


def _until_it_answers(process: "subprocess.Popen[str]", client: httpx.Client) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "the web process has ended"
        try:
            client.get("/healthz")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the web process did not answer")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly_and_everything_after_it_still_runs(
    database: Database, owner: sa.Engine, ending: signal.Signals
) -> None:
    body = snapshot()
    with web_process(database.app_url) as (process, client):
        client.post("/webhooks/stripe", content=body, headers={"Stripe-Signature": sign(body)})
        process.send_signal(ending)
        said, _ = process.communicate(timeout=20)

    assert process.returncode == 0
    assert said.splitlines()[-1] == "closed"
    assert "Traceback" not in said
    assert len(stored(owner)) == 1


def test_what_is_under_way_when_the_end_comes_is_answered(database: Database, owner: sa.Engine) -> None:
    body = snapshot()
    answers: list[int] = []
    with web_process(database.app_url) as (process, client), owner.connect() as other:
        other.execute(sa.text("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE"))  # the commit has to wait for us
        send = threading.Thread(
            target=lambda: answers.append(
                client.post("/webhooks/stripe", content=body, headers={"Stripe-Signature": sign(body)}).status_code
            )
        )
        send.start()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        other.rollback()
        send.join(10)
        process.communicate(timeout=20)

    assert answers == [200]
    assert len(stored(owner)) == 1


def test_a_signal_that_came_while_the_application_was_put_together_ends_it_all_the_same(app: ASGIApp) -> None:
    stop = threading.Event()
    stop.set()
    serve(app, "127.0.0.1", _free_port(), stop=stop)


# A process like `billingbot web` once its server has ended, with a thread that still waits for somebody outside.
WAITING = """
import threading, time
from billingbot.cli.serving import leave_after
stop = threading.Event()
leave_after(stop, 0.1)
threading.Thread(target=time.sleep, args=(60,)).start()
stop.set()
"""


def test_a_thread_that_waits_for_somebody_outside_does_not_hold_the_end_up() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run([sys.executable, "-c", WAITING], env=environment, timeout=30, check=False)
    assert ended.returncode == 0


class Hasty(ImpatientProtocol):
    """Waits a fifth of a second for a request."""

    idle_seconds: ClassVar[float] = 0.2


@contextmanager
def line_to(app: ASGIApp) -> Iterator[socket.socket]:
    """A connection to a hasty server."""
    with served(app, protocol=Hasty) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port)) as line:
            yield line


def _ends_within(line: socket.socket, seconds: float) -> bool:
    line.settimeout(seconds)
    try:
        while line.recv(4096):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return True


@pytest.mark.parametrize("start", [b"", b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_connection_that_never_finishes_its_head_is_closed(app: ASGIApp, start: bytes) -> None:
    with line_to(app) as line:
        line.sendall(start)

        assert _ends_within(line, 5)


def test_a_connection_that_drips_its_head_byte_by_byte_is_closed(app: ASGIApp) -> None:
    with line_to(app) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")

        assert _drip(line, 5) < 5


def _drip(line: socket.socket, seconds: float) -> float:
    """Sends a byte every now and then; how long the other side took it."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        try:
            line.sendall(b"x")
        except OSError:
            break
        time.sleep(0.02)
    return time.monotonic() - began


def test_an_answer_that_takes_longer_than_the_patience_is_given(app: ASGIApp) -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(0.7)
        await app(scope, receive, send)

    with served(slow, protocol=Hasty) as url, visitor(url) as client:
        assert client.get("/healthz").status_code == 200
