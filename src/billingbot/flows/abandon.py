"""Abandon: a job that failed to the end leaves nothing hanging; what it was about reaches a person."""

from billingbot.core.case import CaseState
from billingbot.core.job import Actor, Job
from billingbot.core.notice import Notice, NoticeKind
from billingbot.core.privacy import SearchState
from billingbot.core.refund import RefundState
from billingbot.core.trying import BacktestState
from billingbot.flows.assess import give_up
from billingbot.flows.bad_news import tell_unknown
from billingbot.flows.cancel import abandon_cancellation
from billingbot.flows.casework.letters import give_up_letter
from billingbot.flows.desk import Step
from billingbot.flows.disputes.answer import abandon_answer
from billingbot.flows.notify import tell
from billingbot.flows.replay.replay_runs import interrupt
from billingbot.flows.settle import show_to_person
from billingbot.flows.submit import withdraw_unsent
from billingbot.store import backfills, backtests, cases, months, notices, refunds, searches


def abandon(this: Step, job: Job, *, why: str) -> None:  # noqa: C901, PLR0912 - one case per kind of job
    """Hands over what the failed job was about, in the transaction that marks it failed; `why` is its last failure.

    A refund whose outcome is open stays open in the books: the sweeper asks Stripe again, with the same care.
    """
    match job.actor:
        case Actor.ASSESS:
            case = cases.lock(this.db, job.subject)
            if case.state is CaseState.ASSESSING:
                give_up(this, case, reason="could-not-assess", why=why)
        case Actor.SUBMIT:
            refund = refunds.lock(this.db, job.subject)
            if refund.state is RefundState.INTENDED:
                withdraw_unsent(this, refund, why="could not look again before paying")
            elif refund.state in {RefundState.SUBMITTING, RefundState.UNKNOWN}:
                show_to_person(this, refund, reason="outcome-unknown")
                tell_unknown(this, refund)
        case Actor.ANSWER:
            abandon_answer(this, job.subject)
        case Actor.CANCEL:
            abandon_cancellation(this, job.subject)
        case Actor.NOTIFY:
            notices.give_up(this.db, NoticeKind(job.subject))
            return  # nobody is told that nobody can be told
        case Actor.REPLAY:
            interrupt(this, job.subject, why="its worker gave up")
        case Actor.DELIVER:
            give_up_letter(this, job.subject)
        case Actor.BACKFILL:
            backfills.fail(this.db, job.subject)
        case Actor.BACKTEST:
            backtests.end(this.db, job.subject, BacktestState.FAILED, why="its worker gave up; the job says why")
        case Actor.PERSONAL_DATA:
            searches.end(this.db, job.subject.partition("/")[0], SearchState.FAILED)
        case Actor.CLOSE_MONTH:
            months.fail(this.db, job.subject, why="its worker gave up; the job says why")
        case (
            Actor.DRAFT_ANSWER
            | Actor.INTERPRET
            | Actor.RECHECK
            | Actor.SETTLE
            | Actor.IMPORT_HISTORY
            | Actor.RECONCILE
            | Actor.READ_SETTLEMENTS
            | Actor.WATCH_DISPUTE
        ):
            pass  # nothing waits for these but the failed job itself, which a person sees
    tell(
        this,
        Notice(
            kind=NoticeKind.JOB_FAILED,
            account="",
            subject=job.id,
            headline=f"a job gave up: {job.actor} {job.subject}",
            body=f"It was tried {job.attempts} times. See why: billingbot jobs show {job.id}. Once the cause is gone:"
            f" billingbot jobs replay {job.id}.",
        ),
    )
