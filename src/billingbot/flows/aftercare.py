"""Aftercare: what the policy says of a refund beyond its amount, and the cancellation that follows once it is taken."""

from collections.abc import Mapping
from dataclasses import replace

from billingbot.core.aftercare import Cancellation, CancellationState
from billingbot.core.ids import Kind
from billingbot.core.job import Actor
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.refund import CANCELS_AFTER, Origin, RefundIntent, RefundState
from billingbot.core.refund_terms import CancelWhen, RefundWith
from billingbot.flows.desk import Step
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
    if not cancellations.intend(this.db, cancellation):
        return
    this.enqueue(Actor.CANCEL, cancellation.id)
    body = {
        "refund": refund.id,
        "case": refund.case_id,
        "subscription": refund.subscription_id,
        "when": refund.cancel_subscription,
    }
    this.record(draft(cancellation, EntryKind.CANCELLATION_INTENDED, body, actor=refund.decided_by))


def waits_for_person(this: Step, refund: RefundIntent) -> bool:
    """Whether the refund's cancellation is with a person, who must not lose the case over good news of the money."""
    cancellation = cancellations.of_refund(this.db, refund.id)
    return cancellation is not None and cancellation.waits_for is not None


def draft(
    cancellation: Cancellation, kind: EntryKind, body: Mapping[str, object], *, actor: str = "billingbot"
) -> Draft:
    """An entry about the cancellation."""
    return Draft(kind=kind, account=cancellation.account, subject=cancellation.id, actor=actor, body=body)
