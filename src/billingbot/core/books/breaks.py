"""Breaks: where Stripe and our books say different things, as values; and the comparison that finds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from billingbot.core.evidence import dossier
from billingbot.core.ledger import EntryKind
from billingbot.core.refund import AT_STRIPE, ENDED_BADLY, Origin, RefundIntent, RefundState, state_of


class BreakKind(StrEnum):
    """What does not agree. The object of a break is Stripe's where Stripe has one, else ours."""

    REFUND_UNKNOWN_TO_US = "refund_unknown_to_us"
    REFUND_MISSING_AT_STRIPE = "refund_missing_at_stripe"
    SECOND_REFUND = "second_refund"
    """Two refunds at Stripe carry the id of one intent of ours."""
    AMOUNT = "amount"
    CURRENCY = "currency"
    STATUS = "status"
    OUTCOME_UNKNOWN_PAST_KEY = "outcome_unknown_past_key"
    LEDGER_MISSING_ENTRY = "ledger_missing_entry"
    CHARGE_UNKNOWN = "charge_unknown"
    """A charge at the end of a trial that we had not noticed."""
    CHARGE_REFUNDED_AMOUNT = "charge_refunded_amount"
    """The charge counts another sum of refunds than our rows, though each refund agrees."""
    DISPUTE_UNKNOWN = "dispute_unknown"
    DISPUTE_STATUS = "dispute_status"
    RETURNED_TWICE = "returned_twice"
    """The customer has the money by a refund and through a dispute: more than was taken."""
    UNREADABLE = "unreadable"
    """Stripe lists an object that this release cannot read."""


class BreakState(StrEnum):
    """Where a break stands. `open` will be tried again by the next pass; `case` is with a person."""

    OPEN = "open"
    SETTLED = "settled"
    CASE = "case"


UNSETTLED: Final = (BreakState.OPEN, BreakState.CASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one side says of the object: an amount in minor units, a status, or nothing at all."""

    amount_minor: int | None = None
    currency: str | None = None
    status: str | None = None


NOTHING: Final = Side()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One thing that does not agree: what our books expect, and what Stripe says."""

    kind: BreakKind
    object_id: str
    charge_id: str | None
    refund_id: str | None
    """Our refund, where there is one."""
    expected: Side
    found: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A mismatch as stored: one per account, kind and object, however often it is seen."""

    id: str
    account: str
    livemode: bool
    what: Mismatch
    state: BreakState
    how: str | None
    """How it was settled, or why it could not be."""
    case_id: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    settled_at: datetime | None


class Stage(StrEnum):
    """What a pass reads, in this order."""

    REFUNDS = "refunds"
    CHARGES = "charges"
    DISPUTES = "disputes"
    OPEN_DISPUTES = "open_disputes"
    """Disputes that we know as open and that are older than the window: they move for months."""
    OURS = "ours"
    """Refunds of ours that the lists did not show."""
    BREAKS = "breaks"
    """Breaks that are not settled and were not met on the way."""


STAGES: Final = tuple(Stage)


class PassState(StrEnum):
    """Where a pass stands."""

    RUNNING = "running"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one page, or one pass, came to."""

    seen: int = 0
    found: int = 0
    settled: int = 0
    to_person: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(
            seen=self.seen + other.seen,
            found=self.found + other.found,
            settled=self.settled + other.settled,
            to_person=self.to_person + other.to_person,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One comparison of an account with Stripe over a window of creation, with how far it has come."""

    id: str
    account: str
    by: str
    deep: bool
    """Whether refunds are compared as far back as banks may still return them."""
    refunds_since: datetime
    since: datetime
    until: datetime
    state: PassState
    stage: Stage
    cursor: str | None
    tally: Tally
    began_at: datetime
    advanced_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the ledger tells of one refund: kinds of its entries, and the states that it was said to reach."""

    kinds: frozenset[str]
    states: frozenset[str]


def compare_refund(
    found: dossier.Refund, ours: RefundIntent | None, told: Told, *, intent: RefundIntent | None
) -> tuple[Mismatch, ...]:
    """Where our books differ from what Stripe says of one refund; empty where they agree.

    `ours` is the row tied to it, or the intent that its metadata names and that is tied to none yet; `intent` the
    one that its metadata names, whatever that is tied to.
    """
    at_stripe = Side(amount_minor=found.amount_minor, currency=found.currency, status=found.status)

    def differs(kind: BreakKind, expected: Side, object_id: str = found.id) -> Mismatch:
        return Mismatch(
            kind=kind,
            object_id=object_id,
            charge_id=found.charge_id,
            refund_id=ours.id if ours else None,
            expected=expected,
            found=at_stripe,
        )

    told_twice = intent is not None and intent.stripe_refund_id not in {None, found.id}
    second = (differs(BreakKind.SECOND_REFUND, _side(intent)),) if told_twice and intent is not None else ()
    if ours is None:
        return second or (differs(BreakKind.REFUND_UNKNOWN_TO_US, NOTHING),)
    expected = _side(ours)
    wrong = list(second)
    if ours.amount_minor != found.amount_minor:
        wrong.append(differs(BreakKind.AMOUNT, expected))
    if ours.currency != found.currency:
        wrong.append(differs(BreakKind.CURRENCY, expected))
    if not _same_status(ours, found):
        wrong.append(differs(BreakKind.STATUS, expected))
    elif not _is_told(ours, told):
        wrong.append(differs(BreakKind.LEDGER_MISSING_ENTRY, expected, ours.id))
    return tuple(wrong)


def missing_at_stripe(ours: RefundIntent) -> Mismatch:
    """Our books say that Stripe has this refund, and it does not."""
    return _of_ours(BreakKind.REFUND_MISSING_AT_STRIPE, ours)


def unknown_past_key(ours: RefundIntent) -> Mismatch:
    """A call of ours without an answer, older than its key's life, and nothing of it at Stripe."""
    return _of_ours(BreakKind.OUTCOME_UNKNOWN_PAST_KEY, ours)


def _of_ours(kind: BreakKind, ours: RefundIntent) -> Mismatch:
    return Mismatch(
        kind=kind,
        object_id=ours.id,
        charge_id=ours.charge_id,
        refund_id=ours.id,
        expected=_side(ours),
        found=NOTHING,
    )


def _side(ours: RefundIntent | None) -> Side:
    if ours is None:
        return NOTHING
    return Side(amount_minor=ours.amount_minor, currency=ours.currency, status=ours.state)


def _same_status(ours: RefundIntent, found: dossier.Refund) -> bool:
    """A status that Stripe invented since agrees with an adopted refund that is kept as unknown for it."""
    state = state_of(found.status)
    if state is None:
        return (
            ours.origin is Origin.EXTERNAL and ours.stripe_refund_id == found.id and ours.state is RefundState.UNKNOWN
        )
    return ours.state is state and ours.stripe_refund_id == found.id


def _is_told(ours: RefundIntent, told: Told) -> bool:
    """Whether the ledger has how this refund came to be, and that it reached its state (law 8)."""
    born = EntryKind.REFUND_ADOPTED if ours.origin is Origin.EXTERNAL else EntryKind.REFUND_INTENDED
    reached = ours.state not in AT_STRIPE + ENDED_BADLY or ours.state in told.states
    return born in told.kinds and reached


def told_by(entries: Mapping[str, list[tuple[str, Mapping[str, object]]]], refund_id: str) -> Told:
    """What these entries (kind and body, by subject) tell of one refund."""
    own = entries.get(refund_id, [])
    states = {str(body.get("to") or body.get("state") or "") for _, body in own}
    return Told(kinds=frozenset(kind for kind, _ in own), states=frozenset(states - {""}))
