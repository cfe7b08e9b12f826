"""Letters: sending a case's reply to its customer, once, when it can no longer turn out to be untrue."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.canonical import digest
from billingbot.core.case import Case, CaseState
from billingbot.core.errors import ConflictError, ForbiddenError, InputError, RetryLaterError
from billingbot.core.ids import Kind
from billingbot.core.job import Actor, Job
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.letter import Letter, LetterState
from billingbot.core.notice import Notice, NoticeKind
from billingbot.core.refund import RefundState
from billingbot.flows.casework.review import Act, check_version
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.notify import tell
from billingbot.store import cases, database, history, jobs, letters, refunds
from billingbot.store.database import transaction
from billingbot.telling.mail import Mail, MailDelayedError, MailRefusedError, MailUnknownError

# A letter about what was decided longer ago than this surprises more than it helps, as after a long outage.
STILL_NEWS: Final = timedelta(days=1)
_NO_MAIL: Final = "no [mail] is configured, so that replies are copied by hand"
_SENT: Final = "this text was sent already"
_PAID: Final = frozenset({RefundState.PENDING, RefundState.SUCCEEDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a case's customer would be sent now; `obstacle` is why it cannot be sent, or not yet, None where it can."""

    case: Case
    subject: str
    text: str | None
    language: str | None
    obstacle: str | None


def preview(desk: Desk, case_id: str) -> Reply:
    """The reply exactly as `send` would send it. Raises NotFoundError."""
    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        case = cases.get(connection, case_id)
        obstacle = None if desk.mail is None else _obstacle(connection, case)
        return Reply(
            case=case,
            subject=case.reply_subject or case.id,
            text=case.reply,
            language=case.reply_language,
            obstacle=_NO_MAIL if desk.mail is None else obstacle,
        )


def send(desk: Desk, act: Act) -> Letter:
    """Sends the case's reply by e-mail, as this person. ForbiddenError where no mail is configured.

    ConflictError where the case is not decided yet, or its customer has had this text, or may have had it.
    """
    desk.require(Power.DECIDE)
    person(act.by)
    if desk.mail is None:
        raise ForbiddenError(f"mail: {_NO_MAIL}")
    with step(desk) as this:
        case = cases.lock(this.db, act.case_id)
        check_version(case, act)
        if case.reply is None:
            raise InputError("case", f"expected one with a reply to send; {case.id} has none")
        if not _can_be_said(this.db, case):
            raise ConflictError(f"case {case.id}: {_undecided(case)}")
        letter = _write(this, case, by=act.by)
    if letter is None:
        raise ConflictError(f"case {case.id}: {_SENT}")
    return letter


def send_due(desk: Desk, *, limit: int) -> int:
    """Writes letters for cases that the machine decided, where the configuration says so; how many."""
    if desk.mail is None or not desk.mail.automatic:
        return 0
    with step(desk) as this:
        due = letters.due(this.db, closed_within=STILL_NEWS, limit=limit)
        for case_id in due:
            _write(this, cases.lock(this.db, case_id), by="billingbot")
    return len(due)


def deliver(desk: Desk, job: Job) -> None:
    """Sends the letter that the job names. At most once: what may have arrived is not sent again.

    Raises RetryLaterError where it certainly did not arrive and may be tried again, StripeFaultError kinds where
    the customer's address cannot be read.
    """
    with transaction(desk.db) as connection:
        letter = letters.get(connection, job.subject)
        case = cases.get(connection, letter.case_id)
    if letter.state is LetterState.SENDING:  # whoever sent it did not live to write down what came of it
        return _end(desk, job, letter, LetterState.UNKNOWN, "the process ended while it was being sent")
    if letter.state is not LetterState.WAITING or desk.mail is None:
        return _end(desk, job, letter, LetterState.FAILED, "no [mail] is configured any more")
    address = _address(desk, case)
    if address is None:
        return _end(desk, job, letter, LetterState.FAILED, "Stripe has no e-mail address of this customer")
    with step(desk) as this:
        jobs.renew(this.db, job)
        if letters.get(this.db, letter.id, lock=True).state is not LetterState.WAITING:
            raise RetryLaterError(f"letter {letter.id}: another worker is on it")
        letters.set_state(this.db, letter.id, LetterState.SENDING, recipient_digest=history.email_digest(address))
    return _hand_in(desk, job, desk.mail, letter, address)


def _hand_in(desk: Desk, job: Job, mail: Mail, letter: Letter, address: str) -> None:
    try:
        mail.send(to=address, subject=letter.subject, text=letter.text, letter_id=letter.id)
    except MailRefusedError as fault:
        _end(desk, job, letter, LetterState.FAILED, str(fault))
    except MailUnknownError as fault:
        _end(desk, job, letter, LetterState.UNKNOWN, str(fault))
    except MailDelayedError as fault:
        with transaction(desk.db) as connection:
            letters.set_state(connection, letter.id, LetterState.WAITING, why=str(fault))
        raise RetryLaterError(str(fault)) from None
    else:
        _end(desk, job, letter, LetterState.SENT, None)


def give_up_letter(this: Step, letter_id: str) -> None:
    """Ends a letter whose job gave up, in the caller's transaction."""
    letter = letters.get(this.db, letter_id, lock=True)
    if letter.state is LetterState.WAITING:
        _conclude(this, letter, LetterState.FAILED, letter.why or "it could not be sent within hours")


def _end(desk: Desk, job: Job, seen: Letter, state: LetterState, why: str | None) -> None:
    with step(desk) as this:
        letter = letters.get(this.db, seen.id, lock=True)
        if letter.state in {LetterState.WAITING, LetterState.SENDING}:
            _conclude(this, letter, state, why)
        jobs.finish(this.db, job)


def _conclude(this: Step, letter: Letter, state: LetterState, why: str | None) -> None:
    letters.set_state(this.db, letter.id, state, why=why)
    body = {"case": letter.case_id, "state": state, "text_digest": letter.text_digest, "why": why}
    this.record(
        Draft(kind=EntryKind.LETTER_ENDED, account=letter.account, subject=letter.id, actor="billingbot", body=body)
    )
    if state is LetterState.SENT:
        return
    certain = "did not arrive" if state is LetterState.FAILED else "may not have arrived"
    notice = Notice(
        kind=NoticeKind.LETTER_FAILED,
        account=letter.account,
        subject=letter.case_id,
        headline=f"a reply to a customer {certain}",
        body=f"Letter {letter.id}: {why}. See the case, and write to the customer by hand.",
    )
    tell(this, notice)


def _write(this: Step, case: Case, *, by: str) -> Letter | None:
    """The letter to be sent with its job and its ledger entry; None where the customer has had this text."""
    text = case.reply or ""
    letter = Letter(
        id=this.new_id(Kind.LETTER),
        case_id=case.id,
        account=case.account,
        language=case.reply_language,
        subject=case.reply_subject or case.id,
        text=text,
        text_digest=digest(text.encode()),
        state=LetterState.WAITING,
        written_by=by,
        recipient_digest=None,
        why=None,
        written_at=database.now(this.db),
        sent_at=None,
    )
    if not letters.write(this.db, letter):
        return None
    this.enqueue(Actor.DELIVER, letter.id)
    body = {"case": case.id, "text_digest": letter.text_digest, "language": letter.language}
    this.record(Draft(kind=EntryKind.LETTER_WRITTEN, account=case.account, subject=letter.id, actor=by, body=body))
    return letter


def _obstacle(connection: Connection, case: Case) -> str | None:
    if case.reply is None:
        return "the case has no reply yet"
    if not _can_be_said(connection, case):
        return _undecided(case)
    said = digest(case.reply.encode())
    had = any(
        letter.text_digest == said and letter.state is not LetterState.FAILED
        for letter in letters.of_case(connection, case.id)
    )
    return _SENT if had else None


def _undecided(case: Case) -> str:
    return f"it is in {case.state}; its reply can be sent once that is decided"


def _can_be_said(connection: Connection, case: Case) -> bool:
    """Whether the reply is about something that is decided: a closed case, or money that Stripe has taken up."""
    if case.state is CaseState.CLOSED:
        return True
    live = refunds.live_of_charge(connection, case.account, case.charge_id) if case.charge_id else None
    return case.state is CaseState.REFUNDING and live is not None and live.state in _PAID


def _address(desk: Desk, case: Case) -> str | None:
    """The customer's address, read from Stripe when it is needed: it is nowhere in our books."""
    stripe = desk.account(case.account).stripe
    registered = stripe.customer(case.customer_id).email if case.customer_id else None
    if registered is None and case.charge_id is not None:
        return stripe.charge(case.charge_id).billing_email
    return registered
