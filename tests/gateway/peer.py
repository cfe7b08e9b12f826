"""A peer on a raw socket that answers as it is told, well or badly, and remembers what it was asked."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it came over the wire."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    form: dict[str, str]


@dataclass
class Peer:
    """Answers each connection with the bytes that `answer` makes of the request, then closes it."""

    answer: Callable[[Asked], bytes]
    asked: list[Asked] = field(default_factory=list)
    url: str = ""


def answered(
    body: object, *, status: int = 200, headers: dict[str, str] | None = None, cut: int | None = None
) -> bytes:
    """An HTTP answer; `cut` sends only so many bytes of the body that was announced."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(raw)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in ({"Content-Type": "application/json"} | (headers or {})).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw[:cut]


def refused(status: int, **error: Any) -> bytes:
    """An error as Stripe words it."""
    headers = error.pop("headers", None)
    return answered({"error": {"type": "invalid_request_error", **error}}, status=status, headers=headers)


@contextlib.contextmanager
def listening(answer: Callable[[Asked], bytes]) -> Iterator[Peer]:
    """A peer on a free port of this machine."""
    server = socket.create_server(("127.0.0.1", 0))
    peer = Peer(answer, url=f"http://127.0.0.1:{server.getsockname()[1]}")
    thread = threading.Thread(target=_serve, args=(server, peer), daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(timeout=5)


def _serve(server: socket.socket, peer: Peer) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_converse, args=(connection, peer), daemon=True).start()


def _converse(connection: socket.socket, peer: Peer) -> None:
    with connection, contextlib.suppress(OSError):
        request = _read(connection)
        peer.asked.append(request)
        connection.sendall(peer.answer(request))


def _read(connection: socket.socket) -> Asked:
    reader = connection.makefile("rb")
    method, target, _ = reader.readline().decode().split()
    headers: dict[str, str] = {}
    while line := reader.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", 0))).decode()
    parts = urlsplit(target)
    return Asked(method, parts.path, dict(parse_qsl(parts.query)), headers, dict(parse_qsl(body)))
