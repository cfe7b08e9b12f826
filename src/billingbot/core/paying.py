"""Paying: the next move of a refund on its way out, from our rows, a fresh look and what Stripe lists. Pure.

`flows.submit` asks it step by step and does what it says; the model in the tests asks the same functions, against
a Stripe and processes that fail in every order.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from billingbot.core.mode import Mode
from billingbot.core.refund import MOST_ATTEMPTS, Attempt, Origin, RefundIntent, RefundState

# Between the commit of a send and the call lie milliseconds. A process that was held up for longer must not call
# any more: others may have taken its silence for absence by then. With the longest call (25 s) and the time a
# request may wander through the network this stays far below QUIET_BEFORE_ABSENT.
LEAVES_WITHIN: Final = timedelta(seconds=30)
# A look with slow sources and a slow Stripe takes a minute or two. A process that slept between look and commit must
# look again (law 6), and not resend a key that grew old meanwhile (law 4).
LOOK_HOLDS: Final = timedelta(minutes=5)
ON_ITS_WAY: Final = frozenset({RefundState.SUBMITTING, RefundState.UNKNOWN})
"""States in which a keyed call may have gone out, and its end is not known."""


class Move(StrEnum):
    """What to do next with a refund that is to be paid."""

    FINISH = "finish"
    """Nothing is left to send: it ended, or Stripe has told of it and is followed from there."""
    ASK_STRIPE = "ask_stripe"
    """List the charge's refunds, and adopt one that carries our id."""
    LOOK = "look"
    """Read charge, disputes and usage afresh: does the decision still hold? (law 6)"""
    BEGIN = "begin"
    """Commit a new attempt under a new key, and call."""
    RESEND = "resend"
    """Commit one more send of the same key, and call."""
    WAIT = "wait"
    """An earlier call may still be under way: come back later."""
    WITHDRAW = "withdraw"
    """Nothing was paid, and nothing should be any more."""
    GIVE_UP = "give_up"
    """Several keys left no trace at Stripe: a person takes over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What one run has learnt: the rows as read at `now`, and answers to what it was told to ask."""

    refund: RefundIntent
    attempt: Attempt | None
    """The attempt that may still pay."""
    now: datetime
    go: bool | None = None
    """What the fresh look said; None before it."""
    absent_before: bool = False
    """Stripe was asked before the look and lists no refund of ours."""
    absent_after: bool = False
    """The same, asked after the look: the proof of absence is read last."""


def next_move(known: Known) -> Move:
    """The one next move. Asking, looking and waiting come before every payment that is not certain to be the only one.

    Law 4: a key is sent for 12 hours at the most; then Stripe is asked, and only after silence and proven absence
    follows a new key, three at the most.
    """
    refund = known.refund
    if refund.stripe_refund_id is not None:
        return Move.FINISH
    if refund.state is RefundState.INTENDED:
        return _unsent(known)
    if known.attempt is None or refund.state not in ON_ITS_WAY:
        return Move.FINISH
    return _sent(known, known.attempt)


def _unsent(known: Known) -> Move:
    if known.go is None:
        return Move.LOOK
    if known.go:
        return Move.BEGIN
    # What stands against it may be our own payment, where a database came back from a copy older than that.
    return Move.WITHDRAW if known.absent_after else Move.ASK_STRIPE


def _sent(known: Known, attempt: Attempt) -> Move:
    """A call may have gone out: Stripe is asked first, and only the same key goes again under the same facts."""
    if not known.absent_before:
        return Move.ASK_STRIPE
    if known.go is None:
        return Move.LOOK
    if known.go and attempt.may_resend(known.now):
        return Move.RESEND
    if not attempt.is_quiet(known.now):
        return Move.WAIT
    if not known.absent_after:
        return Move.ASK_STRIPE
    if not known.go:
        return Move.WITHDRAW
    return Move.BEGIN if attempt.number < MOST_ATTEMPTS else Move.GIVE_UP


# ---------------------------------------------------------------- guards inside the transaction that commits a move


def still_as_seen(known: Known, locked: RefundIntent, attempt: Attempt | None) -> bool:
    """Whether the rows, now locked, are those that the move was chosen on, down to the last send."""
    seen = known.refund
    as_seen = (locked.state, locked.stripe_refund_id) == (seen.state, seen.stripe_refund_id)
    return as_seen and attempt == known.attempt


def still_holds_at(known: Known, now: datetime) -> bool:
    """Whether what this run learnt is young enough to pay on."""
    return now - known.now <= LOOK_HOLDS


def may_leave(mode: Mode, origin: Origin) -> bool:
    """Whether this mode lets a refund of this origin go out: the machine's only in auto, a person's also in assist."""
    return mode.lets_money_move if origin is Origin.PERSON else mode is Mode.AUTO


def is_current(locked: RefundIntent, unresolved: Attempt | None, sent: Attempt) -> bool:
    """Whether an answer to `sent` speaks for the refund: a later attempt, or Stripe's own word, outranks it."""
    return locked.state in ON_ITS_WAY and unresolved is not None and unresolved.number == sent.number


def number_after(attempt: Attempt | None) -> int:
    """The number of the attempt that follows this one."""
    return attempt.number + 1 if attempt else 1
