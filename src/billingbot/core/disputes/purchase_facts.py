"""What the product knows about a purchase and Stripe does not: pushed by it, told to banks, and erasable."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from billingbot.core.errors import InputError

_MOST: Final = 500  # a name, an address, an IP: each is one line


class PurchaseFact(StrEnum):
    """One fact about a customer's purchase, by the field of the evidence that it fills or completes."""

    CUSTOMER_NAME = "customer_name"
    CUSTOMER_PURCHASE_IP = "customer_purchase_ip"
    BILLING_ADDRESS = "billing_address"
    TERMS_SHOWN_AT = "terms_shown_at"
    """When the customer was shown the policies: ISO 8601 with its zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A pushed fact, and when we were told."""

    value: str
    told_at: datetime


def checked(facts: Mapping[PurchaseFact, str | None]) -> Mapping[PurchaseFact, str | None]:
    """The facts, where each can be what it says; None takes one away. InputError names the field."""
    for name, value in facts.items():
        if value is None:
            continue
        if not value.strip() or len(value) > _MOST or not value.isprintable():
            raise InputError(name.value, f"expected 1 to {_MOST} printable characters, or null")
        if name is PurchaseFact.CUSTOMER_PURCHASE_IP and not _is_ip(value):
            raise InputError(name.value, "expected an IPv4 or IPv6 address")
        if name is PurchaseFact.TERMS_SHOWN_AT and not _is_time(value):
            raise InputError(name.value, "expected an ISO 8601 time with its zone")
    return facts


def _is_ip(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
