"""URL templates with percent-encoded holes: a customer's own text can never become part of the address."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Final
from urllib.parse import quote, urlsplit

from billingbot.core.evidence.usage import Subject
from billingbot.evidence.reading import UnansweredError

_HOLE: Final = re.compile(r"\{([^{}]*)\}")
_FORBIDDEN_IN_PATH: Final = re.compile(r"[/\\\x00-\x1f\x7f]")
_METADATA: Final = "metadata."

_PLAIN: Final[Mapping[str, tuple[str, Callable[[Subject], str | None]]]] = {
    "customer_id": ("customer id", lambda subject: subject.customer_id),
    "email": ("e-mail", lambda subject: subject.email),
    "subscription_id": ("subscription", lambda subject: subject.subscription_id),
    "account": ("account", lambda subject: subject.account),
    "since": ("start", lambda subject: subject.since.astimezone(UTC).isoformat()),
}


def subject_value(subject: Subject, name: str) -> str:
    """The subject's value for a placeholder (`customer_id`, `metadata.plan`, ...).

    UnansweredError where the customer has none: a request with an empty hole would ask about somebody else.
    """
    if name.startswith(_METADATA):
        key = name.removeprefix(_METADATA)
        what, value = f"metadata {key}", dict(subject.metadata).get(key)
    else:
        what, read = _PLAIN[name]
        value = read(subject)
    if not value:
        raise UnansweredError(f"customer has no {what}")
    return value


def is_subject_name(name: str) -> bool:
    """Whether `subject_value` knows the name."""
    return name in _PLAIN or (name.startswith(_METADATA) and len(name) > len(_METADATA))


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlTemplate:
    """An http(s) address with placeholders in its path and query. Build it with `parse`."""

    path: str
    """Everything before the query, scheme and host included."""
    query: str

    @classmethod
    def parse(cls, text: str) -> "UrlTemplate":
        """ValueError says what an address may not have; it never repeats the address."""
        if not text.isascii() or re.search(r"[\s\x00-\x1f\x7f]", text):
            raise ValueError("expected an address without spaces and of ASCII characters")
        bare = _HOLE.sub("x", text)
        if "{" in bare or "}" in bare:
            raise ValueError("expected every { to have its }")
        for name in _HOLE.findall(text):
            if not is_subject_name(name):
                names = ", ".join(f"{{{known}}}" for known in _PLAIN)
                raise ValueError(f"unknown placeholder {{{name}}}; known are {names}, {{metadata.KEY}}")
        _check_address(text, bare)
        path, _, query = text.partition("?")
        return cls(path=path, query=query)

    def fill(self, subject: Subject) -> str:
        """The address about one customer, every value percent-encoded. UnansweredError where one is missing."""
        path = _HOLE.sub(lambda hole: _in_path(subject, hole[1]), self.path)
        # "." and ".." cannot be hidden by encoding: every server reads %2E as a dot.
        if {".", ".."} & set(path.split("/")):
            raise UnansweredError("a value of this customer would change the path of the address")
        if not self.query:
            return path
        return f"{path}?{_HOLE.sub(lambda hole: _encoded(subject, hole[1]), self.query)}"


def _check_address(text: str, bare: str) -> None:
    parts = urlsplit(bare)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("expected an address that starts with https:// or http:// and names a host")
    if "{" in re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]:
        raise ValueError("expected placeholders in the path or the query only, not in the host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected no user or password in the address; use auth_header_env")
    if parts.fragment:
        raise ValueError("expected no #fragment: it is never sent")
    _ = parts.port  # ValueError where it is no number or out of range


def _in_path(subject: Subject, name: str) -> str:
    # Many servers decode %2F before they route, so a slash is refused here rather than encoded.
    if _FORBIDDEN_IN_PATH.search(subject_value(subject, name)):
        raise UnansweredError(f"customer's {name} holds a slash or control character; it cannot stand in a path")
    return _encoded(subject, name)


def _encoded(subject: Subject, name: str) -> str:
    try:
        return quote(subject_value(subject, name), safe="")
    except UnicodeEncodeError:  # half of a surrogate pair
        raise UnansweredError(f"customer's {name} is no valid text") from None
