"""Submit: an intent becomes one refund at Stripe, or a person learns why not; never two, whatever dies when.

The order is the safety: look again; commit the attempt with its key and frozen parameters; call; commit the
answer. Whoever comes back after a crash finds the attempt and asks Stripe before sending the same key again.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import Final, assert_never

from billingbot.core.case import CaseMove, CaseState
from billingbot.core.credit import credit_obstacle
from billingbot.core.decision import Limit, Outcome
from billingbot.core.errors import RetryLaterError
from billingbot.core.ids import Kind, attempt_key
from billingbot.core.job import Job, backoff
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.money_state import payment_blockers
from billingbot.core.paying import (
    LEAVES_WITHIN,
    Known,
    Move,
    is_current,
    may_leave,
    next_move,
    number_after,
    still_as_seen,
    still_holds_at,
)
from billingbot.core.policy import still_holds
from billingbot.core.refund import (
    MOST_ATTEMPTS,
    Attempt,
    AttemptOutcome,
    Origin,
    RefundIntent,
    RefundState,
)
from billingbot.core.refund_terms import RefundWith
from billingbot.core.restore import restore_decision
from billingbot.flows.bad_news import tell_refused, tell_unknown
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.look import Findings, look, mode_of
from billingbot.flows.settle import adopt_ours, apply_refund, show_to_person
from billingbot.flows.verdict import hand_over, write_down
from billingbot.gateway.answers import Accepted, Halted, NotDone, RefundAnswer, Refused, UnknownOutcome
from billingbot.gateway.client import StripeGateway
from billingbot.store import breakers, cases, database, decisions, jobs, modes, policies, refunds, requests
from billingbot.store.database import transaction

# Stripe's own refusal to run two requests under one key, or its rate limit: the next look may come soon.
BUSY_WAIT: Final = timedelta(seconds=5)
NO_TRACE: Final = "no-trace-at-stripe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a look just before paying says: go on, or why not.

    `newly_judged` where a version published meanwhile judges this charge now, and not the one that decided.
    """

    found: Findings
    go: bool
    why: str
    reason: str = "changed-before-paying"
    newly_judged: bool = False


def submit(desk: Desk, job: Job) -> None:
    """Brings the refund that the job names one step further. Safe to run twice, late, or by two workers.

    Raises RetryLaterError kinds while the outcome is open; the same key is sent for 12 hours at the most.
    """
    with transaction(desk.db) as connection:
        refund = refunds.get(connection, job.subject)
        attempt = refunds.unresolved_attempt(connection, refund.id)
        known = Known(refund=refund, attempt=attempt, now=database.now(connection))
    verdict: Verdict | None = None
    while True:
        match next_move(known):
            case Move.ASK_STRIPE:
                if adopt_ours(desk, refund, job):
                    return
                looked = known.go is not None
                known = replace(known, absent_before=known.absent_before or not looked, absent_after=looked)
            case Move.LOOK:
                verdict = _as_it_is_paid(refund, _look_again(desk, refund))
                known = replace(known, go=verdict.go)
            case move:
                _make(desk, job, known, move, verdict)
                return


def _make(desk: Desk, job: Job, known: Known, move: Move, verdict: Verdict | None) -> None:
    """The move that ends this run, once nothing is left to ask."""
    refund = known.refund
    if move is Move.BEGIN and verdict is not None:
        _send(desk, job, refund, _commit_attempt(desk, job, known, verdict))
    elif move is Move.RESEND and verdict is not None and known.attempt is not None:
        _send(desk, job, refund, _commit_resend(desk, job, known, known.attempt, verdict))
    elif move is Move.WITHDRAW and verdict is not None:
        _withdraw(desk, job, known, verdict)
    elif move is Move.WAIT:
        raise RetryLaterError(f"refund {refund.id}: waiting until no earlier call can be under way")
    elif move is Move.GIVE_UP:
        why = f"{MOST_ATTEMPTS} attempts under different keys left no trace at Stripe"
        _stop(desk, job, known, RefundState.WITHDRAWN, reason=NO_TRACE, why=why)
    else:
        with transaction(desk.db) as connection:
            jobs.finish(connection, job)


# ---------------------------------------------------------------- looking again


def _look_again(desk: Desk, refund: RefundIntent) -> Verdict:
    """Reads charge, disputes and usage afresh (law 6): a machine's decision must hold, a person's must be possible.

    A machine's decision must hold under the policy in force for the charge, read afresh like everything else. That
    is the version that decided, unless somebody published into the past since: then the newer one has the word, and
    pays only what both grant by the same rule.
    """
    account = desk.account(refund.account)
    with transaction(desk.db) as connection:
        asked = requests.of_case(connection, refund.case_id or "")
    found = look(desk, account, refund.charge_id, asked)
    if refund.origin is Origin.PERSON:
        return _person_verdict(desk, refund, found)
    with transaction(desk.db) as connection:
        before = restore_decision(decisions.get(connection, refund.decision_id or "").decision)
    # The money is asked even of a decision that holds: it has the last word.
    go = still_holds(before, found.decision) and not payment_blockers(found.money, refund.origin)
    newly_judged = found.policy.digest != before.policy_digest
    return Verdict(found=found, go=go, why=found.decision.reason, newly_judged=newly_judged)


def _as_it_is_paid(refund: RefundIntent, verdict: Verdict) -> Verdict:
    """No refund without its credit note, where the policy wants one: books that are wrong are a person's to mend."""
    if not verdict.go or refund.refund_with is not RefundWith.CREDIT_NOTE:
        return verdict
    obstacle = credit_obstacle(verdict.found.dossier, refund.amount_minor)
    return replace(verdict, go=False, why=obstacle, reason="no-credit-note") if obstacle else verdict


def _person_verdict(desk: Desk, refund: RefundIntent, found: Findings) -> Verdict:
    if not mode_of(desk, refund.account).lets_money_move:
        return Verdict(found=found, go=False, why=Limit.MODE)
    blockers: list[str] = list(payment_blockers(found.money, refund.origin))
    if found.money is None or found.money.refundable_minor < refund.amount_minor:
        blockers.append("less-refundable-than-approved")
    return Verdict(found=found, go=not blockers, why=", ".join(blockers))


# ---------------------------------------------------------------- before the call


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """A committed send, and this process's own clock at its commit: a call that is held up does not leave at all."""

    attempt: Attempt
    committed: float

    def is_late(self) -> bool:
        """Whether others may have taken our silence for absence (seconds since the commit)."""
        return monotonic() - self.committed > LEAVES_WITHIN.total_seconds()


def _commit_attempt(desk: Desk, job: Job, known: Known, verdict: Verdict) -> Leave | None:
    """Commits what will be sent and under which key, before it is sent (law 1).

    None, with this job done, where another job has taken the refund on meanwhile: it has its own row to end.
    """
    refund, number, began = known.refund, number_after(known.attempt), monotonic()
    key = attempt_key(livemode=refund.livemode, charge_id=refund.charge_id, refund_id=refund.id, attempt=number)
    params = _params(refund, key)
    with step(desk) as this:
        locked = refunds.lock(this.db, refund.id)
        if not _stands(this, locked, known):
            jobs.finish(this.db, job)
            return None
        _let_leave(this, job, known, verdict)
        refunds.resolve_attempts(this.db, refund.id, AttemptOutcome.ABSENT, "proven absent at Stripe")
        attempt = refunds.start_attempt(this.db, this.new_id(Kind.ATTEMPT), refund.id, number, key, params)
        if locked.state is not RefundState.SUBMITTING:
            refunds.set_state(this.db, locked, RefundState.SUBMITTING)
        body = {
            "attempt": number,
            "key": key,
            "with": refund.refund_with,
            "amount_minor": refund.amount_minor,
            "currency": refund.currency,
        }
        this.record(_draft(refund, EntryKind.REFUND_ATTEMPTED, body))
    return Leave(attempt=attempt, committed=began)


def _params(refund: RefundIntent, key: str) -> dict[str, object]:
    """What is frozen for an attempt; an `invoice` says that it is a credit note's."""
    metadata = {
        "billingbot_refund": refund.id,
        "billingbot_case": refund.case_id or "",
        "billingbot_key": key,
    }
    # The amount is explicit: without it Stripe refunds whatever remains.
    frozen = {"charge": refund.charge_id, "amount": refund.amount_minor, "metadata": metadata}
    if refund.refund_with is RefundWith.CREDIT_NOTE:
        return {**frozen, "invoice": refund.invoice_id}
    return {**frozen, "reason": "requested_by_customer"}  # `fraudulent` would fill Radar's block lists


def _commit_resend(desk: Desk, job: Job, known: Known, attempt: Attempt, verdict: Verdict) -> Leave:
    began = monotonic()
    with step(desk) as this:
        if not _stands(this, refunds.lock(this.db, known.refund.id), known):
            raise RetryLaterError(f"refund {known.refund.id}: another worker is on it")
        _let_leave(this, job, known, verdict)
        return Leave(attempt=refunds.resend(this.db, attempt), committed=began)


def _stands(this: Step, locked: RefundIntent, known: Known) -> bool:
    """Whether the refund is as it was when we began to look, down to the last send of its attempt."""
    return still_as_seen(known, locked, refunds.unresolved_attempt(this.db, locked.id))


def _let_leave(this: Step, job: Job, known: Known, verdict: Verdict) -> None:
    """The last word before the call: this job is still ours, for a whole lease, and nobody has switched us off.

    Raises LeaseLostError, or RetryLaterError where the look is old, or the mode or the policy that judges this
    charge changed during it: the next look will say so.
    """
    jobs.renew(this.db, job)
    refund = known.refund
    if not still_holds_at(known, database.now(this.db)):
        raise RetryLaterError(f"refund {refund.id}: the look is too long ago to pay on it")
    mode = modes.current(this.db, refund.account).mode
    if not may_leave(mode, refund.origin):
        raise RetryLaterError(f"refund {refund.id}: the mode became {mode} while we looked")
    if refund.origin is Origin.POLICY:
        if breakers.find_open(this.db, refund.account) is not None:
            raise RetryLaterError(f"refund {refund.id}: the breaker opened while we looked")
        _still_judged_so(this, refund, verdict)


def _still_judged_so(this: Step, refund: RefundIntent, verdict: Verdict) -> None:
    """The policy in force for the charge is the one that has just granted this; its verdict stands in the books.

    RetryLaterError where a version that was published meanwhile judges it.
    """
    found = verdict.found
    judge = policies.in_force(this.db, found.dossier.charge.created_at) if found.dossier else None
    if judge is not None and judge.digest != found.policy.digest:
        raise RetryLaterError(f"refund {refund.id}: policy {judge.name} took over while we looked")
    if verdict.newly_judged:
        write_down(this, cases.get(this.db, refund.case_id or ""), found, purpose="before_pay")


# ---------------------------------------------------------------- the call, and its answer


def _send(desk: Desk, job: Job, refund: RefundIntent, leave: Leave | None) -> None:
    """The one call that moves money, outside any transaction, with nothing that is not on the committed row."""
    if leave is None:
        return
    if leave.is_late():
        raise RetryLaterError(f"refund {refund.id}: held up between commit and call, so nothing was sent")
    answer = _call(desk.account(refund.account).stripe, refund, leave.attempt)
    match answer:
        case Accepted():
            with step(desk) as this:
                apply_refund(this, refund.account, refund.livemode, answer.refund)
                jobs.finish(this.db, job)
        case Refused():
            if not adopt_ours(desk, refund, job):  # "already refunded" may be our own earlier call
                _refuse(desk, job, refund, leave.attempt, answer)
        case NotDone():
            _wait(desk, job, refund, answer)
        case UnknownOutcome():
            _remember_unknown(desk, refund, answer.why)
            raise RetryLaterError(f"refund {refund.id}: outcome unknown: {answer.why}")
        case Halted():
            raise RetryLaterError(f"refund {refund.id}: Stripe refuses our key: {answer.why}")
        case _:
            assert_never(answer)


def _call(stripe: StripeGateway, refund: RefundIntent, attempt: Attempt) -> RefundAnswer:
    """By the call that the frozen parameters are for: a credit note where they name an invoice."""
    params = attempt.params
    metadata = params["metadata"]
    if not isinstance(metadata, dict):
        raise TypeError(f"attempt {attempt.id}: expected metadata to be an object")
    charge_id, amount_minor = str(params["charge"]), int(str(params["amount"]))
    if "invoice" in params:
        return stripe.create_credit_note(
            invoice_id=str(params["invoice"]),
            charge_id=charge_id,
            amount_minor=amount_minor,
            metadata=metadata,
            idempotency_key=attempt.key,
            currency=refund.currency,
        )
    return stripe.create_refund(
        charge_id=charge_id,
        amount_minor=amount_minor,
        reason=str(params["reason"]),
        metadata=metadata,
        idempotency_key=attempt.key,
        currency=refund.currency,
    )


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


def _withdraw(desk: Desk, job: Job, known: Known, verdict: Verdict) -> None:
    """Nothing was paid and nothing will be: the case goes where the new look sends it."""
    refund, decision = known.refund, verdict.found.decision
    if refund.origin is Origin.PERSON or decision.outcome is Outcome.REFUND:
        _stop(desk, job, known, RefundState.WITHDRAWN, reason=verdict.reason, why=verdict.why)
        return
    with step(desk) as this:
        locked = refunds.lock(this.db, refund.id)
        if _stands(this, locked, known):
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


def _stop(desk: Desk, job: Job, known: Known, state: RefundState, *, reason: str, why: str) -> None:
    """Ends the refund without a payment, where it is as it was seen, and puts its case before a person, soon."""
    with step(desk) as this:
        locked = refunds.lock(this.db, known.refund.id)
        if _stands(this, locked, known):
            _end(this, locked, state, why)
            show_to_person(this, locked, reason=reason)
            if reason == NO_TRACE:
                tell_unknown(this, locked)
        jobs.finish(this.db, job)


def _refuse(desk: Desk, job: Job, refund: RefundIntent, sent: Attempt, answer: Refused) -> None:
    """Stripe said no to this attempt, and lists no refund of ours: a person learns why."""
    with step(desk) as this:
        locked = refunds.lock(this.db, refund.id)
        if is_current(locked, refunds.unresolved_attempt(this.db, refund.id), sent):
            _end(this, locked, RefundState.REFUSED, answer.message)
            show_to_person(this, locked, reason=f"refused-{answer.reason}")
            tell_refused(this, locked, answer.reason)
        jobs.finish(this.db, job)


def _end(this: Step, refund: RefundIntent, state: RefundState, why: str) -> None:
    outcome = AttemptOutcome.REFUSED if state is RefundState.REFUSED else AttemptOutcome.ABSENT
    refunds.resolve_attempts(this.db, refund.id, outcome, why)
    refunds.set_state(this.db, refund, state, why=why)
    this.record(_draft(refund, EntryKind.REFUND_CHANGED, {"from": refund.state, "to": state, "why": why}))


def _draft(refund: RefundIntent, kind: EntryKind, body: dict[str, object]) -> Draft:
    return Draft(kind=kind, account=refund.account, subject=refund.id, actor="billingbot", body=body)
