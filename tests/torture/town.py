"""The town: customers of every kind with their trials and charges, and the truth about each of them."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from billingbot.sandbox.client import SandboxClient
from tests.torture.product import Product
from tests.torture.stripe import STRIKES

# Plans by the year, so that no renewal comes in between; below every limit for one refund.
AMOUNT: Final = 4900
# What one person may give up alone, where other disputes want two.
SMALL: Final = {"charged-back": 2900}
# In all currencies but dollars the day's budget is small, and a rush of requests meets at its edge.
RUSH_CURRENCIES: Final = ("eur", "gbp", "chf", "cad", "aud")
RUSH: Final = 10
# How many setters-up share the sandbox's one lock: more would only wait.
_SETTERS_UP: Final = 4


@dataclass(slots=True, kw_only=True)
class Charge:
    """One charge at the end of a trial, and whether the policy may ever pay it back by itself.

    Of all charges of a `group` (one customer, card or mailbox) the machine pays one at the most.
    """

    kind: str
    customer: str
    subscription: str
    group: str
    payable: bool
    currency: str = "usd"
    claims_cancelled: bool = False
    id: str = ""
    invoice: str = ""


# kind: (weight, may the policy pay it)
KINDS: Final[dict[str, tuple[float, bool]]] = {
    "unused": (50, True),
    "used": (9, False),
    "silent": (4, False),
    "flips": (7, False),
    "twin-card": (4, True),
    "twin-mail": (4, True),
    "two-plans": (4, True),
    "charged-back": (3, False),
    "contested": (4, False),
    "struck-between": (3, False),
    "won-between": (2, False),
    "inquiry": (3, True),
    "inquiry-used": (2, False),
    "escalates": (2, False),
    "crossed": (3, True),
    "lost-at-once": (2, False),
    "resolved-by-rule": (2, False),
    "prevented": (1, False),
    "won": (2, False),
    "late-win": (2, False),
    "unanswerable": (1, False),
    "smart": (2, False),
    "warned": (3, True),
    "warned-used": (2, False),
    "dashboard": (4, True),
    "dashboard-part": (3, False),
    "claims-cancelled": (3, False),
    "slow-bank": (3, True),
    "returned-by-bank": (3, True),
}


USERS: Final = ("used", "contested", "inquiry-used", "escalates", "smart", "warned-used")
"""Kinds of customers who use the product."""
DISPUTED: Final[dict[str, dict[str, Any]]] = {
    "charged-back": {"reason": "subscription_canceled"},
    "contested": {"reason": "fraudulent"},
    "inquiry": {"status": "warning_needs_response"},
    "inquiry-used": {"status": "warning_needs_response", "reason": "unrecognized"},
    "escalates": {"status": "warning_needs_response", "reason": "product_unacceptable"},
    "lost-at-once": {"status": "lost", "due_by": 0},
    "resolved-by-rule": {"rdr": True},
    "prevented": {"status": "prevented"},
    "won": {"status": "won"},
    "late-win": {"status": "lost"},
    "unanswerable": {"due_by": 0},
    "smart": {"reason": "fraudulent", "smart": True},
}
"""How the bank disputes, by kind; the rest of them begins in the middle of something."""
STRUCK: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "struck-between": ({"status": "needs_response"}, {"status": "lost"}, {"rdr": True}, {"status": "prevented"}),
    "won-between": ({"status": "won"},),
}
"""What comes between the first look and the payment. Stripe itself would let a charge be paid whose dispute is won."""


@dataclass(slots=True)
class Town:
    """Everybody, by charge. What is told here is the truth that the checks go by."""

    stripe: SandboxClient
    product: Product
    dice: random.Random
    charges: dict[str, Charge] = field(default_factory=dict)
    waiting: list[Charge] = field(default_factory=list)
    """Trials that have not ended yet."""
    people: int = 0
    rushes: int = 0
    _prices: dict[tuple[int, str], str] = field(default_factory=dict)

    def arrive(
        self, count: int, *, kinds: tuple[str, ...] = tuple(KINDS), currency: str = "usd", rush: bool = False
    ) -> None:
        """So many new customers begin a trial of a day; with a `rush`, some more in a currency with a small budget."""
        weights = [KINDS[kind][0] for kind in kinds]
        planned = [(kind, currency) for kind in self.dice.choices(kinds, weights, k=count)]
        if rush:
            currency = RUSH_CURRENCIES[self.rushes % len(RUSH_CURRENCIES)]
            self.rushes += 1
            planned += [("unused", currency)] * RUSH
        for kind, currency in set(planned):
            self._price(kind, currency)
        numbered = []
        for kind, currency in planned:
            self.people += 1
            numbered.append((self.people, kind, currency))
        with ThreadPoolExecutor(_SETTERS_UP) as pool:
            for begun in pool.map(lambda one: list(self._begin(*one)), numbered):
                self.waiting += begun

    def _begin(self, number: int, kind: str, currency: str) -> Iterator[Charge]:
        group, payable = f"group-{number}", KINDS[kind][1]
        mailboxes = (f"customer{number}@example.com", f"another{number}@example.com")
        cards = (f"card-{number}", f"card-{number}-b")
        if kind == "twin-mail":
            mailboxes = (f"some.body.{number}@gmail.com", f"somebody{number}+again@gmail.com")
        if kind == "twin-card":
            cards = (cards[0], cards[0])
        for copy in range(2 if kind.startswith("twin") else 1):
            customer = str(self.stripe.post("/customers", email=mailboxes[copy])["id"])
            self.stripe.add_card(customer, fingerprint=cards[copy])
            self._tell_product(kind, customer)
            for _ in range(2 if kind == "two-plans" else 1):
                items = [{"price": self._price(kind, currency)}]
                made = self.stripe.post("/subscriptions", customer=customer, items=items, trial_period_days=1)
                yield Charge(
                    kind=kind,
                    customer=customer,
                    subscription=str(made["id"]),
                    group=group,
                    payable=payable,
                    currency=currency,
                    claims_cancelled=kind == "claims-cancelled",
                )

    def _tell_product(self, kind: str, customer: str) -> None:
        told = {"silent": self.product.silent, "flips": self.product.flips}
        told |= dict.fromkeys(USERS, self.product.used)
        if kind in told:
            told[kind].add(customer)

    def _price(self, kind: str, currency: str) -> str:
        amount = SMALL.get(kind, AMOUNT)
        if (amount, currency) not in self._prices:
            made = self.stripe.post(
                "/prices", currency=currency, unit_amount=amount, recurring={"interval": "year"},
                product_data={"name": f"Plan in {currency}"},
            )  # fmt: skip
            self._prices[amount, currency] = str(made["id"])
        return self._prices[amount, currency]

    def charged(self) -> list[Charge]:
        """The trials have ended: the charges that came of it, with what the banks and the Dashboard do to them."""
        begun, self.waiting = self.waiting, []
        with ThreadPoolExecutor(_SETTERS_UP) as pool:
            found = list(pool.map(self._find, begun))
        fresh = [charge for charge in found if charge.id]
        for charge in fresh:
            self.charges[charge.id] = charge
            self._fate(charge)
        return fresh

    def _find(self, charge: Charge) -> Charge:
        invoices = self.stripe.get("/invoices", subscription=charge.subscription)["data"]
        paid = [invoice for invoice in invoices if invoice["amount_paid"] > 0]
        if paid:
            charge.invoice = str(paid[0]["id"])
            charge.id = self._charge_of(charge, charge.invoice)
        return charge

    def _charge_of(self, charge: Charge, invoice: str) -> str:
        payments = self.stripe.get("/invoice_payments", invoice=invoice)["data"]
        intent = payments[0]["payment"]["payment_intent"]
        found: list[dict[str, Any]] = self.stripe.get("/charges", payment_intent=intent)["data"]
        return str(found[0]["id"])

    def _fate(self, charge: Charge) -> None:
        """What happens to the charge before anybody asks, and what a refund of it will do."""
        due = {"due_by": in_days(3)}
        if charge.kind in DISPUTED:
            self.stripe.dispute(charge.id, **{**due, **DISPUTED[charge.kind]})
        elif charge.kind in {"warned", "warned-used"}:
            self.stripe.warn(charge.id)
        elif charge.kind == "crossed":
            self.stripe.refund_outcome(charge=charge.id, status="pending", then="succeeded", after_seconds=3 * 86_400)
        elif charge.kind in STRUCK:
            strike(self.stripe, charge.id, {**due, **self.dice.choice(STRUCK[charge.kind])})
        elif charge.kind == "dashboard-part":
            self.stripe.post("/refunds", charge=charge.id, amount=1000)
        elif charge.kind in {"slow-bank", "returned-by-bank"}:
            ends = "succeeded" if charge.kind == "slow-bank" else "failed"
            self.stripe.refund_outcome(charge=charge.id, status="pending", then=ends, after_seconds=7200)


def strike(stripe: SandboxClient, charge: str, how: dict[str, Any]) -> None:
    """Has a bank dispute the charge right after billingbot has looked for disputes of it, and found none."""
    httpx.post(stripe.url + STRIKES, json={"charge": charge, **how}, timeout=60, trust_env=False).raise_for_status()


def in_days(days: float) -> int:
    """Unix seconds by billingbot's own clock, which is ahead of Stripe's: so long an answer can be given."""
    return int(time.time() + days * 86_400)
