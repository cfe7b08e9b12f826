"""Comments: who cancelled and wrote that they want money back is read by a person; a request it is not."""

from collections.abc import Sequence

from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.case import Case, CaseState
from billingbot.core.errors import RetryLaterError
from billingbot.core.evidence.comments import ASKING_FEEDBACK, REASON, matches
from billingbot.core.evidence.dossier import Charge, Subscription
from billingbot.core.ids import Kind
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.request import NamedBy
from billingbot.flows.assess import give_up
from billingbot.flows.desk import Account, Desk, Step, step
from billingbot.flows.recheck import look_anew
from billingbot.store import cases, comments, conversions, requests
from billingbot.store.database import transaction


def hear_comment(desk: Desk, account: Account, subscription: Subscription) -> None:
    """Opens a case for a person, or touches the open one, once per subscription and comment.

    Nothing is decided by what a customer wrote, and nothing paid. What was said before anything was charged is kept,
    and read once a trial has turned into a charge (`hear_kept`). No case where all of the last charge was given back.
    Raises StripeFaultError kinds where Stripe cannot be read, RetryLaterError where it was charged while we looked.
    """
    feedback, comment = subscription.cancellation_feedback, subscription.cancellation_comment or ""
    if subscription.our_cancellation_id is not None:
        return
    words = [str(match) for match in matches(comment, desk.comment_words)]
    asks = feedback in ASKING_FEEDBACK
    if not words and not asks:
        return
    matched = [*words, f"feedback: {feedback}"] if asks else words
    written = digest(canonical_bytes([feedback, comment]))
    with transaction(desk.db) as connection:
        if comments.is_known(connection, account.name, subscription.id, written):
            return
    charge = _last_charge(account, subscription)
    with step(desk) as this:
        comments.lock(this.db, account.name, subscription.id)
        converted = conversions.charge_of(this.db, account.name, subscription.id)
        if charge is None and converted is not None:
            raise RetryLaterError(f"subscription {subscription.id}: was charged while its comment was read")
        if charge is not None:
            cases.lock_charge(this.db, account.name, charge.id)
        is_new = comments.notice(
            this.db, account.name, subscription.id, written, feedback=feedback, comment=comment, matched=matched
        )
        # "Not used" is the policy's ground for a trial's charge alone; on any other charge it asks for nothing.
        if is_new and charge is not None and (words or charge.id == converted):
            _put_before_a_person(this, account, subscription, charge, [(written, matched)])


def hear_kept(this: Step, account: Account, subscription: Subscription, charge: Charge) -> None:
    """What was said about this subscription before its trial turned into this charge opens a case now, in the
    transaction that notices the conversion.
    """
    comments.lock(this.db, account.name, subscription.id)
    kept = comments.kept(this.db, account.name, subscription.id)
    if kept:
        cases.lock_charge(this.db, account.name, charge.id)
        _put_before_a_person(this, account, subscription, charge, [(one.digest, one.matched) for one in kept])


def _put_before_a_person(
    this: Step,
    account: Account,
    subscription: Subscription,
    charge: Charge,
    said: Sequence[tuple[str, Sequence[str]]],
) -> None:
    case = _case(this, account, subscription, charge)
    if case is None:
        return
    for written, matched in said:
        comments.belongs(this.db, account.name, subscription.id, written, case_id=case.id)
        body = {"subscription": subscription.id, "comment_digest": written, "matched": matched}
        kind = EntryKind.CASE_COMMENTED
        this.record(Draft(kind=kind, account=account.name, subject=case.id, actor="billingbot", body=body))


def _last_charge(account: Account, subscription: Subscription) -> Charge | None:
    found = account.stripe.find_charges(NamedBy.SUBSCRIPTION, subscription.id)
    return account.stripe.charge(found[0].charge_id) if found else None


def _case(this: Step, account: Account, subscription: Subscription, charge: Charge) -> Case | None:
    """The case that a person reads the comment on; None where all of the charge was given back already."""
    open_case = cases.find_open(this.db, account.name, charge.id)
    if open_case is not None:
        if open_case.state is not CaseState.REVIEW or open_case.assignee is not None:
            return open_case
        if requests.of_case(this.db, open_case.id):
            look_anew(this, open_case, why="the customer commented on the cancellation")
            return open_case
        return cases.change(this.db, open_case, snoozed_until=None)
    if charge.amount_captured_minor - charge.amount_refunded_minor <= 0:
        return None
    case, _ = cases.open_case(
        this.db, this.new_id(Kind.CASE), account=account.name, livemode=account.livemode, charge_id=charge.id
    )
    case = cases.change(
        this.db,
        case,
        customer_id=charge.customer_id,
        subscription_id=subscription.id,
        amount_minor=charge.amount_captured_minor,
        currency=charge.currency,
    )
    body = {"channel": "cancellation_comment", "charge": charge.id, "subscription": subscription.id}
    this.record(Draft(kind=EntryKind.CASE_OPENED, account=account.name, subject=case.id, actor="billingbot", body=body))
    give_up(this, case, reason=REASON)
    return case
