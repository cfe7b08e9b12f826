"""`/api/v1/cases`: what people do with cases, each act once and by name; nobody acts on what they did not see."""

from collections.abc import Sequence
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from billingbot.core.case import Case
from billingbot.core.ids import Kind
from billingbot.flows.casework import letters, mention, name_charge, queue, reassign, review, snooze
from billingbot.flows.casework.answer_customer import write_reply
from billingbot.store import cases as case_rows
from billingbot.store.views.paging import PAGE_ROWS
from billingbot.store.views.worklist import MentionLine, mention_list
from billingbot.web.api.fields import Body, ByName, Instant, Person, Prose, Rows, Word, id_of
from billingbot.web.api.shown import CaseShown, LetterShown, Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/cases", tags=["cases"], route_class=SignedInRoute, dependencies=[bearer])


class Act(ByName):
    """Who acts, and which version of the case they saw: with it, nobody acts on stale news."""

    version: Annotated[int | None, Field(strict=True, ge=1, le=2**31 - 1)] = None


class ReasonedAct(Act):
    """An act that wants a reason."""

    reason: Prose


class Denial(ReasonedAct):
    """A denial; without a `reply` the one that the policy proposes goes to the customer."""

    reply: Prose | None = None


class NoteWritten(ByName):
    """A note on a case, which changes nothing else."""

    text: Prose


class Snoozing(Act):
    """Until when a case is put off."""

    until: Instant


class Handing(Act):
    """Whose hands a case goes into."""

    to: Annotated[Person, Field(description="The name of somebody who may decide")]


class Naming(Act):
    """Which charge a request meant."""

    charge: Word


class Wording(Act):
    """What the customer will be told."""

    subject: Prose
    text: Prose


class Next(ByName):
    """Who takes the next case, of which account."""

    account: Word | None = None


class Several(ByName):
    """Cases to act on, each for itself."""

    cases: Annotated[list[Word], Field(min_length=1, max_length=queue.MOST_AT_ONCE)]


class Who(Body):
    """Whose mentions."""

    person: Person
    limit: Rows = PAGE_ROWS


class CaseAnswer(BaseModel):
    """The case after the act."""

    case: CaseShown


class NextAnswer(BaseModel):
    """The case that was taken; null where nothing waits that this person could take."""

    case: CaseShown | None


class NoteAnswer(CaseAnswer):
    """The case, and whom the note mentions."""

    mentioned: list[str]


class Refusal(BaseModel):
    """Why an act was not done to one of several cases."""

    case: str
    message: str


class SeveralAnswer(BaseModel):
    """Which cases it was done to, and which not."""

    done: Sequence[str]
    refused: list[Refusal]

    @classmethod
    def of(cls, handled: queue.Handled) -> Self:
        """What came of it, from outside."""
        refused = [Refusal(case=case_id, message=why) for case_id, why in handled.refused]
        return cls(done=handled.done, refused=refused)


class ReplyShown(BaseModel):
    """The reply exactly as it would be sent; `obstacle` is why it cannot be sent now, null where it can."""

    case_id: str
    version: int
    subject: str
    text: str | None
    language: str | None
    obstacle: str | None

    @classmethod
    def of(cls, reply: letters.Reply) -> Self:
        """The reply from outside."""
        same = {name: getattr(reply, name) for name in ("subject", "text", "language", "obstacle")}
        return cls(case_id=reply.case.id, version=reply.case.version, **same)


@router.post("/next", summary="Take the most urgent case that nobody has")
def take_next(who: Next, desk: TheDesk) -> NextAnswer:
    """Any number may ask at once: each gets another case. What has had a first approval goes to somebody else."""
    found = queue.claim_next(desk, who.by, account=who.account)
    return NextAnswer(case=CaseShown.of(found) if found else None)


@router.post("/claim", summary="Take several cases")
def claim_all(chosen: Several, desk: TheDesk) -> SeveralAnswer:
    """Each for itself: what somebody else has stays with them, and is named."""
    return SeveralAnswer.of(queue.claim_all(desk, chosen.by, chosen.cases))


@router.post("/release", summary="Put several cases back")
def release_all(chosen: Several, desk: TheDesk) -> SeveralAnswer:
    """Each for itself."""
    return SeveralAnswer.of(queue.release_all(desk, chosen.by, chosen.cases))


@router.get("/mentions", summary="Notes that name somebody")
def list_mentions(query: Annotated[Who, Query()], desk: TheDesk) -> Listed[MentionLine]:
    """What they have not seen first, then newest first."""
    return Listed(items=list(read(desk, mention_list, query.person, limit=query.limit)), next=None)


@router.post("/{case_id}/claim", summary="Take a case into one's hands")
def claim(case_id: str, act: Act, desk: TheDesk) -> CaseAnswer:
    """409 where somebody else has it."""
    return _answer(review.claim(desk, _act(case_id, act)))


@router.post("/{case_id}/release", summary="Put a case back into the queue")
def release(case_id: str, act: Act, desk: TheDesk) -> CaseAnswer:
    """Nobody has it then."""
    return _answer(review.release(desk, _act(case_id, act)))


@router.post("/{case_id}/reassign", summary="Put a case into somebody's hands")
def hand_over(case_id: str, act: Handing, desk: TheDesk) -> CaseAnswer:
    """Whoever has it now. 422 where nobody is called so, or where they may not decide."""
    return _answer(reassign.reassign(desk, _act(case_id, act), act.to))


@router.post("/{case_id}/snooze", summary="Put a case off for a while")
def put_off(case_id: str, act: Snoozing, desk: TheDesk) -> CaseAnswer:
    """It comes back then, and at once when anything happens to it. 422 past its deadline or the bank's."""
    return _answer(snooze.snooze(desk, _act(case_id, act), act.until))


@router.post("/{case_id}/wake", summary="Bring a case back that was put off")
def wake(case_id: str, act: Act, desk: TheDesk) -> CaseAnswer:
    """At once."""
    return _answer(snooze.wake(desk, _act(case_id, act)))


@router.post("/{case_id}/charge", summary="Say which charge was meant")
def name_the_charge(case_id: str, act: Naming, desk: TheDesk) -> CaseAnswer:
    """For a request that could mean several. Where that charge has an open case, the answer is that one."""
    return _answer(name_charge.name_charge(desk, _act(case_id, act), act.charge))


@router.post("/{case_id}/seen", summary="Say that somebody has seen a case")
def seen(case_id: str, who: ByName, desk: TheDesk) -> CaseAnswer:
    """And with it, what its notes ask of them."""
    found = read(desk, case_rows.get, id_of(Kind.CASE, case_id))
    mention.saw(desk, found.id, by=who.by)
    return _answer(found)


@router.post("/{case_id}/approve", summary="Refund what is left of the charge")
def approve(case_id: str, act: ReasonedAct, desk: TheDesk) -> CaseAnswer:
    """Reads the charge afresh, and pays by the same path as the machine. 403 where nothing may be refunded.

    Above the policy's `second_approval_above` the case stays in review until somebody else has approved as well.
    """
    return _answer(review.approve(desk, _act(case_id, act), reason=act.reason))


@router.post("/{case_id}/deny", summary="Close a case without a refund")
def deny(case_id: str, act: Denial, desk: TheDesk) -> CaseAnswer:
    """The answer holds the reply for the customer."""
    return _answer(review.deny(desk, _act(case_id, act), reason=act.reason, reply=act.reply))


@router.post("/{case_id}/reassess", summary="Ask for the facts again")
def reassess(case_id: str, act: ReasonedAct, desk: TheDesk) -> CaseAnswer:
    """Has the facts gathered and the case decided anew."""
    return _answer(review.ask_again(desk, _act(case_id, act), act.reason))


@router.get("/{case_id}/reply", summary="The reply, as it would be sent")
def show_reply(case_id: str, desk: TheDesk) -> ReplyShown:
    """With what stands in the way of sending it."""
    return ReplyShown.of(letters.preview(desk, id_of(Kind.CASE, case_id)))


@router.post("/{case_id}/reply", summary="Word the reply to the customer")
def word_reply(case_id: str, act: Wording, desk: TheDesk) -> ReplyShown:
    """Keeps the wording, and sends nothing. 409 while the case is assessed, or once its customer has had a reply."""
    write_reply(desk, _act(case_id, act), subject=act.subject, text=act.text)
    return ReplyShown.of(letters.preview(desk, case_id))


@router.post("/{case_id}/send", summary="Send the reply to the customer")
def send_reply(case_id: str, act: Act, desk: TheDesk) -> LetterShown:
    """By e-mail, once. 403 where no mail is configured, 409 where it was sent or is not true yet."""
    return LetterShown.of(letters.send(desk, _act(case_id, act)))


@router.post("/{case_id}/note", summary="Write a note on a case")
def note(case_id: str, written: NoteWritten, desk: TheDesk) -> NoteAnswer:
    """In any state. `@` and a name mentions somebody, who finds it among their mentions."""
    act = review.Act(case_id=id_of(Kind.CASE, case_id), by=written.by)
    named = review.note(desk, act, written.text)
    return NoteAnswer(case=CaseShown.of(read(desk, case_rows.get, act.case_id)), mentioned=list(named))


def _act(case_id: str, act: Act) -> review.Act:
    return review.Act(case_id=id_of(Kind.CASE, case_id), by=act.by, version=act.version)


def _answer(case: Case) -> CaseAnswer:
    return CaseAnswer(case=CaseShown.of(case))
