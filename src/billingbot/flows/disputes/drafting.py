"""Drafting: the answer to a bank drafts itself when the bank asks, and anew from fresh facts whenever somebody says."""

from dataclasses import dataclass

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.disputes.answer_draft import DraftChange, DraftContent, drafted
from billingbot.core.disputes.evidence_fields import Field
from billingbot.core.disputes.life import is_answered
from billingbot.core.disputes.packet import ANSWERABLE
from billingbot.core.errors import ConflictError, InputError, NotFoundError
from billingbot.core.evidence.dossier import Dispute
from billingbot.core.ids import Kind
from billingbot.core.job import Actor
from billingbot.core.ledger import Draft as Entry
from billingbot.core.ledger import EntryKind
from billingbot.flows.desk import Account, Desk, Step, step
from billingbot.flows.disputes.contest import packet_of
from billingbot.store import answer_drafts, database, disputes
from billingbot.store.answer_drafts import Draft, DraftVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerAct:
    """Who acts on which dispute's answer; `version` is the draft's that the person saw."""

    account: str
    dispute_id: str
    by: str
    version: int | None = None


def account_of(desk: Desk, dispute_id: str, wanted: str | None) -> str:
    """The account that a dispute is of: the one named, the only one there is, or the one whose books know it.

    InputError where that is none, or several.
    """
    if wanted is not None:
        return desk.account(wanted).name
    with step(desk) as this:
        known = disputes.accounts_of(this.db, dispute_id) if len(desk.accounts) > 1 else tuple(desk.accounts)
    if len(known) != 1:
        raise InputError("account", f"expected one of {', '.join(sorted(desk.accounts))}")
    return known[0]


def want_draft(this: Step, account: Account, dispute: Dispute) -> None:
    """Has the answer to a dispute drafted that awaits one: once, however many events tell of it, and again where an
    inquiry became a chargeback.
    """
    if dispute.status not in ANSWERABLE or dispute.due_by is None or is_answered(dispute):
        return
    draft, is_new = draft_row(this, account, dispute)
    if is_new or is_outdated(this, draft, dispute):
        this.enqueue(Actor.DRAFT_ANSWER, draft.id)


def is_outdated(this: Step, draft: Draft, dispute: Dispute) -> bool:
    """Whether the bank has come to ask for something else: an inquiry that became a chargeback, another reason."""
    content = answer_drafts.current(this.db, draft).content if draft.version else None
    return content is not None and (content.status, content.reason) != (dispute.status, dispute.reason)


def draft_row(this: Step, account: Account, dispute: Dispute) -> tuple[Draft, bool]:
    """The draft that the dispute has, made where it had none; True where it was made now."""
    wanted = Draft(
        id=this.new_id(Kind.DRAFT),
        account=account.name,
        livemode=account.livemode,
        dispute_id=dispute.id,
        charge_id=dispute.charge_id,
        version=0,
        opened_at=database.now(this.db),
    )
    return answer_drafts.want(this.db, wanted)


def draft_again(desk: Desk, act: AnswerAct, *, keep_edits: bool = True) -> DraftVersion:
    """Drafts from fresh facts, now. What people wrote or dropped stays, unless they say otherwise.

    Raises the faults of a read of Stripe; ConflictError where the draft changed since the person looked.
    """
    desk.require(Power.DECIDE)
    by = person(act.by)
    account = desk.account(act.account)
    dispute = account.stripe.dispute(act.dispute_id)
    packet = packet_of(desk, account, dispute)
    with step(desk) as this:
        row, _ = draft_row(this, account, dispute)
        draft = answer_drafts.get(this.db, row.id, lock=True)
        check_version(draft, act)
        before = answer_drafts.current(this.db, draft).content if draft.version else None
        content = drafted(packet, before, keep_edits=keep_edits)
        draft = write(this, draft, content, change=DraftChange.DRAFTED, by=by)
        return answer_drafts.current(this.db, draft)


def write(
    this: Step, draft: Draft, content: DraftContent, *, change: DraftChange, by: str, field: Field | None = None
) -> Draft:
    """The next version of a locked draft, with its ledger entry: by digest, since texts have to stay erasable."""
    after = answer_drafts.add(this.db, draft, content, change=change, by=by, field=field)
    kind = EntryKind.ANSWER_DRAFTED if change is DraftChange.DRAFTED else EntryKind.ANSWER_EDITED
    body = {"draft": draft.id, "version": after.version, "change": change, "field": field, "digest": content.digest}
    this.record(Entry(kind=kind, account=draft.account, subject=draft.dispute_id, actor=by, body=body))
    return after


def check_version(draft: Draft, act: AnswerAct) -> None:
    """ConflictError where the draft is not the version that the person saw."""
    if act.version is not None and act.version != draft.version:
        raise ConflictError(
            f"dispute {draft.dispute_id}: its draft has changed since you looked (version {draft.version}); look again"
        )


def find_draft(this: Step, act: AnswerAct) -> Draft:
    """The dispute's draft, locked. NotFoundError where there is none."""
    found = answer_drafts.find(this.db, act.account, act.dispute_id)
    if found is None:
        raise NotFoundError(f"dispute {act.dispute_id}: its answer is not drafted yet")
    return answer_drafts.get(this.db, found.id, lock=True)
