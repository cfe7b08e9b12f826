"""One sandbox: its objects, clock, agenda and settings, behind one lock."""

import random
import string
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypedDict

from billingbot.sandbox.clock import Agenda, Clock, Task
from billingbot.sandbox.errors import missing
from billingbot.sandbox.plans import CardPlan, DisputeFee, Outcome
from billingbot.sandbox.tables import Obj, Table
from billingbot.sandbox.terms import Terms

API_VERSION: Final = "2026-10-28.endive"  # what stripe 16.1 pins
_IN_PATH: Final = ("id", "intent", "payment_method")  # the names under which an id of the path is reported
_ALPHABET: Final = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a sandbox begins. `start_at`: the clock's first second (default: now); `running`: the clock follows the
    wall clock; `seed`: makes ids and chance repeat, so leave it out where a database outlives the sandbox."""

    start_at: datetime | None = None
    livemode: bool = False
    seed: int | None = None
    running: bool = False
    currency: str = "usd"  # what the account settles in
    dunning_days: tuple[int, ...] = (3, 5, 7)  # days between the attempts to collect a failed invoice
    retry_seconds: tuple[float, ...] = (0.2, 0.5, 1, 2, 5)  # between attempts to deliver a webhook, in real time
    webhook_timeout_seconds: float = 10  # Stripe does not publish its own; people measure 10 to 30


class Settings(TypedDict, total=False):
    """The same, as keyword arguments of whoever starts a sandbox."""

    start_at: datetime | None
    livemode: bool
    seed: int | None
    running: bool
    currency: str
    dunning_days: tuple[int, ...]
    retry_seconds: tuple[float, ...]
    webhook_timeout_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The API request that is being executed; events name it."""

    request_id: str
    idempotency_key: str | None


@dataclass(slots=True, kw_only=True)
class Funds:
    """The account's money by settlement currency, in minor units. A refund waits for money only where `limited`."""

    available: dict[str, int] = field(default_factory=dict)
    limited: set[str] = field(default_factory=set)
    rates: dict[str, tuple[str, Decimal]] = field(default_factory=dict)  # charge currency: (settled in, rate)


class Sandbox:
    """All state of one pretended Stripe account. Hold `lock` while you touch anything in it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.lock = threading.RLock()
        chance = random.Random(options.seed)  # noqa: S311 - test data must be repeatable, not secret
        self.chance = chance
        start = options.start_at or datetime.now(UTC)
        self.clock = Clock(int(start.timestamp()), running=options.running)
        self.agenda = Agenda()
        self.tables = _tables()
        self.origin: Origin | None = None
        self.funds = Funds()
        self.terms: dict[str, Terms] = {}  # by subscription
        self.terms_of_coupons: dict[str, Obj] = {}  # by discount
        self.cards: dict[str, CardPlan] = {}  # by payment method
        self.dispute_fees: dict[str, DisputeFee] = {}  # by dispute
        self.outcomes: list[Outcome] = []  # what refunds to come will do
        self.listeners: list[Any] = []  # callables that are told of every event, see `events`
        self.twins: float = 0  # the chance that one happening makes two Event objects
        self.account_id = self.new_id("acct", 16)

    @property
    def livemode(self) -> bool:
        """True where this sandbox pretends to be the live mode."""
        return self.options.livemode

    def now(self) -> int:
        """The sandbox's present, in Unix seconds."""
        return self.clock.now()

    def new_id(self, prefix: str, length: int = 24) -> str:
        """An id as Stripe's look: the kind, and letters that tell nothing."""
        return f"{prefix}_{self.letters(length)}"

    def letters(self, length: int) -> str:
        """So many random letters and digits."""
        return "".join(self.chance.choices(_ALPHABET, k=length))

    def need(self, table: str, object_id: str, label: str, param: str = "id") -> Obj:
        """The object with this id. Raises StripeError `resource_missing`: 404 by path, 400 by parameter."""
        found = self.tables[table].get(object_id)
        if found is None:
            raise missing(label, object_id, param, 404 if param in _IN_PATH else 400)
        return found

    def at(self, when: int, task: Task) -> None:
        """Plan a task of the sandbox's own, such as the end of a trial."""
        self.agenda.plan(when, task)

    def catch_up(self, until: int | None = None) -> None:
        """Run what is due by now, or move the clock to `until` (Unix seconds) and run all that falls due between."""
        goal = self.now() if until is None else until
        present = 0 if until is None else self.now()
        with self.on_its_own():
            while (due := self.agenda.take_due(goal)) is not None:
                present = max(present, due[0])
                self.clock.pin(present)
                due[1]()
        if until is not None:
            self.clock.move(until)

    @contextmanager
    def on_its_own(self) -> Iterator[None]:
        """What happens inside was not asked for by an API request; the clock is unpinned afterwards."""
        origin, self.origin = self.origin, None
        try:
            yield
        finally:
            self.origin = origin
            self.clock.pin(None)


def _field(name: str) -> Any:
    return lambda obj: obj.get(name)


def _subscription_of(invoice: Obj) -> str | None:
    parent = invoice["parent"]
    found: str | None = parent["subscription_details"]["subscription"] if parent else None
    return found


def _tables() -> dict[str, Table]:
    charge, customer, intent = _field("charge"), _field("customer"), _field("payment_intent")
    return {
        "credit_note": Table({"invoice": _field("invoice"), "customer": customer}),
        "customer": Table({"email": _field("email")}),
        "payment_method": Table({"customer": customer}),
        "product": Table(),
        "price": Table({"product": _field("product")}),
        "coupon": Table(),
        "discount": Table(),
        "subscription": Table({"customer": customer, "status": _field("status")}),
        "invoice": Table({"subscription": _subscription_of, "customer": customer, "status": _field("status")}),
        "invoice_payment": Table(
            {"invoice": _field("invoice"), "payment_intent": lambda obj: obj["payment"].get("payment_intent")}
        ),
        "payment_intent": Table({"customer": customer}),
        "charge": Table({"customer": customer, "payment_intent": intent}),
        "balance_transaction": Table({"source": _field("source"), "type": _field("type")}),
        "refund": Table({"charge": charge, "payment_intent": intent}),
        "dispute": Table({"charge": charge, "payment_intent": intent}),
        "radar.early_fraud_warning": Table({"charge": charge, "payment_intent": intent}),
        "event": Table({"type": _field("type")}),
        "thin_event": Table(),
        "file": Table(),
        "webhook_endpoint": Table(),
        "invoiceitem": Table({"customer": customer}),
    }
