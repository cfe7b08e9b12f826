"""Deadlines: what is told of an answer that a bank awaits, once each; and the case that follows the bank's time.

Everything here is derived from the dispute as it was just read, so it does not matter which event came, or whether
one came at all: the schedule asks again at each instant at which something is to be told.
"""

from datetime import datetime
from typing import Final

from billingbot.core.case import Case, CaseState
from billingbot.core.decision import Priority
from billingbot.core.disputes.deadlines import BANK_DECIDES_WITHIN, MISSED, UNTAKEN, moved_due, next_alarm, passed
from billingbot.core.disputes.life import Answering, answering, is_with_bank
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.money import Money
from billingbot.core.notice import Notice, NoticeKind
from billingbot.flows.desk import Desk, Step
from billingbot.flows.notify import tell
from billingbot.store import cases, database, dispute_cases, disputes
from billingbot.store.disputes import KnownDispute

_HOUR: Final = 3600


def follow_deadline(this: Step, desk: Desk, account: str, dispute_id: str) -> None:
    """Tells what is due of this dispute's deadline, moves its case with it, and sets when to ask again.

    In the caller's transaction, which has taken the case before the dispute: the same order everywhere.
    """
    known = disputes.get(this.db, account, dispute_id)
    case = cases.find_open(this.db, account, known.dispute.charge_id)
    known = disputes.find(this.db, account, dispute_id, lock=True) or known
    now = database.now(this.db)
    match answering(known.dispute, now):
        case Answering.AWAITED | Answering.MISSED:
            _follow(this, desk, known, case, now)
        case Answering.WITH_BANK:
            _stand_back(this, known, case, now)
        case Answering.IMPOSSIBLE | Answering.OVER:
            _rest(this, known)


def _follow(this: Step, desk: Desk, known: KnownDispute, case: Case | None, now: datetime) -> None:
    due_by, terms = known.dispute.due_by, desk.disputes
    if due_by is None:
        raise AssertionError(f"dispute {known.dispute.id}: awaited without a deadline")  # answering() forbids it
    if case is not None:
        case = _move_case(this, desk, known, case, due_by)
    behind = passed(due_by, now, terms)
    if behind.missed:
        tell_missed(this, known)
        return
    taken = case is not None and case.assignee is not None
    marks = [*behind.near, *([UNTAKEN] if behind.escalates and not taken else [])]
    fresh = disputes.mark_told(this.db, known, marks)
    if behind.near and behind.near[-1] in fresh:
        if case is not None and case.snoozed_until is not None:  # whoever put it off must not sleep through it
            cases.change(this.db, case, snoozed_until=None)
        _tell_near(this, known, case, now, due_by)
    if UNTAKEN in fresh:
        _tell_untaken(this, known, case, now, due_by)
    # A case that is just being assessed gets its time when that is over: the schedule asks again within seconds.
    again = now if case is not None and case.state is CaseState.ASSESSING else next_alarm(due_by, now, terms)
    disputes.change(this.db, known.account, known.dispute.id, next_alarm_at=again, missed_at=None)


def _move_case(this: Step, desk: Desk, known: KnownDispute, case: Case, due_by: datetime) -> Case:
    """The case is due some time before the bank's deadline, whoever has it; and it is urgent."""
    if case.state is not CaseState.REVIEW or known.followed_due_by == due_by:
        return case
    due_at = moved_due(case.due_at, applied=known.followed_due_by, due_by=due_by, terms=desk.disputes)
    disputes.change(this.db, known.account, known.dispute.id, followed_due_by=due_by)
    if due_at == case.due_at and case.priority is Priority.URGENT:
        return case
    body = {"dispute": known.dispute.id, "due_by": due_by, "from": case.due_at, "to": due_at}
    this.record(Draft(kind=EntryKind.CASE_DUE_MOVED, account=known.account, subject=case.id, actor="stripe", body=body))
    return cases.change(this.db, case, due_at=due_at, priority=Priority.URGENT)


def _stand_back(this: Step, known: KnownDispute, case: Case | None, now: datetime) -> None:
    """An answer is with the bank, ours or one that Stripe sent by itself: nobody is reminded, and the case sinks."""
    _rest(this, known)
    if case is None or case.state is not CaseState.REVIEW or known.followed_due_by is None:
        return
    others = disputes.of_charge(this.db, known.account, known.dispute.charge_id)
    if not is_with_bank((one.dispute for one in others), now) or not dispute_cases.only_banks_ask(this.db, case.id):
        return
    due_at = now + BANK_DECIDES_WITHIN
    disputes.change(this.db, known.account, known.dispute.id, followed_due_by=None)
    body = {"dispute": known.dispute.id, "from": case.due_at, "to": due_at, "sent_by": known.dispute.submission_method}
    this.record(Draft(kind=EntryKind.CASE_DUE_MOVED, account=known.account, subject=case.id, actor="stripe", body=body))
    cases.change(this.db, case, due_at=due_at, priority=Priority.NORMAL)


def _rest(this: Step, known: KnownDispute) -> None:
    disputes.change(this.db, known.account, known.dispute.id, next_alarm_at=None)


def tell_missed(this: Step, known: KnownDispute) -> None:
    """The deadline has passed without an answer: told and ledgered once for each deadline."""
    dispute = known.dispute
    disputes.change(this.db, known.account, dispute.id, next_alarm_at=None)
    if MISSED not in disputes.mark_told(this.db, known, [MISSED]):
        return
    disputes.change(this.db, known.account, dispute.id, missed_at=database.now(this.db))
    body = {
        "charge": dispute.charge_id,
        "due_by": dispute.due_by,
        "status": dispute.status,
        "reason": dispute.reason,
        "amount_minor": dispute.amount_minor,
        "currency": dispute.currency,
    }
    this.record(
        Draft(kind=EntryKind.DISPUTE_MISSED, account=known.account, subject=dispute.id, actor="billingbot", body=body)
    )
    tell(
        this,
        Notice(
            kind=NoticeKind.DEADLINE_MISSED,
            account=known.account,
            subject=known.case_id or dispute.id,
            headline=f"the deadline of {_about(known)} passed without an answer",
            body="It is probably lost. Where an answer did go out, it counts from the next look on; the report of all"
            f" that was missed: billingbot disputes missed. This one: billingbot disputes show {dispute.id}",
        ),
    )


def _tell_near(this: Step, known: KnownDispute, case: Case | None, now: datetime, due_by: datetime) -> None:
    by_stripe = " Stripe means to answer by itself, as long as nobody else does." if _stripe_means_to(known) else ""
    taken = "is in somebody's hands" if case is not None and case.assignee is not None else "is in nobody's hands"
    tell(
        this,
        Notice(
            kind=NoticeKind.DEADLINE_NEAR,
            account=known.account,
            subject=case.id if case else known.dispute.id,
            headline=f"an answer to the bank is due in {_hours(due_by, now)}: {_about(known)}",
            body=f"The case {taken}.{by_stripe} Answer or accept it: billingbot disputes show {known.dispute.id}",
        ),
    )


def _tell_untaken(this: Step, known: KnownDispute, case: Case | None, now: datetime, due_by: datetime) -> None:
    tell(
        this,
        Notice(
            kind=NoticeKind.DEADLINE_UNTAKEN,
            account=known.account,
            subject=case.id if case else known.dispute.id,
            headline=f"nobody has taken {_about(known)}, due in {_hours(due_by, now)}",
            body="An answer that comes too late is none, and the money is lost. Take the case:"
            f" billingbot disputes show {known.dispute.id}",
        ),
    )


def _stripe_means_to(known: KnownDispute) -> bool:
    return (known.dispute.intended_method or "").endswith("smart_disputes")


def _hours(due_by: datetime, now: datetime) -> str:
    hours = int((due_by - now).total_seconds() // _HOUR)
    return f"{hours} h" if hours else "less than an hour"


def _about(known: KnownDispute) -> str:
    dispute = known.dispute
    money = Money(amount_minor=dispute.amount_minor, currency=dispute.currency)
    return f"{known.kind} {dispute.id} ({money}, {dispute.reason})"
