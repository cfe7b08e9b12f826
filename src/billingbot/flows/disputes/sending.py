"""Sending: a person stages a drafted answer at Stripe, or sends it to the bank, once; the call itself is a job."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.disputes.answer_acts import power_to_send, standing_in
from billingbot.core.disputes.answer_draft import fields_digest, shortcomings
from billingbot.core.disputes.answering import AnswerIntent, AnswerKind, AnswerState, Standing, stands_in_the_way
from billingbot.core.disputes.evidence_fields import MOST_BYTES_IN_ALL, PAPERS, Field, most_pages
from billingbot.core.disputes.life import Stage
from billingbot.core.errors import ConflictError, ForbiddenError, InputError
from billingbot.core.ids import Kind
from billingbot.core.job import Actor
from billingbot.core.ledger import Draft as Entry
from billingbot.core.ledger import EntryKind
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.disputes.drafting import AnswerAct, check_version, find_draft
from billingbot.papers.evidence import printed_field
from billingbot.papers.paper import Paper
from billingbot.store import answer_drafts, answers, database
from billingbot.store.answer_drafts import Draft
from billingbot.store.database import transaction


def stage(desk: Desk, act: AnswerAct) -> AnswerIntent:
    """Has the draft put on the dispute, to be seen in the Dashboard; it is not sent to the bank.

    Raises ForbiddenError where no answer is awaited, InputError where Stripe would not take it, ConflictError where
    the draft changed since the person looked or the answer is on its way already.
    """
    desk.require(Power.DECIDE)
    return _put(desk, act, AnswerKind.STAGE, decided_by=person(act.by), with_theirs=True)


def send(desk: Desk, act: AnswerAct, *, with_theirs: bool = False) -> AnswerIntent:
    """Has the draft sent to the bank: once, for ever. Otherwise as `stage`.

    Above the policy's `second_approval_above` it takes the power to check: whoever may refund an amount alone may
    contest one alone. As with all acts here the amount is Stripe's, just read.
    Evidence that somebody put on the dispute in the Dashboard would go with it, or be replaced: ForbiddenError names
    it, unless `with_theirs` says that this is meant.
    """
    desk.require(Power.DECIDE)
    return _put(desk, act, AnswerKind.SEND, decided_by=person(act.by), with_theirs=with_theirs)


def send_by_itself(desk: Desk, act: AnswerAct, *, setting: str) -> AnswerIntent:
    """As `send`, where the configuration says so and names the reason; `setting` is what stands in the ledger."""
    return _put(desk, act, AnswerKind.SEND, decided_by=setting, with_theirs=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A draft that may go out as it is."""

    draft: Draft
    fields: Mapping[Field, str]
    standing: Standing


def _put(desk: Desk, act: AnswerAct, kind: AnswerKind, *, decided_by: str, with_theirs: bool) -> AnswerIntent:
    ready = _ready(desk, act, with_theirs=with_theirs)
    if kind is AnswerKind.SEND:
        desk.require(power_to_send(desk.policy_for(None).limits, ready.standing.dispute))
    with step(desk) as this:
        draft = find_draft(this, act)
        if draft.version != ready.draft.version:
            raise ConflictError(f"dispute {act.dispute_id}: its draft has changed meanwhile; look again")
        refuse_beside(this, act, kind, ready.standing.stage)
        intent = _intent(this, ready, kind, decided_by)
        if not answers.intend(this.db, intent):
            raise ConflictError(f"dispute {act.dispute_id}: somebody else was faster; look again")
        _lapse_asked(this, act, kind)
        this.enqueue(Actor.ANSWER, intent.id)
        this.record(entry(intent, EntryKind.ANSWER_INTENDED, _body(intent), actor=decided_by))
    with transaction(desk.db) as connection:
        return answers.get(connection, intent.id)


def _ready(desk: Desk, act: AnswerAct, *, with_theirs: bool) -> _Ready:
    """Reads the draft, prints its papers, and looks at the dispute afresh. Raises as the verbs do."""
    with step(desk) as this:
        draft = find_draft(this, act)
        check_version(draft, act)
        content = answer_drafts.current(this.db, draft).content
        ours = answers.put_fields(this.db, act.account, act.dispute_id)
        now = database.now(this.db)
    if content is None:
        raise ConflictError(f"dispute {act.dispute_id}: the texts of its draft were erased; draft it again")
    standing = fresh_standing(desk, act.account, act.dispute_id)
    stands = stands_in_the_way(standing, now)
    if stands is not None:
        raise ForbiddenError(f"dispute {act.dispute_id}: {stands}")
    problems = [*shortcomings(content.fields), *over_limits(papers_of(draft, content.fields), standing.brand)]
    if problems:
        raise InputError("draft", "; ".join(problems))
    theirs = sorted(standing.evidence.keys() - ours)
    if theirs and not with_theirs:
        raise ForbiddenError(
            f"dispute {act.dispute_id}: somebody put evidence on it in the Dashboard ({', '.join(theirs)}): it would go"
            " to the bank as well, or be replaced; say that this is meant"
        )
    return _Ready(draft=draft, fields=content.fields, standing=standing)


def fresh_standing(desk: Desk, account: str, dispute_id: str) -> Standing:
    """The dispute read afresh, with what our books know of the inquiry that it was. Raises the faults of a read."""
    standing = desk.account(account).stripe.standing(dispute_id)
    with transaction(desk.db) as connection:
        return replace(standing, at_inquiry=answers.at_inquiry(connection, account, dispute_id))


def papers_of(draft: Draft, fields: Mapping[Field, str]) -> Mapping[Field, Paper]:
    """The papers that these texts make."""
    return {
        field: printed_field(field, text, dispute_id=draft.dispute_id, charge_id=draft.charge_id)
        for field, text in fields.items()
        if field in PAPERS
    }


def over_limits(papers: Mapping[Field, Paper], brand: str | None) -> list[str]:
    """What Stripe would refuse about the papers."""
    pages, size = sum(paper.pages for paper in papers.values()), sum(len(paper.content) for paper in papers.values())
    found = []
    if pages > most_pages(brand):
        found.append(f"the papers have {pages} pages, and {most_pages(brand)} are the most for {brand or 'this card'}")
    if size > MOST_BYTES_IN_ALL:
        found.append(f"the papers have {size} bytes, and {MOST_BYTES_IN_ALL} are the most")
    return found


def refuse_beside(this: Step, act: AnswerAct, kind: AnswerKind, stage: Stage) -> None:
    """ConflictError where the dispute is answered or given up in this stage, or anything is under way in either.

    Call it with the draft locked: whoever acts on one dispute waits there for the other.
    """
    beside = standing_in(answers.of_dispute(this.db, act.account, act.dispute_id), stage)
    if beside is None:
        return
    if beside.kind is AnswerKind.STAGE:
        raise ConflictError(f"dispute {act.dispute_id}: its answer is just being staged; {kind} it in a moment")
    raise ConflictError(f"dispute {act.dispute_id}: {beside.kind} by {beside.decided_by} is {beside.state}")


def _intent(this: Step, ready: _Ready, kind: AnswerKind, decided_by: str) -> AnswerIntent:
    draft, dispute = ready.draft, ready.standing.dispute
    staged = answers.put_fields(this.db, draft.account, draft.dispute_id)
    return AnswerIntent(
        id=this.new_id(Kind.ANSWER),
        account=draft.account,
        livemode=draft.livemode,
        dispute_id=draft.dispute_id,
        charge_id=draft.charge_id,
        kind=kind,
        stage=ready.standing.stage,
        state=AnswerState.INTENDED,
        draft_id=draft.id,
        draft_version=draft.version,
        fields={field.value: text for field, text in ready.fields.items()},
        cleared=tuple(sorted(staged - {field.value for field in ready.fields})),
        files={},
        digest=fields_digest(ready.fields),
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
        key=None,
        sends=0,
        why=None,
        decided_by=decided_by,
        first_by=None,
        needs_second=False,
        confirm_by_at=None,
        intended_at=database.now(this.db),
        last_sent_at=None,
        ended_at=None,
    )


def _lapse_asked(this: Step, act: AnswerAct, kind: AnswerKind) -> None:
    """Whoever sends an answer does not want the dispute accepted."""
    asked = answers.asked(this.db, act.account, act.dispute_id) if kind is AnswerKind.SEND else None
    if asked is not None:
        answers.set_state(this.db, asked, AnswerState.LAPSED, why="an answer is sent instead")


def _body(intent: AnswerIntent) -> Mapping[str, object]:
    return {
        "draft": intent.draft_id,
        "version": intent.draft_version,
        "digest": intent.digest,
        "fields": sorted(intent.fields or {}),
        "cleared": intent.cleared,
        "amount_minor": intent.amount_minor,
        "currency": intent.currency,
    }


def entry(intent: AnswerIntent, kind: EntryKind, body: Mapping[str, object], *, actor: str = "billingbot") -> Entry:
    """A ledger entry about an answer, under its dispute; it holds digests and names of fields, and no text."""
    told = {"answer": intent.id, "act": intent.kind, "stage": intent.stage, "charge": intent.charge_id, **body}
    return Entry(kind=kind, account=intent.account, subject=intent.dispute_id, actor=actor, body=told)
