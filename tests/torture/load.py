"""The load: those who ask for refunds, and somebody who refunds in the Dashboard meanwhile."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, PriorityQueue
from typing import Any, Final

import httpx

from billingbot.sandbox.client import SandboxError
from tests.torture.stage import Stage
from tests.torture.town import Charge

_ASKERS: Final = 6
# An asker repeats under the same key, as one should, until there is an answer.
_AGAIN_SECONDS: Final = (0.2, 1.0)
_TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Wish:
    """One request to come: when (monotonic seconds), under which key, in which words."""

    at: float
    key: str
    body: dict[str, Any] = field(compare=False)


@dataclass(slots=True)
class Load:
    """Threads that ask and refund by hand until `stop`."""

    stage: Stage
    api_key: str
    seed: int
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Every wish by its key."""
    answered: dict[str, str] = field(default_factory=dict)
    """The case of each wish that was answered."""
    refused: list[str] = field(default_factory=list)
    by_hand: int = 0
    _wishes: "PriorityQueue[Wish]" = field(default_factory=PriorityQueue)
    _hand: "PriorityQueue[tuple[float, str]]" = field(default_factory=PriorityQueue)
    _stop: threading.Event = field(default_factory=threading.Event)
    _resting: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Starts everybody."""
        turns: list[Callable[[], None]] = [*[self._ask] * _ASKERS, self._dashboard]
        for number, turn in enumerate(turns):
            thread = threading.Thread(target=turn, name=f"load-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Nobody speaks any more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_TIMEOUT_SECONDS * 2)

    def rest(self) -> None:
        """No new acts of the Dashboard; askers go on until everybody has an answer."""
        self._resting.set()

    def plan(self, charges: list[Charge], *, within: float, dice: random.Random) -> None:
        """Requests for these charges within so many seconds: some once, some again, some by another name."""
        now = time.monotonic()
        for charge in charges:
            at = now + dice.random() * within if charge.currency == "usd" else now + within / 2  # a rush
            for number in range(dice.choices((1, 2, 3), (6, 3, 1))[0]):
                again = at + dice.random() * number * 4
                self._plan_one(charge, number, at=again, dice=dice)
            if charge.kind == "dashboard":
                self._hand.put((at + dice.uniform(-1, 3), charge.id))

    def _plan_one(self, charge: Charge, number: int, *, at: float, dice: random.Random) -> None:
        names = {"charge": charge.id, "invoice": charge.invoice, "subscription": charge.subscription}
        named = dice.choices(list(names), (6, 2, 2))[0]
        claims = {"cancelled": True} if charge.claims_cancelled else {"unused": True}
        key = f"{charge.id}-{number}"
        body = {named: names[named], "claims": claims, "external_ref": charge.kind}
        self.asked[key] = body
        self._wishes.put(Wish(at=at, key=key, body=body))

    def waiting(self) -> int:
        """Wishes without an answer."""
        return len(self.asked) - len(self.answered)

    # ------------------------------------------------------------ askers

    def _ask(self) -> None:
        with self._client() as api:
            while not self._stop.is_set():
                try:
                    wish = self._wishes.get(timeout=0.2)
                except Empty:
                    continue
                if self._stop.wait(max(0.0, wish.at - time.monotonic())):
                    return
                self._ask_until_answered(api, wish)

    def _ask_until_answered(self, api: httpx.Client, wish: Wish) -> None:
        dice = random.Random(f"{self.seed}:{wish.key}")
        while not self._stop.is_set():
            try:
                headers = {"Idempotency-Key": wish.key}
                answer = api.post("/api/v1/refund-requests", json=wish.body, headers=headers)
                if answer.status_code in {200, 202}:
                    self.answered[wish.key] = str(answer.json()["case"]["id"])
                    return
                if answer.status_code < 500:
                    self.refused.append(f"{wish.key}: HTTP {answer.status_code} {answer.text[:200]}")
                    return
            except (httpx.HTTPError, ValueError):
                pass  # cut, delayed, or nobody there: the same key again
            self._stop.wait(dice.uniform(*_AGAIN_SECONDS))

    # ------------------------------------------------------------ the Dashboard

    def _dashboard(self) -> None:
        """Somebody refunds charges in Stripe's Dashboard, around the moment when they are asked for here."""
        while not self._stop.wait(0.1):
            try:
                at, charge = self._hand.get_nowait()
            except Empty:
                continue
            if at > time.monotonic() or self._resting.is_set():
                self._hand.put((at, charge))
                continue
            with suppress(SandboxError, httpx.HTTPError):
                self.stage.stripe.post("/refunds", charge=charge)
                self.by_hand += 1

    def _client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        return httpx.Client(base_url=self.stage.url, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False)
