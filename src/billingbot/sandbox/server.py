"""Start and stop a sandbox: blocking for the command line, in a thread on a free port for tests."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Unpack

import uvicorn

from billingbot.sandbox.app import SandboxApp
from billingbot.sandbox.client import SandboxClient
from billingbot.sandbox.local import LocalStripe
from billingbot.sandbox.state import Options, Sandbox, Settings

_START_SECONDS: Final = 10.0  # a busy machine still starts a server in less


def _server(local: LocalStripe, host: str, port: int) -> uvicorn.Server:
    config = uvicorn.Config(
        SandboxApp(local),
        host=host,
        port=port,
        http="h11",  # its cycle owns the transport that `app` hangs up
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


def serve(host: str = "127.0.0.1", port: int = 12111, **settings: Unpack[Settings]) -> None:
    """Serve until Ctrl-C or SIGTERM. Settings: see `state.Options`."""
    local = LocalStripe(Options(**settings))
    local.start()
    try:
        with _quiet_signals():
            _server(local, host, port).run()
    finally:
        local.stop()


@contextlib.contextmanager
def _quiet_signals() -> Iterator[None]:
    """uvicorn ends on SIGINT and SIGTERM, and then raises them again for whoever came before it. That is us, and we
    only want to go on and stop our threads."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that runs in this process."""

    url: str
    client: SandboxClient
    local: LocalStripe

    @property
    def state(self) -> Sandbox:
        """The objects themselves; hold `state.lock` while you touch them."""
        return self.local.box


@contextlib.contextmanager
def running_sandbox(port: int = 0, **settings: Unpack[Settings]) -> Iterator[RunningSandbox]:
    """A sandbox on a free port of this machine for as long as the block lasts. Settings: see `state.Options`.

    Raises RuntimeError where the server does not come up.
    """
    local = LocalStripe(Options(**settings))
    # Named as TCP, or asyncio leaves Nagle's algorithm on and every answer waits 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = _server(local, "127.0.0.1", port)
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox-http")
        local.start()
        thread.start()
        mode = "live" if local.options.livemode else "test"
        try:
            _await_start(server, thread)
            with SandboxClient(url, key=f"sk_{mode}_sandbox") as client:
                yield RunningSandbox(url, client, local)
        finally:
            server.should_exit = True
            thread.join()
            local.stop()


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    until = time.monotonic() + _START_SECONDS
    while not server.started:
        if time.monotonic() > until or not thread.is_alive():
            raise RuntimeError("the sandbox did not start")
        time.sleep(0.005)
