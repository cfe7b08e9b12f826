"""Stripe and the banks as a charge's life sees them: refunds, and disputes that move as theirs do."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from billingbot.core.evidence.dossier import INQUIRY_CLOSED, INQUIRY_OPEN, WON, Dispute, Dossier, Refund
from billingbot.core.money_state import RETURNED_REFUNDS
from tests.builders import AMOUNT, a_charge, a_dispute, a_dossier, a_refund

BEGAN: Final = datetime(2026, 3, 1, tzinfo=UTC)
_LIST_LAG: Final = timedelta(seconds=60)  # how long a list may miss what was just written
_NEXT: Final[Mapping[str, tuple[str, ...]]] = {
    "warning_needs_response": ("warning_under_review", "warning_closed", "needs_response", "prevented"),
    "warning_under_review": ("warning_closed", "needs_response"),
    "warning_closed": ("needs_response",),
    "needs_response": ("under_review", "won", "lost", "brand_new"),
    "under_review": ("won", "lost", "appeal_needs_response"),
    "appeal_needs_response": ("appeal_under_review", "won", "lost"),
    "appeal_under_review": ("won", "lost"),
    "brand_new": ("won", "lost"),
    "won": ("lost",),
    "lost": ("won",),
    "prevented": (),
}
_OPENED: Final = (*("warning_needs_response",) * 3, *("needs_response",) * 2, "lost", "won", "prevented")
_NO_MONEY_MOVED: Final = INQUIRY_OPEN | INQUIRY_CLOSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is so at one instant, whatever anybody has read of it. Minor units."""

    given: int
    """Refunded, or on its way."""
    with_bank: int
    """What disputes hold or have given the customer, or may have: a status that nobody knows counts."""
    won: bool


@dataclass(slots=True)
class Bank:
    """One charge at Stripe. It refunds whatever is left of the charge, disputed or not: what must not be paid, we must
    not ask for."""

    chance: Random
    now: datetime = BEGAN
    disputes: dict[str, Dispute] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    """Disputes of which an event is on its way; one may come twice."""

    def truth(self) -> Truth:
        """Where the money really is."""
        taken = [one for one in self.disputes.values() if one.status not in _NO_MONEY_MOVED | WON]
        given = sum(one.amount_minor for one in self.refunds.values() if one.status not in RETURNED_REFUNDS)
        won = any(one.status in WON for one in self.disputes.values())
        return Truth(given=given, with_bank=sum(one.amount_minor for one in taken), won=won)

    def dossier(self) -> Dossier:
        """A read of the charge; its first dispute may be missing in the list while it is young."""
        found = list(self.disputes.values())
        if len(found) == 1 and self.now - found[0].created_at < _LIST_LAG and self.chance.random() < 0.5:
            found = []
        charge = a_charge(disputed=bool(self.disputes), amount_refunded_minor=self.truth().given)
        return a_dossier(charge=charge, refunds=tuple(self.refunds.values()), disputes=tuple(found))

    def opens(self) -> None:
        """A dispute, in any form, over the charge, a part of it, or more than it."""
        status = self.chance.choice(
            (
                "warning_needs_response",
                "warning_needs_response",
                "needs_response",
                "needs_response",
                "lost",
                "won",
                "prevented",
            )
        )
        hours = self.chance.choice((1, 30, 100, 400, None))
        made = a_dispute(
            id=f"dp_{len(self.disputes) + 1}",
            status=status,
            amount_minor=self.chance.choice((AMOUNT, AMOUNT, AMOUNT, AMOUNT - 2000, AMOUNT + 1)),
            fee_minor=self.chance.choice((1500, 1500, 0)),
            is_charge_refundable=status in _NO_MONEY_MOVED | WON,
            due_by=None if hours is None else self.now + timedelta(hours=hours),
            created_at=self.now,
        )
        self._keep(made)

    def moves(self) -> None:
        """Some dispute goes on."""
        found = [one for one in self.disputes.values() if _NEXT[one.status]]
        if found:
            self._move(self.chance.choice(found))

    def _move(self, one: Dispute) -> None:
        status = self.chance.choice(_NEXT[one.status])
        due_by, count = one.due_by, one.submission_count + ("under_review" in status)
        if status in {"needs_response", "appeal_needs_response"}:
            due_by = self.now + timedelta(hours=self.chance.choice((2, 60, 200)))
        refundable = status in _NO_MONEY_MOVED | WON
        self._keep(replace(one, status=status, submission_count=count, due_by=due_by, is_charge_refundable=refundable))

    def moves_a_deadline(self) -> None:
        """A bank wants its answer sooner, or gives more time."""
        found = [one for one in self.disputes.values() if one.due_by is not None]
        if found:
            one = self.chance.choice(found)
            hours = self.chance.choice((-30, 3, 48))
            self._keep(replace(one, due_by=(one.due_by or self.now) + timedelta(hours=hours)))

    def refund(self, amount: int) -> None:
        """Somebody refunds so much, if so much is left: we, or a person in the Dashboard. In full it ends inquiries."""
        if amount > AMOUNT - self.truth().given:
            return
        status = self.chance.choice(("succeeded", "pending"))
        made = a_refund(id=f"re_{len(self.refunds) + 1}", amount_minor=amount, status=status, created_at=self.now)
        self.refunds[made.id] = made
        if self.truth().given == AMOUNT:
            for one in list(self.disputes.values()):
                if one.status in INQUIRY_OPEN:
                    self._keep(replace(one, status="warning_closed"))

    def refund_turns(self) -> None:
        """A refund arrives, or comes back, days later too."""
        if self.refunds:
            one = self.chance.choice(list(self.refunds.values()))
            ends = {"pending": ("succeeded", "failed"), "succeeded": ("succeeded", "succeeded", "failed")}
            self.refunds[one.id] = replace(one, status=self.chance.choice(ends.get(one.status, (one.status,))))

    def _keep(self, one: Dispute) -> None:
        self.disputes[one.id] = one
        self.told.append(one.id)
