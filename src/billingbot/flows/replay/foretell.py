"""Foretell: what running one failed job again would do, by what is stored now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy.exc import NoResultFound

from billingbot.core.aftercare import LIVE
from billingbot.core.backfill import BackfillState
from billingbot.core.books.breaks import PassState
from billingbot.core.case import Case, CaseState
from billingbot.core.disputes.answering import AnswerKind
from billingbot.core.errors import NotFoundError
from billingbot.core.facts import Known
from billingbot.core.job import Actor
from billingbot.core.letter import LetterState
from billingbot.core.mode import Mode
from billingbot.core.paying import may_leave
from billingbot.core.policy import decide
from billingbot.core.refund import RefundIntent, RefundState
from billingbot.core.replay import RunState
from billingbot.core.restore import restore_facts
from billingbot.core.signals import ChargeChanged, DisputeChanged, RefundChanged, WarningRaised, signal_of
from billingbot.core.trying import BacktestState
from billingbot.flows.desk import Desk
from billingbot.flows.replay.stored import Stored
from billingbot.store import (
    answer_drafts,
    answers,
    backfills,
    backtests,
    cancellations,
    database,
    decisions,
    history,
    letters,
    passes,
    replays,
)
from billingbot.store.jobs import FailedJob

_WITH_A_PERSON: Final = "the case is with a person (`billingbot cases reassess`)"
# Reasons for which a case reached a person only because its job had given up: nobody has said anything about it.
_GAVE_UP: Final = frozenset({"could-not-assess", "could-not-pay"})
_DECIDING: Final = frozenset({Actor.ASSESS, Actor.RECHECK, Actor.SUBMIT})
_SENT: Final = frozenset({RefundState.SUBMITTING, RefundState.UNKNOWN})
_UNDER_WAY: Final = frozenset({RefundState.PENDING, RefundState.REQUIRES_ACTION}) | _SENT | {RefundState.INTENDED}


class Effect(StrEnum):
    """What a replay of a job would come to."""

    NOTHING = "nothing"
    """Already done, by another job, by an event or by a person."""
    DECIDES = "decides"
    """Looks again, by the policy of now; no money can move in the mode of now."""
    MAY_PAY = "may_pay"
    NEEDS_PERSON = "needs_person"
    """It would only fail again; `replay` leaves it alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a replay of this job would do, by what is stored now. Amount in minor units, None where not known yet."""

    job: FailedJob
    effect: Effect
    why: str
    account: str = ""
    amount_minor: int | None = None
    currency: str | None = None


def foretell(stored: Stored, desk: Desk, job: FailedJob, by_policy: str, *, in_full: bool = True) -> Preview:
    """What a replay of this job would do, by what is stored now; `by_policy` names the policy that would decide.

    `in_full` also tells what the last facts come to under it, which takes ten times as long.
    """
    try:
        told = _TELL[job.actor](stored, job, by_policy)
    except (NotFoundError, NoResultFound):
        return Preview(job=job, effect=Effect.NEEDS_PERSON, why=f"{job.subject}: there is none")
    if in_full and told.effect in {Effect.DECIDES, Effect.MAY_PAY} and job.actor in _DECIDING:
        told = replace(told, why=told.why + _foretold(stored, desk, job))
    if told.effect is not Effect.NOTHING and told.account and told.account not in desk.accounts:
        why = f"account {told.account} is not configured"
        return Preview(job=job, effect=Effect.NEEDS_PERSON, why=why, account=told.account)
    return told


def policy_name(desk: Desk) -> str:
    """The policy in force for a charge made now; an older charge is judged by the version of its day."""
    policy = desk.policy_for(None)
    return f"{policy.id}@{policy.version}"


def account_of(stored: Stored, job: FailedJob) -> str:
    """The account that a failed job is about; empty where there is none."""
    try:
        return _TELL[job.actor](stored, job, "").account
    except (NotFoundError, NoResultFound):
        return ""


def _tell_assess(stored: Stored, job: FailedJob, by_policy: str) -> Preview:
    case = stored.case(job.subject)
    if is_stranded(case):
        return _decides(stored, job, case, f"{by_policy}, as nobody has taken it from the queue")
    if case.state is CaseState.REVIEW:
        return Preview(job=job, effect=Effect.NOTHING, why=_WITH_A_PERSON, account=case.account)
    if case.state is not CaseState.ASSESSING:
        return Preview(job=job, effect=Effect.NOTHING, why=f"the case is {case.state}", account=case.account)
    return _decides(stored, job, case, by_policy)


def _tell_recheck(stored: Stored, job: FailedJob, by_policy: str) -> Preview:
    case = stored.case(job.subject)
    if case.state is CaseState.REVIEW and case.assignee is None:
        return _decides(stored, job, case, f"{by_policy} where the missing evidence is there")
    whose = f"with {case.assignee}" if case.state is CaseState.REVIEW else case.state
    return Preview(job=job, effect=Effect.NOTHING, why=f"the case is {whose}", account=case.account)


def is_stranded(case: Case) -> bool:
    """Whether a person has the case only because its job gave up, and nobody has taken it: a replay takes it back."""
    return case.state is CaseState.REVIEW and case.reason in _GAVE_UP and case.assignee is None


def _decides(stored: Stored, job: FailedJob, case: Case, by_policy: str) -> Preview:
    mode = stored.mode(case.account)
    if mode is Mode.OFF and job.actor is not Actor.RECHECK:
        why = "hands the case to a person undecided (mode off)"
        return Preview(job=job, effect=Effect.DECIDES, why=why, account=case.account)
    return Preview(
        job=job,
        effect=Effect.MAY_PAY if mode is Mode.AUTO else Effect.DECIDES,
        why=f"decides anew by {by_policy} (mode {mode})",
        account=case.account,
        amount_minor=case.amount_minor,
        currency=case.currency,
    )


def _foretold(stored: Stored, desk: Desk, job: FailedJob) -> str:
    """What the facts of the last look come to under the policy of now: the best guess at what new ones will."""
    case_id = job.subject
    if job.actor is Actor.SUBMIT:
        case_id = stored.refund(job.subject).case_id or ""
    decision_id = stored.case(case_id).decision_id
    if decision_id is None:
        return ""
    facts = restore_facts(decisions.get(stored.connection, decision_id).facts)
    charged = facts["charge.created_at"]
    policy = desk.policy_for(
        charged.value if isinstance(charged, Known) and isinstance(charged.value, datetime) else None
    )
    again = decide(facts, policy)
    verdict = f"{again.outcome}, rule {again.rule} of {policy.id}@{policy.version}"
    return f"; the facts of {facts.at:%Y-%m-%d %H:%M}Z come to {verdict}"


def _tell_submit(stored: Stored, job: FailedJob, by_policy: str) -> Preview:
    refund = stored.refund(job.subject)
    if refund.state is RefundState.WITHDRAWN and refund.case_id is not None:
        case = stored.case(refund.case_id)
        if is_stranded(case):
            return _decides(stored, job, case, f"{by_policy}, as nobody has taken it from the queue")
    if refund.stripe_refund_id is not None or refund.state not in _SENT | {RefundState.INTENDED}:
        return _refund_is(job, refund, Effect.NOTHING, f"the refund is {refund.state}")
    mode = stored.mode(refund.account)
    if may_leave(mode, refund.origin):
        first = "asks Stripe for the earlier call, then " if refund.state in _SENT else ""
        return _refund_is(job, refund, Effect.MAY_PAY, f"{first}looks again by {by_policy} and pays if it holds")
    if refund.state in _SENT:
        why = f"asks Stripe for the earlier call and sends nothing (mode {mode})"
    else:
        why = f"withdraws the refund, and a person gets the case (mode {mode})"
    return _refund_is(job, refund, Effect.DECIDES, why)


def _tell_settle(stored: Stored, job: FailedJob, _by_policy: str) -> Preview:
    refund = stored.refund(job.subject)
    if refund.stripe_refund_id is None or refund.state not in _UNDER_WAY:
        return _refund_is(job, refund, Effect.NOTHING, f"the refund is {refund.state}")
    return _refund_is(job, refund, Effect.DECIDES, "asks Stripe how the refund stands")


def _tell_cancel(stored: Stored, job: FailedJob, _by_policy: str) -> Preview:
    cancellation = cancellations.get(stored.connection, job.subject)
    if cancellation.state not in LIVE:
        why = f"the cancellation is {cancellation.state}"
        return Preview(job=job, effect=Effect.NOTHING, why=why, account=cancellation.account)
    why = "looks at the subscription, and cancels it if it still runs and nothing stands in the way; moves no money"
    return Preview(job=job, effect=Effect.DECIDES, why=why, account=cancellation.account)


def _tell_draft(stored: Stored, job: FailedJob, _by_policy: str) -> Preview:
    draft = answer_drafts.get(stored.connection, job.subject)
    tried = answers.of_dispute(stored.connection, draft.account, draft.dispute_id)
    if draft.version and any(one.kind is AnswerKind.SEND for one in tried):
        return Preview(job=job, effect=Effect.NOTHING, why="the answer is drafted", account=draft.account)
    if draft.version:
        why = "the answer is drafted; drafts it anew if the bank asks for something else, and sends nothing unless the"
        why += " configuration says so"
        return Preview(job=job, effect=Effect.DECIDES, why=why, account=draft.account)
    why = "drafts the answer to a dispute, and sends nothing unless the configuration says so"
    return Preview(job=job, effect=Effect.DECIDES, why=why, account=draft.account)


def _tell_answer(stored: Stored, job: FailedJob, _by_policy: str) -> Preview:
    intent = answers.get(stored.connection, job.subject)
    if not intent.is_live:
        return Preview(job=job, effect=Effect.NOTHING, why=f"the answer is {intent.state}", account=intent.account)
    why = f"looks at the dispute, reads back what may have been done, and else does it: {intent.kind}; moves no money"
    return Preview(job=job, effect=Effect.DECIDES, why=why, account=intent.account)


def _tell_interpret(stored: Stored, job: FailedJob, by_policy: str) -> Preview:
    event = stored.event(job.subject)
    signal = signal_of(event.type, event.object_id, event.trial_end_before)
    if signal is None or stored.is_overtaken(job):
        why = "another job has acted on the event" if signal else f"nobody needs {event.type}"
        return Preview(job=job, effect=Effect.NOTHING, why=why, account=event.account)
    if not isinstance(signal, ChargeChanged | DisputeChanged | RefundChanged | WarningRaised):
        why = f"reads what {event.type} names, and decides no case"
        return Preview(job=job, effect=Effect.DECIDES, why=why, account=event.account)
    return _touches(stored, job, event.account, f"reads what {event.type} names", by_policy)


def _touches(stored: Stored, job: FailedJob, account: str, what: str, by_policy: str) -> Preview:
    """Of a job that reads Stripe, and by what it finds may have a case decided: of which amount nobody knows yet."""
    mode = stored.mode(account)
    effect = Effect.MAY_PAY if mode is Mode.AUTO else Effect.DECIDES
    why = f"{what}; a case it touches is decided by {by_policy} (mode {mode})"
    return Preview(job=job, effect=effect, why=why, account=account)


def _tell_import(stored: Stored, job: FailedJob, _by_policy: str) -> Preview:
    progress = history.import_progress(stored.connection, job.subject)
    if progress is not None and progress.covers(database.now(stored.connection)):
        return Preview(job=job, effect=Effect.NOTHING, why="earlier trials are read in", account=job.subject)
    why = "reads earlier trials in from Stripe, and decides no case"
    return Preview(job=job, effect=Effect.DECIDES, why=why, account=job.subject)


def _tell_finance(_stored: Stored, job: FailedJob, _by_policy: str) -> Preview:
    return Preview(job=job, effect=Effect.DECIDES, why="reads balance transactions, and decides no case", account="")


def _tell_search(_stored: Stored, job: FailedJob, _by_policy: str) -> Preview:
    return Preview(job=job, effect=Effect.NOTHING, why="the search has ended, and its address is forgotten", account="")


def _tell_notify(_stored: Stored, job: FailedJob, _by_policy: str) -> Preview:
    return Preview(job=job, effect=Effect.DECIDES, why="sends the notices that wait, and decides nothing", account="")


def _tell_deliver(stored: Stored, job: FailedJob, _by_policy: str) -> Preview:
    letter = letters.get(stored.connection, job.subject)
    if letter.state is not LetterState.WAITING:
        return Preview(job=job, effect=Effect.NOTHING, why=f"the letter is {letter.state}", account=letter.account)
    return Preview(job=job, effect=Effect.DECIDES, why="sends a reply, and decides nothing", account=letter.account)


def _tell_backfill(stored: Stored, job: FailedJob, by_policy: str) -> Preview:
    read = backfills.get(stored.connection, job.subject)
    if read.state is BackfillState.DONE:
        return Preview(job=job, effect=Effect.NOTHING, why="the events are read", account=read.account)
    return _touches(stored, job, read.account, "reads on in Stripe's list of events", by_policy)


def _tell_reconcile(stored: Stored, job: FailedJob, by_policy: str) -> Preview:
    found = passes.get(stored.connection, job.subject)
    if found.state is PassState.WHOLE:
        return Preview(job=job, effect=Effect.NOTHING, why="the pass is whole", account=found.account)
    # A dispute of which no event told is acted on as on its event.
    what = f"compares with Stripe from its {found.stage} on, and pays nothing by itself"
    return _touches(stored, job, found.account, what, by_policy)


def _tell_watch(stored: Stored, job: FailedJob, by_policy: str) -> Preview:
    account = job.subject.rpartition("/")[0]
    return _touches(stored, job, account, "reads a dispute and its deadline", by_policy)


def _tell_backtest(stored: Stored, job: FailedJob, _by_policy: str) -> Preview:
    found = backtests.get(stored.connection, job.subject)
    if found.state is not BacktestState.RUNNING:
        return Preview(job=job, effect=Effect.NOTHING, why=f"the backtest is {found.state}")
    return Preview(job=job, effect=Effect.DECIDES, why="decides past cases again on paper, and changes nothing")


def _tell_replay(stored: Stored, job: FailedJob, _by_policy: str) -> Preview:
    run = replays.get(stored.connection, job.subject)
    if run.state is RunState.RUNNING:
        why = f"goes on with the replay {run.name}, within what was confirmed for it"
        return Preview(job=job, effect=Effect.MAY_PAY, why=why)
    return Preview(job=job, effect=Effect.NOTHING, why=f"the replay {run.name} is {run.state}")


def _refund_is(job: FailedJob, refund: RefundIntent, effect: Effect, why: str) -> Preview:
    return Preview(
        job=job,
        effect=effect,
        why=why,
        account=refund.account,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )


_TELL: Final[Mapping[Actor, Callable[[Stored, FailedJob, str], Preview]]] = {
    Actor.INTERPRET: _tell_interpret,
    Actor.ASSESS: _tell_assess,
    Actor.RECHECK: _tell_recheck,
    Actor.SUBMIT: _tell_submit,
    Actor.SETTLE: _tell_settle,
    Actor.CANCEL: _tell_cancel,
    Actor.DRAFT_ANSWER: _tell_draft,
    Actor.ANSWER: _tell_answer,
    Actor.IMPORT_HISTORY: _tell_import,
    Actor.NOTIFY: _tell_notify,
    Actor.DELIVER: _tell_deliver,
    Actor.REPLAY: _tell_replay,
    Actor.BACKTEST: _tell_backtest,
    Actor.BACKFILL: _tell_backfill,
    Actor.RECONCILE: _tell_reconcile,
    Actor.READ_SETTLEMENTS: _tell_finance,
    Actor.CLOSE_MONTH: _tell_finance,
    Actor.WATCH_DISPUTE: _tell_watch,
    Actor.PERSONAL_DATA: _tell_search,
}
