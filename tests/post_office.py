"""A mail server for tests: speaks SMTP on a real socket, keeps what it takes, and fails where it is told to."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast


@dataclass(slots=True)
class PostOffice:
    """`says` maps a command (MAIL, RCPT, DATA, "." for the end of the message) to the answer instead of 250.

    An answer of "" hangs up instead; after "." the message is kept first, as a server does that dies too late.
    """

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    says: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"


class _Conversation(socketserver.StreamRequestHandler):
    office: PostOffice

    def handle(self) -> None:
        self._say("220 post office")
        while line := self.rfile.readline():
            verb = line.split(b":")[0].split()[0].decode().upper()
            answer = self.office.says.get(
                verb, "354 go on" if verb == "DATA" else "221 bye" if verb == "QUIT" else "250 ok"
            )
            if answer == "":
                return
            self._say(answer)
            if verb == "DATA" and answer.startswith("354") and not self._take():
                return
            if verb == "QUIT":
                return

    def _take(self) -> bool:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        answer = self.office.says.get(".", "250 taken")
        if answer == "" or answer.startswith("2"):
            message = message_from_bytes(b"".join(lines), policy=policy.default)
            self.office.taken.append(cast("EmailMessage", message))
        if answer == "":
            return False
        self._say(answer)
        return True

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def running_post_office() -> Iterator[PostOffice]:
    """A post office on a free port; gone at the end."""
    office = PostOffice()
    handler = type("Conversation", (_Conversation,), {"office": office})
    with _Server(("127.0.0.1", 0), handler) as server:
        office.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield office
        finally:
            server.shutdown()
            thread.join()
