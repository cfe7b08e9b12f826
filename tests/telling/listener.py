"""A destination for notices: a local HTTP server that keeps what it is sent, and answers what it is told to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Listener:
    """What arrived, and the status that the next deliveries get."""

    def __init__(self, port: int) -> None:
        self.url = f"json://127.0.0.1:{port}/"
        self.status = 200
        self.heard: list[dict[str, Any]] = []

    @property
    def titles(self) -> list[str]:
        """The titles of what was taken, in order."""
        return [str(message["title"]) for message in self.heard]


@contextmanager
def listening() -> Iterator[Listener]:
    """A server on a port of its own, gone at the end."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if listener.status == 200:
                listener.heard.append(body)
            self.send_response(listener.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    listener = Listener(server.server_address[1])
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
