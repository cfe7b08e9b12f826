"""The call that ends a subscription, now or with its period, and what Stripe would collect all the same."""

from dataclasses import dataclass
from typing import Any

import stripe

from billingbot.core.aftercare import is_over
from billingbot.core.errors import InputError, StripeAnswerError
from billingbot.core.refund_terms import CancelWhen
from billingbot.gateway import translate
from billingbot.gateway.answers import CancelAnswer, Cancelled, UnknownOutcome
from billingbot.gateway.fields import Fields
from billingbot.gateway.payment import answer_of
from billingbot.gateway.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAsk:
    """One call, frozen. Raises InputError for what must never be sent."""

    subscription_id: str
    cancel_when: CancelWhen
    cancellation_id: str
    key: str

    def __post_init__(self) -> None:
        if not self.subscription_id or not self.cancellation_id or not self.key:
            raise InputError("subscription_id", "expected a subscription, our cancellation and a key")
        if self.cancel_when is CancelWhen.NO:
            raise InputError("cancel_when", "expected now or period_end")

    def comment(self) -> dict[str, str]:
        """Ours, for whoever comes back: Stripe keeps it on the subscription, and shows it in the Dashboard."""
        return {"comment": translate.cancellation_comment(self.cancellation_id)}


def cancel(transport: Transport, ask: CancelAsk) -> CancelAnswer:
    """Ask Stripe once to end the subscription. What comes of it is a value, whatever Stripe or the network does.

    At once: no proration (the period was refunded) and no last invoice of what is pending, which would charge the
    customer again. https://docs.stripe.com/api/subscriptions/cancel
    """
    try:
        return _cancelled(_asked(transport, ask), ask)
    except stripe.StripeError as error:
        return answer_of(error, transport)
    except Exception as error:  # noqa: BLE001 - the request may be out already: whatever broke here, it is unknown
        return UnknownOutcome(why=f"the answer could not be taken in ({type(error).__name__})")


def _asked(transport: Transport, ask: CancelAsk) -> object:
    details = ask.comment()
    if ask.cancel_when is CancelWhen.PERIOD_END:
        params = {"cancel_at_period_end": True, "cancellation_details": details}
        return transport.post_once(f"subscriptions/{transport.segment(ask.subscription_id)}", params, ask.key)[0]
    # A DELETE takes no idempotency key: a second one finds nothing left to end.
    return transport.delete_once(
        "subscriptions", ask.subscription_id, {"invoice_now": False, "prorate": False, "cancellation_details": details}
    )


def _cancelled(body: object, ask: CancelAsk) -> CancelAnswer:
    try:
        subscription = translate.subscription(body)
    except StripeAnswerError as error:
        return UnknownOutcome(why=f"Stripe accepted something that cannot be read: {error}")
    if subscription.id != ask.subscription_id or not is_over(subscription, ask.cancel_when):
        return UnknownOutcome(why=f"Stripe answered with {subscription.id}, which is {subscription.status}")
    return Cancelled(subscription=subscription)


def still_collected(transport: Transport, subscription_id: str, customer_id: str) -> tuple[str, ...]:
    """What of a subscription Stripe would still charge, though no further period begins: ids, oldest last.

    Drafts are collected an hour after they were made, open invoices by dunning (of an ended subscription no more),
    and items that wait go onto whatever invoice comes next.
    https://docs.stripe.com/billing/subscriptions/cancel
    """
    found = [
        raw["id"]
        for status in ("draft", "open")
        for raw in transport.listed("invoices", subscription=subscription_id, status=status)
        if _is_collected(raw)
    ]
    items = transport.listed("invoiceitems", customer=customer_id, pending=True)
    return (*found, *(raw["id"] for raw in items if _subscription_of_item(raw) == subscription_id))


def _is_collected(raw: dict[str, Any]) -> bool:
    it = Fields(raw, "invoice")
    return bool(it.optional_flag("auto_advance")) and it.amount("amount_remaining") > 0


def _subscription_of_item(raw: dict[str, Any]) -> str | None:
    """In the newer place or, before 2025-03-31, in the older one."""
    it = Fields(raw, "invoiceitem")
    parent = it.inside("parent")
    details = parent.inside("subscription_details") if parent else None
    return details.optional_ref("subscription") if details else it.optional_ref("subscription")
