"""Submit: an intent becomes one refund at Stripe, or a person learns why not; never two, whatever dies when.

The order is the safety: look again; commit the attempt with its key and frozen parameters; call; commit the
answer. Whoever comes back after a crash finds the attempt and asks Stripe before sending the same key again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from billingbot.core.case import CaseMove, CaseState
from billingbot.core.decision import Limit, Outcome
from billingbot.core.errors import RetryLaterError
from billingbot.core.ids import Kind, attempt_key
from billingbot.core.job import Job, backoff
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.mode import Mode
from billingbot.core.policy import approval_blockers, still_holds
from billingbot.core.refund import (
    MOST_ATTEMPTS,
    Attempt,
    AttemptOutcome,
    Origin,
    RefundIntent,
    RefundState,
)
from billingbot.core.restore import restore_decision
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.look import Findings, look, mode_of
from billingbot.flows.settle import adopt_ours, apply_refund, show_to_person
from billingbot.flows.verdict import hand_over, write_down
from billingbot.gateway.answers import Accepted, Halted, NotDone, Refused, UnknownOutcome
from billingbot.gateway.client import StripeGateway
from billingbot.store import cases, database, decisions, jobs, modes, refunds, requests
from billingbot.store.database import transaction

# Stripe's own refusal to run two requests under one key, or its rate limit: the next look may come soon.
BUSY_WAIT: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a look just before paying says: go on, or why not."""

    found: Findings
    go: bool
    why: str


def submit(desk: Desk, job: Job) -> None:
    """Brings the refund that the job names one step further. Safe to run twice, late, or by two workers.

    Raises RetryLaterError kinds while the outcome is open; the same key is sent for 12 hours at the most.
    """
    with transaction(desk.db) as connection:
        refund = refunds.get(connection, job.subject)
        attempt = refunds.unresolved_attempt(connection, refund.id)
        now = database.now(connection)
    if refund.stripe_refund_id is not None:  # Stripe has told of it: that is followed, and nothing sent any more
        with transaction(desk.db) as connection:
            jobs.finish(connection, job)
    elif refund.state is RefundState.INTENDED:
        _begin(desk, job, refund)
    elif attempt is not None and refund.state in {RefundState.SUBMITTING, RefundState.UNKNOWN}:
        _resume(desk, job, refund, attempt, now)
    else:
        with transaction(desk.db) as connection:
            jobs.finish(connection, job)


def _begin(desk: Desk, job: Job, refund: RefundIntent) -> None:
    verdict = _look_again(desk, refund)
    if not verdict.go:
        # What stands against it may be our own payment, where a database came back from a copy older than that.
        if not adopt_ours(desk, refund, job):
            _withdraw(desk, job, refund, None, verdict)
        return
    _attempt(desk, job, refund, after=None)


def _resume(desk: Desk, job: Job, refund: RefundIntent, attempt: Attempt, now: datetime) -> None:
    """A call may have gone out before: ask Stripe first, send again only under the same key and the same facts."""
    if adopt_ours(desk, refund, job):
        return
    verdict = _look_again(desk, refund)
    if verdict.go and attempt.may_resend(now):
        _send(desk, job, refund, _commit_resend(desk, job, refund, attempt))
        return
    if not attempt.is_quiet(now):
        raise RetryLaterError(f"refund {refund.id}: waiting until no earlier call can be under way")
    if adopt_ours(desk, refund, job):  # the proof of absence is read last, after the look
        return
    if verdict.go:
        _start_over(desk, job, refund, attempt)
    else:
        _withdraw(desk, job, refund, attempt, verdict)


def _start_over(desk: Desk, job: Job, refund: RefundIntent, attempt: Attempt) -> None:
    """The key's life is over and Stripe has no refund of ours: proven absent, so a new key may be tried (law 4)."""
    if attempt.number >= MOST_ATTEMPTS:
        why = f"{attempt.number} attempts under different keys left no trace at Stripe"
        _stop(desk, job, refund, RefundState.WITHDRAWN, reason="no-trace-at-stripe", why=why)
        return
    _attempt(desk, job, refund, after=attempt)


# ---------------------------------------------------------------- looking again


def _look_again(desk: Desk, refund: RefundIntent) -> Verdict:
    """Reads charge, disputes and usage afresh (law 6): a machine's decision must hold, a person's must be possible."""
    account = desk.account(refund.account)
    with transaction(desk.db) as connection:
        asked = requests.of_case(connection, refund.case_id or "")
    found = look(desk, account, refund.charge_id, asked)
    if refund.origin is Origin.PERSON:
        return _person_verdict(desk, refund, found)
    with transaction(desk.db) as connection:
        before = restore_decision(decisions.get(connection, refund.decision_id or "").decision)
    # Blockers are asked even of a decision that holds: a policy of one's own may have left one out.
    go = still_holds(before, found.decision) and not approval_blockers(found.facts)
    return Verdict(found=found, go=go, why=found.decision.reason)


def _person_verdict(desk: Desk, refund: RefundIntent, found: Findings) -> Verdict:
    if not mode_of(desk, refund.account).lets_money_move:
        return Verdict(found=found, go=False, why=Limit.MODE)
    blockers: list[str] = list(approval_blockers(found.facts))
    refundable = found.facts.known("charge.refundable_minor")
    if not isinstance(refundable, int) or refundable < refund.amount_minor:
        blockers.append("less-refundable-than-approved")
    return Verdict(found=found, go=not blockers, why=", ".join(blockers))


# ---------------------------------------------------------------- before the call


def _attempt(desk: Desk, job: Job, refund: RefundIntent, *, after: Attempt | None) -> None:
    """A new attempt, `after` one that was proven absent or as the first."""
    attempt = _commit_attempt(desk, job, refund, after=after)
    if attempt is not None:
        _send(desk, job, refund, attempt)


def _commit_attempt(desk: Desk, job: Job, refund: RefundIntent, *, after: Attempt | None) -> Attempt | None:
    """Commits what will be sent and under which key, before it is sent (law 1).

    None, with this job done, where another job has taken the refund on meanwhile: it has its own row to end.
    """
    number = after.number + 1 if after else 1
    key = attempt_key(livemode=refund.livemode, charge_id=refund.charge_id, refund_id=refund.id, attempt=number)
    params = {
        "charge": refund.charge_id,
        "amount": refund.amount_minor,  # explicit: without it Stripe refunds whatever remains
        "reason": "requested_by_customer",  # `fraudulent` would put card and e-mail on Radar's block lists
        "metadata": {
            "billingbot_refund": refund.id,
            "billingbot_case": refund.case_id or "",
            "billingbot_key": key,
        },
    }
    with step(desk) as this:
        locked = refunds.lock(this.db, refund.id)
        if not _stands(this, locked, refund, after):
            jobs.finish(this.db, job)
            return None
        _may_leave(this, job, refund)
        refunds.resolve_attempts(this.db, refund.id, AttemptOutcome.ABSENT, "proven absent at Stripe")
        attempt = refunds.start_attempt(this.db, this.new_id(Kind.ATTEMPT), refund.id, number, key, params)
        if locked.state is not RefundState.SUBMITTING:
            refunds.set_state(this.db, locked, RefundState.SUBMITTING)
        body = {"attempt": number, "key": key, "amount_minor": refund.amount_minor, "currency": refund.currency}
        this.record(_draft(refund, EntryKind.REFUND_ATTEMPTED, body))
    return attempt


def _commit_resend(desk: Desk, job: Job, refund: RefundIntent, attempt: Attempt) -> Attempt:
    with step(desk) as this:
        if not _stands(this, refunds.lock(this.db, refund.id), refund, attempt):
            raise RetryLaterError(f"refund {refund.id}: another worker is on it")
        _may_leave(this, job, refund)
        return refunds.resend(this.db, attempt)


def _stands(this: Step, locked: RefundIntent, seen: RefundIntent, attempt: Attempt | None) -> bool:
    """Whether the refund is as it was when we began to look, down to the last send of its attempt."""
    as_seen = (locked.state, locked.stripe_refund_id) == (seen.state, seen.stripe_refund_id)
    return as_seen and refunds.unresolved_attempt(this.db, seen.id) == attempt


def _may_leave(this: Step, job: Job, refund: RefundIntent) -> None:
    """The last word before the call: this job is still ours, for a whole lease, and nobody has switched us off.

    Raises LeaseLostError, or RetryLaterError where the mode changed during the look: the next look will say so.
    """
    jobs.renew(this.db, job)
    mode = modes.current(this.db, refund.account).mode
    if not (mode.lets_money_move if refund.origin is Origin.PERSON else mode is Mode.AUTO):
        raise RetryLaterError(f"refund {refund.id}: the mode became {mode} while we looked")


# ---------------------------------------------------------------- the call, and its answer


def _send(desk: Desk, job: Job, refund: RefundIntent, attempt: Attempt) -> None:
    """The one call that moves money, outside any transaction, with nothing that is not on the committed row."""
    stripe: StripeGateway = desk.account(refund.account).stripe
    params = attempt.params
    metadata = params["metadata"]
    if not isinstance(metadata, dict):
        raise TypeError(f"attempt {attempt.id}: expected metadata to be an object")
    answer = stripe.create_refund(
        charge_id=str(params["charge"]),
        amount_minor=int(str(params["amount"])),
        reason=str(params["reason"]),
        metadata=metadata,
        idempotency_key=attempt.key,
        currency=refund.currency,
    )
    match answer:
        case Accepted():
            with step(desk) as this:
                apply_refund(this, refund.account, refund.livemode, answer.refund)
                jobs.finish(this.db, job)
        case Refused():
            if not adopt_ours(desk, refund, job):  # "already refunded" may be our own earlier call
                _stop(desk, job, refund, RefundState.REFUSED, reason=f"refused-{answer.reason}", why=answer.message)
        case NotDone():
            _wait(desk, job, refund, answer)
        case UnknownOutcome():
            _remember_unknown(desk, refund, answer.why)
            raise RetryLaterError(f"refund {refund.id}: outcome unknown: {answer.why}")
        case Halted():
            raise RetryLaterError(f"refund {refund.id}: Stripe refuses our key: {answer.why}")
        case _:
            assert_never(answer)


def _wait(desk: Desk, job: Job, refund: RefundIntent, answer: NotDone) -> None:
    """Tries the same key later: when Stripe says, and on the schedule of all failures."""
    wait = backoff(job.attempts)
    if wait is None:
        raise RetryLaterError(f"refund {refund.id}: Stripe does not let it through: {answer.why}")
    with transaction(desk.db) as connection:
        jobs.retry(
            connection, job, max(wait, BUSY_WAIT, timedelta(seconds=answer.retry_after_seconds or 0)), answer.why
        )


def _remember_unknown(desk: Desk, refund: RefundIntent, why: str) -> None:
    with step(desk) as this:
        locked = refunds.lock(this.db, refund.id)
        if locked.state is RefundState.SUBMITTING:
            refunds.set_state(this.db, locked, RefundState.UNKNOWN, why=why)
            this.record(_draft(refund, EntryKind.REFUND_UNKNOWN, {"why": why}))


def _withdraw(desk: Desk, job: Job, refund: RefundIntent, attempt: Attempt | None, verdict: Verdict) -> None:
    """Nothing was paid and nothing will be: the case goes where the new look sends it."""
    decision = verdict.found.decision
    if refund.origin is Origin.PERSON or decision.outcome is Outcome.REFUND:
        _stop(desk, job, refund, RefundState.WITHDRAWN, reason="changed-before-paying", why=verdict.why)
        return
    with step(desk) as this:
        locked = refunds.lock(this.db, refund.id)
        if _stands(this, locked, refund, attempt):
            _end(this, locked, RefundState.WITHDRAWN, verdict.why)
            case = cases.lock(this.db, locked.case_id or "")
            decision_id = write_down(this, case, verdict.found, purpose="before_pay")
            how = CaseMove.DECIDED_CLOSE if decision.outcome is Outcome.CLOSE else CaseMove.DECIDED_REVIEW
            if case.state is CaseState.REFUNDING:
                hand_over(this, desk, case, verdict.found, decision_id, how=how)
            else:  # a person has it since the outcome became unknown
                show_to_person(this, locked, reason="changed-before-paying")
        jobs.finish(this.db, job)


def withdraw_unsent(this: Step, refund: RefundIntent, *, why: str) -> None:
    """Ends a locked refund that was never sent, and puts its case in front of a person."""
    _end(this, refund, RefundState.WITHDRAWN, why)
    show_to_person(this, refund, reason="could-not-pay")


def _stop(desk: Desk, job: Job, refund: RefundIntent, state: RefundState, *, reason: str, why: str) -> None:
    """Ends the refund without a payment and puts its case in front of a person, soon."""
    with step(desk) as this:
        locked = refunds.lock(this.db, refund.id)
        if locked.state is refund.state or locked.state in {RefundState.SUBMITTING, RefundState.UNKNOWN}:
            _end(this, locked, state, why)
            show_to_person(this, locked, reason=reason)
        jobs.finish(this.db, job)


def _end(this: Step, refund: RefundIntent, state: RefundState, why: str) -> None:
    outcome = AttemptOutcome.REFUSED if state is RefundState.REFUSED else AttemptOutcome.ABSENT
    refunds.resolve_attempts(this.db, refund.id, outcome, why)
    refunds.set_state(this.db, refund, state, why=why)
    this.record(_draft(refund, EntryKind.REFUND_CHANGED, {"from": refund.state, "to": state, "why": why}))


def _draft(refund: RefundIntent, kind: EntryKind, body: dict[str, object]) -> Draft:
    return Draft(kind=kind, account=refund.account, subject=refund.id, actor="billingbot", body=body)
