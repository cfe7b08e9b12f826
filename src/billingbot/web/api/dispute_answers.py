"""`/api/v1/disputes/{id}/answer`: the drafted answer to a bank, what people make of it, and sending it once."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, StringConstraints

from billingbot.core.disputes import evidence_fields
from billingbot.core.disputes.answering import AnswerIntent, consequence
from billingbot.core.ids import Kind
from billingbot.flows.desk import Desk
from billingbot.flows.disputes import accepting, answer_page, drafting, editing, note_for_bank, sending
from billingbot.flows.disputes.answer_page import AnswerPage
from billingbot.flows.disputes.drafting import AnswerAct, account_of
from billingbot.store.notes import Note
from billingbot.web.api.fields import Body, ByName, Person, Word, YesNo, id_of
from billingbot.web.auth import SignedInRoute, TheDesk, bearer

_answers = APIRouter(prefix="/disputes", tags=["disputes"], route_class=SignedInRoute, dependencies=[bearer])
_notes = APIRouter(prefix="/notes", tags=["cases"], route_class=SignedInRoute, dependencies=[bearer])
router = APIRouter()

Version = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1, description="The draft's version that the person saw")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=evidence_fields.LONGEST_FIELD, strict=True)]


class Act(Body):
    """Who acts, and which version of the draft they saw: with it, nobody acts on stale words."""

    by: Person
    version: Version | None = None


class Redraft(Act):
    """A draft from fresh facts; people's words stay unless `keep_edits` is false."""

    keep_edits: YesNo = True


class FieldAct(Act):
    """An act on one field, by Stripe's name."""

    field: evidence_fields.Field


class Edit(FieldAct):
    """A person's own words in a field."""

    text: Text


class Sending(Body):
    """The last word: only of a version that the person saw."""

    by: Person
    version: Version
    with_theirs: Annotated[YesNo, Field(description="Evidence from the Dashboard goes along, or is replaced")] = False


class Confirming(ByName):
    """Who confirms, or takes back, which asking."""

    answer: Word


class Asked(BaseModel):
    """An asking to accept: what it would mean, and the id that confirms it. Nothing has happened at Stripe."""

    answer: AnswerIntent
    consequence: str


class Marking(ByName):
    """Whether an answer to a bank may quote a note."""

    for_bank: YesNo


@_answers.get("/{dispute_id}/answer", summary="The drafted answer")
def show(dispute_id: Word, desk: TheDesk, account: Word | None = None) -> AnswerPage:
    """Doubts first, then fields with their sources and papers, what is left out and why, and what may be done next."""
    return answer_page.answer_page(desk, dispute_id, account=account)


@_answers.get("/{dispute_id}/answer/papers/{field}", summary="One paper, as PDF")
def paper(dispute_id: Word, field: evidence_fields.Field, desk: TheDesk, account: Word | None = None) -> Response:
    """As it would be uploaded."""
    printed = answer_page.paper(desk, dispute_id, field, account=account)
    return Response(printed.content, media_type="application/pdf")


@_answers.post("/{dispute_id}/answer/draft", summary="Draft from fresh facts")
def draft(dispute_id: Word, act: Redraft, desk: TheDesk, account: Word | None = None) -> AnswerPage:
    """Reads Stripe and all sources now. Sends nothing."""
    drafting.draft_again(desk, _act(desk, dispute_id, account, act), keep_edits=act.keep_edits)
    return answer_page.answer_page(desk, dispute_id, account=account)


@_answers.post("/{dispute_id}/answer/edit", summary="Write a field oneself")
def edit(dispute_id: Word, act: Edit, desk: TheDesk, account: Word | None = None) -> AnswerPage:
    """A new version of the draft."""
    editing.edit(desk, _act(desk, dispute_id, account, act), act.field, act.text)
    return answer_page.answer_page(desk, dispute_id, account=account)


@_answers.post("/{dispute_id}/answer/drop", summary="Leave a field out")
def drop(dispute_id: Word, act: FieldAct, desk: TheDesk, account: Word | None = None) -> AnswerPage:
    """409 where the draft says nothing there."""
    editing.drop(desk, _act(desk, dispute_id, account, act), act.field)
    return answer_page.answer_page(desk, dispute_id, account=account)


@_answers.post("/{dispute_id}/answer/restore", summary="Let a field say what the facts say")
def restore(dispute_id: Word, act: FieldAct, desk: TheDesk, account: Word | None = None) -> AnswerPage:
    """409 where nobody changed it."""
    editing.restore(desk, _act(desk, dispute_id, account, act), act.field)
    return answer_page.answer_page(desk, dispute_id, account=account)


@_answers.post("/{dispute_id}/answer/stage", summary="Put it on the dispute, unsent")
def stage(dispute_id: Word, act: Act, desk: TheDesk, account: Word | None = None) -> AnswerIntent:
    """A job carries it out; 403 where no answer is awaited."""
    return sending.stage(desk, _act(desk, dispute_id, account, act))


@_answers.post("/{dispute_id}/answer/send", summary="Send it to the bank, once")
def send(dispute_id: Word, act: Sending, desk: TheDesk, account: Word | None = None) -> AnswerIntent:
    """A job carries it out, after a fresh look. 403 where no answer is awaited, 409 where one is on its way."""
    named = account_of(desk, dispute_id, account)
    who = AnswerAct(account=named, dispute_id=dispute_id, by=act.by, version=act.version)
    return sending.send(desk, who, with_theirs=act.with_theirs)


@_answers.post("/{dispute_id}/accept", summary="Ask to accept the dispute")
def accept(dispute_id: Word, act: ByName, desk: TheDesk, account: Word | None = None) -> Asked:
    """The first of two steps; nothing happens at Stripe before the second."""
    named = account_of(desk, dispute_id, account)
    intent, dispute = accepting.ask_to_accept(desk, AnswerAct(account=named, dispute_id=dispute_id, by=act.by))
    return Asked(answer=intent, consequence=consequence(dispute))


@_answers.post("/{dispute_id}/accept/confirm", summary="Accept the dispute, for ever")
def confirm(dispute_id: Word, act: Confirming, desk: TheDesk) -> AnswerIntent:
    """It is lost, and that cannot be undone. 409 where somebody else has to confirm, or it was asked too long ago."""
    return accepting.confirm_acceptance(desk, dispute_id, id_of(Kind.ANSWER, act.answer), by=act.by)


@_answers.post("/{dispute_id}/accept/take-back", summary="Do not accept it after all")
def take_back(dispute_id: Word, act: Confirming, desk: TheDesk) -> AnswerIntent:
    """409 where it is confirmed."""
    return accepting.take_back(desk, dispute_id, id_of(Kind.ANSWER, act.answer), by=act.by)


@_notes.post("/{note_id}/for-bank", summary="Let an answer to a bank quote a note, or not")
def mark_note(note_id: str, act: Marking, desk: TheDesk) -> Note:
    """Drafts made from then on follow."""
    return note_for_bank.mark_note(desk, id_of(Kind.NOTE, note_id), by=act.by, for_bank=act.for_bank)


router.include_router(_answers)
router.include_router(_notes)


def _act(desk: Desk, dispute_id: str, account: str | None, act: Act) -> AnswerAct:
    named = account_of(desk, dispute_id, account)
    return AnswerAct(account=named, dispute_id=dispute_id, by=act.by, version=act.version)
