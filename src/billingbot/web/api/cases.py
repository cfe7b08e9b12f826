"""`/api/v1/cases`: the human queue, everything about a case, and what people do with it."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from billingbot.core.case import Case, CaseState
from billingbot.core.decision import Priority
from billingbot.core.ids import Kind
from billingbot.flows.casework import letters, review
from billingbot.store import cases as case_rows
from billingbot.store import views
from billingbot.web.api.fields import Body, Cursor, Person, Prose, Rows, Word, id_of
from billingbot.web.api.shown import CasePageShown, CaseShown, LetterShown, Listed
from billingbot.web.auth import SignedInRoute, TheDesk, bearer
from billingbot.web.reading import read

router = APIRouter(prefix="/cases", tags=["cases"], route_class=SignedInRoute, dependencies=[bearer])


class CaseQuery(Body):
    """Which cases: all that are given must hold."""

    state: Annotated[CaseState | None, Field(description="`review` is the queue, by due time, then priority")] = None
    account: Word | None = None
    assignee: Word | None = None
    unassigned: Annotated[bool, Field(description="Only cases in nobody's hands")] = False
    charge: Word | None = None
    customer: Word | None = None
    reason: Word | None = None
    priority: Priority | None = None
    after: Cursor | None = None
    limit: Rows = views.PAGE_ROWS


class Act(Body):
    """Who acts, and which version of the case they saw: with it, nobody acts on stale news."""

    by: Person
    version: Annotated[int | None, Field(strict=True, ge=1, le=2**31 - 1)] = None


class ReasonedAct(Act):
    """An act that wants a reason."""

    reason: Prose


class Denial(ReasonedAct):
    """A denial; without a `reply` the one that the policy proposes goes to the customer."""

    reply: Prose | None = None


class NoteWritten(Body):
    """A note on a case, which changes nothing else."""

    by: Person
    text: Prose


class CaseAnswer(BaseModel):
    """The case after the act."""

    case: CaseShown


class ExplanationShown(BaseModel):
    """The verdict in plain words; `reproduces` where the stored bytes still give it, byte for byte."""

    case_id: str
    decision_id: str
    purpose: str
    decided_at: datetime
    lines: tuple[str, ...]
    reproduces: bool
    policy_id: str
    policy_version: str
    policy_digest: str
    facts_digest: str
    decision_digest: str
    nearest_flips: tuple[str, ...]
    gained: Annotated[tuple[str, ...], Field(description="Facts that exist today and did not when it was decided")]
    under: views.Redecided | None


@router.get("", summary="List cases")
def list_cases(query: Annotated[CaseQuery, Query()], desk: TheDesk) -> Listed[CaseShown]:
    """The queue by due time and priority where `state=review`; any other list newest first."""
    filters = views.CaseFilter(
        state=query.state,
        account=query.account,
        assignee=query.assignee,
        unassigned=query.unassigned,
        charge_id=query.charge,
        customer_id=query.customer,
        reason=query.reason,
        priority=query.priority,
    )
    page = read(desk, views.queue, filters, after=query.after, limit=query.limit)
    return Listed(items=[CaseShown.of(case) for case in page.items], next=page.next)


@router.get("/{case_id}", summary="Everything about a case")
def show_case(case_id: str, desk: TheDesk) -> CasePageShown:
    """Requests, facts with their sources, the verdict and its trace, refunds, notes, and what happened when."""
    page = read(desk, views.case_page, id_of(Kind.CASE, case_id))
    blockers = review.blockers_of(desk, page.case) if page.case.state is CaseState.REVIEW else ()
    return CasePageShown.of(page, blockers)


@router.get("/{case_id}/explanation", summary="Why it was decided so")
def explain_case(
    case_id: str,
    desk: TheDesk,
    at: Annotated[AwareDatetime | None, Query(description="The verdict it stood on then")] = None,
    policy: Annotated[Word | None, Query(description="Also decide the same facts by this version or digest")] = None,
) -> ExplanationShown:
    """The newest verdict in words with its nearest flips, decided again from what is stored."""
    told = read(desk, views.explanation, id_of(Kind.CASE, case_id), at=at, under=policy)
    return ExplanationShown(**{name: getattr(told, name) for name in ExplanationShown.model_fields})


@router.post("/{case_id}/claim", summary="Take a case into one's hands")
def claim(case_id: str, act: Act, desk: TheDesk) -> CaseAnswer:
    """409 where somebody else has it."""
    return _answer(review.claim(desk, _act(case_id, act)))


@router.post("/{case_id}/release", summary="Put a case back into the queue")
def release(case_id: str, act: Act, desk: TheDesk) -> CaseAnswer:
    """Nobody has it then."""
    return _answer(review.release(desk, _act(case_id, act)))


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


@router.post("/{case_id}/send", summary="Send the reply to the customer")
def send_reply(case_id: str, act: Act, desk: TheDesk) -> LetterShown:
    """By e-mail, once. 403 where no mail is configured, 409 where it was sent or is not true yet."""
    return LetterShown.of(letters.send(desk, _act(case_id, act)))


@router.post("/{case_id}/note", summary="Write a note on a case")
def note(case_id: str, written: NoteWritten, desk: TheDesk) -> CaseAnswer:
    """In any state."""
    act = review.Act(case_id=id_of(Kind.CASE, case_id), by=written.by)
    review.note(desk, act, written.text)
    return _answer(read(desk, case_rows.get, act.case_id))


def _act(case_id: str, act: Act) -> review.Act:
    return review.Act(case_id=id_of(Kind.CASE, case_id), by=act.by, version=act.version)


def _answer(case: Case) -> CaseAnswer:
    return CaseAnswer(case=CaseShown.of(case))
