"""Watch disputes: their deadlines by the clock, and the cases that only a bank had asked for once it has its answer."""

import structlog

from billingbot.core.case import CaseMove, CaseState
from billingbot.core.errors import RetryLaterError, StripeFaultError
from billingbot.core.job import Actor, Job
from billingbot.core.ledger import Draft, EntryKind
from billingbot.flows.desk import Desk, step
from billingbot.flows.disputes.deadlines import follow_deadline
from billingbot.flows.interpret import read_dispute
from billingbot.store import cases, database, dispute_cases, disputes, jobs

log = structlog.get_logger(__name__)


def watch_due(desk: Desk, *, limit: int) -> int:
    """Has every dispute looked at of whose deadline something is to be told by now; how many."""
    with step(desk) as this:
        due = [one for one in disputes.alarming(this.db, limit=limit) if one[0] in desk.accounts]
        for account, dispute_id in due:
            this.enqueue(Actor.WATCH_DISPUTE, f"{account}/{dispute_id}")
    return len(due)


def watch_dispute(desk: Desk, job: Job) -> None:
    """Reads the dispute that the job names afresh and tells what is due of its deadline; twice tells it once.

    Where Stripe cannot be read, what we know is told all the same: in doubt a reminder.
    """
    name, _, dispute_id = job.subject.rpartition("/")
    try:
        read_dispute(desk, desk.account(name), dispute_id)
    except (StripeFaultError, RetryLaterError) as fault:
        log.warning("dispute.not_read", dispute=dispute_id, why=str(fault))
    with step(desk) as this:
        follow_deadline(this, desk, name, dispute_id)
        jobs.finish(this.db, job)


def close_answered(desk: Desk, *, limit: int) -> int:
    """Closes cases that only banks had asked for, once all disputes of their charge have ended; how many.

    Whoever has such a case: nobody waits for it any more. Cases that are with a person for another reason than the
    policy's (money under way, books that differ) stay.
    """
    with step(desk) as this:
        ended = dispute_cases.answered(this.db, limit=limit)
    closed = 0
    for case_id in ended:
        with step(desk) as this:
            case = cases.lock(this.db, case_id)
            outcome = dispute_cases.outcome_if_answered(this.db, case_id)
            if case.state is not CaseState.REVIEW or outcome is None:
                continue
            cases.move(
                this.db,
                case,
                CaseMove.BANK_ANSWERED,
                outcome=f"dispute-{outcome}".replace("_", "-"),
                closed_at=database.now(this.db),
                recheck_at=None,
                reply=None,
                reply_subject=None,
                reply_language=None,
            )
            body = {"outcome": outcome, "assignee_had_it": case.assignee is not None}
            this.record(
                Draft(
                    kind=EntryKind.CASE_BANK_ANSWERED,
                    account=case.account,
                    subject=case.id,
                    actor="billingbot",
                    body=body,
                )
            )
            closed += 1
    return closed
