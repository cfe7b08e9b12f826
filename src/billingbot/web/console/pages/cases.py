"""The case page: what was asked, what is known, what the policy says and why; and the acts, each within two keys."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from billingbot.core.access.powers import Power
from billingbot.core.case import CaseState, Doing
from billingbot.core.errors import ConflictError, InputError
from billingbot.core.evidence.history import LinkKind
from billingbot.core.request import Channel, Claims, NamedBy
from billingbot.flows.casework import attend, letters, mention, name_charge, reassign, review, snooze, unlink
from billingbot.flows.casework.answer_customer import write_reply
from billingbot.flows.disputes import note_for_bank
from billingbot.flows.request import Ask, ask
from billingbot.store import people, views
from billingbot.store.views.case_story import CaseStory, case_story, changes_since, flips_of
from billingbot.store.views.links import case_links
from billingbot.web.console import casework, drawings, story
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here, Visit

router = APIRouter(route_class=ConsoleRoute)

MOST_PROSE: Final = 10_000
CaseId = str
Version = Annotated[int, Form(ge=1)]
Seen = Annotated[int, Form(ge=0)]
Reason = Annotated[str, Form(max_length=MOST_PROSE)]
Tie = Annotated[str, Form(max_length=600)]
ForAll = Annotated[bool, Form()]
Prose = Annotated[str, Form(max_length=MOST_PROSE)]


@router.get("/cases/new")
def new(here: Here, charge: Annotated[str, Query(max_length=255)] = "") -> Response:
    """A form to ask in a customer's name."""
    here.desk.require(Power.ASK)
    return here.show("cases/new.html", accounts=sorted(here.desk.accounts), charge=charge)


@router.post("/cases/new")
def ask_for(
    here: Here,
    account: Annotated[str, Form(max_length=200)],
    named_by: Annotated[NamedBy, Form()],
    named: Annotated[str, Form(max_length=400)],
    *,
    text: Prose = "",
    unused: Annotated[bool, Form()] = False,
    cancelled: Annotated[bool, Form()] = False,
) -> Response:
    """Opens a case, or joins the one that is open for the charge."""
    here.desk.require(Power.ASK)
    wish = Ask(
        account=account,
        named_by=named_by,
        named=named,
        claims=Claims(unused=unused, cancelled=cancelled, text=text.strip() or None),
        channel=Channel.CONSOLE,
        asked_by=here.name,
    )
    answer = ask(here.desk, wish)
    return here.go(f"/cases/{answer.case.id}", said="It joined the case that was open." if answer.joined else None)


@router.get("/cases/{case_id}")
def page(here: Here, case_id: CaseId) -> Response:
    """The case, top to bottom."""
    return here.show("cases/page.html", **_shown(here, here.read(case_story, case_id)))


@router.get("/cases/{case_id}/flips")
def flips(here: Here, case_id: CaseId) -> Response:
    """What would have changed the outcome; read apart, since looking for it takes a while."""
    return here.show("cases/flips.html", flips=[casework.in_labels(told) for told in here.read(flips_of, case_id)])


@router.post("/cases/{case_id}/presence")
def presence(
    here: Here, case_id: CaseId, version: Version, seq: Seen, doing: Annotated[Doing, Form()] = Doing.LOOKING
) -> Response:
    """Says that whoever looks is here; the answer says who else is, and what has changed since the page was loaded."""
    attend.attend(here.desk, case_id, by=here.name, doing=doing)
    if here.may("decide"):
        mention.saw(here.desk, case_id, by=here.name)  # not by the page itself: browsers load pages that nobody sees
    case, entries, visitors = here.read(changes_since, case_id, seq)
    return here.show(
        "cases/presence.html",
        visitors=[visitor for visitor in visitors if visitor.person != here.name],
        changed=case.version != version or bool(entries),
        news=[(entry, story.told_of(entry, here.reader)) for entry in entries][-5:],
    )


@router.get("/cases/{case_id}/explanation")
def explanation(
    here: Here,
    case_id: CaseId,
    at: Annotated[str | None, Query(max_length=40)] = None,
    policy: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Why it was decided so, then or now, and what another policy says to the same facts."""
    then = _instant(here, at) if at else None
    told = here.read(views.explanation, case_id, at=then, under=policy or None)
    return here.show("cases/explanation.html", told=told, at=at or "", policy=policy or "", case_id=case_id)


@router.post("/cases/{case_id}/claim")
def claim(here: Here, case_id: CaseId) -> Response:
    """Takes the case."""
    review.claim(here.desk, review.Act(case_id=case_id, by=here.name))
    return here.go(f"/cases/{case_id}", said="It is yours.")


@router.post("/cases/{case_id}/release")
def release(here: Here, case_id: CaseId) -> Response:
    """Puts it back into the queue."""
    review.release(here.desk, review.Act(case_id=case_id, by=here.name))
    return here.go("/queue", said="The case is back in the queue.")


@router.post("/cases/{case_id}/approve")
def approve(here: Here, case_id: CaseId, version: Version, seq: Seen, reason: Reason) -> Response:
    """Refunds what is left of the charge, or gives the first of two approvals."""

    def act(done: review.Act) -> Response:
        case = review.approve(here.desk, done, reason=reason)
        amount = here.reader.money_text(case.amount_minor, case.currency)
        if case.state is CaseState.REVIEW:
            return here.go(f"/cases/{case_id}", said=f"Approved by you. {amount} waits for a colleague's approval.")
        return here.go(f"/cases/{case_id}", said=f"Approved: {amount} is on its way back.")

    return _decided(here, case_id, version, seq, act, typed={"Reason to approve": reason})


@router.post("/cases/{case_id}/deny")
def deny(here: Here, case_id: CaseId, version: Version, seq: Seen, reason: Reason, reply: Prose = "") -> Response:
    """Closes the case without a refund."""

    def act(done: review.Act) -> Response:
        review.deny(here.desk, done, reason=reason, reply=reply.replace("\r\n", "\n").strip() or None)
        return here.go(f"/cases/{case_id}", said="Denied: the case is closed without a refund.")

    return _decided(here, case_id, version, seq, act, typed={"Reason to deny": reason, "Reply": reply})


@router.post("/cases/{case_id}/reassess")
def reassess(here: Here, case_id: CaseId, version: Version, seq: Seen, reason: Reason) -> Response:
    """Asks for the facts again."""

    def act(done: review.Act) -> Response:
        review.ask_again(here.desk, done, reason)
        return here.go(f"/cases/{case_id}", said="The facts are being asked for again.")

    return _decided(here, case_id, version, seq, act, typed={"Why": reason})


@router.post("/cases/{case_id}/snooze")
def put_off(
    here: Here,
    case_id: CaseId,
    version: Version,
    until: Annotated[AwareDatetime | None, Form()] = None,
    at: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Puts the case off, to one of the moments offered or to one that was written, in the viewer's zone."""
    then = _instant(here, at) if at else until
    if then is None:
        raise InputError("until", "expected a moment")
    act = review.Act(case_id=case_id, by=here.name, version=version)
    case = snooze.snooze(here.desk, act, then)
    return here.go("/queue", said=f"Put off: it comes back {here.reader.exact(case.snoozed_until or then)}.")


@router.post("/cases/{case_id}/wake")
def wake(here: Here, case_id: CaseId) -> Response:
    """Brings it back at once."""
    snooze.wake(here.desk, review.Act(case_id=case_id, by=here.name))
    return here.go(f"/cases/{case_id}", said="It is back in the queue.")


@router.post("/cases/{case_id}/assign")
def assign(here: Here, case_id: CaseId, version: Version, to: Annotated[str, Form(max_length=200)]) -> Response:
    """Gives it to a colleague."""
    act = review.Act(case_id=case_id, by=here.name, version=version)
    case = reassign.reassign(here.desk, act, to)
    return here.go(f"/cases/{case_id}", said=f"It is with {case.assignee} now.")


@router.post("/cases/{case_id}/note")
def note(here: Here, case_id: CaseId, text: Prose) -> Response:
    """Writes a note."""
    review.note(here.desk, review.Act(case_id=case_id, by=here.name), text.replace("\r\n", "\n"))
    return here.go(f"/cases/{case_id}", said="Noted.")


@router.post("/cases/{case_id}/notes/{note_id}")
def for_bank(here: Here, case_id: CaseId, note_id: str, *, for_bank: Annotated[bool, Form()] = False) -> Response:
    """Says whether an answer to a bank may quote the note."""
    note_for_bank.mark_note(here.desk, note_id, by=here.name, for_bank=for_bank)
    told = "An answer to the bank may quote it now." if for_bank else "No answer to the bank quotes it from now on."
    return here.go(f"/cases/{case_id}", said=told)


@router.post("/cases/{case_id}/charge")
def meant(here: Here, case_id: CaseId, version: Version, charge: Annotated[str, Form(max_length=255)]) -> Response:
    """Says which charge was meant."""
    act = review.Act(case_id=case_id, by=here.name, version=version)
    case = name_charge.name_charge(here.desk, act, charge.strip())
    joined = case.id != case_id
    return here.go(f"/cases/{case.id}", said="The charge had a case already: the two are one now." if joined else None)


@router.post("/cases/{case_id}/unlink")
def not_the_same(
    here: Here, case_id: CaseId, version: Version, seq: Seen, tie: Tie, why: Reason, *, for_all: ForAll = False
) -> Response:
    """Says that two customers are not one person by what they share."""

    def act(done: review.Act) -> Response:
        unlink.unlink(here.desk, done, _between(tie), why=why, for_everybody=for_all)
        return here.go(f"/cases/{case_id}", said="Marked as not the same person. Ask again to have it decided anew.")

    return _decided(here, case_id, version, seq, act, typed={"Why": why})


@router.post("/cases/{case_id}/relink")
def the_same(here: Here, case_id: CaseId, version: Version, seq: Seen, tie: Tie, why: Reason) -> Response:
    """Takes such a mark back."""

    def act(done: review.Act) -> Response:
        unlink.relink(here.desk, done, _between(tie), why=why)
        return here.go(f"/cases/{case_id}", said="The mark is taken back.")

    return _decided(here, case_id, version, seq, act, typed={"Why": why})


@router.post("/cases/{case_id}/reply")
def preview(here: Here, case_id: CaseId, version: Version, seq: Seen, subject: Prose, text: Prose) -> Response:
    """Keeps the wording, and shows the reply exactly as it would be sent."""
    text = text.replace("\r\n", "\n").strip()

    def act(done: review.Act) -> Response:
        write_reply(here.desk, done, subject=subject, text=text)
        return here.show("cases/reply.html", reply=letters.preview(here.desk, case_id))

    return _decided(here, case_id, version, seq, act, typed={"Subject": subject, "Reply": text})


@router.post("/cases/{case_id}/send")
def send(here: Here, case_id: CaseId, version: Version, seq: Seen) -> Response:
    """Sends the reply, once."""

    def act(done: review.Act) -> Response:
        letters.send(here.desk, done)
        return here.go(f"/cases/{case_id}", said="The reply is on its way.")

    return _decided(here, case_id, version, seq, act, typed={})


def _decided(
    here: Visit,
    case_id: str,
    version: int,
    seq: int,
    act: Callable[[review.Act], Response],
    *,
    typed: dict[str, str],
) -> Response:
    """Acts on the version that the person saw. Where it is another by now, a page says what changed, and keeps what
    was typed.
    """
    try:
        return act(review.Act(case_id=case_id, by=here.name, version=version))
    except ConflictError as fault:
        case, entries, _ = here.read(changes_since, case_id, seq)
        if case.version == version:
            raise
        told = [(entry, story.told_of(entry, here.reader)) for entry in entries]
        context = {"case": case, "news": told, "why": str(fault), "typed": {k: v for k, v in typed.items() if v}}
        return here.show("cases/conflict.html", status=HTTPStatus.CONFLICT, **context)


def _between(tie: str) -> unlink.Between:
    """A link as a form names it: kind and the two customers."""
    parts = tie.split(" ")
    if len(parts) != 3 or parts[0] not in set(LinkKind):
        raise InputError("tie", "expected a link of this case")
    return unlink.Between(kind=LinkKind(parts[0]), customer=parts[1], other=parts[2])


def _shown(here: Visit, found: CaseStory) -> dict[str, Any]:
    page, case = found.page, found.page.case
    charged = page.facts.known("charge.created_at") if page.facts else None
    terms = here.desk.policy_for(charged if isinstance(charged, datetime) else None).terms
    amount = page.facts.known("charge.refundable_minor") if page.facts else None
    limits = here.desk.policy_for(None).limits
    two = isinstance(amount, int) and bool(case.currency) and limits.wants_two(amount, case.currency or "")
    writable, sent = casework.reply_state(found)
    return {
        "found": found,
        "page": page,
        "case": case,
        "seq": max((entry.seq for entry in page.timeline), default=0),
        "sentence": casework.sentence(case, page.facts, _channel(found), here.reader),
        "advice": casework.advice(case, page.decision, found.policy, here.reader),
        "paying": casework.paying(
            found, terms, wants_two=two, me=here.name, powers=here.desk.powers, reader=here.reader
        ),
        "under_way": casework.under_way(found),
        "groups": (casework.fact_groups(page.facts, page.decision.missing) if page.facts and page.decision else []),
        "gaps": casework.gaps(case, page.decision, page.facts),
        "value": lambda line: casework.fact_value(line.name, line.fact.value, case.currency, here.reader),
        "read_facts": lambda condition: casework.read_facts(condition, case.currency, here.reader),
        "rules": casework.rule_runs(page.decision, found.policy) if page.decision else [],
        "candidates": casework.candidates(page.facts),
        "instant": datetime.fromisoformat,
        "strip": _strip(here, found),
        "ties": here.read(case_links, case.id),
        "graph": drawings.link_graph,
        "moments": story.moments(found, here.reader),
        "offers": casework.snoozes(case, here.read(snooze.latest_wake, case), here.reader)
        if case.state is CaseState.REVIEW
        else [],
        "colleagues": _colleagues(here),
        "writable": writable,
        "sent": sent,
        "can_mail": here.desk.mail is not None,
        "live": any(line.refund.state in casework.UNDER_WAY for line in page.refunds),
    }


def _channel(found: CaseStory) -> str | None:
    channels = [request.channel for request in found.page.requests]
    bank = [one for one in channels if one in {Channel.INQUIRY, Channel.FRAUD_WARNING, Channel.DISPUTE}]
    return (bank or channels or [None])[0]


def _strip(here: Visit, found: CaseStory) -> Any:
    facts = found.page.facts
    sources = facts.exhibits.get("usage", ()) if facts else ()
    since = facts.known("trial.started_at") if facts else None
    if facts is None or not sources or not isinstance(since, datetime):
        return None
    names = (("trial end", "trial.ended_at"), ("charge", "charge.created_at"))
    marks = [(name, at) for name, fact in names if isinstance(at := facts.known(fact), datetime)]
    if len(marks) == 2 and abs(marks[1][1] - marks[0][1]) < (facts.at - since) / 12:
        marks = [("trial end, charge", marks[1][1])]
    marks = [("trial start", since), *marks]
    return drawings.usage_strip(sources, since=since, until=facts.at, marks=marks, reader=here.reader)


def _colleagues(here: Visit) -> list[str]:
    staff = here.read(people.everybody)
    return [one.name for one in staff if Power.DECIDE in one.powers and one.name != here.name]


def _instant(here: Visit, text: str) -> datetime:
    """A moment that somebody wrote: in their own zone where they wrote none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InputError("at", "expected a time such as 2026-03-01T09:00") from None
    return at if at.tzinfo else at.replace(tzinfo=here.reader.zone)
