"""Agreeing: one refund, charge or dispute read afresh and set against our books, and what differs settled."""

from collections.abc import Sequence
from typing import Final

from billingbot.core.books.breaks import (
    NOTHING,
    Break,
    BreakKind,
    BreakState,
    Mismatch,
    Side,
    missing_at_stripe,
    unknown_past_key,
)
from billingbot.core.errors import StripeNotFoundError
from billingbot.core.evidence import dossier
from billingbot.core.refund import AT_STRIPE, RefundIntent
from billingbot.flows.desk import Step, step
from billingbot.flows.disputes.returned_twice import returned_twice
from billingbot.flows.interpret import conversion_of, notice, read_dispute
from billingbot.flows.reconcile.round import Round
from billingbot.flows.settle import apply_refund, credited_on, recognise
from billingbot.store import agreement, breaks, disputes, refunds
from billingbot.store.database import transaction

# A webhook may write newer news between our read of Stripe and our look at the row; it does not do so twice.
_LOOKS: Final = 2
_AS_BY_EVENT: Final = "read as an event of it would have been"
_WRONG_ACCOUNT: Final = "its charge is not at Stripe either: is the key one of another account or mode?"


def agree_on_refund(at: Round, stripe_refund_id: str) -> bool:
    """Makes our books follow Stripe on one refund; what cannot is put before a person. True where they agree.

    Raises StripeNotFoundError where Stripe has none of this id.
    """
    for look in range(_LOOKS):
        found = recognise(at.desk, at.account.name, at.account.stripe.refund(stripe_refund_id))
        if not found.charge_id:
            return True  # from a customer's balance: no charge was refunded
        with step(at.desk) as this:
            at.hold(this, found.id)
            met = [at.meet(this, one) for one in _differences(this, at, found)]
            if met:
                apply_refund(this, at.account.name, at.account.livemode, found)
            agreement.seen_at_stripe(this.db, at.account.name, [found.id])
            left = {(one.kind, one.object_id) for one in _differences(this, at, found)}
            for one in met:
                if (one.what.kind, one.what.object_id) not in left:
                    at.settle(this, one, _how(one.what))
                elif look + 1 == _LOOKS:
                    at.hand_over(this, one)
        if not left:
            return True
    return False


def agree_on_ours(at: Round, refund_id: str) -> None:
    """Asks Stripe about a refund of our books that its lists did not show."""
    with transaction(at.desk.db) as connection:
        refund = refunds.get(connection, refund_id)
    if refund.stripe_refund_id is not None:
        try:
            agree_on_refund(at, refund.stripe_refund_id)
        except StripeNotFoundError:
            _not_there(at, refund, [missing_at_stripe(refund)])
        return
    own = [found for found in _of_charge(at, refund) if found.our_refund_id == refund.id]
    for found in own:
        agree_on_refund(at, found.id)
    if own:
        _found_after_all(at, refund)
    elif refund.state in AT_STRIPE:
        _not_there(at, refund, [missing_at_stripe(refund)])
    else:
        _without_answer(at, refund.id)


def agree_on_charge(at: Round, charge_id: str) -> None:
    """Sees that our rows add up to what the charge says was refunded, refund by refund."""
    agreed = [agree_on_refund(at, found.id) for found in at.account.stripe.refunds_of_charge(charge_id)]
    charge = at.account.stripe.charge(charge_id)
    with step(at.desk) as this:
        wrong = refunded_differs(
            charge, agreement.refunded_by_charge(this.db, at.account.name, [charge_id]).get(charge_id, 0)
        )
        # Where a refund of it is in dispute between us already, its break says all there is to say.
        if wrong is not None and all(agreed):
            at.hand_over(this, at.meet(this, wrong))


def agree_on_conversion(at: Round, charge_id: str) -> None:
    """Notices a trial-end charge that no event told of, by the same predicate as an event would."""
    invoice_id = at.account.stripe.invoice_of_charge(charge_id)
    missed = conversion_of(at.desk, at.account, invoice_id) if invoice_id else None
    if missed is None:
        return
    with step(at.desk) as this:
        if notice(this, at.account, missed):
            one = missed.conversion
            found = Side(amount_minor=one.amount_minor, currency=one.currency)
            what = Mismatch(
                kind=BreakKind.CHARGE_UNKNOWN,
                object_id=one.charge_id,
                charge_id=one.charge_id,
                refund_id=None,
                expected=NOTHING,
                found=found,
            )
            at.settle(this, at.meet(this, what), "noticed as a conversion")


def agree_on_dispute(at: Round, dispute_id: str) -> None:
    """Acts on a dispute that we do not know, or not in its present status, as on an event of it."""
    found = at.account.stripe.dispute(dispute_id)
    with step(at.desk) as this:
        at.hold(this, dispute_id)
        known = disputes.statuses(this.db, at.account.name, [dispute_id]).get(dispute_id)
        met = at.meet(this, dispute_differs(found, known)) if known != found.status else None
        is_news = met is not None or bool(disputes.differing(this.db, at.account.name, [found]))
    if is_news:
        read_dispute(at.desk, at.account, dispute_id)
    twice = returned_twice(at.desk, at.account, found)
    with step(at.desk) as this:
        if met is not None:
            at.settle(this, breaks.lock(this.db, met.id), _AS_BY_EVENT)
        if twice is not None:
            at.hand_over(this, at.meet(this, twice))


def refunded_differs(charge: dossier.Charge, by_our_rows: int) -> Mismatch | None:
    """Where the charge counts another sum of refunds than our rows; what was never captured is not refunded.

    Stripe counts the released rest of a partly captured charge as refunded (`amount - amount_captured`).
    """
    released = charge.amount_minor - charge.amount_captured_minor if charge.captured else 0
    at_stripe = charge.amount_refunded_minor - released
    if at_stripe == by_our_rows or not charge.captured:
        return None
    return Mismatch(
        kind=BreakKind.CHARGE_REFUNDED_AMOUNT,
        object_id=charge.id,
        charge_id=charge.id,
        refund_id=None,
        expected=Side(amount_minor=by_our_rows, currency=charge.currency),
        found=Side(amount_minor=at_stripe, currency=charge.currency),
    )


def dispute_differs(found: dossier.Dispute, known: str | None) -> Mismatch:
    """A dispute that we have not looked at, or not in this status."""
    return Mismatch(
        kind=BreakKind.DISPUTE_UNKNOWN if known is None else BreakKind.DISPUTE_STATUS,
        object_id=found.id,
        charge_id=found.charge_id,
        refund_id=None,
        expected=Side(status=known),
        found=Side(amount_minor=found.amount_minor, currency=found.currency, status=found.status),
    )


def _differences(this: Step, at: Round, found: dossier.Refund) -> Sequence[Mismatch]:
    return agreement.mismatches(this.db, at.account.name, [found]).get(found.id, ())


def _of_charge(at: Round, refund: RefundIntent) -> tuple[dossier.Refund, ...]:
    try:
        return at.account.stripe.refunds_of_charge(refund.charge_id, credited_on=credited_on(refund))
    except StripeNotFoundError:
        return ()


def _not_there(at: Round, refund: RefundIntent, wrong: Sequence[Mismatch]) -> None:
    """A person looks; but where the charge is missing too, the key is more likely wrong than all our books."""
    try:
        at.account.stripe.charge(refund.charge_id)
        is_charge_there = True
    except StripeNotFoundError:
        is_charge_there = False
    with step(at.desk) as this:
        for one in wrong:
            met = at.meet(this, one)
            if is_charge_there:
                at.hand_over(this, met)
            else:
                at.leave(this, met, _WRONG_ACCOUNT)


def _without_answer(at: Round, refund_id: str) -> None:
    """The lookup has found nothing: the refund's own job may still prove it absent, and a person sees it meanwhile."""
    with step(at.desk) as this:
        refund = refunds.lock(this.db, refund_id)
        if agreement.is_past_key(this.db, refund):
            at.hand_over(this, at.meet(this, unknown_past_key(refund)))


def _found_after_all(at: Round, refund: RefundIntent) -> None:
    with step(at.desk) as this:
        for kind in (BreakKind.OUTCOME_UNKNOWN_PAST_KEY, BreakKind.REFUND_MISSING_AT_STRIPE):
            met = breaks.get(this.db, at.account.name, kind, refund.id)
            if met is not None and met.state is not BreakState.SETTLED:
                at.settle(this, met, "found at Stripe")


def _how(what: Mismatch) -> str:
    match what.kind:
        case BreakKind.REFUND_UNKNOWN_TO_US:
            return "adopted as made outside billingbot"
        case BreakKind.STATUS:
            return f"followed Stripe from {what.expected.status} to {what.found.status}"
        case _:
            return "agrees now"


def look_again(at: Round, met: Break) -> None:
    """Looks once more at a break that this pass has not met; what agrees by now is settled."""
    with step(at.desk) as this:
        if met.state is BreakState.CASE and at.follow_case(this, breaks.lock(this.db, met.id)):
            return
    how = "agrees now"
    try:
        _agree_on(at, met.what)
    except StripeNotFoundError:
        how = "is not at Stripe any more"
    with step(at.desk) as this:
        now = breaks.lock(this.db, met.id)
        untouched = now.last_seen_at == met.last_seen_at and now.state is met.state
        # That one intent was paid twice is never mended by itself.
        if untouched and now.what.kind is not BreakKind.SECOND_REFUND:
            at.settle(this, now, how)


def _agree_on(at: Round, what: Mismatch) -> None:
    match what.kind:
        case BreakKind.CHARGE_REFUNDED_AMOUNT:
            agree_on_charge(at, what.object_id)
        case BreakKind.CHARGE_UNKNOWN:
            agree_on_conversion(at, what.object_id)
        case BreakKind.DISPUTE_UNKNOWN | BreakKind.DISPUTE_STATUS | BreakKind.RETURNED_TWICE:
            agree_on_dispute(at, what.object_id)
        case BreakKind.REFUND_MISSING_AT_STRIPE | BreakKind.OUTCOME_UNKNOWN_PAST_KEY | BreakKind.LEDGER_MISSING_ENTRY:
            agree_on_ours(at, what.object_id)
        case BreakKind.UNREADABLE:
            read_again(at, what.object_id)
        case _:
            agree_on_refund(at, what.object_id)


def read_again(at: Round, object_id: str) -> None:
    """Reads an object by its id. StripeAnswerError where it still cannot be read."""
    stripe = at.account.stripe
    if object_id.startswith(("ch_", "py_")):
        stripe.charge(object_id)
    elif object_id.startswith(("dp_", "du_", "pdp_")):
        stripe.dispute(object_id)
    else:
        stripe.refund(object_id)
