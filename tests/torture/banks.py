"""The banks: what they do with disputes while everything else breaks."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, PriorityQueue
from typing import Final

import httpx

from billingbot.sandbox.client import SandboxClient, SandboxError
from tests.torture.stage import Stage
from tests.torture.town import Charge, in_days

# A bank that waits for something (a refund that is pending) looks again after so long, so often.
_LOOK_AGAIN_SECONDS: Final = 1.0
_LOOKS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Turn:
    """What a bank does next about a charge, and when (monotonic seconds)."""

    at: float
    charge: str
    kind: str = field(compare=False)
    step: int = field(default=0, compare=False)


@dataclass(slots=True)
class Banks:
    """A thread that moves disputes on, until `stop`."""

    stage: Stage
    dice: random.Random
    moves: int = 0
    _turns: "PriorityQueue[Turn]" = field(default_factory=PriorityQueue)
    _stop: threading.Event = field(default_factory=threading.Event)
    _resting: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._move, name="banks", daemon=True)

    def start(self) -> None:
        """Starts it."""
        self._thread.start()

    def rest(self) -> None:
        """No new moves."""
        self._resting.set()

    def stop(self) -> None:
        """Ends it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(20)

    def plan(self, charges: list[Charge], *, within: float) -> None:
        """What becomes of these charges' disputes within so many seconds."""
        now = time.monotonic()
        for charge in charges:
            if charge.kind in TURNS:
                self._turns.put(Turn(at=now + self.dice.uniform(0.1, 1.2) * within, charge=charge.id, kind=charge.kind))

    def _move(self) -> None:
        while not self._stop.wait(0.05):
            try:
                turn = self._turns.get_nowait()
            except Empty:
                continue
            if turn.at > time.monotonic() or self._resting.is_set():
                self._turns.put(turn)
                continue
            # Refused where somebody was faster: refunded in the Dashboard, or answered.
            with suppress(SandboxError, httpx.HTTPError):
                again = TURNS[turn.kind](self.stage.stripe, turn)
                self.moves += again is None
                if again is not None:
                    self._turns.put(again)


def _newest(stripe: SandboxClient, charge: str) -> str | None:
    found = stripe.get("/disputes", charge=charge)["data"]
    return str(found[0]["id"]) if found else None


def _escalate(stripe: SandboxClient, turn: Turn) -> Turn | None:
    """An inquiry becomes a chargeback."""
    dispute = _newest(stripe, turn.charge)
    if dispute is not None:
        stripe.move_dispute(dispute, "needs_response", due_by=in_days(3))
    return None


def _win_late(stripe: SandboxClient, turn: Turn) -> Turn | None:
    """What was lost is won after all, and sometimes lost once more."""
    dispute = _newest(stripe, turn.charge)
    if dispute is not None:
        stripe.move_dispute(dispute, "won")
        if turn.charge[-1].isupper():
            stripe.move_dispute(dispute, "lost")
    return None


def _cross(stripe: SandboxClient, turn: Turn) -> Turn | None:
    """A chargeback meets a refund that is on its way."""
    if any(found["status"] == "pending" for found in stripe.get("/refunds", charge=turn.charge)["data"]):
        stripe.dispute(turn.charge, due_by=in_days(3))
        return None
    if turn.step >= _LOOKS:
        return None
    at = time.monotonic() + _LOOK_AGAIN_SECONDS
    return Turn(at=at, charge=turn.charge, kind=turn.kind, step=turn.step + 1)


def _answer_by_itself(stripe: SandboxClient, turn: Turn) -> Turn | None:
    """Smart Disputes answers in our place."""
    dispute = _newest(stripe, turn.charge)
    if dispute is not None:
        stripe.answer_dispute(dispute)
    return None


def _judge(stripe: SandboxClient, turn: Turn) -> Turn | None:
    """A bank that was answered decides; one that was not may appeal what it lost before."""
    for found in stripe.get("/disputes", charge=turn.charge)["data"]:
        if found["status"] == "under_review":
            stripe.move_dispute(found["id"], "won" if turn.charge[-1] < "a" else "lost")
        elif found["status"] == "needs_response" and turn.step < _LOOKS:
            at = time.monotonic() + _LOOK_AGAIN_SECONDS
            return Turn(at=at, charge=turn.charge, kind=turn.kind, step=turn.step + 1)
    return None


TURNS: Final[Mapping[str, Callable[[SandboxClient, Turn], Turn | None]]] = {
    "escalates": _escalate,
    "late-win": _win_late,
    "crossed": _cross,
    "smart": _answer_by_itself,
    "charged-back": _judge,
    "contested": _judge,
}
"""What the bank does later, by kind of customer; another turn where it has to look again."""
