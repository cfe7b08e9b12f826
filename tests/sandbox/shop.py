"""A small SaaS, driven through the real Stripe SDK: customers, prices, trials that end, charges."""

from typing import Any

import stripe

from billingbot.sandbox.server import RunningSandbox

MONTHLY = 4900


class Shop:
    """Shorthand for what most tests need first."""

    def __init__(self, sandbox: RunningSandbox, key: str = "sk_test_shop") -> None:
        self.sandbox = sandbox
        self.control = sandbox.client
        self.sdk = stripe.StripeClient(key, base_addresses={"api": sandbox.url, "files": sandbox.url})

    def customer(self, token: str | None = "pm_card_visa", email: str = "jo@example.com") -> Any:
        customer = self.sdk.v1.customers.create({"email": email})
        if token:
            self.control.add_card(customer.id, token)
        return customer

    def price(self, amount: int = MONTHLY, currency: str = "usd", interval: str = "month") -> Any:
        return self.sdk.v1.prices.create(
            {
                "currency": currency,
                "unit_amount": amount,
                "recurring": {"interval": interval},
                "product_data": {"name": "Tracking"},
            }
        )

    def trial(self, customer: Any = None, days: int = 14, price: Any = None, **more: Any) -> Any:
        customer = customer or self.customer()
        price = price or self.price()
        return self.sdk.v1.subscriptions.create(
            {"customer": customer.id, "items": [{"price": price.id}], "trial_period_days": days, **more}
        )

    def subscription(self, subscription: Any) -> Any:
        return self.sdk.v1.subscriptions.retrieve(subscription.id)

    def invoices(self, subscription: Any) -> list[Any]:
        """Newest first."""
        return self.sdk.v1.invoices.list({"subscription": subscription.id, "limit": 100}).data

    def converted(self, days: int = 14, **more: Any) -> tuple[Any, Any]:
        """A trial that has ended and was paid: the subscription and its charge."""
        subscription = self.trial(days=days, **more)
        self.control.advance(days=days, hours=2)
        return subscription, self.charge_of(self.invoices(subscription)[0])

    def charge_of(self, invoice: Any) -> Any:
        """The way from an invoice to its charge since basil."""
        payments = self.sdk.v1.invoice_payments.list({"invoice": invoice.id, "status": "paid"}).data
        intent = payments[0].payment.payment_intent
        return self.sdk.v1.payment_intents.retrieve(intent, {"expand": ["latest_charge"]}).latest_charge

    def one_off(self, amount: int = 2000, currency: str = "usd", token: str = "pm_card_visa") -> Any:
        """A charge outside any subscription."""
        intent = self.sdk.v1.payment_intents.create(
            {
                "amount": amount,
                "currency": currency,
                "payment_method": token,
                "payment_method_types": ["card"],
                "confirm": True,
                "expand": ["latest_charge"],
            }
        )
        return intent.latest_charge

    def events(self, kind: str) -> list[Any]:
        """Events of one type, newest first."""
        return self.sdk.v1.events.list({"type": kind, "limit": 100}).data

    def kinds(self) -> list[str]:
        """All event types so far, oldest first."""
        return [event["type"] for event in self.control.objects("event")]
