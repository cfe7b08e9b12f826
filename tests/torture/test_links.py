"""The links do to a connection what they count, and nothing else."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from tests.torture.links import CALM, Link, Links, Weather
from tests.torture.tally import Tally

_PATIENCE_SECONDS = 5


class Echo:
    """A server that answers each piece with the same piece, and keeps what it heard."""

    def __init__(self) -> None:
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(self._listener.accept()[0],), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            while piece := connection.recv(1000):
                self.heard += piece
                connection.sendall(piece)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def link(echo: Echo) -> Iterator[Link]:
    links = Links()
    yield links.open("echo", echo.address, Tally(), "seed")
    links.close()


def said(link: Link, piece: bytes = b"pay") -> bytes:
    """What comes back through the link; nothing where the connection ends."""
    try:
        with socket.create_connection(("127.0.0.1", link.port), timeout=_PATIENCE_SECONDS) as connection:
            connection.sendall(piece)
            return connection.recv(1000)
    except OSError:
        return b""


def test_on_a_calm_day_everything_passes_and_nothing_is_counted(link: Link, echo: Echo) -> None:
    link.weather = CALM
    assert (said(link), echo.heard, link.tally.counts()) == (b"pay", b"pay", {})


@pytest.mark.parametrize(
    ("fault", "comes_back", "arrives"),
    [
        ("refuse", b"", b""),
        ("cut", b"", b""),
        ("blackhole", b"", b""),
        ("half", b"", b"pa"),
        ("lose_answer", b"", b"paid"),
        ("cut_answer", b"pa", b"paid"),
        ("delay", b"paid", b"paid"),
    ],
)
def test_each_fault_does_what_it_says(link: Link, echo: Echo, fault: str, comes_back: bytes, arrives: bytes) -> None:
    link.weather = Weather(**{fault: 1.0}, delay_seconds=0.01, hole_seconds=0.05)
    assert said(link, b"paid") == comes_back
    until = time.monotonic() + _PATIENCE_SECONDS
    while echo.heard != arrives and time.monotonic() < until:
        time.sleep(0.01)  # the client is told of the end before the server has read everything
    assert echo.heard == arrives
    assert link.tally.counts() == {f"echo.{fault}": 1}
