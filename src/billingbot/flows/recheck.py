"""Recheck: a case whose evidence was incomplete is looked at again, if nobody has taken it meanwhile."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from billingbot.core.case import Case, CaseMove, CaseState
from billingbot.core.errors import StripeNotFoundError
from billingbot.core.evidence.comments import REASON as COMMENTED
from billingbot.core.job import Actor, Job
from billingbot.core.ledger import Draft, EntryKind
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.look import look
from billingbot.store import cases, decisions, jobs, requests
from billingbot.store.database import transaction

# The wait doubles from look to look, up to an hour: a source that is away for a day is asked some thirty times.
LONGEST_WAIT: Final = timedelta(hours=1)

# Reasons of cases without a verdict that counts, or whose refund did not leave: a new one says more.
_NO_VERDICT: Final = frozenset(
    {
        *("mode-off", "nobody-asked", "could-not-assess", "could-not-pay", "changed-before-paying", "no-credit-note"),
        *("refund-under-way", COMMENTED),
    }
)
# Reasons of cases whose customer has no money of ours as far as we know.
_UNPAID: Final = frozenset({"refund-failed", "refund-canceled", "no-trace-at-stripe", "outcome-unknown"})


def recheck(desk: Desk, job: Job) -> None:
    """Looks whether what was missing is there now; if the verdict would differ, the case is assessed anew.

    Policy row 6: by itself when the source answers again, if nobody has taken the case.
    """
    with transaction(desk.db) as connection:
        case = cases.get(connection, job.subject)
        asked = requests.of_case(connection, case.id)
    missing = _still_missing(desk, case.account, case.charge_id, asked) if case.state is CaseState.REVIEW else set()
    with step(desk) as this:
        case = cases.lock(this.db, case.id)
        if case.state is CaseState.REVIEW and case.assignee is None:
            if missing:
                cases.recheck_in(this.db, case.id, _wait(desk, cases.rechecks(this.db, case.id)))
            else:
                reassess(this, case.id, by="billingbot", why="the missing evidence is there")
        jobs.finish(this.db, job)


def look_anew(this: Step, case: Case | None, *, why: str, refunded: bool = False) -> None:
    """Has a locked case in nobody's hands assessed anew: what it was decided on has changed.

    Not where it is with a person for what Stripe, our books or an earlier refund have come to: that says more than any
    verdict, which would hide it, or pay a second time. With `refunded` the news is a refund made elsewhere, which may
    be the very end of a refund of ours that went wrong.
    """
    if case is None or case.state is not CaseState.REVIEW or case.assignee is not None:
        return
    reason = case.reason or ""
    decided = case.decision_id is not None and decisions.get(this.db, case.decision_id).reason == reason
    passing = reason in _NO_VERDICT or reason.startswith("refused-") or (refunded and reason in _UNPAID)
    if decided or passing:
        reassess(this, case.id, by="billingbot", why=why)


def reassess(this: Step, case_id: str, *, by: str, why: str) -> None:
    """Sends a case in review back to be assessed. ConflictError where it is in another state."""
    case = cases.lock(this.db, case_id)
    cases.move(this.db, case, CaseMove.REASSESSED, recheck_at=None, due_at=None)
    this.enqueue(Actor.ASSESS, case.id)
    body = {"why": why}
    this.record(Draft(kind=EntryKind.CASE_REASSESSED, account=case.account, subject=case.id, actor=by, body=body))


def _still_missing(desk: Desk, account: str, charge_id: str | None, asked: Sequence[requests.Request]) -> set[str]:
    try:
        found = look(desk, desk.account(account), charge_id, asked)
    except StripeNotFoundError:
        found = look(desk, desk.account(account), None, asked)  # as when it was assessed
    return set(found.decision.awaited)


def _wait(desk: Desk, looks: int) -> timedelta:
    doublings = min(looks, 12)  # a second doubled twelve times is past the hour already
    return min(desk.recheck_after * (1 << doublings), LONGEST_WAIT)
