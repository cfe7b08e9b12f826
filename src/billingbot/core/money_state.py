"""Where the money of one charge is: one table over charge, refunds and all disputes, asked before every payment.

Law 6: it is read from a fresh dossier each time and stored nowhere, so no order of events can leave it behind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from billingbot.core.decision import Blocker
from billingbot.core.disputes.life import DisputeOutcome, outcome_of, returned_money
from billingbot.core.evidence.dossier import CHARGEBACK_OPEN, DISPUTE_STATUSES, INQUIRY_OPEN, WON, Dossier
from billingbot.core.refund import Origin

# Refunds that returned the money to us: https://docs.stripe.com/refunds#failed-refunds
RETURNED_REFUNDS: Final = frozenset({"failed", "canceled"})
_SETTLED: Final = frozenset({"succeeded", "failed"})


class MoneyState(StrEnum):
    """Where the money of a charge is."""

    NOT_TAKEN = "not_taken"
    """The charge failed, was only reserved, or is zero."""
    CAPTURED = "captured"
    PARTLY_REFUNDED = "partly_refunded"
    REFUNDED = "refunded"
    """All of it went back, or is on its way."""
    INQUIRED = "inquired"
    """The bank asks. A full refund settles it without a fee. https://docs.stripe.com/disputes/how-disputes-work"""
    CHARGED_BACK = "charged_back"
    """The bank has taken it, and may give it back."""
    WON = "won"
    """It came back to us: a refund is possible again, and a person's to give."""
    LOST = "lost"
    """The customer has it through a dispute: never refund."""
    PREVENTED = "prevented"
    """The customer has it by the bank's own rule (RDR), or the dispute was turned away: counts as paid. A network's
    block may have moved no money; that errs towards not paying twice."""
    PAID_TWICE = "paid_twice"
    """Refunded, and taken by the bank as well."""
    UNCLEAR = "unclear"
    """Several things at once, or one that we do not know: a person looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the objects of a charge say together. Sums in minor units of the charge; no order of disputes matters."""

    status: str
    captured: bool
    captured_minor: int
    refunded_minor: int
    """Refunded or on its way, by the charge or by its refunds, whichever says more."""
    returned_minor: int
    """What disputes gave the customer."""
    is_behind: bool
    """The charge is marked as disputed, and Stripe lists no dispute yet."""
    strange: tuple[str, ...]
    """Statuses of disputes that we do not know: money may have moved."""
    is_wider: bool
    """A dispute names more than the charge, or another currency: it may cover several charges."""
    open_inquiry: bool
    open_chargeback: bool
    won: bool
    lost: bool
    prevented: bool
    """Given back by the bank's own rule, or turned away."""
    stripe_allows: bool
    """`is_charge_refundable` of every dispute: Stripe's last word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Where the money is, why we say so, and what it is made of."""

    state: MoneyState
    why: str
    standing: Standing

    @property
    def refundable_minor(self) -> int:
        """What is left to refund, whether or not it may be."""
        return left_minor(self.standing)


def standing_of(dossier: Dossier) -> Standing:
    """All that matters for the money, out of a fresh dossier."""
    charge, disputes = dossier.charge, dossier.disputes
    back = [dispute for dispute in disputes if returned_money(dispute)]
    still_open = [dispute for dispute in disputes if outcome_of(dispute) is None]
    return Standing(
        status=charge.status,
        captured=charge.captured,
        captured_minor=charge.amount_captured_minor,
        refunded_minor=refunded_minor(dossier),
        returned_minor=sum(dispute.amount_minor for dispute in back),
        is_behind=charge.disputed and not disputes,
        strange=tuple(sorted({dispute.status for dispute in disputes} - DISPUTE_STATUSES)),
        is_wider=any(
            dispute.currency != charge.currency or dispute.amount_minor > charge.amount_captured_minor
            for dispute in disputes
        ),
        open_inquiry=any(dispute.status in INQUIRY_OPEN for dispute in still_open),
        open_chargeback=any(dispute.status in CHARGEBACK_OPEN for dispute in still_open),
        won=any(dispute.status in WON for dispute in disputes),
        lost=any(outcome_of(dispute) is DisputeOutcome.LOST for dispute in back),
        prevented=any(outcome_of(dispute) is not DisputeOutcome.LOST for dispute in back),
        stripe_allows=all(dispute.is_charge_refundable for dispute in disputes),
    )


def refunded_minor(dossier: Dossier) -> int:
    """What was refunded or is on its way, in minor units: the charge's own word or its refunds, whichever is more."""
    live = (refund.amount_minor for refund in dossier.refunds if refund.status not in RETURNED_REFUNDS)
    return max(dossier.charge.amount_refunded_minor, sum(live))


def left_minor(at: Standing) -> int:
    """What was captured and not refunded, in minor units."""
    return max(at.captured_minor - at.refunded_minor, 0)


def _says_several(at: Standing) -> bool:
    """Disputes that say different things of one sum; an inquiry that was closed says nothing any more."""
    return [at.open_inquiry, at.open_chargeback, at.won, at.lost or at.prevented].count(True) > 1


def _gave_back_in_part(at: Standing) -> bool:
    return 0 < at.returned_minor < left_minor(at)


# From top to bottom: the first row that holds decides, and the last always does. What would make us pay twice stands
# above what would let us pay.
_TABLE: Final[tuple[tuple[MoneyState, str, Callable[[Standing], bool]], ...]] = (
    (
        MoneyState.UNCLEAR,
        "the charge is marked as disputed, and Stripe lists no dispute yet",
        lambda at: at.is_behind,
    ),
    (MoneyState.UNCLEAR, "a dispute has a status that we do not know", lambda at: bool(at.strange)),
    (MoneyState.UNCLEAR, "whether the charge succeeds is not settled", lambda at: at.status not in _SETTLED),
    (
        MoneyState.UNCLEAR,
        "a dispute names more than the charge, or another currency: it may cover several charges",
        lambda at: at.is_wider,
    ),
    (
        MoneyState.PAID_TWICE,
        "refunded, and given back through a dispute as well",
        lambda at: at.returned_minor > 0 and at.refunded_minor + at.returned_minor > at.captured_minor,
    ),
    (MoneyState.UNCLEAR, "several disputes that say different things", _says_several),
    (MoneyState.CHARGED_BACK, "a chargeback is open", lambda at: at.open_chargeback),
    (MoneyState.UNCLEAR, "a dispute gave back a part of the charge", _gave_back_in_part),
    (MoneyState.LOST, "a dispute was lost", lambda at: at.lost),
    (MoneyState.PREVENTED, "the bank's own rule, or a dispute that was turned away", lambda at: at.prevented),
    (
        MoneyState.NOT_TAKEN,
        "the charge failed, was only reserved, or is zero",
        lambda at: at.status != "succeeded" or not at.captured or at.captured_minor == 0,
    ),
    (MoneyState.REFUNDED, "all of it went back, or is on its way", lambda at: left_minor(at) == 0),
    (MoneyState.WON, "a dispute was won", lambda at: at.won),
    (MoneyState.INQUIRED, "the bank asks", lambda at: at.open_inquiry),
    (MoneyState.PARTLY_REFUNDED, "a part of it went back", lambda at: at.refunded_minor > 0),
    (MoneyState.CAPTURED, "it is with us", lambda _: True),
)


def money_of(dossier: Dossier) -> Money:
    """Where the money of this charge is. Total: every combination has a state, and in doubt it is a person's."""
    at = standing_of(dossier)
    state, why = next((state, why) for state, why, holds in _TABLE if holds(at))
    return Money(state=state, why=why, standing=at)


# What a machine may refund, and what a person may: a won dispute is nobody's to give away by rule.
_MAY_PAY: Final = {
    Origin.POLICY: frozenset({MoneyState.CAPTURED, MoneyState.PARTLY_REFUNDED, MoneyState.INQUIRED}),
    Origin.PERSON: frozenset(
        {MoneyState.CAPTURED, MoneyState.PARTLY_REFUNDED, MoneyState.INQUIRED, MoneyState.WON},
    ),
}
_FORBIDDEN_BY: Final = {
    MoneyState.REFUNDED: Blocker.NOTHING_REFUNDABLE,
    MoneyState.CHARGED_BACK: Blocker.OPEN_CHARGEBACK,
    MoneyState.WON: Blocker.DISPUTE_WON,
    MoneyState.LOST: Blocker.MONEY_RETURNED,
    MoneyState.PREVENTED: Blocker.MONEY_RETURNED,
    MoneyState.PAID_TWICE: Blocker.PAID_TWICE,
    MoneyState.UNCLEAR: Blocker.MONEY_UNCLEAR,
}


def payment_blockers(money: Money | None, by: Origin) -> tuple[Blocker, ...]:
    """What forbids a refund of this origin now, whatever policy or person think; empty where nothing does.

    Without a charge there is no money to speak of. Stripe's own word over all disputes stands last, and overrules.
    """
    if money is None:
        return (Blocker.MONEY_UNCLEAR,)
    at, found = money.standing, list[Blocker]()
    if money.state is MoneyState.NOT_TAKEN:
        found.append(_not_taken(at))
    elif money.state not in _MAY_PAY.get(by, frozenset()):
        found.append(_FORBIDDEN_BY.get(money.state, Blocker.MONEY_UNCLEAR))
    if not at.stripe_allows:
        found.append(Blocker.DISPUTE_FORBIDS)
    return tuple(found)


def _not_taken(at: Standing) -> Blocker:
    if at.status != "succeeded":
        return Blocker.NOT_SUCCEEDED
    return Blocker.NOTHING_REFUNDABLE if at.captured else Blocker.NOT_CAPTURED
