"""Asks Stripe, one cheap read per resource, whether the key may read what billingbot needs."""

from concurrent.futures import Executor
from typing import Final

from billingbot.core.errors import StripeForbiddenError
from billingbot.core.refund_terms import CancelWhen, RefundTerms, RefundWith
from billingbot.gateway.transport import Transport

# What is read, by path, as the Dashboard calls it where a restricted key is made.
_NEEDED: Final[dict[str, str]] = {
    "charges": "Charges and Refunds",
    "refunds": "Charges and Refunds",
    "customers": "Customers",
    "payment_methods": "PaymentMethods",
    "subscriptions": "Subscriptions",
    "invoices": "Invoices",
    "invoice_payments": "Invoices",
    "disputes": "Disputes",
    "balance_transactions": "Balance transaction sources",
    "events": "Events",
    "radar/early_fraud_warnings": "Radar early fraud warnings",
}


# What is read besides where the policy asks for it: what an ended subscription leaves to be billed, and notes.
_TO_CANCEL: Final[dict[str, str]] = {"invoiceitems": "Invoices"}
_TO_CREDIT: Final[dict[str, str]] = {"credit_notes": "Credit notes"}


def missing_permissions(transport: Transport, pool: Executor, terms: RefundTerms | None = None) -> tuple[str, ...]:
    """A sentence for each resource that the key may not read, with Stripe's own hint; empty where all is well.

    `terms` are those of the policy, where they are known: what they ask for is tried too. The rights to write
    refunds, credit notes, subscriptions, disputes and files cannot be tried without using them: a key that lacks one
    shows at the first.
    """
    needed = {**_NEEDED, **_by_terms(terms)}
    answers = pool.map(lambda path: _refusal(transport, path, needed[path]), needed)
    return tuple(answer for answer in answers if answer is not None)


def written_by(terms: RefundTerms) -> tuple[str, ...]:
    """The rows of the Dashboard's list that need Write under these terms, in its own words."""
    cancels = ("Subscriptions",) if terms.cancel_subscription is not CancelWhen.NO else ()
    credits_ = ("Credit notes",) if terms.refund_with is RefundWith.CREDIT_NOTE else ()
    return ("Charges and Refunds", *cancels, *credits_)


def _by_terms(terms: RefundTerms | None) -> dict[str, str]:
    if terms is None:
        return {}
    to_cancel = _TO_CANCEL if terms.cancel_subscription is not CancelWhen.NO else {}
    to_credit = _TO_CREDIT if terms.refund_with is RefundWith.CREDIT_NOTE else {}
    return {**to_cancel, **to_credit}


def _refusal(transport: Transport, path: str, permission: str) -> str | None:
    try:
        transport.page(path, limit=1)
    except StripeForbiddenError as error:
        return f"The Stripe key may not read {path} (permission {permission}: read): {error}"
    return None
