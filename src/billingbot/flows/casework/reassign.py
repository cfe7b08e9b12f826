"""Reassign: putting a case into a colleague's hands."""

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.case import Case
from billingbot.core.errors import InputError, NotFoundError
from billingbot.core.ledger import Draft, EntryKind
from billingbot.flows.casework.review import Act, in_review
from billingbot.flows.desk import Desk, step
from billingbot.store import cases, people


def reassign(desk: Desk, act: Act, to: str) -> Case:
    """Gives the case to the person of this name, whoever has it now. InputError where nobody is called so, or where
    they may not decide.
    """
    desk.require(Power.DECIDE)
    with step(desk) as this:
        case = in_review(this, act)
        try:
            found = people.named(this.db, to)
        except NotFoundError as fault:
            raise InputError("to", f"expected somebody who may sign in; {fault}") from None
        if Power.DECIDE not in found.powers:
            raise InputError("to", f"expected somebody who may decide; {found.name} may not")
        if case.assignee == found.name:
            return case
        body = {"to": found.name, "was": case.assignee}
        kind = EntryKind.CASE_REASSIGNED
        this.record(Draft(kind=kind, account=case.account, subject=case.id, actor=person(act.by), body=body))
        return cases.change(this.db, case, assignee=found.name, recheck_at=None, snoozed_until=None)
