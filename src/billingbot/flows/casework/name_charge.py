"""Name a charge: a person says which charge a request meant, where the request itself did not tell."""

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.case import Case, CaseMove
from billingbot.core.errors import ConflictError, InputError, StripeNotFoundError
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.request import NamedBy
from billingbot.flows.casework.review import Act, in_review
from billingbot.flows.desk import Desk, step
from billingbot.flows.recheck import reassess
from billingbot.flows.request import SHAPES, heed
from billingbot.store import cases, database, requests


def name_charge(desk: Desk, act: Act, charge_id: str) -> Case:
    """Gives a case without a charge the one that was meant, and has it assessed anew.

    Where that charge has an open case already, the requests move there and this case is closed: the answer is then
    the other one. Raises InputError where Stripe knows no such charge, ConflictError where the case has one.
    """
    desk.require(Power.DECIDE)
    shape, expected = SHAPES[NamedBy.CHARGE]
    if not shape.fullmatch(charge_id):
        raise InputError("charge", f"expected {expected}")
    with database.transaction(desk.db) as connection:
        account = desk.account(cases.get(connection, act.case_id).account)
    try:
        account.stripe.charge(charge_id)
    except StripeNotFoundError:
        raise InputError("charge", f"expected one of account {account.name}; Stripe knows no {charge_id}") from None
    with step(desk) as this:
        cases.lock_charge(this.db, account.name, charge_id)
        case = in_review(this, act)
        if case.charge_id is not None:
            raise ConflictError(f"case {case.id}: is about {case.charge_id} already")
        other = cases.find_open(this.db, account.name, charge_id)
        body = {"charge": charge_id, "joined": other.id if other else None}
        kind = EntryKind.CASE_CHARGE_NAMED
        this.record(Draft(kind=kind, account=case.account, subject=case.id, actor=person(act.by), body=body))
        if other is None:
            case = cases.change(this.db, case, charge_id=charge_id)
            reassess(this, case.id, by=act.by, why="the charge was named by a person")
            return cases.lock(this.db, case.id)
        asked, earlier = (requests.of_case(this.db, one.id) for one in (case, other))
        requests.rehome(this.db, from_case=case.id, to_case=other.id)
        heed(this, other, [one.claims for one in asked], earlier)
        moved = cases.move(this.db, case, CaseMove.REASSESSED, recheck_at=None, due_at=None)
        now = database.now(this.db)
        cases.move(this.db, moved, CaseMove.JOINED, joined_case_id=other.id, outcome="joined", closed_at=now)
        return cases.lock(this.db, other.id)
