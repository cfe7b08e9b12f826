"""Serving the application: uvicorn with our limits, a clean end on SIGTERM or Ctrl-C, and no talk of its own."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar, Final, Protocol, runtime_checkable

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

# A request's head is a kilobyte or two, with a long Idempotency-Key and a proxy's own headers.
MOST_HEAD_BYTES: Final = 16 * 1024
# Connections at a time, each with at most one body of the intake's mebibyte in memory.
MOST_CONNECTIONS: Final = 1000
# A commit under way ends within the statement timeout of five seconds, or fails.
GRACE_SECONDS: Final = 10
# How long a connection may be without a new request: silent, or sending a head byte by byte.
IDLE_SECONDS: Final = 15.0
STREAM: Final = "billingbot.stream"
"""Where in the ASGI scope an answer that goes on leaves its `Stream`."""


def serve(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    stop: threading.Event | None = None,
    behind_proxy: bool = False,
    proxies: str = "127.0.0.1",
) -> None:
    """Serves until SIGTERM or Ctrl-C, then answers what is under way and returns.

    Both set `stop`; where it is set already, the signal came while the application was being put together, and this
    returns at once. `behind_proxy` believes the X-Forwarded headers of these `proxies` (addresses with commas
    between). Raises SystemExit where the address cannot be had.
    """
    server = _Server(config(app, host, port, behind_proxy=behind_proxy, proxies=proxies), stop or threading.Event())
    with _signals_end(server):
        server.should_exit = server.stop.is_set()
        server.run()


def config(
    app: ASGIApp, host: str, port: int, *, behind_proxy: bool = False, proxies: str = "127.0.0.1"
) -> uvicorn.Config:
    """Uvicorn's configuration; for `serve`, and for whoever runs the server in a thread of theirs."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=ImpatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,  # telemetry has set up logging already
        access_log=False,
        server_header=False,
        proxy_headers=behind_proxy,
        forwarded_allow_ips=proxies,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


@runtime_checkable
class Stream(Protocol):
    """An answer that goes on until it is told to end."""

    def end(self) -> None: ...


class _Server(uvicorn.Server):
    """Tells others as well that it was told to end."""

    def __init__(self, config: uvicorn.Config, stop: threading.Event) -> None:
        super().__init__(config)
        self.stop = stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal while it runs."""
        self.stop.set()
        super().handle_exit(sig, frame)


class ImpatientProtocol(H11Protocol):
    """Closes connections that bring no new request: uvicorn itself waits for the end of a head for ever."""

    idle_seconds: ClassVar[float] = IDLE_SECONDS
    _look: asyncio.TimerHandle | None = None
    _seen: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """Starts to watch the connection."""
        super().connection_made(transport)
        self._look = self.loop.call_later(self.idle_seconds, self._look_again)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops watching."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server is told to end: a stream of news ends by itself then, instead of being waited for."""
        stream = self.cycle.scope.get(STREAM) if self.cycle is not None else None
        if isinstance(stream, Stream):
            stream.end()
        super().shutdown()

    def _look_again(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if not answering and self.cycle is self._seen:
            self.transport.close()
            return
        self._seen = self.cycle
        self._look = self.loop.call_later(self.idle_seconds, self._look_again)


@contextmanager
def _signals_end(server: _Server) -> Iterator[None]:
    """Signals end the server and nothing else.

    Uvicorn listens to them only while it runs: one that comes before would kill the process, and one that ended the
    server is raised once more when it is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: object) -> None:
        server.stop.set()
        server.should_exit = True

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
