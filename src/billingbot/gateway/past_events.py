"""Stripe's own list of events, page by page, each decoded as its webhook would have been."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from billingbot.core.errors import InputError
from billingbot.core.signals import SIGNALS, Envelope
from billingbot.gateway.envelope import EnvelopeError, decode
from billingbot.gateway.transport import Transport

# https://docs.stripe.com/api/events/list: `types` takes up to twenty.
_MOST_TYPES: Final = 20
PAGE: Final = 100
"""Events of a page: the most that Stripe gives at once."""


def _in_even_parts(types: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    parts = -(-len(types) // _MOST_TYPES)
    return tuple(types[part::parts] for part in range(parts))


TYPE_QUERIES: Final = _in_even_parts(tuple(sorted(SIGNALS)))
"""All types that somebody here needs, in as few queries as Stripe's list takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableEvent:
    """What Stripe lists as an event and is none that we can read; `says` names the field, and quotes nothing."""

    event_id: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """A page of events, newest first; `next` is where the next page starts, None at the end."""

    envelopes: tuple[Envelope, ...]
    unreadable: tuple[UnreadableEvent, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Whose events are read: our name for the account, its mode, and the connected account if it is one."""

    account: str
    livemode: bool
    stripe_account: str | None


def read_page(
    transport: Transport,
    whose: Whose,
    *,
    types: tuple[str, ...],
    since: datetime,
    until: datetime,
    after: str | None,
) -> EventPage:
    """One page of the events of these types created at or after `since` and before `until`, in whole seconds.

    Delivered or not: an event that was acknowledged and then lost counts as delivered at Stripe. Raises as all
    reads do, and InputError for more types than Stripe takes.
    """
    if not 1 <= len(types) <= _MOST_TYPES:
        raise InputError("types", f"expected 1 to {_MOST_TYPES}")
    created = {"gte": int(since.timestamp()), "lt": int(until.timestamp())}
    items, following = transport.page("events", after=after, limit=PAGE, types=list(types), created=created)
    envelopes: list[Envelope] = []
    unreadable: list[UnreadableEvent] = []
    for item in items:
        try:
            body = msgspec.json.encode(item)
            envelopes.append(
                decode(body, account=whose.account, livemode=whose.livemode, stripe_account=whose.stripe_account)
            )
        except EnvelopeError as fault:
            unreadable.append(UnreadableEvent(event_id=str(item.get("id")), says=str(fault)))
    return EventPage(envelopes=tuple(envelopes), unreadable=tuple(unreadable), next=following)


def snapshot_of(thin_body: bytes) -> str | None:
    """The id of the snapshot event that a stored thin event is the twin of, where it names one."""
    try:
        named = msgspec.json.decode(thin_body, type=_Thin).snapshot_event
    except msgspec.DecodeError:
        return None
    return named


class _Thin(msgspec.Struct):
    snapshot_event: str | None = None
