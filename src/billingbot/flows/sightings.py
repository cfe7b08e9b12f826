"""Sightings: the product tells on which device and from which address a customer was seen; kept as keyed digests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from billingbot.core.access.powers import Power
from billingbot.core.errors import InputError
from billingbot.core.evidence.history import LinkKind, normalise_address
from billingbot.flows.desk import Desk
from billingbot.store import database, links
from billingbot.store.database import transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A customer on a device, at an address, or both, at an instant; None for now."""

    customer_id: str
    device: str | None
    ip: str | None
    at: datetime | None


def push_sightings(desk: Desk, account: str, seen: Sequence[Seen]) -> int:
    """Keeps who was seen with what, all or nothing; again comes to the same. Returns how many digests that were.

    Neither device nor address is stored, only digests keyed with a secret of this database. Raises InputError where
    a time lies in the future, or an address is none that one household has.
    """
    desk.require(Power.PUSH)
    desk.account(account)
    with transaction(desk.db) as connection:
        now = database.now(connection)
        told = [one for index, each in enumerate(seen) for one in _told(index, each, now)]
        links.see_keyed(connection, account, told)
    return len(told)


def _told(index: int, seen: Seen, now: datetime) -> list[tuple[str, datetime, LinkKind, str]]:
    at = seen.at or now
    if at > now:
        raise InputError(f"seen[{index}].at", "expected a time that is not in the future")
    if seen.device is None and seen.ip is None:
        raise InputError(f"seen[{index}]", "expected a device, an ip, or both")
    told = []
    if seen.device is not None:
        told.append((seen.customer_id, at, LinkKind.DEVICE, seen.device.strip()))
    if seen.ip is not None:
        address = normalise_address(seen.ip)
        if address is None:
            raise InputError(f"seen[{index}].ip", "expected a public IPv4 or IPv6 address")
        told.append((seen.customer_id, at, LinkKind.IP, address))
    return told
