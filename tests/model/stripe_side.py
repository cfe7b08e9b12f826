"""Stripe as the model sees it: one charge, a key store that forgets after a day, answers that lie about nothing."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from billingbot.core.evidence.dossier import Refund
from billingbot.gateway.answers import (
    Accepted,
    Halted,
    NotDone,
    RefundAnswer,
    RefusalReason,
    Refused,
    UnknownOutcome,
)
from tests.builders import a_refund

KEY_STORE: Final = timedelta(hours=24)  # https://docs.stripe.com/api/idempotent_requests
ROLLS_FORWARD_WITHIN: Final = timedelta(hours=1)  # a 500 whose effect comes after all
LIST_LAG: Final = timedelta(seconds=60)  # how long a list may miss what was just written
CAPTURED: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One paying call, on its way since `left_at`."""

    intent: str
    key: str
    amount: int
    left_at: datetime
    looked_at: datetime
    """When the facts that it is paid on were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What Stripe answered a key first, and answers it again."""

    at: datetime
    answer: RefundAnswer


@dataclass(slots=True)
class Stripe:
    """State at Stripe. `execute` is the paying call's effect and answer, by what happens on the way."""

    now: datetime
    refunds: dict[str, Refund] = field(default_factory=dict)
    keys: dict[str, Stored] = field(default_factory=dict)
    later: list[Request] = field(default_factory=list)
    """Answered with a 500, and perhaps rolled forward yet."""
    told: list[str] = field(default_factory=list)
    """Refunds whose news has not been delivered."""
    disputed: bool = False

    def remaining(self) -> int:
        """What may still be refunded of the charge."""
        return CAPTURED - sum(one.amount_minor for one in self.refunds.values() if not _returned(one))

    def listed(self, *, lagging: bool) -> tuple[Refund, ...]:
        """The charge's refunds; a lagging list misses the youngest."""
        return tuple(one for one in self.refunds.values() if not (lagging and self.now - one.created_at < LIST_LAG))

    def execute(self, request: Request, how: str) -> RefundAnswer:
        """Takes the request in. `how` is what goes wrong: see `HOWS`."""
        if how == "limited":
            return NotDone(why="429", retry_after_seconds=None)
        if how == "denied":
            return Halted(why="401")
        self.keys = {key: one for key, one in self.keys.items() if self.now - one.at < KEY_STORE}
        if request.key not in self.keys:
            self.keys[request.key] = Stored(at=self.now, answer=self._first(request, how))
        else:
            answer = self.keys[request.key].answer
            return replace(answer, replayed=True) if isinstance(answer, Accepted) else answer
        return self.keys[request.key].answer

    def _first(self, request: Request, how: str) -> RefundAnswer:
        if self.disputed:
            return Refused(reason=RefusalReason.DISPUTED, code=None, message="disputed")
        if request.amount > self.remaining():
            return Refused(reason=RefusalReason.AMOUNT_TOO_LARGE, code=None, message="too large")
        if how == "500_later":
            self.later.append(request)
        if how in {"500", "500_later"}:
            return UnknownOutcome(why="500")
        made = self.make(request.amount, intent=request.intent, key=request.key, pending=how == "pending")
        return UnknownOutcome(why="500") if how == "500_after" else Accepted(refund=made, replayed=False)

    def make(self, amount: int, *, intent: str | None = None, key: str | None = None, pending: bool = False) -> Refund:
        """A refund, by our call, by one that Stripe rolls forward, or by somebody in the Dashboard."""
        made = a_refund(
            id=f"re_{len(self.refunds) + 1}",
            amount_minor=amount,
            status="pending" if pending else "succeeded",
            created_at=self.now,
            our_refund_id=intent,
            our_attempt_key=key,
        )
        self.refunds[made.id] = made
        self.told.append(made.id)
        return made

    def turn(self, refund_id: str, status: str) -> None:
        """A refund changes: settled by the bank, or sent back weeks later."""
        self.refunds[refund_id] = replace(self.refunds[refund_id], status=status)
        self.told.append(refund_id)

    def roll_forward(self, request: Request) -> None:
        """The effect of a request that was answered with a 500, if the charge still has the money."""
        self.later.remove(request)
        if not self.disputed and request.amount <= self.remaining():
            self.make(request.amount, intent=request.intent, key=request.key)

    def pass_time(self, by: timedelta) -> None:
        """Later. What has not been rolled forward for an hour never will be."""
        self.now += by
        self.later = [one for one in self.later if self.now - one.left_at < ROLLS_FORWARD_WITHIN]


HOWS: Final = ("fine", "pending", "500", "500_after", "500_later", "limited", "denied")


def _returned(refund: Refund) -> bool:
    return refund.status in {"failed", "canceled"}
