"""Answer a customer: a person's own wording of a case's reply, before it is sent."""

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.canonical import digest
from billingbot.core.case import Case, CaseState
from billingbot.core.errors import ConflictError
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.letter import LetterState
from billingbot.core.wording import line_of, text_of
from billingbot.flows.casework.review import Act, check_version
from billingbot.flows.desk import Desk, step
from billingbot.store import cases, letters

# A mail program shows some eighty characters of a subject; RFC 5322 folds what is longer than 998.
_MOST_SUBJECT = 200


def write_reply(desk: Desk, act: Act, *, subject: str, text: str) -> Case:
    """Sets what the customer will be told. Its digest goes into the ledger, the words stay erasable.

    InputError for a text that is none; ConflictError where the case is being assessed, or where a reply was sent
    or may have been: the customer has one answer, and a second wording of it would be another.
    """
    desk.require(Power.DECIDE)
    text, subject = text_of("reply", text), line_of("subject", " ".join(subject.split()), _MOST_SUBJECT)
    with step(desk) as this:
        case = cases.lock(this.db, act.case_id)
        check_version(case, act)
        if case.state is CaseState.ASSESSING:
            raise ConflictError(f"case {case.id}: is being assessed; its reply can be written once it is decided")
        if any(letter.state is not LetterState.FAILED for letter in letters.of_case(this.db, case.id)):
            raise ConflictError(f"case {case.id}: its customer has had a reply, or may have")
        if (case.reply, case.reply_subject) == (text, subject):
            return case
        body = {"text_digest": digest(text.encode())}
        kind = EntryKind.CASE_REPLY_WRITTEN
        this.record(Draft(kind=kind, account=case.account, subject=case.id, actor=person(act.by), body=body))
        return cases.change(this.db, case, reply=text, reply_subject=subject)
