"""Answer: what was decided about a dispute is carried out at Stripe, once, or a person learns why not.

Intent before effect; a fresh look before each call; what may be with the bank is read back, and never sent again by
itself.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from time import monotonic
from typing import Final, NoReturn, assert_never

from billingbot.core.disputes.answering import (
    AnswerIntent,
    AnswerKind,
    AnswerState,
    Move,
    is_carried_out,
    next_step,
)
from billingbot.core.disputes.evidence_fields import PAPERS, Field
from billingbot.core.errors import RetryLaterError, StripeNotFoundError
from billingbot.core.ids import answer_key, paper_key
from billingbot.core.job import Job
from billingbot.core.ledger import EntryKind
from billingbot.core.mode import Mode
from billingbot.core.notice import Notice, NoticeKind
from billingbot.core.paying import LEAVES_WITHIN
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.disputes.closing import close_with_answer
from billingbot.flows.disputes.sending import entry, fresh_standing
from billingbot.flows.look import mode_of
from billingbot.flows.notify import tell
from billingbot.gateway.answers import (
    Answered,
    AnswerOutcome,
    Halted,
    NotDone,
    Refused,
    UnknownOutcome,
    Uploaded,
)
from billingbot.papers.evidence import printed_field
from billingbot.store import answers, cases, database, jobs, modes
from billingbot.store.database import transaction

_S = AnswerState
_ENDS: Final[Mapping[Move, AnswerState]] = {
    Move.DONE: _S.DONE,
    Move.OVERTAKEN: _S.OVERTAKEN,
    Move.ABSENT: _S.ABSENT,
    Move.STOOD_BACK: _S.STOOD_BACK,
}
# Stripe's own count of pages, by its estimate of what texts and files make together.
# https://docs.stripe.com/changelog/endive/2026-09-30/page-limit-validation-dispute-evidence
_TOO_MANY_PAGES: Final = "dispute_evidence_page_limit_exceeded"


class _StopError(Exception):
    """The intent cannot be carried out now, and a person has to know why; nothing has happened at Stripe."""


def answer(desk: Desk, job: Job, *, clock: Callable[[], float] = monotonic) -> None:
    """Brings the answer that the job names one step further. Safe to run twice, late, or by two workers.

    `clock` is this process's own, in seconds. Raises RetryLaterError kinds while the outcome is open.
    """
    with transaction(desk.db) as connection:
        intent = answers.get(connection, job.subject)
        now = database.now(connection)
    if not intent.is_live:
        with transaction(desk.db) as connection:
            jobs.finish(connection, job)
        return None
    try:
        standing = fresh_standing(desk, intent.account, intent.dispute_id)
    except StripeNotFoundError:
        return _end(desk, job, intent, _S.REFUSED, "Stripe knows no such dispute")
    looked = clock()
    following = next_step(intent, standing, now)
    if following.move is Move.WAIT:
        raise RetryLaterError(f"answer {intent.id}: {following.why}")
    if following.move is Move.GO and intent.is_by_itself and mode_of(desk, intent.account) is not Mode.AUTO:
        return _end(desk, job, intent, _S.STOOD_BACK, "the mode is no longer auto: a person sends it, or nobody")
    if following.move is Move.GO:
        return _carry_out(desk, job, intent, lambda: clock() - looked > LEAVES_WITHIN.total_seconds())
    return _end(desk, job, intent, _ENDS[following.move], following.why)


# ---------------------------------------------------------------- the calls


def _carry_out(desk: Desk, job: Job, intent: AnswerIntent, is_late: Callable[[], bool]) -> None:
    """Papers, commit and call, close behind the look: whoever is late looks again, and may find itself overtaken."""
    try:
        files = _papers_at_stripe(desk, job, intent)
    except _StopError as stop:
        # After a staging of unknown outcome the table knows refused as well: it was asked again, and could not be.
        _end(desk, job, intent, _S.REFUSED, str(stop))
        return
    if is_late():
        raise RetryLaterError(f"answer {intent.id}: the look is too long ago to answer on it")
    sent = _commit_call(desk, job, intent, files)
    if is_late():  # others may take our silence for absence, and a person act on that
        _did_nothing(desk, sent, "held up between commit and call, so nothing was sent")
    outcome = _call(desk, sent)
    match outcome:
        case Answered() if is_carried_out(sent, outcome.standing):
            _end(desk, job, sent, _S.DONE, f"the dispute is {outcome.standing.dispute.status}")
        case Answered():
            _unknown(desk, sent, f"Stripe answered with a dispute that is {outcome.standing.dispute.status}")
        case Refused():
            _refused(desk, job, sent, outcome)
        case NotDone():
            _did_nothing(desk, sent, f"Stripe does not let it through: {outcome.why}")
        case UnknownOutcome():
            _unknown(desk, sent, outcome.why)
        case Halted():
            needed = "Disputes: write"
            _end(desk, job, sent, _S.REFUSED, f"the Stripe key lacks a permission ({needed}): {outcome.why}")
        case _:
            assert_never(outcome)


def _commit_call(desk: Desk, job: Job, intent: AnswerIntent, files: Mapping[str, str]) -> AnswerIntent:
    """Commits that the call goes out, under which key and with which files (law 1)."""
    key = answer_key(livemode=intent.livemode, dispute_id=intent.dispute_id, answer_id=intent.id, send=intent.sends + 1)
    with step(desk) as this:
        if answers.get(this.db, intent.id, lock=True) != intent:
            raise RetryLaterError(f"answer {intent.id}: another worker is on it")
        jobs.renew(this.db, job)
        if intent.is_by_itself and modes.current(this.db, intent.account).mode is not Mode.AUTO:
            raise RetryLaterError(f"answer {intent.id}: the mode changed while we looked")
        sent = answers.send(this.db, intent, key, files)
        body = {"send": sent.sends, "key": key, "submit": sent.kind is AnswerKind.SEND, "files": dict(files)}
        this.record(entry(sent, EntryKind.ANSWER_ATTEMPTED, body))
    return sent


def _call(desk: Desk, sent: AnswerIntent) -> AnswerOutcome:
    stripe = desk.account(sent.account).stripe
    if sent.kind is AnswerKind.ACCEPT:
        return stripe.close_dispute(sent.dispute_id, idempotency_key=sent.key or "")
    # Emptied, what we staged before and no longer say; the rest as it was frozen.
    evidence = dict.fromkeys(sent.cleared, "") | dict(sent.fields or {}) | dict(sent.files)
    return stripe.put_evidence(
        dispute_id=sent.dispute_id,
        evidence=evidence,
        submit=sent.kind is AnswerKind.SEND,
        answer_id=sent.id,
        idempotency_key=sent.key or "",
    )


def _refused(desk: Desk, job: Job, sent: AnswerIntent, outcome: Refused) -> None:
    """No: perhaps because it is done already, by an earlier call of ours or by somebody else."""
    standing = fresh_standing(desk, sent.account, sent.dispute_id)
    following = next_step(sent, standing, _now(desk))
    if following.move in {Move.DONE, Move.OVERTAKEN}:
        return _end(desk, job, sent, _ENDS[following.move], following.why)
    why = outcome.message
    if outcome.code == _TOO_MANY_PAGES:
        why = f"texts and papers make more pages than the network takes, by Stripe's estimate: shorten them ({why})"
    return _end(desk, job, sent, _S.REFUSED, why)


def _did_nothing(desk: Desk, sent: AnswerIntent, why: str) -> NoReturn:
    """This call did nothing, and its key was used for no other. It may be tried anew, after a fresh look."""
    with transaction(desk.db) as connection:
        locked = answers.get(connection, sent.id, lock=True)
        if locked.state is _S.SUBMITTING and locked.key == sent.key:
            answers.set_state(connection, locked, _S.INTENDED, why=why)
    raise RetryLaterError(f"answer {sent.id}: {why}")


def _unknown(desk: Desk, sent: AnswerIntent, why: str) -> NoReturn:
    with step(desk) as this:
        locked = answers.get(this.db, sent.id, lock=True)
        if locked.state is _S.SUBMITTING and locked.key == sent.key:
            answers.set_state(this.db, locked, _S.UNKNOWN, why=why)
            this.record(entry(sent, EntryKind.ANSWER_UNKNOWN, {"why": why}))
    raise RetryLaterError(f"answer {sent.id}: outcome unknown: {why}")


def _papers_at_stripe(desk: Desk, job: Job, intent: AnswerIntent) -> Mapping[str, str]:
    """The file of each field that wants one, uploaded where Stripe has not got these bytes yet.

    Raises _StopError where Stripe will not have one, RetryLaterError where the outcome is open: under its key an
    upload that comes twice is one file.
    """
    stripe, files = desk.account(intent.account).stripe, {}
    for name, text in (intent.fields or {}).items():
        field = Field(name)
        if field not in PAPERS:
            continue
        paper = printed_field(field, text, dispute_id=intent.dispute_id, charge_id=intent.charge_id)
        with transaction(desk.db) as connection:
            known = answers.uploaded(connection, intent.account, intent.dispute_id).get(paper.digest)
            jobs.renew(connection, job)
        if known is not None:
            files[name] = known.file_id
            continue
        key = paper_key(livemode=intent.livemode, dispute_id=intent.dispute_id, digest=paper.digest)
        outcome = stripe.upload_paper(filename=f"{name}.pdf", content=paper.content, idempotency_key=key)
        match outcome:
            case Uploaded(file_id=file_id):
                files[name] = file_id
                kept = answers.Uploaded(
                    digest=paper.digest, field=name, file_id=file_id, size_bytes=len(paper.content), pages=paper.pages
                )
                with transaction(desk.db) as connection:
                    answers.keep_paper(connection, intent.account, intent.dispute_id, kept)
            case Refused():
                raise _StopError(f"Stripe will not have the paper {name}: {outcome.message}")
            case Halted():
                raise _StopError(f"the Stripe key lacks a permission (Files: write): {outcome.why}")
            case NotDone() | UnknownOutcome():
                raise RetryLaterError(f"answer {intent.id}: the paper {name} is not at Stripe yet: {outcome.why}")
            case _:
                assert_never(outcome)
    return files


# ---------------------------------------------------------------- the end


def _end(desk: Desk, job: Job, seen: AnswerIntent, state: AnswerState, why: str) -> None:
    """Writes the end down; the case closes with an answer, and a person hears of any other end of a last word."""
    with step(desk) as this:
        locked = answers.get(this.db, seen.id, lock=True)
        if locked.is_live:
            ended = answers.set_state(this.db, locked, state, why=why)
            this.record(entry(ended, EntryKind.ANSWER_CHANGED, {"from": locked.state, "to": state, "why": why}))
            if state is _S.DONE:
                case = cases.find_open(this.db, ended.account, ended.charge_id)
                if case is not None:
                    close_with_answer(this, case, ended)
            else:
                tell_not_sent(this, ended)
        jobs.finish(this.db, job)


def tell_not_sent(this: Step, intent: AnswerIntent) -> None:
    """Tells people that what somebody decided did not happen, while the bank's deadline runs."""
    what = {
        AnswerKind.STAGE: "was not staged",
        AnswerKind.SEND: "was not sent",
        AnswerKind.ACCEPT: "was not accepted",
    }[intent.kind]
    if intent.is_live:
        what = "is not known to have been " + what.removeprefix("was not ")
    case = cases.newest_of_charge(this.db, intent.account, intent.charge_id)
    tell(
        this,
        Notice(
            kind=NoticeKind.ANSWER_NOT_SENT,
            account=intent.account,
            subject=case.id if case is not None else intent.dispute_id,
            headline=f"dispute {intent.dispute_id} {what}",
            body=f"{intent.state}: {intent.why or 'see the dispute'}. The bank's deadline runs: see"
            f" `billingbot disputes show-draft {intent.dispute_id}`, and do it again once the cause is gone.",
        ),
    )


def abandon_answer(this: Step, answer_id: str) -> None:
    """Hours of trying came to nothing: a person gets it, while the sweeper goes on where a call may have been made."""
    intent = answers.get(this.db, answer_id, lock=True)
    if intent.state is _S.INTENDED:
        why = "could not look at the dispute, or bring its papers to Stripe"
        ended = answers.set_state(this.db, intent, _S.REFUSED, why=why)
        this.record(entry(ended, EntryKind.ANSWER_CHANGED, {"from": intent.state, "to": ended.state, "why": why}))
        tell_not_sent(this, ended)
    elif intent.is_live:
        tell_not_sent(this, intent)


def _now(desk: Desk) -> datetime:
    with transaction(desk.db) as connection:
        return database.now(connection)
