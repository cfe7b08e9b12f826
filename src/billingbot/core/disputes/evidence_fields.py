"""The fields of Stripe's dispute evidence that we fill, by Stripe's names: what each is, and how much each takes."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

# "Has a maximum character count of 20,000" (each of the eight long texts; for the short ones, such as a name, Stripe
# states none), and "the combined character count of all fields is limited to 150,000".
# https://docs.stripe.com/api/disputes/update
LONGEST_FIELD: Final = 20_000
LONGEST_IN_ALL: Final = 150_000
CUT: Final = "\n[cut here: longer than the field takes]"
# "Only PDF, JPEG, or PNG file types are accepted. The combined file size can't be more than 4.5MB. The combined page
# count must be less than 50 pages": https://docs.stripe.com/disputes/best-practices (4.5 million bytes is the smaller
# reading). "19 pages for Mastercard": https://docs.stripe.com/disputes/categories. Stripe counts the pages of texts and
# files by its own estimate, since 2026-09-30, and refuses what is over (see flows/disputes/answer.py).
MOST_BYTES_IN_ALL: Final = 4_500_000
MOST_PAGES: Final = 49
MOST_PAGES_OF: Final[Mapping[str, int]] = {"mastercard": 19}


class Field(StrEnum):
    """A field of the evidence."""

    PRODUCT_DESCRIPTION = "product_description"
    CUSTOMER_NAME = "customer_name"
    CUSTOMER_EMAIL_ADDRESS = "customer_email_address"
    CUSTOMER_PURCHASE_IP = "customer_purchase_ip"
    BILLING_ADDRESS = "billing_address"
    SERVICE_DATE = "service_date"
    ACCESS_ACTIVITY_LOG = "access_activity_log"
    SERVICE_DOCUMENTATION = "service_documentation"
    CANCELLATION_REBUTTAL = "cancellation_rebuttal"
    CANCELLATION_POLICY = "cancellation_policy"
    CANCELLATION_POLICY_DISCLOSURE = "cancellation_policy_disclosure"
    REFUND_REFUSAL_EXPLANATION = "refund_refusal_explanation"
    REFUND_POLICY = "refund_policy"
    REFUND_POLICY_DISCLOSURE = "refund_policy_disclosure"
    CUSTOMER_COMMUNICATION = "customer_communication"
    RECEIPT = "receipt"
    DUPLICATE_CHARGE_EXPLANATION = "duplicate_charge_explanation"
    DUPLICATE_CHARGE_ID = "duplicate_charge_id"
    UNCATEGORIZED_TEXT = "uncategorized_text"


_F = Field
TITLES: Final[Mapping[Field, str]] = {
    _F.PRODUCT_DESCRIPTION: "What was sold",
    _F.CUSTOMER_NAME: "Customer's name",
    _F.CUSTOMER_EMAIL_ADDRESS: "Customer's e-mail address",
    _F.CUSTOMER_PURCHASE_IP: "IP address of the purchase",
    _F.BILLING_ADDRESS: "Billing address",
    _F.SERVICE_DATE: "When the service was given",
    _F.ACCESS_ACTIVITY_LOG: "What the customer's account did",
    _F.SERVICE_DOCUMENTATION: "Record of the service",
    _F.CANCELLATION_REBUTTAL: "Why the subscription was not cancelled",
    _F.CANCELLATION_POLICY: "Cancellation policy",
    _F.CANCELLATION_POLICY_DISCLOSURE: "How the customer was shown the cancellation policy",
    _F.REFUND_REFUSAL_EXPLANATION: "Why no refund is due",
    _F.REFUND_POLICY: "Refund policy",
    _F.REFUND_POLICY_DISCLOSURE: "How the customer was shown the refund policy",
    _F.CUSTOMER_COMMUNICATION: "Communication with the customer",
    _F.RECEIPT: "Receipt",
    _F.DUPLICATE_CHARGE_EXPLANATION: "Why the charges are not duplicates",
    _F.DUPLICATE_CHARGE_ID: "The other charge",
    _F.UNCATEGORIZED_TEXT: "The course of the charge",
}
"""What each is called where people read it."""

PAPERS: Final = frozenset(
    {
        _F.SERVICE_DOCUMENTATION,
        _F.CANCELLATION_POLICY,
        _F.REFUND_POLICY,
        _F.CUSTOMER_COMMUNICATION,
        _F.RECEIPT,
    }
)
"""Fields that hold the id of a file: their text is printed as a PDF and uploaded."""

# The period served, who was served, what, and how the charge came about answer every claim.
_ALWAYS: Final = frozenset(
    {
        _F.PRODUCT_DESCRIPTION,
        _F.CUSTOMER_NAME,
        _F.CUSTOMER_EMAIL_ADDRESS,
        _F.CUSTOMER_PURCHASE_IP,
        _F.BILLING_ADDRESS,
        _F.SERVICE_DATE,
        _F.RECEIPT,
        _F.CUSTOMER_COMMUNICATION,
        _F.UNCATEGORIZED_TEXT,
    }
)
_USE: Final = frozenset({_F.ACCESS_ACTIVITY_LOG, _F.SERVICE_DOCUMENTATION})
_REFUNDS: Final = frozenset({_F.REFUND_REFUSAL_EXPLANATION, _F.REFUND_POLICY, _F.REFUND_POLICY_DISCLOSURE})
_ENDING: Final = frozenset({_F.CANCELLATION_REBUTTAL, _F.CANCELLATION_POLICY, _F.CANCELLATION_POLICY_DISCLOSURE})
_BY_REASON: Final[Mapping[str, frozenset[Field]]] = {
    # "I had cancelled": what is on record about that, how one cancels, and that the service went on being used.
    "subscription_canceled": _ENDING | _USE,
    # "A refund is owed": why the policy owes none, that the customer was shown it, and the use that decides it.
    "credit_not_processed": _REFUNDS | _USE,
    # "It was not me" and "I do not know this": that somebody with this account used it. Refunds are beside the point.
    "fraudulent": _USE,
    "unrecognized": _USE,
    # "I never got it": use is receipt.
    "product_not_received": _USE,
    # "It is not what was sold": it was used all the same, and the policy says what follows from that.
    "product_unacceptable": _REFUNDS | _USE,
    # "I was charged twice": only a person knows what the other charge was for.
    "duplicate": frozenset({_F.DUPLICATE_CHARGE_EXPLANATION, _F.DUPLICATE_CHARGE_ID}) | _USE,
}
# A reason without a claim of its own (`general`, and any that Stripe adds): whatever the facts can say.
_ELSE: Final = frozenset(Field) - {_F.DUPLICATE_CHARGE_EXPLANATION, _F.DUPLICATE_CHARGE_ID}


def wanted(reason: str) -> frozenset[Field]:
    """The fields that help against a claim of this reason, by Stripe's word for it."""
    return _ALWAYS | _BY_REASON.get(reason, _ELSE)


def reading_order(reason: str) -> tuple[Field, ...]:
    """All fields in the order in which a person reads an answer to a claim of this reason: what decides it, the course
    of the charge, who bought what, and at last the papers, which say the same at length.
    """
    decides = wanted(reason) - _ALWAYS

    def place(field: Field) -> int:
        if field in PAPERS:
            return 3
        return 0 if field in decides else 1 if field is _F.UNCATEGORIZED_TEXT else 2

    return tuple(sorted(Field, key=place))


def length(text: str) -> int:
    """How long a text is for Stripe: in UTF-16 units, of which some characters take two."""
    return len(text.encode("utf-16-le")) // 2


def fitted(text: str) -> str:
    """`text` as long as a field takes, with a mark where it was cut."""
    if length(text) <= LONGEST_FIELD:
        return text
    kept = text.encode("utf-16-le")[: 2 * (LONGEST_FIELD - len(CUT))]
    return kept.decode("utf-16-le", "ignore") + CUT


def most_pages(brand: str | None) -> int:
    """How many pages all files may have together, by the card's brand."""
    return MOST_PAGES_OF.get(brand or "", MOST_PAGES)
