"""Sending by URL: the one place that knows Apprise, which turns a URL into Slack, e-mail, PagerDuty and the rest."""

import logging
import re
import threading
from collections.abc import Callable
from typing import Any, Final

from billingbot.core.notice import Message
from billingbot.telling.route import NotSentError

_STATUS: Final = re.compile(r"error=(\d{3})\b")


def sender(url: str) -> Callable[[Message], None]:
    """Sends to this URL, in Apprise's notation. ValueError where no destination can be made of it.

    Apprise connects and reads for four seconds at the most, unless the URL says otherwise (`?cto=`, `?rto=`).
    """
    _destination(url)

    def send(message: Message) -> None:
        _send(_destination(url), message)

    return send


def _destination(url: str) -> Any:
    # Made anew for each message: a destination keeps its state (throttles, tokens) and is not made for threads.
    # Imported here: reading Apprise's hundred plugins takes a second that only those should pay who use it.
    from apprise import Apprise, AppriseAsset

    destination = Apprise(asset=AppriseAsset(app_id="billingbot", app_desc="billingbot", app_url=""))
    if not destination.add(url):
        raise ValueError("expected a notification URL such as mailto://..., slack://... or json://...")
    return destination


def _send(destination: Any, message: Message) -> None:
    from apprise import NotifyFormat, NotifyType

    logger = logging.getLogger("apprise")
    logger.propagate = False  # it may quote a destination; what of it is fit to be kept is read below
    heard = _Heard()
    logger.addHandler(heard)
    kind = NotifyType.INFO if message.is_good_news else NotifyType.WARNING
    try:
        sent = destination.notify(
            body=message.body, title=message.title, notify_type=kind, body_format=NotifyFormat.TEXT
        )
    except Exception as fault:  # noqa: BLE001 - whatever a plugin throws, as below
        # A plugin's own fault: its class is told, its text may hold the URL.
        raise NotSentError(f"the destination's plugin failed ({type(fault).__name__})") from None
    finally:
        logger.removeHandler(heard)
    if not sent:
        raise NotSentError(heard.reason())


class _Heard(logging.Handler):
    """What Apprise logs in this thread while it sends: it answers yes or no, and the reason stands only there."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the line, where it is of this thread."""
        if record.thread == self._thread:
            self._lines.append(record.getMessage())

    def reason(self) -> str:
        """The reason in words of ours: the lines themselves may hold the destination."""
        said = " ".join(self._lines)
        if status := _STATUS.search(said):
            return f"the destination refused it with {status[1]}"
        if "connection error" in said.lower():
            return "the destination could not be reached"
        return "the destination did not take it"
