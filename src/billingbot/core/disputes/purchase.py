"""Who bought what, as Stripe keeps it beside a charge: names and addresses for a bank, and for nobody else."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A charge's personal side. It is read when an answer is drafted, and never logged or ledgered."""

    read_at: datetime
    name: str | None
    """From the charge's billing details, else the customer's."""
    billing_address: str | None
    """On one line."""
    brand: str | None
    last4: str | None
    descriptor: str | None
    """What stood on the cardholder's statement."""
    description: str | None
    receipt_number: str | None
    receipt_email: str | None
    """Where Stripe was told to send the receipt."""
    metadata: Mapping[str, str]
    """Of the charge, and of the customer where the charge has no such name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One piece of what was said between the customer and us, oldest first in any list of them."""

    at: datetime
    who: str
    """`customer`, `us`, `note`."""
    what: str
    """In one line: the channel of a request, the subject of a letter."""
    text: str
