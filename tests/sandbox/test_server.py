"""Starting and stopping: in this process without a trace, and as a process of its own."""

import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
from tests.calls import tls
from tests.sandbox.shop import Shop

from billingbot.sandbox.server import running_sandbox


def test_a_sandbox_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    with running_sandbox() as sandbox:
        sandbox.client.add_endpoint("http://127.0.0.1:9/", ["*"])
        Shop(sandbox).one_off()
        assert len(threading.enumerate()) > len(before)
    assert {thread for thread in threading.enumerate() if thread.name.startswith(("sandbox", "webhooks"))} <= before


def test_it_ends_also_when_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), running_sandbox() as sandbox:
        raise ZeroDivisionError
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{sandbox.url}/_sandbox/health", verify=tls())


def test_two_sandboxes_know_nothing_of_each_other() -> None:
    with running_sandbox() as one, running_sandbox() as other:
        Shop(one).customer(None)
        assert len(one.state.tables["customer"]) == 1
        assert len(other.state.tables["customer"]) == 0


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_as_a_process_it_stops_cleanly_when_asked(stop: signal.Signals) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = f"from billingbot.sandbox.server import serve; serve(port={port}, livemode=True); print('ended')"
    process = subprocess.Popen([sys.executable, "-c", serve], stdout=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/_sandbox/health", verify=tls())
            except httpx.ConnectError:
                time.sleep(0.05)
            else:
                break
        assert answer.json()["livemode"] is True
        process.send_signal(stop)
        assert process.communicate(timeout=10)[0] == "ended\n"
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/disputes", "{}", "charge: missing"),
        ("/disputes", '{"charge": "ch_1", "colour": 1}', "colour: unknown field"),
        ("/disputes", '{"charge": "ch_1"}', "no such charge: ch_1"),
        ("/clock/advance", "{", "Input data was truncated"),
        ("/clock/advance", '{"fortnights": 1}', "fortnights: unknown field"),
        ("/refund_outcomes", '{"status": "maybe"}', "status: expected one of pending"),
        ("/endpoints", "{}", "url: expected"),
        ("/nothing", "{}", "no such command"),
    ],
)
def test_the_control_api_says_what_is_wrong_with_a_command(path: str, body: str, said: str) -> None:
    with running_sandbox() as sandbox:
        answer = httpx.post(f"{sandbox.url}/_sandbox{path}", content=body, verify=tls())
    assert answer.status_code in (400, 404)
    assert said in answer.json()["error"]
