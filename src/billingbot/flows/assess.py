"""Assess: from an open case to a verdict; a refund becomes an intent, everything else reaches a person."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from billingbot.core.breaker import DEFAULT_BREAKER, BreakerLimits
from billingbot.core.case import Case, CaseMove, CaseState
from billingbot.core.decision import Decision, Limit, Outcome, Recommendation
from billingbot.core.errors import StripeNotFoundError
from billingbot.core.evidence.comments import REASON as COMMENTED
from billingbot.core.ids import Kind
from billingbot.core.job import Actor, Job
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.mode import Mode
from billingbot.core.policy import daily_limits, with_limit
from billingbot.core.refund import Origin, RefundIntent, RefundState
from billingbot.core.request import Candidate, NamedBy
from billingbot.flows.aftercare import under_terms
from billingbot.flows.breaker import TrippedError, stay_below, trip
from billingbot.flows.desk import Account, Desk, Step, step
from billingbot.flows.disputes.closing import close_if_answered_since
from billingbot.flows.look import Findings, look, mode_of
from billingbot.flows.request import heed
from billingbot.flows.verdict import hand_over, letter, write_down
from billingbot.store import breakers, cases, comments, database, history, jobs, refunds, requests
from billingbot.store.database import transaction

# A fresh installation reads earlier trials in from Stripe first, a second or two for a small account. A case that
# is younger than this waits for it instead of going to a person for a moment.
IMPORT_PATIENCE: Final = timedelta(seconds=30)
IMPORT_GLANCE: Final = timedelta(seconds=1)


def assess(desk: Desk, job: Job) -> None:
    """Assesses the case that the job names. Twice or by two workers at once comes to the same.

    Raises StripeFaultError kinds where Stripe cannot be read, RetryLaterError where Postgres is away.
    """
    case, asked = _open_case(desk, job)
    if case.state is not CaseState.ASSESSING:
        return _nothing_to_do(desk, job)
    account = desk.account(case.account)
    if mode_of(desk, account.name) is Mode.OFF:
        return _hand_over_undecided(desk, job, case, reason="mode-off")
    if not asked:
        # Opened for a person: by reconcile, or for what a customer wrote when cancelling.
        return _hand_over_undecided(desk, job, case, reason=_why_nobody_asked(desk, case))
    if _history_on_its_way(desk, job, case):
        return None
    meant = _resolve(desk, account, case, asked)
    if meant.charge_id is not None and case.charge_id is None:
        joined, case = _attach(desk, job, case, meant.charge_id)
        if joined:
            return None
    try:
        found = look(
            desk,
            account,
            meant.charge_id,
            asked,
            candidates=meant.candidates,
            nothing_charged=meant.nothing_charged,
        )
    except StripeNotFoundError:
        # Nothing that Stripe knows by this name: nobody can be paid, and a person asks what was meant.
        found = look(desk, account, None, asked)
    return _decide(desk, job, case, asked, found)


class _OverBudgetError(Exception):
    """Rolls a refund back that the day's budget no longer covers; carries the review that it becomes instead."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.reason)
        self.decision = decision


def _decide(desk: Desk, job: Job, case: Case, asked: Sequence[requests.Request], found: Findings) -> None:
    try:
        _commit(desk, job, case, asked, found, breaker=desk.policy_for(None).limits.breaker)
    except _OverBudgetError as over:
        _commit(desk, job, case, asked, replace(found, decision=over.decision))
    except TrippedError as tripped:
        held = with_limit(found.decision, Limit.BREAKER, tripped.trip.observed, tripped.trip.allowed)
        _commit(desk, job, case, asked, replace(found, decision=held), tripped=tripped)


def _commit(
    desk: Desk,
    job: Job,
    case: Case,
    asked: Sequence[requests.Request],
    found: Findings,
    *,
    breaker: BreakerLimits | None = None,
    tripped: TrippedError | None = None,
) -> None:
    """Writes the verdict down with all that follows from it. A refund is held against `breaker`, the thresholds in
    force now: what is wrong today does not depend on when a charge was made.
    """
    with step(desk) as this:
        case = cases.lock(this.db, case.id)
        if case.state is CaseState.ASSESSING:
            if len(requests.of_case(this.db, case.id)) != len(asked):
                # Somebody joined while we looked: no verdict, and no closed case, without what they say.
                jobs.postpone(this.db, job, timedelta(0))
                this.bells.append(job.id)
                return
            _carry_out(this, desk, job, case, found)
            if tripped is not None:
                trip(this, case, tripped)
        jobs.finish(this.db, job)
        if found.decision.outcome is Outcome.REFUND:
            breakers.hold(this.db, case.account)
            stay_below(this, case.account, breaker or DEFAULT_BREAKER)
            _stay_in_budget(this, case, found)


def _carry_out(this: Step, desk: Desk, job: Job, case: Case, found: Findings) -> None:
    """Writes the verdict and what follows from it, all in the caller's transaction."""
    decision_id = write_down(this, case, found, purpose="assess")
    match found.decision.outcome:
        case Outcome.REFUND:
            _intend(this, case, found, decision_id)
        case Outcome.REVIEW:
            moved = hand_over(this, desk, case, found, decision_id, how=CaseMove.DECIDED_REVIEW)
            close_if_answered_since(this, moved, found.dossier, jobs.made_at(this.db, job))
        case Outcome.CLOSE:
            hand_over(this, desk, case, found, decision_id, how=CaseMove.DECIDED_CLOSE)


def _stay_in_budget(this: Step, case: Case, found: Findings) -> None:
    """Counts the day's automatic refunds, this one among them, under a lock held until the commit.

    Last in the transaction, so that racing workers wait for each other only for as long as a commit takes.
    Raises _OverBudgetError where the policy's budget for the day does not cover it.
    """
    decision, currency = found.decision, found.decision.currency or ""
    spent = refunds.spent_today(this.db, case.account, currency)
    allowed = daily_limits(found.policy, currency)
    if allowed.amount_max_minor is None or spent.amount_minor > allowed.amount_max_minor:
        most = f"at most {allowed.amount_max_minor} {currency} a day, in minor units"
        observed = f"{spent.amount_minor} with this one"
        raise _OverBudgetError(with_limit(decision, Limit.DAILY_AMOUNT, observed=observed, allowed=most))
    if spent.count > allowed.count_max:
        most = f"at most {allowed.count_max} a day"
        observed = f"{spent.count} with this one"
        raise _OverBudgetError(with_limit(decision, Limit.DAILY_COUNT, observed=observed, allowed=most))


def _intend(this: Step, case: Case, found: Findings, decision_id: str) -> None:
    """The intent, committed before anything is paid (law 1)."""
    decision, dossier = found.decision, found.dossier
    if dossier is None or decision.amount_minor is None or decision.currency is None:
        raise AssertionError(f"case {case.id}: a refund was decided without a charge")  # decide() forbids it
    refund = RefundIntent(
        id=this.new_id(Kind.REFUND),
        case_id=case.id,
        account=case.account,
        livemode=case.livemode,
        charge_id=dossier.charge.id,
        amount_minor=decision.amount_minor,
        currency=decision.currency,
        state=RefundState.INTENDED,
        origin=Origin.POLICY,
        decision_id=decision_id,
        clause=decision.clause,
        decided_by=f"policy:{decision.policy_id}@{decision.policy_version}",
        stripe_refund_id=None,
        why=None,
        intended_at=database.now(this.db),
        settled_at=None,
    )
    live = refunds.live_of_charge(this.db, case.account, refund.charge_id)
    if live is not None:
        # Ours, under way or done by our books while Stripe has nothing of it: ask Stripe, and let a person see.
        this.enqueue(Actor.SETTLE, live.id)
        give_up(this, case, reason="refund-under-way", decision_id=decision_id)
        return
    intend(this, under_terms(refund, found), found.payee)
    hand_over(this, None, case, found, decision_id, how=CaseMove.DECIDED_REFUND)


def intend(this: Step, refund: RefundIntent, payee: refunds.Payee) -> None:
    """Writes an intent with its job and its ledger entry. ConflictError where the charge has a live refund."""
    refunds.intend(this.db, refund, payee)
    this.enqueue(Actor.SUBMIT, refund.id)
    this.record(
        Draft(
            kind=EntryKind.REFUND_INTENDED,
            account=refund.account,
            subject=refund.id,
            actor=refund.decided_by,
            body={
                "case": refund.case_id,
                "charge": refund.charge_id,
                "amount_minor": refund.amount_minor,
                "currency": refund.currency,
                "origin": refund.origin,
                "clause": refund.clause,
                "decision": refund.decision_id,
                "refund_with": refund.refund_with,
                "cancel_subscription": refund.cancel_subscription,
            },
        )
    )


def _open_case(desk: Desk, job: Job) -> tuple[Case, Sequence[requests.Request]]:
    with transaction(desk.db) as connection:
        return cases.get(connection, job.subject), requests.of_case(connection, job.subject)


def _why_nobody_asked(desk: Desk, case: Case) -> str:
    with transaction(desk.db) as connection:
        return COMMENTED if comments.of_case(connection, case.id) else "nobody-asked"


def _nothing_to_do(desk: Desk, job: Job) -> None:
    with transaction(desk.db) as connection:
        jobs.finish(connection, job)


def _hand_over_undecided(desk: Desk, job: Job, case: Case, *, reason: str) -> None:
    with step(desk) as this:
        case = cases.lock(this.db, case.id)
        if case.state is CaseState.ASSESSING:
            give_up(this, case, reason=reason)
        jobs.finish(this.db, job)


def give_up(this: Step, case: Case, *, reason: str, decision_id: str | None = None, why: str | None = None) -> None:
    """Hands a case that could not be assessed to a person, with the reason and no recommendation.

    `why` is what went wrong, for the history; it quotes nothing of what was read.
    """
    cases.move(
        this.db,
        case,
        CaseMove.GIVEN_UP,
        reason=reason,
        decision_id=decision_id,
        recommendation=Recommendation.NONE,
        **letter(None),
        due_at=_tomorrow(this),
        recheck_at=None,
    )
    body = {"reason": reason} | ({"why": why} if why else {})
    this.record(
        Draft(kind=EntryKind.CASE_GIVEN_UP, account=case.account, subject=case.id, actor="billingbot", body=body)
    )


def _tomorrow(this: Step) -> datetime:
    # A request without even a verdict should not wait longer than one working day.
    return database.now(this.db) + timedelta(hours=24)


def _history_on_its_way(desk: Desk, job: Job, case: Case) -> bool:
    """Whether the assessment was put off for a moment, because earlier trials are just being read in."""
    with step(desk) as this:
        progress = history.import_progress(this.db, case.account)
        if progress is not None and progress.covers(database.now(this.db)):
            return False
        this.enqueue(Actor.IMPORT_HISTORY, case.account)
        if database.now(this.db) - case.opened_at > IMPORT_PATIENCE:
            return False
        jobs.postpone(this.db, job, IMPORT_GLANCE)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meant:
    """What a request means: one charge, none because nothing was ever charged, or any of the candidates."""

    charge_id: str | None
    candidates: tuple[Candidate, ...] = ()
    nothing_charged: bool = False


def _resolve(desk: Desk, account: Account, case: Case, asked: Sequence[requests.Request]) -> _Meant:
    if case.charge_id is not None:
        return _Meant(charge_id=case.charge_id)
    first = asked[0]
    candidates = _candidates(desk, account, first)
    if len(candidates) == 1:
        return _Meant(charge_id=candidates[0].charge_id, candidates=candidates)
    free = not candidates and account.stripe.never_charged(first.named_by, first.named)
    return _Meant(charge_id=None, candidates=candidates, nothing_charged=free)


def _candidates(desk: Desk, account: Account, asked: requests.Request) -> tuple[Candidate, ...]:
    """The charges a request can mean, newest first.

    Stripe compares e-mails letter by letter; our own digests know the mailbox in every spelling. Whoever is found by
    either counts, so that two people of one mailbox stay ambiguous.
    """
    found = list(account.stripe.find_charges(asked.named_by, asked.named))
    if asked.named_by is NamedBy.EMAIL:
        with transaction(desk.db) as connection:
            customers = history.customers_of_mailbox(connection, account.name, asked.named)
        for customer_id in customers:
            found += account.stripe.find_charges(NamedBy.CUSTOMER, customer_id)
    unique = {one.charge_id: one for one in found}
    return tuple(sorted(unique.values(), key=lambda one: (one.created_at, one.charge_id), reverse=True))


def _attach(desk: Desk, job: Job, case: Case, charge_id: str) -> tuple[bool, Case]:
    """Gives the case its charge; or, where that charge has an open case, moves the requests there and closes this."""
    with step(desk) as this:
        cases.lock_charge(this.db, case.account, charge_id)
        case = cases.lock(this.db, case.id)
        other = cases.find_open(this.db, case.account, charge_id)
        if case.state is not CaseState.ASSESSING or (other and other.id == case.id):
            return False, case
        if other is None:
            return False, cases.change(this.db, case, charge_id=charge_id)
        asked, earlier = (requests.of_case(this.db, one.id) for one in (case, other))
        requests.rehome(this.db, from_case=case.id, to_case=other.id)
        heed(this, other, [one.claims for one in asked], earlier)
        cases.move(
            this.db,
            case,
            CaseMove.JOINED,
            joined_case_id=other.id,
            outcome="joined",
            closed_at=database.now(this.db),
        )
        body = {"joined": other.id, "charge": charge_id}
        this.record(
            Draft(kind=EntryKind.CASE_JOINED, account=case.account, subject=case.id, actor="billingbot", body=body)
        )
        jobs.finish(this.db, job)
        return True, case
