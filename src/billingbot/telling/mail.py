"""Mail to customers over SMTP: one message, one server, and an exact answer whether it was taken."""

import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from typing import Final
from urllib.parse import unquote, urlsplit

from billingbot.core.errors import BillingbotError

# Each step of the conversation; ten of them end well within a job's lease only where none takes longer than this.
TIMEOUT_SECONDS: Final = 5
_PORTS: Final = {"smtps": 465, "smtp+starttls": 587, "smtp": 25}
# One address of ASCII and nothing beside it: no name, no list, no control character, nothing that reads as encoded.
_ADDRESS: Final = re.compile(r"(?!.*=\?)[^\s@<>,;:\"()\\]+@[^\s@<>,;:\"()\\]+", re.ASCII)
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class MailRefusedError(BillingbotError):
    """The server will never take this message; says why, without the address."""


class MailDelayedError(BillingbotError):
    """The server did not take the message now, and certainly has not got it: it may be tried again."""


class MailUnknownError(BillingbotError):
    """The connection broke while the server may already have had the whole message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A way out for letters. `automatic` sends what the policy grants or closes by itself without a person.

    `url` is smtps://user:password@host:465, smtp+starttls://user:password@host:587, or smtp://localhost:25.
    """

    url: str = field(repr=False)
    sender: str
    reply_to: str | None = None
    automatic: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("expected a URL such as smtps://user:password@mail.example.com:465")
        if parts.scheme == "smtp" and parts.hostname not in _HERE:
            raise ValueError("expected smtps:// or smtp+starttls:// to another machine: letters name customers")
        if "@" not in parseaddr(self.sender)[1]:
            raise ValueError("sender: expected an address such as Refunds <refunds@example.com>")

    def send(self, *, to: str, subject: str, text: str, letter_id: str) -> None:
        """Sends one message. MailRefusedError, MailDelayedError or MailUnknownError where it was not taken for sure."""
        message = self._message(to, subject, text, letter_id)
        try:
            with self._connected() as server:
                server.ehlo_or_helo_if_needed()
                _taken(server.mail(parseaddr(self.sender)[1]))
                _taken(server.rcpt(to))
                self._data(server, message)
        except (OSError, smtplib.SMTPException) as fault:  # before the message itself: it cannot have arrived
            raise MailDelayedError(f"mail: the server did not answer as expected ({type(fault).__name__})") from None

    def _data(self, server: smtplib.SMTP, message: EmailMessage) -> None:
        try:
            answer = server.data(message.as_bytes(policy=SMTP))
        except smtplib.SMTPDataError as fault:
            answer = (fault.smtp_code, b"")
        except (OSError, smtplib.SMTPException) as fault:
            raise MailUnknownError(f"mail: the connection broke ({type(fault).__name__})") from None
        _taken(answer)

    def _message(self, to: str, subject: str, text: str, letter_id: str) -> EmailMessage:
        if not (_ADDRESS.fullmatch(to) and to.isascii() and to.isprintable()):
            raise MailRefusedError("mail: the customer's address is none that a server takes")
        message = EmailMessage()
        # A subject that looks encoded would be decoded, and what comes out need not be one line (CVE-2024-6923).
        plain = " ".join(subject.replace("=?", "= ?").split())
        message["From"], message["To"], message["Subject"] = self.sender, to, plain
        if self.reply_to:
            message["Reply-To"] = self.reply_to
        message["Date"] = formatdate(usegmt=True)
        # The same id however often it is tried: a mail program shows one message.
        message["Message-ID"] = f"<{letter_id}@{parseaddr(self.sender)[1].partition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"  # keeps out-of-office answers from answering (RFC 3834)
        message.set_content(text)
        return message

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        server: smtplib.SMTP
        if parts.scheme == "smtps":
            server = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
        else:
            server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
        try:
            if parts.scheme == "smtp+starttls":
                server.starttls(context=ssl.create_default_context())
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            yield server
            _leave(server)
        finally:
            server.close()


def _leave(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (OSError, smtplib.SMTPException):
        return  # the message was taken; how the server says goodbye changes nothing


def _taken(answer: tuple[int, bytes]) -> None:
    """RFC 5321: 2xx is done, 4xx is later, 5xx is never. The server's text may quote the address: it is not kept."""
    code = answer[0]
    if 500 <= code < 600:
        raise MailRefusedError(f"mail: the server refused it with {code}")
    if not 200 <= code < 400:
        raise MailDelayedError(f"mail: the server put it off with {code}")
