"""Run: claim a job, do its verb, and see to it that a failure is kept, retried in time, or handed to a person."""

import traceback
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Final
from uuid import uuid4

import structlog

from billingbot.core.errors import BillingbotError, LeaseLostError, RetryLaterError, StripeAnswerError, StripeFieldError
from billingbot.core.job import MOST_ATTEMPTS, Actor, Job, backoff
from billingbot.flows import privacy_searches
from billingbot.flows.abandon import abandon
from billingbot.flows.assess import assess
from billingbot.flows.books import months
from billingbot.flows.books.settlements import read_settlements
from billingbot.flows.cancel import cancel
from billingbot.flows.casework.letters import deliver
from billingbot.flows.desk import Desk, step
from billingbot.flows.disputes.answer import answer
from billingbot.flows.disputes.draft_answer import draft_answer
from billingbot.flows.disputes.watch import watch_dispute
from billingbot.flows.interpret import interpret
from billingbot.flows.notify import notify
from billingbot.flows.policy import backtests
from billingbot.flows.recheck import recheck
from billingbot.flows.reconcile import reconcile
from billingbot.flows.replay.backfill import backfill
from billingbot.flows.replay.replay_runs import carry_on
from billingbot.flows.settle import settle
from billingbot.flows.submit import submit
from billingbot.flows.trials import import_history
from billingbot.store import jobs
from billingbot.store.database import transaction

VERBS: Final[Mapping[Actor, Callable[[Desk, Job], None]]] = {
    Actor.INTERPRET: interpret,
    Actor.ASSESS: assess,
    Actor.RECHECK: recheck,
    Actor.SUBMIT: submit,
    Actor.SETTLE: settle,
    Actor.CANCEL: cancel,
    Actor.IMPORT_HISTORY: import_history,
    Actor.NOTIFY: notify,
    Actor.DELIVER: deliver,
    Actor.DRAFT_ANSWER: draft_answer,
    Actor.ANSWER: answer,
    Actor.BACKFILL: backfill,
    Actor.RECONCILE: reconcile,
    Actor.WATCH_DISPUTE: watch_dispute,
    Actor.BACKTEST: backtests.run,
    Actor.REPLAY: carry_on,
    Actor.READ_SETTLEMENTS: read_settlements,
    Actor.CLOSE_MONTH: months.carry_on,
    Actor.PERSONAL_DATA: privacy_searches.carry_on,
}

# Half an answer or a proxy's page is over within these eighteen seconds; what Stripe really says does not change.
_READS_IN_VAIN: Final = 5

log = structlog.get_logger(__name__)


def run(desk: Desk, job_id: str) -> bool:
    """Runs the job if it is due and free; True where it was. Never raises: a worker lives on, whatever a job does."""
    try:
        with transaction(desk.db) as connection:
            job = jobs.claim(connection, job_id, uuid4().hex)
    except Exception as fault:  # noqa: BLE001 - as below: whatever it is, the sweeper rings again
        log.warning("job.not_claimed", job=job_id, why=_says(fault))
        return False
    if job is None:
        return False
    with structlog.contextvars.bound_contextvars(job=job.id, actor=job.actor, subject=job.subject):
        _work(desk, job)
    return True


def _work(desk: Desk, job: Job) -> None:
    began = perf_counter()
    try:
        if job.attempts > MOST_ATTEMPTS:
            raise RuntimeError("the worker died each time this job ran")  # claimed and never answered for
        VERBS[job.actor](desk, job)
    except LeaseLostError as fault:
        log.warning("job.lease_lost", why=str(fault))
    except Exception as fault:  # noqa: BLE001 - whatever a verb throws becomes a kept failure, never a dead worker
        _failed(desk, job, fault)
    else:
        log.info("job.done", attempt=job.attempts, seconds=round(perf_counter() - began, 3))


def _failed(desk: Desk, job: Job, fault: Exception) -> None:
    """Keeps the failure and sets the next try, or hands over for good when there is none."""
    wait = None if _is_hopeless(job, fault) else backoff(job.attempts)
    says = _says(fault)
    expected = isinstance(fault, RetryLaterError)
    log.log(30 if expected else 40, "job.failed", attempt=job.attempts, error=says, retry_in=str(wait))
    try:
        with step(desk) as this:
            frames = "".join(traceback.format_exception(fault))
            jobs.record_failure(this.db, job, type(fault).__name__, says, frames)
            if wait is not None:
                jobs.retry(this.db, job, wait, says)
            else:
                abandon(this, job, why=says)
                jobs.give_up(this.db, job, says)
    except LeaseLostError as lost:
        log.warning("job.lease_lost", why=str(lost))
    except Exception as second:
        log.exception("job.failure_not_kept", why=_says(second))


def _is_hopeless(job: Job, fault: Exception) -> bool:
    """Whether it will not get better by waiting, and somebody waits: a customer for a case, or perhaps a bank."""
    hopeless = {Actor.ASSESS: StripeAnswerError, Actor.INTERPRET: StripeFieldError}.get(job.actor)
    return hopeless is not None and isinstance(fault, hopeless) and job.attempts >= _READS_IN_VAIN


def _says(fault: Exception) -> str:
    """One line for lists and logs; errors of other libraries may quote rows or payloads, so only their class."""
    return str(fault) if isinstance(fault, BillingbotError) else f"{type(fault).__name__}"
