"""A deadline for a whole call to Stripe: timeouts count each read alone, and a dripping answer would outlive a lease.

A timer shuts the call's socket when its time is over, wherever the call is: in the TLS handshake, the headers or the
body. `requests` and `urllib3` are the SDK's own transport; what is built here goes into its client.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import requests
import stripe
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

# The longest call that leases and silences count with: a slow connection (3 s), an answer as late as is allowed
# (20 s), and a little for its body.
DEADLINE_SECONDS: Final = 25.0


class DeadlineError(TimeoutError):
    """The call's time was over."""


class _Call:
    """One call with its deadline, and the connection that it holds, if it has one yet."""

    def __init__(self, seconds: float) -> None:
        self.ends_at = time.monotonic() + seconds
        self.connection: Any = None
        self.socket: object = None

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.ends_at

    def cut(self) -> None:
        """Wakes whoever reads from the socket; from another thread, so past the TLS layer and its state."""
        held = self.socket or getattr(self.connection, "sock", None)
        if isinstance(held, socket.socket):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(held, socket.SHUT_RDWR)


_HERE: Final = threading.local()


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[_Call]:
    call = _HERE.call = _Call(seconds)
    timer = threading.Timer(seconds, call.cut)
    timer.daemon = True
    timer.start()
    try:
        yield call
    finally:
        timer.cancel()
        _HERE.call = None


class _Watched:
    """A pool that tells the call which connection it got, and sends nothing once the time is over."""

    def _validate_conn(self, conn: Any) -> None:
        call: _Call | None = getattr(_HERE, "call", None)
        if call is not None:
            call.connection = conn
        super()._validate_conn(conn)  # type: ignore[misc] # a pool's method, and this is mixed into pools
        if call is None:
            return
        if conn.is_closed:
            conn.connect()
        call.socket = conn.sock  # a connection lets go of it once the headers are there
        if call.is_over:  # looking up a name takes as long as the system likes
            raise TimeoutError("the deadline passed before anything was sent")


class _HttpPool(_Watched, HTTPConnectionPool):
    pass


class _HttpsPool(_Watched, HTTPSConnectionPool):
    pass


class _Adapter(HTTPAdapter):
    """The adapter of `requests`, with watched pools, through a proxy as well."""

    def init_poolmanager(self, *given: Any, **named: Any) -> None:
        super().init_poolmanager(*given, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, *given: Any, **named: Any) -> Any:
        manager = super().proxy_manager_for(*given, **named)
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager


class DeadlinedClient(stripe.RequestsClient):
    """The SDK's client over `requests`, one session for each thread, each call within its deadline.

    A call whose time is over raises stripe.APIConnectionError, caused by DeadlineError, that the SDK does not retry.
    """

    def __init__(self, *, timeout_seconds: tuple[float, float], deadline_seconds: float) -> None:
        super().__init__(timeout=timeout_seconds)
        self._deadline_seconds = deadline_seconds

    def request(  # type: ignore[override] # as the SDK's own client, which this one stands in for
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        if getattr(self._thread_local, "session", None) is None:
            self._thread_local.session = _session()
        with _deadline(self._deadline_seconds) as call:
            try:
                answer = super().request(method, url, headers, post_data)
            except stripe.APIConnectionError:
                if call.is_over:
                    raise _too_late() from DeadlineError()
                raise
        if call.is_over:  # a body without a length ends where the socket was shut
            raise _too_late() from DeadlineError()
        return answer


def _session() -> requests.Session:
    session = requests.Session()
    adapter = _Adapter()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _too_late() -> stripe.APIConnectionError:
    said = "the call's time was over"
    return stripe.APIConnectionError(said, should_retry=False)  # type: ignore[no-untyped-call] # the SDK's own
