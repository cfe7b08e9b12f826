"""What has changed about a dispute since we last read it: into the ledger with its money, and told where it matters."""

from datetime import timedelta
from typing import Final

from billingbot.core.disputes.life import DisputeOutcome, is_answered, outcome_of, returned_money, stage_of
from billingbot.core.evidence.dossier import Dispute
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.money import Money
from billingbot.core.notice import Notice, NoticeKind
from billingbot.flows.desk import Step
from billingbot.flows.disputes.deadlines import tell_missed
from billingbot.flows.notify import tell
from billingbot.store import answers, database, disputes
from billingbot.store.disputes import KnownDispute, Looked

# A dispute that had ended before we first read it is news only while it is young: Stripe delivers for three days, and
# a new installation must not tell of what was lost long ago. https://docs.stripe.com/webhooks#retries
YOUNG: Final = timedelta(days=7)


def tell_news(this: Step, account: str, dispute: Dispute, looked: Looked) -> None:
    """Ledger entry and notices for what is new against the row before; nothing where a newer read was faster."""
    before = looked.before
    if not looked.is_newest or (before is not None and before.dispute == dispute):
        return
    known = disputes.get(this.db, account, dispute.id)
    this.record(_changed(known, before))
    outcome = outcome_of(dispute)
    if outcome is None or (before is not None and before.outcome is outcome):
        return
    if before is None and database.now(this.db) - dispute.created_at > YOUNG:
        return
    if _passed_unanswered(this, known, before):
        tell_missed(this, known)
    if returned_money(dispute):
        _tell(this, known, NoticeKind.DISPUTE_LOST, *_lost(known))
    elif outcome is DisputeOutcome.WON:
        _tell(this, known, NoticeKind.DISPUTE_WON, *_won(known, before))


def _passed_unanswered(this: Step, known: KnownDispute, before: KnownDispute | None) -> bool:
    """Whether it was lost while we knew it open, after its deadline, without an answer: nobody may overlook that.

    One that was lost before its deadline was accepted, or the bank was quick: no deadline was missed.
    """
    dispute = known.dispute
    due_by = dispute.due_by
    if before is None or before.outcome is not None or known.outcome is not DisputeOutcome.LOST or due_by is None:
        return False
    at_inquiry = answers.at_inquiry(this.db, known.account, dispute.id)
    if is_answered(dispute, at_inquiry=at_inquiry) or database.now(this.db) < due_by:
        return False
    # Given up by a person of ours: no oversight.
    return answers.binding(this.db, known.account, dispute.id, stage_of(dispute)) is None


def _changed(known: KnownDispute, before: KnownDispute | None) -> Draft:
    dispute, moved = known.dispute, known.dispute.moved
    was = before.dispute if before else None
    body = {
        "charge": dispute.charge_id,
        "kind": known.kind,
        "reason": dispute.reason,
        "from": was.status if was else None,
        "to": dispute.status,
        "outcome": known.outcome,
        "amount_minor": dispute.amount_minor,
        "currency": dispute.currency,
        "due_by": dispute.due_by,
        "submissions": dispute.submission_count,
        "submitted_by": dispute.submission_method,
        "withdrawn_minor": moved.withdrawn_minor if moved else 0,
        "reinstated_minor": moved.reinstated_minor if moved else 0,
        "fees_minor": moved.fees_minor if moved else 0,
        "settled_currency": moved.currency if moved else None,
    }
    return Draft(kind=EntryKind.DISPUTE_CHANGED, account=known.account, subject=dispute.id, actor="stripe", body=body)


def _lost(known: KnownDispute) -> tuple[str, str]:
    about = _about(known)
    if known.outcome is DisputeOutcome.RESOLVED:
        return f"the bank's own rule gave the customer the money: {about}", "No fee was taken. Never refund it again."
    if known.outcome is DisputeOutcome.PREVENTED:
        return f"turned away before it became a chargeback: {about}", "It counts as paid: never refund it again."
    return f"lost: {about}", f"The customer has the money{_fees(known)}. Never refund it again."


def _won(known: KnownDispute, before: KnownDispute | None) -> tuple[str, str]:
    about = _about(known)
    if before is not None and before.outcome is DisputeOutcome.LOST:
        body = (
            f"The money came back after the dispute had counted as lost{_fees(known)}; the customer no longer has it."
        )
        return f"won after it was lost: {about}", body
    return f"won: {about}", f"The money came back{_fees(known)}. A refund is possible again, and a person's to give."


def _fees(known: KnownDispute) -> str:
    moved = known.dispute.moved
    if moved is None or not moved.fees_minor:
        return ""
    return f", and Stripe kept {Money(amount_minor=moved.fees_minor, currency=moved.currency)} in fees"


def _about(known: KnownDispute) -> str:
    money = Money(amount_minor=known.dispute.amount_minor, currency=known.dispute.currency)
    return f"dispute {known.dispute.id} ({money}, {known.dispute.reason})"


def _tell(this: Step, known: KnownDispute, kind: NoticeKind, headline: str, body: str) -> None:
    subject = known.case_id or known.dispute.id
    told = f"{body} billingbot disputes show {known.dispute.id}"
    tell(this, Notice(kind=kind, account=known.account, subject=subject, headline=headline, body=told))
