"""People: their names as the ledger keeps them, when two names are one person, and who may sign in."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from billingbot.core.access.powers import Power, Role, powers_of
from billingbot.core.errors import InputError

MOST_NAME: Final = 200
# The longest address that mail can carry: RFC 5321, 4.5.3.1.3.
MOST_EMAIL: Final = 254
_OURS: Final = frozenset({"billingbot", "stripe"})


def person(by: str) -> str:
    """The name of whoever acts, as the ledger keeps it. InputError where it is none, or could be taken for ours."""
    if not by.strip() or len(by) > MOST_NAME or not by.isprintable():
        raise InputError("by", f"expected a name of 1 to {MOST_NAME} printable characters")
    if by in _OURS or ":" in by:  # `policy:...` and `key:...` are actors of ours as well
        raise InputError("by", "expected a person's name, not one that the ledger keeps for billingbot and Stripe")
    return by


def person_key(by: str) -> str:
    """What two spellings of one name have in common: neither case, spaces, nor compatible forms tell people apart.

    InputError where it is no person's name.
    """
    return "".join(unicodedata.normalize("NFKC", person(by)).casefold().split())


def mail_address(email: str) -> str:
    """A person's address in the one spelling by which they are found. InputError where it is none."""
    found = unicodedata.normalize("NFKC", email).strip().casefold()
    local, at, domain = found.rpartition("@")
    if not (local and at and domain) or len(found) > MOST_EMAIL or not found.isprintable() or " " in found:
        raise InputError("email", "expected an address such as ada@example.com")
    return found


class Theme(StrEnum):
    """How the console looks to this person."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who may sign in. `name` is what the ledger writes: it never changes, and nobody else has its like."""

    id: str
    name: str
    email: str | None
    roles: tuple[Role, ...]
    locale: str = "en"
    """How dates and amounts are written, such as `de_AT`."""
    zone: str = "UTC"
    """The IANA zone in which they read times."""
    theme: Theme = Theme.SYSTEM
    created_at: datetime
    last_seen_at: datetime | None = None
    disabled_at: datetime | None = None
    has_password: bool = False
    has_second_factor: bool = False

    @property
    def powers(self) -> frozenset[Power]:
        """What their roles allow together; nothing once they are disabled."""
        return frozenset() if self.disabled_at else powers_of(self.roles)
