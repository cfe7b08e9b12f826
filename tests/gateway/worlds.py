"""Small worlds to record in: customers, trials, charges and what happens to them."""

from typing import Any

import httpx
from tests.calls import tls

from billingbot.sandbox.client import SandboxClient

Given = dict[str, Any]
AMOUNT = 4900
TRIAL_DAYS = 14


def one_off(
    stripe: SandboxClient, *, email: str = "ada@example.com", amount: int = 2000, currency: str = "usd"
) -> Given:
    """A customer with a charge outside any subscription; a real account can play it."""
    customer = stripe.post("/customers", email=email)["id"]
    intent = stripe.post(
        "/payment_intents",
        customer=customer,
        amount=amount,
        currency=currency,
        payment_method="pm_card_bypassPending",
        payment_method_types=["card"],
        confirm=True,
        expand=["latest_charge"],
    )
    return {"customer": customer, "charge": intent["latest_charge"]["id"], "amount": amount}


def fault(stripe: SandboxClient, kind: str, **rule: Any) -> None:
    """A bad day to come. Asked for over HTTP: the client's own method cannot pass on a rule with a method or path."""
    httpx.post(
        f"{stripe.url}/_sandbox/faults", json={"kind": kind, **rule}, trust_env=False, verify=tls()
    ).raise_for_status()


def customer(stripe: SandboxClient, email: str = "ada@example.com", card: str = "pm_card_visa") -> str:
    found: str = stripe.post("/customers", email=email)["id"]
    stripe.add_card(found, card)
    return found


def price(stripe: SandboxClient, amount: int = AMOUNT, currency: str = "usd") -> str:
    found: str = stripe.post(
        "/prices",
        currency=currency,
        unit_amount=amount,
        recurring={"interval": "month"},
        product_data={"name": "Tracking"},
    )["id"]
    return found


def trial(stripe: SandboxClient, who: str, **more: Any) -> str:
    """A subscription that begins with a trial of 14 days."""
    given = {"items": [{"price": price(stripe)}], "trial_period_days": TRIAL_DAYS} | more
    found: str = stripe.post("/subscriptions", customer=who, **given)["id"]
    return found


def charge_of(stripe: SandboxClient, subscription: str) -> Given:
    """The newest invoice of a subscription, and the charge that paid it."""
    invoice = stripe.get("/invoices", subscription=subscription, limit=1)["data"][0]["id"]
    payment = stripe.get("/invoice_payments", invoice=invoice)["data"][0]
    intent = stripe.get(f"/payment_intents/{payment['payment']['payment_intent']}")
    return {"invoice": invoice, "payment": payment["id"], "charge": intent["latest_charge"]}


def converted(stripe: SandboxClient, **more: Any) -> Given:
    """A trial that ended and was charged."""
    who = customer(stripe)
    subscription = trial(stripe, who, **more)
    stripe.advance(days=TRIAL_DAYS, hours=2)
    return {"customer": who, "subscription": subscription, **charge_of(stripe, subscription)}
