"""Disputes: what is due first, what they cost; and one dispute with its answer as a document to read, edit and send."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from pydantic import Field as Setting
from starlette.responses import Response

from billingbot.core.disputes.answer_acts import power_to_send, standing_in
from billingbot.core.disputes.answer_draft import DraftContent, shortcomings
from billingbot.core.disputes.answering import AnswerKind, AnswerState
from billingbot.core.disputes.contest_value import WinRate
from billingbot.core.disputes.evidence_fields import LONGEST_FIELD, PAPERS, TITLES, Field, reading_order
from billingbot.core.disputes.life import Answering, DisputeKind, DisputeOutcome, Stage, stage_of
from billingbot.flows.disputes import accepting, answer_page, drafting, editing, sending
from billingbot.flows.disputes.drafting import AnswerAct
from billingbot.store import answer_drafts, answers
from billingbot.store.views.dispute_figures import FigureFilter, ReasonFigure, reason_figures
from billingbot.store.views.disputes import DisputeFilter, DisputeLine, dispute_list, dispute_page
from billingbot.store.views.paging import Page
from billingbot.web.api.fields import Cursor, Word
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here, Visit

router = APIRouter(route_class=ConsoleRoute)

# A text that fits on one line beside its title.
_SHORT: Final = 70
# Sources answer one after another; what they said within this was said in one look.
_SAME_LOOK: Final = timedelta(minutes=1)
_SHOWN: Final[Mapping[str, bool | None]] = {"open": True, "ended": False, "all": None}
TONES: Final[Mapping[str, str]] = {
    Answering.AWAITED: "wait",
    Answering.MISSED: "stop",
    Answering.IMPOSSIBLE: "none",
    Answering.WITH_BANK: "work",
    Answering.OVER: "none",
    DisputeOutcome.WON: "done",
    DisputeOutcome.LOST: "stop",
    DisputeOutcome.RESOLVED: "none",
    DisputeOutcome.PREVENTED: "none",
    DisputeOutcome.INQUIRY_CLOSED: "done",
}
_ANSWER_TONES: Final[Mapping[AnswerState, str]] = {
    AnswerState.ASKED: "wait",
    AnswerState.INTENDED: "work",
    AnswerState.SUBMITTING: "work",
    AnswerState.UNKNOWN: "unknown",
    AnswerState.DONE: "done",
    AnswerState.OVERTAKEN: "none",
    AnswerState.ABSENT: "stop",
    AnswerState.REFUSED: "stop",
    AnswerState.STOOD_BACK: "stop",
    AnswerState.LAPSED: "none",
}


class ListQuery(Asked):
    """Which disputes: all that are given must hold."""

    show: Annotated[str, Setting(pattern="^(open|ended|all)$")] = "open"
    kind: DisputeKind | None = None
    reason: Word | None = None
    outcome: DisputeOutcome | None = None
    account: Word | None = None
    after: Cursor | None = None


class DraftForm(Asked):
    """A change of the draft that somebody saw."""

    account: Word
    version: Annotated[int, Setting(ge=0)]


class FieldForm(DraftForm):
    """A change of one field."""

    field: Field
    text: Annotated[str, Setting(max_length=LONGEST_FIELD * 2)] = ""


class SendForm(DraftForm):
    """An answer for the bank; `with_theirs` says that evidence put there in the Dashboard is meant to go with it."""

    with_theirs: bool = False


class AcceptForm(Asked):
    """Giving a dispute up: first asked for, then confirmed by the id that the asking made."""

    account: Word
    answer: Word | None = None


@router.get("/disputes")
def listed(here: Here, query: Annotated[ListQuery, Query()]) -> Response:
    """What is due first, with figures of what disputes cost and how often they are won."""
    page = _page(here, query)
    figures = here.read(reason_figures, FigureFilter(account=query.account)) if query.after is None else ()
    given = {name: value for name, value in query.given.items() if name != "after"}
    return here.show(
        "disputes/list.html",
        page=page,
        query_=query,
        figures=[_figure(one, here) for one in figures],
        missed=sum(one.missed for one in figures),
        kinds=[(one.value, _plural(one.value)) for one in DisputeKind],
        reasons=_reasons(figures, query.reason),
        outcomes=[(one.value, one.value.replace("_", " ")) for one in DisputeOutcome],
        accounts=[(name, name) for name in sorted(here.desk.accounts)],
        tones=TONES,
        address=urlencode(given),
        here_now=urlencode(query.given),
        more=f"/disputes?{urlencode({**given, 'after': page.next})}" if page.next else None,
    )


@router.get("/disputes/rows")
def rows(here: Here, query: Annotated[ListQuery, Query()]) -> Response:
    """The same list as it is now, for a page that updates itself."""
    return here.show("disputes/rows.html", page=_page(here, query), tones=TONES)


def _page(here: Visit, query: ListQuery) -> Page[DisputeLine]:
    filters = DisputeFilter(**query.model_dump(exclude={"after", "show"}), open=_SHOWN[query.show])
    return here.read(dispute_list, filters, after=query.after)


@router.get("/disputes/{dispute_id}")
def dispute(here: Here, dispute_id: str, account: Annotated[str | None, Query(max_length=255)] = None) -> Response:
    """One dispute: state, amount, deadline, opinion, and the answer as a document."""
    page = here.read(dispute_page, dispute_id, account=account)
    line, version, about = page.line, None, None
    draft = here.read(answer_drafts.find, line.account, dispute_id)
    if draft is not None and draft.version:
        version = here.read(answer_drafts.current, draft)
        about = answer_page.answer_page(here.desk, dispute_id, account=line.account)
    past = list(here.read(answers.of_dispute, line.account, dispute_id))
    content = version.content if version else None
    stage = stage_of(line.dispute)
    binding = standing_in(past, stage)
    # Of the inquiry that it was, whoever sent it: the chargeback wants another.
    before = stage is Stage.CHARGEBACK and here.read(answers.at_inquiry, line.account, dispute_id) > 0
    return here.show(
        "disputes/page.html",
        page=page,
        line=line,
        dispute=line.dispute,
        version=version,
        content=content,
        pieces=_pieces(content),
        problems=shortcomings(content.fields) if content else (),
        value=about.worth if about else None,
        doubts=about.doubts if about else (),
        answers=past,
        binding=binding,
        # Our own word for it, until the event of Stripe's has come round.
        answered_before=before and line.answering is Answering.AWAITED,
        sent=binding is not None and (binding.kind, binding.state) == (AnswerKind.SEND, AnswerState.DONE),
        waiting=next((one for one in past if one.state is AnswerState.ASKED), None),
        titles=TITLES,
        addable=[(one.value, TITLES[one]) for one in Field if content and one not in content.pieces],
        answerable=line.answering is Answering.AWAITED,
        to_send=power_to_send(here.desk.policy_for(None).limits, line.dispute),
        tones=TONES,
        answer_tones=_ANSWER_TONES,
        longest=LONGEST_FIELD,
    )


@router.get("/disputes/{dispute_id}/papers/{field}")
def paper(
    here: Here, dispute_id: str, field: Field, account: Annotated[str | None, Query(max_length=255)] = None
) -> Response:
    """A field that goes as a file, printed as the bank will see it."""
    printed = answer_page.paper(here.desk, dispute_id, field, account=account)
    name = f'inline; filename="{dispute_id}-{field.value}.pdf"'
    return Response(printed.content, media_type="application/pdf", headers={"Content-Disposition": name})


@router.post("/disputes/{dispute_id}/edit")
def edit(here: Here, dispute_id: str, form: Annotated[FieldForm, Form()]) -> Response:
    """A person's own words in a field."""
    editing.edit(here.desk, _act(here, dispute_id, form), form.field, form.text.replace("\r\n", "\n"))
    return _back(here, dispute_id, form, f"“{TITLES[form.field]}” says what you wrote.")


@router.post("/disputes/{dispute_id}/drop")
def drop(here: Here, dispute_id: str, form: Annotated[FieldForm, Form()]) -> Response:
    """A field left out."""
    editing.drop(here.desk, _act(here, dispute_id, form), form.field)
    return _back(here, dispute_id, form, f"“{TITLES[form.field]}” is left out.")


@router.post("/disputes/{dispute_id}/restore")
def restore(here: Here, dispute_id: str, form: Annotated[FieldForm, Form()]) -> Response:
    """A field as the facts say it."""
    editing.restore(here.desk, _act(here, dispute_id, form), form.field)
    return _back(here, dispute_id, form, f"“{TITLES[form.field]}” says again what the facts say.")


@router.post("/disputes/{dispute_id}/draft")
def draft_again(here: Here, dispute_id: str, form: Annotated[DraftForm, Form()]) -> Response:
    """The answer from fresh facts; what people wrote stays."""
    drafting.draft_again(here.desk, _act(here, dispute_id, form))
    return _back(here, dispute_id, form, "Drafted from fresh facts. What people wrote was kept.")


@router.post("/disputes/{dispute_id}/stage")
def stage(here: Here, dispute_id: str, form: Annotated[DraftForm, Form()]) -> Response:
    """The answer on the dispute at Stripe, unsent."""
    sending.stage(here.desk, _act(here, dispute_id, form))
    return _back(here, dispute_id, form, "It is being put on the dispute at Stripe, and is not sent.")


@router.post("/disputes/{dispute_id}/send")
def send(here: Here, dispute_id: str, form: Annotated[SendForm, Form()]) -> Response:
    """The answer to the bank, once."""
    sending.send(here.desk, _act(here, dispute_id, form), with_theirs=form.with_theirs)
    return _back(here, dispute_id, form, "The answer is on its way to the bank.")


@router.post("/disputes/{dispute_id}/accept")
def accept(here: Here, dispute_id: str, form: Annotated[AcceptForm, Form()]) -> Response:
    """Giving it up: asked for first, confirmed second."""
    if form.answer is None:
        act = AnswerAct(account=form.account, dispute_id=dispute_id, by=here.name)
        intent, _ = accepting.ask_to_accept(here.desk, act)
        who = "a second person" if intent.needs_second else "you, or somebody else,"
        return _back(here, dispute_id, form, f"Nothing has happened at Stripe: {who} must confirm it below.")
    accepting.confirm_acceptance(here.desk, dispute_id, form.answer, by=here.name)
    return _back(here, dispute_id, form, "The dispute is being accepted. It is lost, and cannot be undone.")


@router.post("/disputes/{dispute_id}/take-back")
def take_back(here: Here, dispute_id: str, form: Annotated[AcceptForm, Form()]) -> Response:
    """Nobody means to give it up any more."""
    accepting.take_back(here.desk, dispute_id, form.answer or "", by=here.name)
    return _back(here, dispute_id, form, "Nobody accepts it: the dispute is as it was.")


def _act(here: Visit, dispute_id: str, form: DraftForm) -> AnswerAct:
    return AnswerAct(account=form.account, dispute_id=dispute_id, by=here.name, version=form.version)


def _back(here: Visit, dispute_id: str, form: DraftForm | AcceptForm, said: str) -> Response:
    return here.go(f"/disputes/{dispute_id}?account={form.account}", said=said)


def _pieces(content: DraftContent | None) -> list[dict[str, Any]]:
    """The draft's fields in the order in which people read them; papers that nobody touched are folded."""
    if content is None:
        return []
    return [
        {
            "field": field.value,
            "title": TITLES[field],
            "piece": piece,
            "says": piece.says,
            "is_paper": field in PAPERS,
            "folded": field in PAPERS and not piece.is_touched,
            "is_of_another_time": piece.says is not None and abs(piece.says.as_of - content.read_at) >= _SAME_LOOK,
            "is_short": piece.says is not None and len(piece.says.text) < _SHORT and "\n" not in piece.says.text,
        }
        for field in reading_order(content.reason)
        if (piece := content.pieces.get(field)) is not None
    ]


def _figure(one: ReasonFigure, here: Visit) -> dict[str, Any]:
    rate = WinRate(won=one.won, cases=one.won + one.lost)
    fees = ", ".join(here.reader.money_text(minor, currency) for currency, minor in sorted(one.fees_minor.items()))
    return {"one": one, "rate": rate, "fees": fees or "–"}


def _reasons(figures: Sequence[ReasonFigure], chosen: str | None) -> list[tuple[str, str]]:
    names = {one.reason for one in figures} | ({chosen} if chosen else set())
    return [(name, name.replace("_", " ")) for name in sorted(names)]


def _plural(kind: str) -> str:
    return {"inquiry": "inquiries", "compliance": "compliance disputes"}.get(kind, f"{kind}s")
