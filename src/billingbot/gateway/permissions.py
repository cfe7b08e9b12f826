"""Asks Stripe, one cheap read per resource, whether the key may read what billingbot needs."""

from concurrent.futures import Executor
from typing import Final

from billingbot.core.errors import StripeForbiddenError
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


def missing_permissions(transport: Transport, pool: Executor) -> tuple[str, ...]:
    """A sentence for each resource that the key may not read, with Stripe's own hint; empty where all is well.

    The right to write refunds cannot be tried without asking for one: a key that lacks it shows at the first.
    """
    answers = pool.map(lambda path: _refusal(transport, path), _NEEDED)
    return tuple(answer for answer in answers if answer is not None)


def _refusal(transport: Transport, path: str) -> str | None:
    try:
        transport.page(path, limit=1)
    except StripeForbiddenError as error:
        return f"The Stripe key may not read {path} (permission {_NEEDED[path]}: read): {error}"
    return None
