"""People by name, as the ledger keeps them, and when two names are one person."""

import unicodedata
from typing import Final

from billingbot.core.errors import InputError

MOST_NAME: Final = 200
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
