"""The house's own words for banks, as configured: what is sold, the policies, and why a refund was refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

SHOWN_AT: Final = "{shown_at}"
"""In a disclosure: when the customer was shown the policy. Without that instant such a text is not used at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseTexts:
    """Texts and settings of `[disputes]`. None and empty where nothing is configured: then nothing is said.

    `refund_refusal` holds a text for each clause of the policy. The `_key` settings name the metadata of the charge,
    the invoice's subscription or the customer that holds the fact.
    """

    product_description: str | None = None
    refund_policy: str | None = None
    refund_policy_disclosure: str | None = None
    cancellation_policy: str | None = None
    cancellation_policy_disclosure: str | None = None
    refund_refusal: Mapping[str, str] = field(default_factory=dict)
    purchase_ip_key: str | None = None
    customer_name_key: str | None = None
    terms_shown_at_key: str | None = None
    submit_by_itself_for: frozenset[str] = frozenset()
    """Reasons of chargebacks that are answered without a person, where nothing at all speaks against it."""
    counter_fee_minor: int | None = None
    """What Stripe takes for an answer and gives back where it wins; None where it takes nothing for answering."""
    counter_fee_currency: str = "usd"


NO_TEXTS: Final = HouseTexts()
"""Where nothing is configured."""
