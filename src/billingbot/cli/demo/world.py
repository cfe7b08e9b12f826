"""The demo's world: a local Stripe, the product and the people, and the few moves that stories are made of."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from billingbot.cli.demo.product import Product
from billingbot.sandbox.client import SandboxClient


@dataclass(slots=True)
class Person:
    """Somebody in a story. `charge` is what the request will be about."""

    customer: str
    subscription: str = ""
    charge: str = ""
    other: str = ""
    """A second subscription or customer, where the story has one."""


@dataclass(slots=True)
class World:
    """Stripe, the product, and short names for what customers do."""

    stripe: SandboxClient
    product: Product
    prices: dict[tuple[str, int, str], str] = field(default_factory=dict)
    people: int = 0
    ends_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the month is over: now, by everybody's clock."""

    def now(self) -> datetime:
        """The present at Stripe."""
        return datetime.fromtimestamp(self.stripe.now(), UTC)

    def after_the_month(self, *, hours: float) -> int:
        """So many hours after the month, in Unix seconds."""
        return int((self.ends_at + timedelta(hours=hours)).timestamp())

    def customer(self, *, email: str | None = None, card: str | None = None, token: str = "pm_card_visa") -> str:  # noqa: S107 - a test card's public name
        """A customer with a card of their own, or the card given by its fingerprint."""
        self.people += 1
        address = email or f"customer{self.people}@example.org"
        customer_id = str(self.stripe.post("/customers", email=address)["id"])
        self.stripe.add_card(customer_id, token, fingerprint=card or f"card-{self.people}")
        return customer_id

    def price(self, amount: int = 4900, currency: str = "usd", interval: str = "month") -> str:
        """A price, made once."""
        key = (currency, amount, interval)
        if key not in self.prices:
            made = self.stripe.post(
                "/prices",
                currency=currency,
                unit_amount=amount,
                recurring={"interval": interval},
                product_data={"name": f"Plan by the {interval}"},
            )
            self.prices[key] = str(made["id"])
        return self.prices[key]

    def subscribe(
        self,
        customer: str,
        *,
        days: int = 14,
        amount: int = 4900,
        currency: str = "usd",
        interval: str = "month",
        quantity: int = 1,
        **terms: Any,
    ) -> str:
        """A subscription with a trial of so many days; none where `days` is 0."""
        trial: dict[str, Any] = {"trial_period_days": days} if days else {}
        items = [{"price": self.price(amount, currency, interval), "quantity": quantity}]
        return str(self.stripe.post("/subscriptions", customer=customer, items=items, **trial, **terms)["id"])

    def trial(self, **how: Any) -> Person:
        """A person who starts a trial; `email`, `card` and `token` are theirs, the rest is the subscription's."""
        theirs = {name: how.pop(name) for name in ("email", "card", "token") if name in how}
        customer = self.customer(**theirs)
        return Person(customer=customer, subscription=self.subscribe(customer, **how))

    def charges(self, customer: str) -> list[dict[str, Any]]:
        """The customer's charges, newest first."""
        return list(self.stripe.get("/charges", customer=customer)["data"])

    def newest_charge(self, person: Person) -> str:
        """The newest charge, or an empty text where nothing was ever charged."""
        found = self.charges(person.customer)
        return str(found[0]["id"]) if found else ""

    def newest_dispute(self, person: Person) -> str:
        """The newest dispute of the person's charge."""
        return str(self.stripe.get("/disputes", charge=person.charge)["data"][0]["id"])

    def uses(self, person: Person, *, events: int = 12, tag: bool = False) -> None:
        """The person used the product, or only put the tag on a page."""
        known = self.product.of(person.customer)
        if tag:
            known.tag_installed_at = self.now()
            return
        known.events, known.first_at, known.last_at = events, self.now() - timedelta(days=1), self.now()
