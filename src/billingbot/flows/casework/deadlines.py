"""Deadlines: people hear of a case that waits for them, of one that is nearly due, and of one that was.

Where a bank waits, its own deadline is told of instead (`flows.disputes.deadlines`)."""

from collections.abc import Iterable

from billingbot.core.money import Money
from billingbot.core.notice import Notice, NoticeKind
from billingbot.flows.desk import Desk, step
from billingbot.flows.notify import tell
from billingbot.store.deadlines import Due, cases_due, cases_waiting


def tell_of_deadlines(desk: Desk) -> int:
    """Tells once of each case that waits, and once of each deadline when it is near and when it is missed; how many.

    Meant to be called every few seconds; whoever calls twice tells nothing twice.
    """
    with step(desk) as this:
        notices = [
            *(_waits(case) for case in cases_waiting(this.db, untold=NoticeKind.CASE_OPENED)),
            *_due(cases_due(this.db, untold=NoticeKind.DEADLINE_NEAR), NoticeKind.DEADLINE_NEAR),
            *_due(cases_due(this.db, untold=NoticeKind.DEADLINE_MISSED), NoticeKind.DEADLINE_MISSED),
        ]
        for notice in notices:
            tell(this, notice)
    return len(notices)


def _waits(case: Due) -> Notice:
    reason = (case.reason or "none told").replace("-", " ")
    return Notice(
        kind=NoticeKind.CASE_OPENED,
        account=case.account,
        subject=case.id,
        headline=f"a case waits for a person: {_amount(case.amount_minor, case.currency)}",
        body=f"Reason: {reason}. Whoever takes it finds what was found and what the policy says.",
    )


def _due(found: Iterable[Due], kind: NoticeKind) -> Iterable[Notice]:
    for case in found:
        when = f"{case.due_at:%Y-%m-%d %H:%M}Z" if case.due_at else "now"
        missed = kind is NoticeKind.DEADLINE_MISSED
        held = "somebody has it" if case.is_taken else "nobody has it"
        yield Notice(
            kind=kind,
            account=case.account,
            subject=case.id,
            headline=f"a case {'was' if missed else 'is'} due at {when}: {_amount(case.amount_minor, case.currency)}",
            body=f"It {'still waits' if missed else 'waits'} for a person, and {held}.",
        )


def _amount(amount_minor: int | None, currency: str | None) -> str:
    known = amount_minor is not None and currency is not None
    return str(Money(amount_minor=amount_minor or 0, currency=currency or "")) if known else "amount not known yet"
