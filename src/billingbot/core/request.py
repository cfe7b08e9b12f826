"""A request: somebody asks for money back; which charge it names, and what the customer claims."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Channel(StrEnum):
    """The door a request came through; the last two are the cardholder asking through the bank."""

    API = "api"
    CONSOLE = "console"
    CLI = "cli"
    INQUIRY = "inquiry"
    FRAUD_WARNING = "early_fraud_warning"
    DISPUTE = "dispute"


class NamedBy(StrEnum):
    """What a request names its charge by."""

    CHARGE = "charge"
    INVOICE = "invoice"
    SUBSCRIPTION = "subscription"
    CUSTOMER = "customer"
    EMAIL = "email"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the customer says. Nothing here is evidence; it only decides which rules look."""

    unused: bool = False
    cancelled: bool = False
    cancelled_at: datetime | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A charge that an ambiguous request may have meant."""

    charge_id: str
    customer_id: str | None
    subscription_id: str | None
    amount_minor: int
    currency: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """What a decision needs of the requests on a case.

    `ambiguous` where no one charge could be told from the request: more than one fits (`candidates`), or Stripe knows
    none of that name.
    """

    channel: Channel
    claims: Claims
    ambiguous: bool = False
    nothing_charged: bool = False
    """What the request names exists, and nothing was ever paid for it: a free invoice, a trial that still runs."""
    candidates: tuple[Candidate, ...] = ()
