"""Snooze: putting a case off for a while, never past its deadline; it comes back by itself."""

from datetime import datetime

from sqlalchemy import Connection

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.case import Case
from billingbot.core.errors import InputError
from billingbot.core.ledger import Draft, EntryKind
from billingbot.flows.casework.review import Act, in_review
from billingbot.flows.desk import Desk, Step, step
from billingbot.store import cases, database, disputes


def snooze(desk: Desk, act: Act, until: datetime) -> Case:
    """Puts the case out of the queue until then; it stays in the hands in which it is, and its due time stays.

    It comes back at that moment, and at once when anything happens to it: another request, a dispute, a decision.
    InputError where `until` lies in the past, or behind the case's own deadline or the bank's.
    """
    desk.require(Power.DECIDE)
    if until.tzinfo is None:
        raise InputError("until", "expected a time with its zone")
    with step(desk) as this:
        case = in_review(this, act)
        latest = latest_wake(this.db, case)
        if until <= database.now(this.db):
            raise InputError("until", "expected a time in the future")
        if latest is not None and until > latest:
            raise InputError("until", f"expected a time before the case is due, {latest:%Y-%m-%d %H:%M} UTC")
        _record(this, case, act, EntryKind.CASE_SNOOZED, {"until": until})
        return cases.change(this.db, case, snoozed_until=until)


def wake(desk: Desk, act: Act) -> Case:
    """Brings a case that was put off back into the queue at once."""
    desk.require(Power.DECIDE)
    with step(desk) as this:
        case = in_review(this, act)
        if case.snoozed_until is None:
            return case
        _record(this, case, act, EntryKind.CASE_WOKEN, {})
        return cases.change(this.db, case, snoozed_until=None)


def latest_wake(connection: Connection, case: Case) -> datetime | None:
    """Until when the case may be put off at the most: its own due time, or the bank's deadline where that is sooner."""
    bank = disputes.of_charge(connection, case.account, case.charge_id) if case.charge_id else ()
    deadlines = [one.dispute.due_by for one in bank if one.outcome is None]
    return min((at for at in (case.due_at, *deadlines) if at is not None), default=None)


def _record(this: Step, case: Case, act: Act, kind: EntryKind, body: dict[str, object]) -> None:
    this.record(Draft(kind=kind, account=case.account, subject=case.id, actor=person(act.by), body=body))
