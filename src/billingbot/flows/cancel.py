"""Cancel: the subscription of a refunded charge is ended as the policy says, once, or a person learns why not.

Ending twice is ending once, so nothing is guessed: whoever comes back after a crash or a lost answer reads the
subscription, and sends again only where it still runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from time import monotonic
from typing import Final, assert_never

from sqlalchemy import Connection

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.aftercare import LIVE, Cancellation, CancellationState, Stands, is_over, stands_in_the_way
from billingbot.core.case import CaseMove, CaseState
from billingbot.core.disputes.life import DisputeOutcome, outcome_of
from billingbot.core.errors import ConflictError, RetryLaterError, StripeForbiddenError, StripeNotFoundError
from billingbot.core.evidence.dossier import Dispute, Subscription
from billingbot.core.ids import cancellation_key
from billingbot.core.job import Actor, Job, backoff
from billingbot.core.ledger import EntryKind
from billingbot.core.money_state import money_of
from billingbot.core.notice import Notice, NoticeKind
from billingbot.core.paying import LEAVES_WITHIN, may_leave
from billingbot.core.refund import CANCELS_AFTER, Origin, RefundState
from billingbot.flows.aftercare import draft
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.notify import tell
from billingbot.flows.settle import show_to_person
from billingbot.gateway.answers import Cancelled, Halted, NotDone, Refused, UnknownOutcome
from billingbot.store import cancellations, cases, database, disputes, jobs, modes, refunds
from billingbot.store.database import transaction

# As for a refund: Stripe's lock or rate limit is over soon.
BUSY_WAIT: Final = timedelta(seconds=5)
NOT_CANCELLED: Final = "subscription-not-cancelled"
"""Why a case is back with a person: its money is settled, its subscription is not."""
STILL_COLLECTED: Final = "cancelled-but-still-collected"

_S = CancellationState


class Finding(StrEnum):
    """What a fresh look says about a cancellation."""

    GO = "go"
    OURS = "ours"
    """Done, by a call of ours."""
    OVER = "over"
    """Ended, or set to end, by somebody else."""
    MOOT = "moot"
    """The refund did not stay, or the dispute was won."""
    STANDS = "stands"
    """A person has to judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What a cancellation follows from: whose wish it was, and why nothing follows any more, where so."""

    origin: Origin
    moot: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A fresh look: what to do, why, and whose subscription it is."""

    finding: Finding
    why: str
    customer_id: str = ""


def cancel(desk: Desk, job: Job, *, clock: Callable[[], float] = monotonic) -> None:
    """Brings the cancellation that the job names one step further. Safe to run twice, late, or by two workers.

    `clock` is this process's own, in seconds. Raises RetryLaterError kinds while the outcome is open.
    """
    with transaction(desk.db) as connection:
        cancellation = cancellations.get(connection, job.subject)
        cause = _cause_of(connection, cancellation)
    if cancellation.state not in LIVE:
        with transaction(desk.db) as connection:
            jobs.finish(connection, job)
        return
    sight = _look(desk, cancellation, cause)
    match sight.finding:
        case Finding.GO:
            _send(desk, job, cancellation, cause, clock)
        case Finding.OURS:
            _end(desk, job, cancellation, _S.DONE, sight)
        case Finding.OVER:
            _end(desk, job, cancellation, _S.NOT_NEEDED, sight)
        case Finding.MOOT:
            _end(desk, job, cancellation, _S.WITHDRAWN, sight)
        case Finding.STANDS:
            _end(desk, job, cancellation, _S.HANDED_OVER, sight)
        case _:
            assert_never(sight.finding)


# ---------------------------------------------------------------- looking


def _cause_of(connection: Connection, cancellation: Cancellation) -> Cause:
    """What the cancellation follows from, by our books. A dispute is the machine's to act on, by configuration."""
    if cancellation.refund_id is not None:
        refund = refunds.get(connection, cancellation.refund_id)
        moot = None if refund.state in CANCELS_AFTER else f"the refund is {refund.state}"
        return Cause(origin=refund.origin, moot=moot)
    known = disputes.get(connection, cancellation.account, cancellation.dispute_id or "")
    return Cause(origin=Origin.POLICY, moot=_moot(known.dispute))


def _moot(dispute: Dispute) -> str | None:
    spared = outcome_of(dispute) in {DisputeOutcome.WON, DisputeOutcome.INQUIRY_CLOSED}
    return f"the dispute is {dispute.status}" if spared else None


def _look(desk: Desk, cancellation: Cancellation, cause: Cause) -> Sight:
    """Reads the charge and all around it afresh (law 6); what has ended needs no further question."""
    with transaction(desk.db) as connection:
        now, mode = database.now(connection), modes.current(connection, cancellation.account).mode
    stripe = desk.account(cancellation.account).stripe
    try:
        subscription = stripe.subscription(cancellation.subscription_id)
    except StripeNotFoundError:
        return Sight(finding=Finding.STANDS, why=Stands.NO_SUCH)
    if is_over(subscription, cancellation.cancel_when):
        return _ended(subscription, cancellation)
    if cause.moot is not None:
        return Sight(finding=Finding.MOOT, why=cause.moot)
    if not may_leave(mode, cause.origin):
        return Sight(finding=Finding.STANDS, why=Stands.MODE)
    dossier = stripe.dossier(cancellation.charge_id, now=now)
    fresh = next((_moot(one) for one in dossier.disputes if one.id == cancellation.dispute_id), None)
    if fresh is not None:
        return Sight(finding=Finding.MOOT, why=fresh)
    stands = stands_in_the_way(dossier, cancellation.subscription_id)
    if stands is None and cancellation.refund_id is not None and not money_of(dossier).standing.refunded_minor:
        stands = Stands.NOT_REFUNDED
    return Sight(finding=Finding.STANDS, why=stands) if stands else Sight(finding=Finding.GO, why="")


def _ended(subscription: Subscription, cancellation: Cancellation) -> Sight:
    how = "set to end" if subscription.ended_at is None else "ended"
    if subscription.our_cancellation_id == cancellation.id:
        return Sight(finding=Finding.OURS, why=how, customer_id=subscription.customer_id)
    return Sight(finding=Finding.OVER, why=f"{how} already", customer_id=subscription.customer_id)


# ---------------------------------------------------------------- the call, and its answer


def _send(desk: Desk, job: Job, seen: Cancellation, cause: Cause, clock: Callable[[], float]) -> None:
    """Commits that the call goes out, and makes it, outside any transaction (laws 1 and 2)."""
    key = cancellation_key(
        livemode=seen.livemode, subscription_id=seen.subscription_id, cancellation_id=seen.id, send=seen.sends + 1
    )
    began = clock()
    with step(desk) as this:
        if cancellations.lock(this.db, seen.id) != seen:
            raise RetryLaterError(f"cancellation {seen.id}: another worker is on it")
        jobs.renew(this.db, job)
        mode = modes.current(this.db, seen.account).mode
        if not may_leave(mode, cause.origin):
            raise RetryLaterError(f"cancellation {seen.id}: the mode became {mode} while we looked")
        sent = cancellations.send(this.db, seen, key)
        body = {"subscription": seen.subscription_id, "when": seen.cancel_when, "send": sent.sends, "key": key}
        this.record(draft(seen, EntryKind.CANCELLATION_ATTEMPTED, body))
    if clock() - began > LEAVES_WITHIN.total_seconds():  # a person may have settled it by hand meanwhile
        raise RetryLaterError(f"cancellation {seen.id}: held up between commit and call, so nothing was sent")
    answer = desk.account(seen.account).stripe.cancel_subscription(
        subscription_id=seen.subscription_id,
        cancel_when=seen.cancel_when,
        cancellation_id=seen.id,
        idempotency_key=key,
    )
    match answer:
        case Cancelled():
            _end(desk, job, sent, _S.DONE, _ended(answer.subscription, sent))
        case Refused():
            _refused(desk, job, sent, cause, answer)
        case NotDone():
            _wait(desk, job, sent, answer)
        case UnknownOutcome():
            _remember_unknown(desk, sent, answer.why)
            raise RetryLaterError(f"cancellation {sent.id}: outcome unknown: {answer.why}")
        case Halted():
            raise RetryLaterError(f"cancellation {sent.id}: Stripe refuses our key: {answer.why}")
        case _:
            assert_never(answer)


def _refused(desk: Desk, job: Job, sent: Cancellation, cause: Cause, answer: Refused) -> None:
    """No: perhaps because it has ended meanwhile, by an earlier call of ours or by somebody else."""
    sight = _look(desk, sent, cause)
    match sight.finding:
        case Finding.OURS:
            _end(desk, job, sent, _S.DONE, sight)
        case Finding.OVER:
            _end(desk, job, sent, _S.NOT_NEEDED, sight)
        case _:
            _end(desk, job, sent, _S.REFUSED, Sight(finding=Finding.STANDS, why=answer.message))


def _wait(desk: Desk, job: Job, sent: Cancellation, answer: NotDone) -> None:
    wait = backoff(job.attempts)
    if wait is None:
        raise RetryLaterError(f"cancellation {sent.id}: Stripe does not let it through: {answer.why}")
    with transaction(desk.db) as connection:
        after = timedelta(seconds=answer.retry_after_seconds or 0)
        jobs.retry(connection, job, max(wait, BUSY_WAIT, after), answer.why)


def _remember_unknown(desk: Desk, sent: Cancellation, why: str) -> None:
    with step(desk) as this:
        locked = cancellations.lock(this.db, sent.id)
        if locked.state is _S.SUBMITTING:
            cancellations.set_state(this.db, locked, _S.UNKNOWN, why=why)
            this.record(draft(sent, EntryKind.CANCELLATION_UNKNOWN, {"why": why}))


# ---------------------------------------------------------------- the end


def _end(desk: Desk, job: Job, seen: Cancellation, state: CancellationState, sight: Sight) -> None:
    """Writes the end down; what a person has to see, or what Stripe would still collect, reopens the case."""
    left = _left_to_collect(desk, seen, sight) if state in {_S.DONE, _S.NOT_NEEDED} else ()
    with step(desk) as this:
        locked = cancellations.lock(this.db, seen.id)
        if locked.state in LIVE:
            why = f"{sight.why}; Stripe would still collect {', '.join(left)}" if left else sight.why
            ended = cancellations.set_state(this.db, locked, state, why=why)
            body = {"from": locked.state, "to": state, "why": why, "subscription": seen.subscription_id}
            this.record(draft(seen, EntryKind.CANCELLATION_CHANGED, body))
            if state in {_S.REFUSED, _S.HANDED_OVER}:
                put_before_person(this, ended, NOT_CANCELLED)
            elif left:
                put_before_person(this, ended, STILL_COLLECTED)
            elif locked.waits_for is not None:
                _release(this, ended)
        jobs.finish(this.db, job)


def _left_to_collect(desk: Desk, seen: Cancellation, sight: Sight) -> tuple[str, ...]:
    """What Stripe would still charge; where the key may not look, that is for a person to find out (law 5)."""
    try:
        return desk.account(seen.account).stripe.still_collected(seen.subscription_id, sight.customer_id)
    except StripeForbiddenError:
        return ("what nobody knows, since our key may not read it",)


def put_before_person(this: Step, cancellation: Cancellation, reason: str) -> None:
    """Reopens the case with this reason: the money is settled, the subscription is not.

    The case of a dispute keeps its own reason: the bank's answer comes first, and the notice says what is left.
    """
    if cancellation.waits_for == reason and cancellation.state in LIVE:
        return  # told already, while the sweeper goes on trying
    cancellations.put_before_person(this.db, cancellation, reason)
    if cancellation.refund_id is not None:
        refund = refunds.lock(this.db, cancellation.refund_id)
        show_to_person(this, refund, reason=reason, reopen=True, keeps_reply=True)
    body = {"reason": reason, "why": cancellation.why, "case": cancellation.case_id}
    this.record(draft(cancellation, EntryKind.CANCELLATION_SHOWN, body))
    tell(this, _notice(cancellation, reason))


def _notice(cancellation: Cancellation, reason: str) -> Notice:
    collected = reason == STILL_COLLECTED
    returned = "refunded" if cancellation.refund_id else "charged back"
    what = "was cancelled, but something of it is still collected" if collected else "was not cancelled"
    return Notice(
        kind=NoticeKind.SUBSCRIPTION_NOT_CANCELLED,
        account=cancellation.account,
        subject=cancellation.case_id or cancellation.id,
        headline=f"{returned}, and subscription {cancellation.subscription_id} {what}",
        body=f"Why: {cancellation.why or 'see the case'}. The customer may be charged again for what went back. See"
        f" to it in the Dashboard and say `billingbot cancellations settled {cancellation.id}`, or have it tried again:"
        f" `billingbot cancellations retry {cancellation.id}`.",
    )


def _release(this: Step, cancellation: Cancellation) -> None:
    """Nobody has to look any more; the case closes where it was open for this alone and the money has arrived."""
    cancellations.put_before_person(this.db, cancellation, None)
    if cancellation.refund_id is None:
        return
    refund = refunds.lock(this.db, cancellation.refund_id)
    case = cases.lock(this.db, cancellation.case_id) if cancellation.case_id else None
    if case is None or case.state is not CaseState.REVIEW or case.reason != cancellation.waits_for:
        return
    if refund.state is RefundState.SUCCEEDED:
        now = database.now(this.db)
        cases.move(this.db, case, CaseMove.REFUND_SUCCEEDED, outcome="refunded", closed_at=now, recheck_at=None)


def abandon_cancellation(this: Step, cancellation_id: str) -> None:
    """Hours of trying came to nothing: a person gets it, while the sweeper goes on where a call may have been made."""
    cancellation = cancellations.lock(this.db, cancellation_id)
    if cancellation.state is _S.INTENDED:
        why = "could not look before cancelling"
        cancellation = cancellations.set_state(this.db, cancellation, _S.HANDED_OVER, why=why)
        body = {"from": _S.INTENDED, "to": _S.HANDED_OVER, "why": why, "subscription": cancellation.subscription_id}
        this.record(draft(cancellation, EntryKind.CANCELLATION_CHANGED, body))
    elif cancellation.state not in LIVE:
        return
    put_before_person(this, cancellation, NOT_CANCELLED)


# ---------------------------------------------------------------- what people do


def try_again(desk: Desk, cancellation_id: str, *, by: str) -> Cancellation:
    """A person has a cancellation tried again that was refused or handed over. ConflictError for any other."""
    desk.require(Power.DECIDE)
    with step(desk) as this:
        locked = cancellations.lock(this.db, cancellation_id)
        again = cancellations.set_state(this.db, locked, _S.INTENDED, why=None)
        this.enqueue(Actor.CANCEL, again.id)
        body = {"from": locked.state, "to": again.state, "why": "tried again", "subscription": again.subscription_id}
        this.record(draft(again, EntryKind.CANCELLATION_CHANGED, body, actor=person(by)))
    return again


def settled_by_hand(desk: Desk, cancellation_id: str, *, by: str) -> Cancellation:
    """A person has seen to the subscription: nothing waits any more, and the case closes. ConflictError if none did."""
    desk.require(Power.DECIDE)
    with step(desk) as this:
        locked = cancellations.lock(this.db, cancellation_id)
        if locked.waits_for is None:
            raise ConflictError(f"cancellation {locked.id}: is {locked.state}, and waits for nobody")
        if locked.state in LIVE:
            locked = cancellations.set_state(this.db, locked, _S.HANDED_OVER, why="settled by hand")
        body = {"from": locked.state, "to": locked.state, "why": "settled by hand", "waited_for": locked.waits_for}
        this.record(draft(locked, EntryKind.CANCELLATION_CHANGED, body, actor=person(by)))
        _release(this, locked)
    with transaction(desk.db) as connection:
        return cancellations.get(connection, cancellation_id)
