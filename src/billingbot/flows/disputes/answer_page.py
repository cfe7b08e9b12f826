"""The page of an answer: what a person reads before it goes to a bank, with its papers printed and what may be done."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from billingbot.core.access.powers import Power
from billingbot.core.disputes.answer_acts import NextAct, next_acts, power_to_send, standing_by_books
from billingbot.core.disputes.answer_draft import DraftContent, Piece
from billingbot.core.disputes.answering import AnswerIntent, AnswerState
from billingbot.core.disputes.contest_value import ContestValue, contest_value
from billingbot.core.disputes.evidence_fields import TITLES, Field, most_pages, reading_order
from billingbot.core.errors import NotFoundError
from billingbot.core.evidence.dossier import Dispute
from billingbot.core.policy.undisputed import Opinion
from billingbot.flows.desk import Desk
from billingbot.flows.disputes.sending import papers_of
from billingbot.papers.paper import Paper
from billingbot.store.database import transaction
from billingbot.store.views.dispute_answers import AnswerRecord, ChangeLine, answer_record


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperLine:
    """A field's paper as it would be uploaded, or was: `file_id` is Stripe's."""

    pages: int
    size_bytes: int
    unprintable: int
    digest: str
    file_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldLine:
    """One field on the page, by Stripe's name and a person's title.

    `text` is what goes to the bank, None where nothing does; then `why_not` says why. `drafted` is what the facts
    say where a person wrote something else or dropped it.
    """

    field: Field
    title: str
    text: str | None
    source: str | None
    as_of: datetime | None
    written_by: str | None
    dropped_by: str | None
    outdated: bool
    drafted: str | None
    why_not: str | None
    paper: PaperLine | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPage:
    """Everything about the answer to one dispute. `doubts` come first wherever it is shown.

    It holds a customer's name and addresses: for the bank and for whoever answers it.
    """

    account: str
    dispute_id: str
    charge_id: str
    case_id: str | None
    dispute: Dispute | None
    version: int
    drafted_at: datetime | None
    """When the facts were read."""
    changed_by: str | None
    erased: bool
    doubts: tuple[str, ...]
    opinion: Opinion | None
    worth: ContestValue | None
    """Of contesting; None for an inquiry, which has taken no money."""
    fields: tuple[FieldLine, ...]
    digest: str | None
    pages: int
    most_pages: int
    intents: tuple[AnswerIntent, ...]
    acts: tuple[NextAct, ...]
    changes: tuple[ChangeLine, ...]

    @property
    def asked(self) -> AnswerIntent | None:
        """The acceptance that waits for its confirmation."""
        return next((one for one in self.intents if one.state is AnswerState.ASKED), None)


def answer_page(desk: Desk, dispute_id: str, *, account: str | None = None) -> AnswerPage:
    """The page by our books: no question to Stripe. NotFoundError where no answer is drafted or wanted."""
    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        record = answer_record(connection, dispute_id, account=account)
    content = record.version.content if record.version else None
    papers = papers_of(record.draft, content.fields) if content else {}
    dispute = record.dispute.dispute if record.dispute else None
    standing = standing_by_books(dispute, record.at_inquiry) if dispute else None
    to_send = power_to_send(desk.policy_for(None).limits, dispute) if dispute else Power.CHECK
    return AnswerPage(
        account=record.draft.account,
        dispute_id=dispute_id,
        charge_id=record.draft.charge_id,
        case_id=record.dispute.case_id if record.dispute else None,
        dispute=dispute,
        version=record.draft.version,
        drafted_at=content.read_at if content else None,
        changed_by=record.version.made_by if record.version else None,
        erased=record.version is not None and content is None,
        doubts=tuple(_doubts(content, papers)),
        opinion=content.opinion if content else None,
        worth=_worth(desk, content, record),
        fields=tuple(_lines(content, papers, record)) if content else (),
        digest=record.version.digest if record.version else None,
        pages=sum(paper.pages for paper in papers.values()),
        most_pages=most_pages(content.brand if content else None),
        intents=record.intents,
        acts=next_acts(content, record.intents, standing, record.at, to_send=to_send),
        changes=record.changes,
    )


def paper(desk: Desk, dispute_id: str, field: Field, *, account: str | None = None) -> Paper:
    """One paper as it would be uploaded, for a preview. NotFoundError where the draft has none there."""
    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        record = answer_record(connection, dispute_id, account=account)
    content = record.version.content if record.version else None
    texts = {one: text for one, text in (content.fields if content else {}).items() if one is field}
    printed = papers_of(record.draft, texts).get(field)
    if printed is None:
        raise NotFoundError(f"dispute {dispute_id}: its draft has no paper {field}")
    return printed


def _doubts(content: DraftContent | None, papers: Mapping[Field, Paper]) -> Iterator[str]:
    if content is None:
        return
    yield from content.doubts
    for field, printed in papers.items():
        if printed.unprintable:
            yield f"{field}: {printed.unprintable} characters cannot be printed"
    for field, piece in content.pieces.items():
        if piece.outdated:
            yield f"{field}: the facts have come to say something else since a person wrote it"


def _worth(desk: Desk, content: DraftContent | None, record: AnswerRecord) -> ContestValue | None:
    if content is None or content.status.startswith("warning_"):
        return None
    known = desk.texts.counter_fee_currency == content.currency
    return contest_value(
        amount_minor=content.amount_minor,
        currency=content.currency,
        counter_fee_minor=(desk.texts.counter_fee_minor or 0) if known else 0,
        rate=record.rate,
    )


def _lines(content: DraftContent, papers: Mapping[Field, Paper], record: AnswerRecord) -> Iterator[FieldLine]:
    for field in reading_order(content.reason):
        piece, why_not = content.pieces.get(field), content.left_out.get(field)
        if piece is not None or why_not is not None:
            yield _line(field, piece or Piece(), why_not, papers.get(field), record)


def _line(field: Field, piece: Piece, why_not: str | None, printed: Paper | None, record: AnswerRecord) -> FieldLine:
    says = piece.says
    if says is None and piece.dropped_by is not None:
        why_not = f"left out by {piece.dropped_by}"
    known = record.uploaded.get(printed.digest) if printed else None
    return FieldLine(
        field=field,
        title=TITLES[field],
        text=says.text if says else None,
        source=says.source if says else None,
        as_of=says.as_of if says else None,
        written_by=piece.written.source if piece.written else None,
        dropped_by=piece.dropped_by,
        outdated=piece.outdated,
        drafted=piece.drafted.text if piece.drafted and piece.is_touched else None,
        why_not=why_not if says is None else None,
        paper=PaperLine(
            pages=printed.pages,
            size_bytes=len(printed.content),
            unprintable=printed.unprintable,
            digest=printed.digest,
            file_id=known.file_id if known else None,
        )
        if printed is not None
        else None,
    )
