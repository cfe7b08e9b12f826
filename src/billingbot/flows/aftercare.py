"""Aftercare: what the policy says of a refund beyond its amount, and the cancellation that follows once it is taken."""

from collections.abc import Mapping
from dataclasses import replace

from billingbot.core.aftercare import Cancellation, CancellationState
from billingbot.core.case import Case
from billingbot.core.disputes.life import DisputeKind, DisputeOutcome, kind_of, outcome_of
from billingbot.core.ids import Kind
from billingbot.core.job import Actor
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.refund import CANCELS_AFTER, Origin, RefundIntent, RefundState
from billingbot.core.refund_terms import CancelWhen, RefundWith
from billingbot.flows.desk import Desk, Step
from billingbot.flows.look import Findings
from billingbot.store import cancellations, database


def under_terms(refund: RefundIntent, found: Findings) -> RefundIntent:
    """The intent with all that the policy in force says of it, and the invoice and subscription that it is about.

    A payment without an invoice is refunded plainly: there is no tax document to correct. One without a subscription
    cancels none.
    """
    dossier, terms = found.dossier, found.policy.terms
    invoice = dossier.invoice if dossier else None
    subscription = dossier.subscription if dossier else None
    return replace(
        refund,
        invoice_id=invoice.id if invoice else None,
        subscription_id=subscription.id if subscription else None,
        refund_with=terms.refund_with if invoice else RefundWith.REFUND,
        cancel_subscription=terms.cancel_subscription if subscription else CancelWhen.NO,
    )


def follow_up(this: Step, refund: RefundIntent, state: RefundState) -> None:
    """Intends the cancellation that the refund brings with it, now that Stripe has taken it; once for a refund."""
    if refund.origin is Origin.EXTERNAL or state not in CANCELS_AFTER:
        return
    if refund.subscription_id is None or refund.cancel_subscription is CancelWhen.NO:
        return
    cancellation = Cancellation(
        id=this.new_id(Kind.CANCELLATION),
        refund_id=refund.id,
        case_id=refund.case_id,
        account=refund.account,
        livemode=refund.livemode,
        charge_id=refund.charge_id,
        subscription_id=refund.subscription_id,
        cancel_when=refund.cancel_subscription,
        state=CancellationState.INTENDED,
        key=None,
        sends=0,
        why=None,
        waits_for=None,
        intended_at=database.now(this.db),
        last_sent_at=None,
        ended_at=None,
    )
    _intend(this, cancellation, actor=refund.decided_by)


def follow_disputes(this: Step, desk: Desk, case: Case, found: Findings) -> None:
    """Intends the cancellation that a chargeback brings with it, where the configuration wants one; once for each.

    An inquiry has taken nothing, and a dispute that was won shows that the customer was in the wrong: neither does.
    """
    dossier, when = found.dossier, desk.disputes.cancel_subscription
    if dossier is None or dossier.subscription is None or when is CancelWhen.NO:
        return
    for dispute in dossier.disputes:
        if kind_of(dispute) is DisputeKind.INQUIRY or outcome_of(dispute) is DisputeOutcome.WON:
            continue
        cancellation = Cancellation(
            id=this.new_id(Kind.CANCELLATION),
            refund_id=None,
            dispute_id=dispute.id,
            case_id=case.id,
            account=case.account,
            livemode=case.livemode,
            charge_id=dossier.charge.id,
            subscription_id=dossier.subscription.id,
            cancel_when=when,
            state=CancellationState.INTENDED,
            key=None,
            sends=0,
            why=None,
            waits_for=None,
            intended_at=database.now(this.db),
            last_sent_at=None,
            ended_at=None,
        )
        _intend(this, cancellation, actor="billingbot")


def _intend(this: Step, cancellation: Cancellation, *, actor: str) -> None:
    if not cancellations.intend(this.db, cancellation):
        return
    this.enqueue(Actor.CANCEL, cancellation.id)
    body = {
        "refund": cancellation.refund_id,
        "dispute": cancellation.dispute_id,
        "case": cancellation.case_id,
        "subscription": cancellation.subscription_id,
        "when": cancellation.cancel_when,
    }
    told = {name: value for name, value in body.items() if value is not None}
    this.record(draft(cancellation, EntryKind.CANCELLATION_INTENDED, told, actor=actor))


def waits_for_person(this: Step, refund: RefundIntent) -> bool:
    """Whether the refund's cancellation is with a person, who must not lose the case over good news of the money."""
    cancellation = cancellations.of_refund(this.db, refund.id)
    return cancellation is not None and cancellation.waits_for is not None


def draft(
    cancellation: Cancellation, kind: EntryKind, body: Mapping[str, object], *, actor: str = "billingbot"
) -> Draft:
    """An entry about the cancellation."""
    return Draft(kind=kind, account=cancellation.account, subject=cancellation.id, actor=actor, body=body)
