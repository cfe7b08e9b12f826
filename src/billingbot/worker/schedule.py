"""Schedule: what happens by itself, each second, minute or hour; all of it durable in Postgres."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from threading import Event
from typing import Final

import structlog

from billingbot.core.errors import BillingbotError
from billingbot.core.job import Actor
from billingbot.core.notice import GROUPED_WITHIN
from billingbot.flows.books import settlements
from billingbot.flows.casework.deadlines import tell_of_deadlines
from billingbot.flows.casework.letters import send_due
from billingbot.flows.desk import Desk, step
from billingbot.flows.disputes.drafting import want_draft
from billingbot.flows.disputes.watch import close_answered, watch_due
from billingbot.flows.late import tell_of_overdue
from billingbot.flows.policy.shadow import follow
from billingbot.flows.reconcile import start_due
from billingbot.flows.replay.backfill import keep_up
from billingbot.store import (
    answer_drafts,
    answers,
    cancellations,
    cases,
    database,
    history,
    jobs,
    notices,
    refunds,
    samples,
    sources,
    ticks,
)
from billingbot.store.database import transaction
from billingbot.worker.doorbell import RedisBell

# A due job that is silent for two seconds missed its bell (it takes milliseconds); one second between looks.
_SILENCE: Final = timedelta(seconds=2)
_EVERY_SECONDS: Final = 1.0
_BATCH: Final = 200

log = structlog.get_logger(__name__)


def keep_schedule(desk: Desk, bell: RedisBell, stop: Event) -> None:
    """Runs the schedule until `stop` is set. Any number of schedulers make one: each tick is taken by one of them."""
    while not stop.wait(_EVERY_SECONDS):
        _try(lambda: _sweep(desk, bell), "sweep")
        for name, (every, task) in TASKS.items():
            _try(lambda name=name, every=every, task=task: _tick(desk, name, every, task), name)  # type: ignore[misc] # bound now


def _sweep(desk: Desk, bell: RedisBell) -> None:
    """Rings again for every job that is due and silent: one mechanism for a crash, a flush, a kill and an outage."""
    if bell.is_crowded():
        return
    with transaction(desk.db) as connection:
        silent = jobs.due(connection, silent_for=_SILENCE, limit=_BATCH)
    bell.ring(silent)


def _tick(desk: Desk, name: str, every: timedelta, task: Callable[[Desk], int]) -> None:
    with transaction(desk.db) as connection:
        if not ticks.is_due(connection, name, every):
            return
    done = task(desk)
    if done:
        log.info("schedule.ran", task=name, jobs=done)


def _recheck_cases(desk: Desk) -> int:
    """Cases that wait for evidence, each with its own growing wait."""
    with step(desk) as this:
        due = cases.due_for_recheck(this.db, limit=_BATCH)
        for case_id in due:
            # Pushed out first, so that a second scheduler, or a slow look, does not ask twice.
            cases.recheck_in(this.db, case_id, timedelta(hours=1))
            this.enqueue(Actor.RECHECK, case_id)
    return len(due)


def _ask_after_pending(desk: Desk) -> int:
    """Refunds that Stripe holds as pending: events tell of their end, and this sees to it if one is missed."""
    with step(desk) as this:
        pending = refunds.live_at_stripe(this.db, older_than=timedelta(minutes=30), limit=_BATCH)
        for refund_id in pending:
            this.enqueue(Actor.SETTLE, refund_id)
    return len(pending)


def _resolve_refunds(desk: Desk) -> int:
    """Refunds on their way out that no job carries any more."""
    with step(desk) as this:
        lost = refunds.unresolved(this.db, older_than=timedelta(minutes=10), limit=_BATCH)
        for refund_id in lost:
            this.enqueue(Actor.SUBMIT, refund_id)
    return len(lost)


def _assess_forgotten(desk: Desk) -> int:
    """Cases being assessed that no job carries any more."""
    with step(desk) as this:
        forgotten = cases.forgotten(this.db, limit=_BATCH)
        for case_id in forgotten:
            this.enqueue(Actor.ASSESS, case_id)
    return len(forgotten)


def _resolve_cancellations(desk: Desk) -> int:
    """Cancellations under way that no job carries any more."""
    with step(desk) as this:
        lost = cancellations.unresolved(this.db, older_than=timedelta(minutes=10), limit=_BATCH)
        for cancellation_id in lost:
            this.enqueue(Actor.CANCEL, cancellation_id)
    return len(lost)


def _resolve_answers(desk: Desk) -> int:
    """Answers to banks under way, and drafts that are wanted, that no job carries any more."""
    with step(desk) as this:
        lost = answers.unresolved(this.db, older_than=timedelta(minutes=10), limit=_BATCH)
        for answer_id in lost:
            this.enqueue(Actor.ANSWER, answer_id)
        for known in answer_drafts.missing(this.db, limit=_BATCH):
            if known.account in desk.accounts:
                want_draft(this, desk.account(known.account), known.dispute)
        wanted = answer_drafts.undrafted(this.db, older_than=timedelta(minutes=10), limit=_BATCH)
        for draft_id in wanted:
            this.enqueue(Actor.DRAFT_ANSWER, draft_id)
    return len(lost) + len(wanted)


def _import_history(desk: Desk) -> int:
    """Accounts whose trials have not been read in yet, or not lately."""
    wanted = 0
    with step(desk) as this:
        for name in desk.accounts:
            progress = history.import_progress(this.db, name)
            if progress is None or progress.cursor is not None or progress.is_due(database.now(this.db)):
                this.enqueue(Actor.IMPORT_HISTORY, name)
                wanted += 1
    return wanted


def _notices(desk: Desk) -> int:
    """Kinds of which something waits to be told that no job carries: written while its job was just looking."""
    with step(desk) as this:
        kinds = notices.stranded(this.db, older_than=GROUPED_WITHIN + timedelta(minutes=1))
        for kind in kinds:
            this.enqueue(Actor.NOTIFY, kind)
    return len(kinds)


def _watch(desk: Desk) -> int:
    """The queue as it is this minute, for the plots; old samples go."""
    with transaction(desk.db) as connection:
        samples.take(connection)
        sources.forget_old(connection)
    return 0


TASKS: Final[Mapping[str, tuple[timedelta, Callable[[Desk], int]]]] = {
    "recheck": (timedelta(seconds=1), _recheck_cases),
    "import_history": (timedelta(seconds=30), _import_history),
    "resolve_refunds": (timedelta(minutes=5), _resolve_refunds),
    "assess_forgotten": (timedelta(minutes=5), _assess_forgotten),
    "notices": (timedelta(minutes=2), _notices),
    "deadlines": (timedelta(seconds=10), tell_of_deadlines),
    "overdue_refunds": (timedelta(hours=1), tell_of_overdue),
    "resolve_cancellations": (timedelta(minutes=5), _resolve_cancellations),
    "resolve_answers": (timedelta(minutes=5), _resolve_answers),
    "pending_refunds": (timedelta(hours=1), _ask_after_pending),
    "shadow": (timedelta(seconds=2), follow),
    "letters": (timedelta(seconds=30), lambda desk: send_due(desk, limit=_BATCH)),
    "watch": (timedelta(minutes=1), _watch),
    "missed_events": (timedelta(minutes=1), keep_up),
    "reconcile": (timedelta(hours=1), start_due),
    "settlements": (timedelta(seconds=10), settlements.start_due),
    "dispute_deadlines": (timedelta(seconds=10), lambda desk: watch_due(desk, limit=_BATCH)),
    "answered_cases": (timedelta(seconds=10), lambda desk: close_answered(desk, limit=_BATCH)),
}


def _try(task: Callable[[], None], name: str) -> None:
    try:
        task()
    except BillingbotError as fault:
        log.warning("schedule.failed", task=name, why=str(fault))  # the next second tries again
    except Exception as fault:
        log.exception("schedule.failed", task=name, why=type(fault).__name__)
