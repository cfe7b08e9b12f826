"""Settle: what Stripe says of a refund becomes what our books say; found refunds are adopted, late truths followed."""

from datetime import timedelta
from typing import Final, assert_never

from billingbot.core.case import Case, CaseMove, CaseState, can
from billingbot.core.decision import Priority, Recommendation
from billingbot.core.errors import RetryLaterError
from billingbot.core.evidence import dossier
from billingbot.core.following import News, Whose, news_of, whose
from billingbot.core.ids import Kind
from billingbot.core.job import Job
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.refund import (
    ENDED_BADLY,
    AttemptOutcome,
    Origin,
    RefundIntent,
    RefundState,
    state_of,
)
from billingbot.core.refund_terms import RefundWith
from billingbot.flows.aftercare import follow_up, waits_for_person
from billingbot.flows.bad_news import CROSSED, CROSSED_REASON, tell_ended_badly
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.recheck import look_anew, reassess
from billingbot.flows.verdict import letter
from billingbot.store import cases, database, jobs, refunds
from billingbot.store.database import transaction

# The customer was promised money, or was told nothing yet: due the same working day.
SHOWN_DUE: Final = timedelta(hours=4)


def settle(desk: Desk, job: Job) -> None:
    """Asks Stripe how the refund that the job names stands, and writes it down."""
    with transaction(desk.db) as connection:
        refund = refunds.get(connection, job.subject)
    if refund.stripe_refund_id is None:
        with transaction(desk.db) as connection:
            jobs.finish(connection, job)
        return
    found = desk.account(refund.account).stripe.refund(refund.stripe_refund_id)
    with step(desk) as this:
        apply_refund(this, refund.account, refund.livemode, found)
        jobs.finish(this.db, job)


def adopt_ours(desk: Desk, refund: RefundIntent, job: Job) -> bool:
    """Looks at Stripe for a refund that carries our id, and takes it as ours. True where there is one.

    The list is complete and read from Stripe's primary data (unlike Search), so an absence in it means something.
    """
    stripe = desk.account(refund.account).stripe
    listed = stripe.refunds_of_charge(refund.charge_id, credited_on=credited_on(refund))
    ours = [found for found in listed if found.our_refund_id == refund.id]
    if not ours:
        return False
    with step(desk) as this:
        for found in ours:
            apply_refund(this, refund.account, refund.livemode, found)
        jobs.finish(this.db, job)
    return True


def credited_on(refund: RefundIntent) -> str | None:
    """The invoice whose credit notes have to be asked for this refund; None for one that is paid plainly."""
    return refund.invoice_id if refund.refund_with is RefundWith.CREDIT_NOTE else None


def recognise(desk: Desk, account: str, found: dossier.Refund) -> dossier.Refund:
    """The refund as ours where a credit note of ours made it: it carries no word of us, and its note does.

    To be asked before `apply_refund`, outside any transaction; asks Stripe only where such a refund is waited for.
    """
    if found.our_refund_id is not None or not found.charge_id:
        return found
    with transaction(desk.db) as connection:
        if refunds.find_by_stripe_id(connection, account, found.id) is not None:
            return found
        wanted = refunds.awaited_by_note(connection, account, found.charge_id)
    if wanted is None or wanted.invoice_id is None:
        return found
    return desk.account(account).stripe.refund_by_note(found.id, wanted.invoice_id)


def apply_refund(this: Step, account: str, livemode: bool, found: dossier.Refund) -> None:  # noqa: FBT001 - Stripe's own field
    """Writes down what Stripe says of one refund, in the caller's transaction; again and again is the same."""
    refund = _ours(this, account, found)
    if refund is None:
        _adopt_external(this, account, livemode, found)
        return
    news, state = news_of(refund, found), state_of(found.status)
    if state is not None and news is News.FOLLOWED:
        _take_over(this, refund, state, found)
    elif news is News.UNRECOGNISED:
        refunds.resolve_attempts(this.db, refund.id, AttemptOutcome.ACCEPTED, found.id)
        refunds.tie(this.db, refund, found.id)
        show_to_person(this, refund, reason="refund-status-unrecognised")


def _ours(this: Step, account: str, found: dossier.Refund) -> RefundIntent | None:
    """The row of ours that this refund belongs to, locked; by Stripe's id, else by the id we put into metadata.

    Raises RetryLaterError where a refund that was given up came to life at Stripe while its successor is under way.
    """
    known = refunds.find_by_stripe_id(this.db, account, found.id)
    if known is not None:
        return refunds.lock(this.db, known.id)
    if found.our_refund_id is None or not refunds.exists(this.db, account, found.our_refund_id, found.charge_id):
        return None
    refund = refunds.lock(this.db, found.our_refund_id)
    live = refunds.live_of_charge(this.db, account, found.charge_id)
    match whose(refund, found, live):
        case Whose.OURS:
            return refund
        case Whose.ANOTHERS:
            show_to_person(this, refund, reason="refund-made-twice", reopen=True)
            return None
        case Whose.NOT_YET:
            raise RetryLaterError(f"refund {refund.id}: given up, and made by Stripe after all while another is live")
        case answer:
            assert_never(answer)


def _take_over(this: Step, refund: RefundIntent, state: RefundState, found: dossier.Refund) -> None:
    refunds.resolve_attempts(this.db, refund.id, AttemptOutcome.ACCEPTED, found.id)
    why = found.failure_reason or (found.pending_reason if state is RefundState.PENDING else None)
    if state is not refund.state:
        note = {"credit_note_id": found.credit_note_id, "credit_note_number": found.credit_note_number}
        known = note if found.credit_note_id else {}
        refunds.set_state(this.db, refund, state, stripe_refund_id=found.id, why=why, **known)
    body = {
        "from": refund.state,
        "to": state,
        "stripe_refund": found.id,
        "amount_minor": found.amount_minor,
        "currency": found.currency,
        "why": why,
        **({"credit_note": found.credit_note_id} if found.credit_note_id else {}),
    }
    this.record(
        Draft(
            kind=EntryKind.REFUND_CHANGED,
            account=refund.account,
            subject=refund.id,
            actor="stripe",
            body=body,
        )
    )
    follow_up(this, refund, state)
    if found.amount_minor != refund.amount_minor or found.currency != refund.currency:
        show_to_person(this, refund, reason="refund-amount-differs", reopen=True)
    elif state is RefundState.SUCCEEDED and refund.origin is not Origin.EXTERNAL:
        _close_case(this, refund)
    elif state in ENDED_BADLY:
        reason = CROSSED if why == CROSSED_REASON else f"refund-{state}"
        show_to_person(this, refund, reason=reason, reopen=True)
        tell_ended_badly(this, refund, state, why)


def _close_case(this: Step, refund: RefundIntent) -> None:
    case = cases.lock(this.db, refund.case_id) if refund.case_id else None
    if case is not None and case.state is CaseState.REVIEW and waits_for_person(this, refund):
        return
    if case is not None and case.state is CaseState.REVIEW and refunds.is_crossed(this.db, refund.id):
        if case.assignee is None:  # paid, and disputed all the same: the bank still waits for an answer
            reassess(this, case.id, by="billingbot", why="the refund that a dispute had met succeeded")
        return
    if case is not None and can(case.state, CaseMove.REFUND_SUCCEEDED):
        now = database.now(this.db)
        cases.move(this.db, case, CaseMove.REFUND_SUCCEEDED, outcome="refunded", closed_at=now, recheck_at=None)
        return
    open_case = cases.find_open(this.db, refund.account, refund.charge_id)
    look_anew(this, open_case, why="the charge was refunded", refunded=True)


def show_to_person(
    this: Step, refund: RefundIntent, *, reason: str, reopen: bool = False, keeps_reply: bool = False
) -> None:
    """Puts the refund's case in front of a person, soon, without the advice and the reply that hold no longer.

    `reopen` says that money which a closed case counts as paid is not, or not so; `keeps_reply` that what the
    customer was told stays true all the same. Raises RetryLaterError where the charge is just being assessed: whoever
    did not see this news would close the case over it.
    """
    show_charge(
        this,
        refund.account,
        refund.charge_id,
        reason=reason,
        reopen=reopen,
        case_id=refund.case_id,
        keeps_reply=keeps_reply,
    )


def show_charge(
    this: Step,
    account: str,
    charge_id: str,
    *,
    reason: str,
    reopen: bool = False,
    case_id: str | None = None,
    keeps_reply: bool = False,
) -> Case | None:
    """As `show_to_person`, for a charge; `case_id` names the case to open again where none is open.

    The case that a person now has; None where the charge has none.
    """
    cases.lock_charge(this.db, account, charge_id)
    case = cases.find_open(this.db, account, charge_id)
    if case is None and reopen:
        own = cases.lock(this.db, case_id) if case_id else None
        case = own or cases.lock_last(this.db, account, charge_id)
    if case is None:
        return None
    if case.state is CaseState.ASSESSING and reopen:
        raise RetryLaterError(f"charge {charge_id}: case {case.id} is being assessed")
    values = {
        "reason": reason,
        "recommendation": Recommendation.NONE,
        **({} if keeps_reply else letter(None)),
        "priority": Priority.HIGH,
        "due_at": database.now(this.db) + SHOWN_DUE,
        "closed_at": None,
        "outcome": None,
        "recheck_at": None,
    }
    if can(case.state, CaseMove.REFUND_STOPPED):
        return cases.move(this.db, case, CaseMove.REFUND_STOPPED, **values)
    if case.state is CaseState.REVIEW:
        return cases.change(this.db, case, **values)
    return case


def _not_just_now(this: Step, account: str, found: dossier.Refund) -> None:
    """A credit note of ours is on its way, and this refund may be what it makes, told before the note itself.

    Raises RetryLaterError until its call is over, or quiet for so long that the notes' list can be relied on.
    """
    awaited = refunds.awaited_by_note(this.db, account, found.charge_id)
    attempt = refunds.unresolved_attempt(this.db, awaited.id) if awaited else None
    if attempt is not None and not attempt.is_quiet(database.now(this.db)):
        raise RetryLaterError(f"refund {found.id}: may be made by the credit note that {attempt.refund_id} asked for")


def _adopt_external(this: Step, account: str, livemode: bool, found: dossier.Refund) -> None:  # noqa: FBT001 - as above
    """A refund made in the Dashboard or by another program: into the books, and its open case is looked at anew."""
    _not_just_now(this, account, found)
    case = cases.find_open(this.db, account, found.charge_id)
    refund = RefundIntent(
        id=this.new_id(Kind.REFUND),
        case_id=case.id if case else None,
        account=account,
        livemode=livemode,
        charge_id=found.charge_id,
        amount_minor=found.amount_minor,
        currency=found.currency,
        state=state_of(found.status) or RefundState.UNKNOWN,
        origin=Origin.EXTERNAL,
        decision_id=None,
        clause=None,
        decided_by="outside billingbot",
        stripe_refund_id=found.id,
        why=found.failure_reason,
        intended_at=found.created_at,
        settled_at=None,
    )
    if not refunds.adopt_external(this.db, refund):
        return
    body = {
        "stripe_refund": found.id,
        "charge": found.charge_id,
        "amount_minor": found.amount_minor,
        "currency": found.currency,
        "state": refund.state,
    }
    this.record(Draft(kind=EntryKind.REFUND_ADOPTED, account=account, subject=refund.id, actor="stripe", body=body))
    look_anew(this, case, why="the charge was refunded outside billingbot", refunded=True)
