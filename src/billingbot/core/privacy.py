"""Privacy: what is kept of one customer, how much of it can go, and what an event is without its personal data."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

ERASED: Final = "(erased on request)"
"""What stands where a text was."""
BARE: Final = '"erased": true}'
"""How the bytes of an event end that was erased."""
# What an event says beside what it is about; none of it is anybody's own.
_ENVELOPE: Final = ("id", "object", "account", "api_version", "created", "livemode", "type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How much is held of a customer, by kind. What is still under way stays until it ends."""

    cases: int = 0
    requests: int = 0
    notes: int = 0
    letters: int = 0
    comments: int = 0
    """What they wrote when they cancelled."""
    marks: int = 0
    """Reasons that people wrote beside links."""
    purchases: int = 0
    """What the product told of their purchases: a name, an address, an IP."""
    disputes: int = 0
    events: int = 0
    digests: int = 0
    """Digests of mailboxes, devices and addresses, by which a repeated trial is known."""
    open_cases: int = 0
    open_disputes: int = 0

    def __add__(self, other: "Held") -> "Held":
        return Held(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing that could be erased, now or later."""
        return self == Held()

    def counted(self) -> dict[str, int]:
        """The counts that are not zero."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name)}


class SearchState(StrEnum):
    """Where a search for a customer's personal data stands."""

    LOOKING = "looking"
    FOUND = "found"
    """Somebody may look at what was found, and agree that it goes."""
    ERASING = "erasing"
    ERASED = "erased"
    DROPPED = "dropped"
    """Nobody agreed within the day, or somebody said no; the address is forgotten."""
    FAILED = "failed"


# Long enough for a second thought; the address does not lie around for longer.
FOUND_LASTS: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search for the personal data of whoever has an address, and what came of it. The address is not here."""

    id: str
    state: SearchState
    asked_by: str
    agreed_by: str | None
    rows_total: int | None
    """Of the inbox, to be looked through; None until they are counted."""
    rows_done: int
    held: Held | None
    """What was found; None until it was looked for."""
    erased: Held | None
    """What has gone so far, and what stays until it ends."""
    began_at: datetime
    ended_at: datetime | None


def bare_event(body: bytes) -> bytes:
    """The event with nothing in it but what it is and which object it is about."""
    event = json.loads(body)
    about = (event.get("data") or {}).get("object") or {}
    kept = {name: event[name] for name in _ENVELOPE if name in event}
    inside = {name: about[name] for name in ("id", "object") if isinstance(about.get(name), str)}
    return json.dumps({**kept, "data": {"object": inside}, "erased": True}, ensure_ascii=False).encode()


def customer_of(body: bytes) -> str | None:
    """The customer that a snapshot event is about, if it says so."""
    about = (json.loads(body).get("data") or {}).get("object") or {}
    found = about.get("id") if about.get("object") == "customer" else about.get("customer")
    return found if isinstance(found, str) else None


def spellings(email: str) -> Iterator[str]:
    """The address in small letters, as raw JSON may hold it."""
    lowered = email.lower()
    yield lowered
    escaped = json.dumps(lowered)[1:-1].lower()
    if escaped != lowered:
        yield escaped


def shown_event(body: bytes) -> Mapping[str, Any]:
    """The event as JSON, for whoever asks what is kept of them."""
    found: Mapping[str, Any] = json.loads(body)
    return found
