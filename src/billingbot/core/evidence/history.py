"""What our own records say about the people behind a charge: earlier trials, refunds, denials; and identity."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

from billingbot.core.evidence.free_mail import FREE_MAIL

# Providers that deliver a+b@x to a@x, and those that ignore dots as well. Elsewhere a dot or plus may be another
# person, so it is kept. Sources: the providers' own help pages.
_GMAIL: Final = frozenset({"gmail.com", "googlemail.com"})
_PLUS: Final = _GMAIL | {
    "outlook.com",
    "hotmail.com",
    "live.com",
    "icloud.com",
    "me.com",
    "mac.com",
    "fastmail.com",
    "proton.me",
    "protonmail.com",
    "pm.me",
    "yandex.com",
    "zoho.com",
}


class LinkKind(StrEnum):
    """Why two customers look like one person; what each says is told by `core.links`."""

    CARD = "card"
    EMAIL = "email"
    DEVICE = "device"
    IP = "ip"
    DOMAIN = "domain"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLink:
    """Another customer's earlier trial that shares this charge's card or normalised e-mail."""

    kind: LinkKind
    customer_id: str
    subscription_id: str
    trial_start_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryReport:
    """Our own records about one charge's customer, card and e-mail, as of one instant.

    `complete` is false until the account's earlier trials were read in from Stripe; then absence of a link
    proves nothing and `why` says what is missing. `first_trial_end_at` is the first end of this subscription's
    trial that we ever saw: a later reading that lies before it means the trial was ended early.
    """

    as_of: datetime
    complete: bool
    why: str | None
    links: tuple[TrialLink, ...]
    first_trial_end_at: datetime | None
    refunds_customer: int
    refunds_card: int
    refunds_email: int
    denied_before: bool


def company_domain(email: str) -> str | None:
    """The domain of a mailbox where it may be a company's; None for free mail, and where the text is no address."""
    normalised = normalise_email(email)
    domain = normalised.rpartition("@")[2].rstrip(".") if normalised else ""
    return domain if "." in domain and domain not in _PLUS and domain not in FREE_MAIL else None


def normalise_address(ip: str) -> str | None:
    """One spelling per network address: IPv4 whole, of IPv6 the 64 bits that a household keeps.

    None where the text is no address, or one that many have at once (private, loopback, link-local): behind a proxy
    that passes its own address on everybody would look like one.
    """
    try:
        address = ip_address(ip.strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    address = mapped or address
    if not address.is_global:
        return None
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)


def normalise_email(email: str) -> str | None:
    """One spelling per mailbox: case folded, +tags and dots dropped where the provider ignores them.

    None where the text is no address (no @, or an empty part). Source: policy interpretation, row 3.
    """
    local, at, domain = email.strip().casefold().rpartition("@")
    if not at or not local or not domain:
        return None
    if domain in _PLUS:
        local = local.partition("+")[0]
    if domain in _GMAIL:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}" if local else None
