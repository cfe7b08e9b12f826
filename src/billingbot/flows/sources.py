"""Sources on request: all of them asked about one customer, as a decision would, by a person who wants to see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billingbot.core.access.powers import Power
from billingbot.core.errors import InputError, StripeFaultError
from billingbot.core.evidence.usage import Subject, SupportReport, UsageReport
from billingbot.evidence.sources import gather_support, gather_usage
from billingbot.flows.desk import Desk
from billingbot.store import database, sources
from billingbot.store.database import transaction

# A trial of a month is the longest that is common: a source that covers it covers most questions.
SINCE: Final = timedelta(days=30)
# Nobody is called this: asking still shows who answers, how fast, and for which time they can speak.
NOBODY: Final = "cus_billingbot_check"
_MOST_ID: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What all sources said of one customer at one moment. `warning` says what Stripe did not tell beforehand."""

    subject: Subject
    now: datetime
    usage: Sequence[UsageReport]
    support: Sequence[SupportReport]
    warning: str | None

    @property
    def all_answered(self) -> bool:
        """Whether every source gave an answer."""
        return all(one.answered for one in self.usage) and all(one.answered for one in self.support)


def ask_sources(desk: Desk, account: str, *, customer: str | None = None, since: datetime | None = None) -> Answers:
    """Asks every source about a customer, or about one that nobody knows; changes nothing but what is watched.

    InputError for an unknown account, or an id that no customer can have.
    """
    desk.require(Power.SEE)
    chosen = desk.account(account)
    if customer is not None and not (0 < len(customer) <= _MOST_ID and customer.isascii() and customer.isprintable()):
        raise InputError("customer", "expected the id of a customer, such as cus_...")
    with transaction(desk.db) as connection:
        now = database.now(connection)
    known, warning = None, None
    if customer is not None:
        try:
            known = chosen.stripe.customer(customer)
        except StripeFaultError as fault:
            warning = f"Stripe does not tell the customer's address and metadata: {fault}"
    subject = Subject(
        account=account,
        livemode=chosen.livemode,
        customer_id=customer or NOBODY,
        email=known.email if known else None,
        subscription_id=None,
        metadata=known.metadata if known else (),
        since=since or now - SINCE,
    )
    usage, support = gather_usage(desk.usage, subject, now), gather_support(desk.support, subject, now)
    with transaction(desk.db) as connection:
        sources.note(connection, account, [*usage, *support])
    return Answers(subject=subject, now=now, usage=usage, support=support, warning=warning)
