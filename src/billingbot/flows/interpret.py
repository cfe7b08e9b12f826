"""Interpret: an event is a hint; fetch what it names, write down what we know, open or touch a case."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never

from billingbot.core.disputes.life import Answering, answering
from billingbot.core.errors import StripeNotFoundError
from billingbot.core.evidence.dossier import CHARGEBACK_OPEN, INQUIRY_OPEN, Charge, Customer, Dispute, Subscription
from billingbot.core.evidence.trial import charged_at_end, earlier_paid
from billingbot.core.ids import Kind
from billingbot.core.job import Job
from billingbot.core.request import Channel, Claims, NamedBy
from billingbot.core.signals import (
    CardAttached,
    ChargeChanged,
    CustomerChanged,
    DisputeChanged,
    Envelope,
    InvoicePaid,
    InvoicePaymentPaid,
    RefundChanged,
    SubscriptionChanged,
    WarningRaised,
    signal_of,
)
from billingbot.flows.breaks import Breaks
from billingbot.flows.comments import hear_comment, hear_kept
from billingbot.flows.desk import Account, Desk, Step, step
from billingbot.flows.disputes.deadlines import follow_deadline
from billingbot.flows.disputes.drafting import want_draft
from billingbot.flows.disputes.news import tell_news
from billingbot.flows.disputes.returned_twice import returned_twice
from billingbot.flows.late import cross
from billingbot.flows.recheck import look_anew
from billingbot.flows.request import Answer, Ask, ask
from billingbot.flows.settle import apply_refund, recognise
from billingbot.flows.trials import remember, remember_customer
from billingbot.store import cases, conversions, database, disputes, inbox, jobs
from billingbot.store.database import transaction


def interpret(desk: Desk, job: Job) -> None:
    """Acts on the stored event that the job names. Order and number of deliveries mean nothing (law 6).

    Raises StripeFaultError kinds where Stripe cannot be read; an object that is gone is nothing to act on.
    """
    with transaction(desk.db) as connection:
        envelope = inbox.get(connection, job.subject)
    account = desk.account(envelope.account)
    # Deleted since, or never there in this account and mode: then the hint leads nowhere.
    with suppress(StripeNotFoundError):
        _act(desk, account, envelope)
    with transaction(desk.db) as connection:
        jobs.finish(connection, job)


def _act(desk: Desk, account: Account, envelope: Envelope) -> None:  # noqa: C901, PLR0912 - one case per signal
    match signal_of(envelope.type, envelope.object_id or "", envelope.trial_end_before):
        case None:
            return
        case InvoicePaid(invoice_id=invoice_id):
            _notice_conversion(desk, account, invoice_id)
        case InvoicePaymentPaid(invoice_payment_id=payment_id):
            _notice_conversion(desk, account, account.stripe.invoice_of_payment(payment_id))
        case SubscriptionChanged(subscription_id=subscription_id, trial_end_before=before):
            subscription, customer = account.stripe.subscription_identity(subscription_id)
            moved_from = datetime.fromtimestamp(before, UTC) if before is not None else None
            with transaction(desk.db) as connection:
                remember(connection, account.name, subscription, customer, trial_end_before=moved_from)
            hear_comment(desk, account, subscription)
        case CustomerChanged(customer_id=customer_id):
            remember_customer(desk, account, customer_id)
        case CardAttached(payment_method_id=method_id):
            owner = account.stripe.customer_of_payment_method(method_id)
            if owner is not None:
                remember_customer(desk, account, owner)
        case RefundChanged(refund_id=refund_id):
            found = account.stripe.refund(refund_id)
            if not found.charge_id:
                return  # from a customer's balance: no charge was refunded
            found = recognise(desk, account.name, found)
            with step(desk) as this:
                apply_refund(this, account.name, account.livemode, found)
        case ChargeChanged(charge_id=charge_id):
            _read_refunds(desk, account, charge_id)
        case DisputeChanged(dispute_id=dispute_id):
            _see_to_twice(desk, account, read_dispute(desk, account, dispute_id))
        case WarningRaised(warning_id=warning_id):
            _read_warning(desk, account, warning_id)
        case signal:
            assert_never(signal)


def _notice_conversion(desk: Desk, account: Account, invoice_id: str) -> None:
    """Stores a conversion where the invoice is a trial-end charge by the exact predicate; a request it is not."""
    found = conversion_of(desk, account, invoice_id)
    if found is not None:
        with step(desk) as this:
            notice(this, account, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConversion:
    """A conversion that is not stored yet, with what is to be remembered of its trial."""

    conversion: conversions.Conversion
    charge: Charge
    subscription: Subscription
    customer: Customer | None
    fingerprint: str | None


def notice(this: Step, account: Account, found: NewConversion) -> bool:
    """Stores it, once per charge, and hears what was said before it. True where it is new."""
    remember(this.db, account.name, found.subscription, found.customer, also_card=found.fingerprint)
    hear_kept(this, account, found.subscription, found.charge)
    return conversions.notice(this.db, found.conversion)


def conversion_of(desk: Desk, account: Account, invoice_id: str) -> NewConversion | None:
    """The conversion that this invoice made, by the exact predicate; None where it made none, or one that is stored.

    Raises StripeFaultError kinds where Stripe cannot be read.
    """
    with transaction(desk.db) as connection:
        if conversions.is_noticed(connection, account.name, invoice_id):
            return None  # Stripe tells of one payment in three kinds of events
    candidates = account.stripe.find_charges(NamedBy.INVOICE, invoice_id)
    if len(candidates) != 1:
        return None  # nothing was charged, or in several payments: no conversion that a machine may act on
    with transaction(desk.db) as connection:
        now = database.now(connection)
    dossier = account.stripe.dossier(candidates[0].charge_id, now=now)
    subscription, charge, invoice = dossier.subscription, dossier.charge, dossier.invoice
    if subscription is None or invoice is None or earlier_paid(dossier):
        return None
    if charged_at_end(dossier, at=now).holds is not True:
        return None
    if subscription.trial_start_at is None or subscription.trial_end_at is None:
        return None
    conversion = conversions.Conversion(
        id=desk.new_id(Kind.CONVERSION),
        account=account.name,
        livemode=account.livemode,
        customer_id=subscription.customer_id,
        subscription_id=subscription.id,
        invoice_id=invoice.id,
        charge_id=charge.id,
        amount_minor=charge.amount_captured_minor,
        currency=charge.currency,
        trial_start_at=subscription.trial_start_at,
        trial_end_at=subscription.trial_end_at,
        charged_at=charge.created_at,
    )
    return NewConversion(
        conversion=conversion,
        charge=charge,
        subscription=subscription,
        customer=dossier.customer,
        fingerprint=charge.fingerprint,
    )


def _read_refunds(desk: Desk, account: Account, charge_id: str) -> None:
    """All refunds of a charge, since `charge.refunded` names the charge and not the refund."""
    for listed in account.stripe.refunds_of_charge(charge_id):
        refund = recognise(desk, account.name, listed)
        with step(desk) as this:  # one each: two in one transaction could hold what another wants in turn
            apply_refund(this, account.name, account.livemode, refund)


def read_dispute(desk: Desk, account: Account, dispute_id: str) -> Dispute:
    """An open inquiry or chargeback is the cardholder asking through the bank; any other news touches the case.

    Writes down at last that the dispute was looked at as it is; twice comes to the same.
    """
    with transaction(desk.db) as connection:
        now = database.now(connection)
        before = disputes.find(connection, account.name, dispute_id)
    dispute = account.stripe.dispute(dispute_id)
    asked: Answer | None = None
    awaited = answering(dispute, now) is Answering.AWAITED
    if dispute.status in INQUIRY_OPEN:
        asked = _bank_asks(desk, account, dispute.charge_id, dispute.id, Channel.INQUIRY)
    elif dispute.status in CHARGEBACK_OPEN or awaited:  # a status that we do not know may have a deadline
        asked = _bank_asks(desk, account, dispute.charge_id, dispute.id, Channel.DISPUTE)
    if asked is not None and asked.repeated and awaited and before is not None and _rested(before.dispute, now):
        # An appeal, or an answer asked for once more: its case may have closed since, and a deadline runs anew.
        channel = Channel.INQUIRY if dispute.status in INQUIRY_OPEN else Channel.DISPUTE
        asked = _bank_asks(desk, account, dispute.charge_id, dispute.id, channel, since=before.looked_at)
    if dispute.status in CHARGEBACK_OPEN:  # before the case is assessed anew, which a crossed one never is
        with step(desk) as this:
            cross(this, account.name, dispute)
    if before is None or before.dispute != dispute:  # what is no news changes no verdict
        _touch(desk, account, dispute.charge_id, why=f"dispute {dispute.id} is {dispute.status}")
    with step(desk) as this:
        want_draft(this, account, dispute)
        case = cases.find_open(this.db, account.name, dispute.charge_id) or (asked.case if asked else None)
        looked = disputes.looked_at(this.db, account.name, dispute, read_at=now, case_id=case.id if case else None)
        tell_news(this, account.name, dispute, looked)
        follow_deadline(this, desk, account.name, dispute.id)
    return dispute


def _rested(dispute: Dispute, now: datetime) -> bool:
    """Whether the bank waited for nothing: it had ended, or an answer was with the bank."""
    return answering(dispute, now) in {Answering.OVER, Answering.WITH_BANK}


def _see_to_twice(desk: Desk, account: Account, dispute: Dispute) -> None:
    """A refund and a dispute that both gave the money back: a break, with a case, as a comparison would find it."""
    twice = returned_twice(desk, account, dispute)
    if twice is not None:
        books = Breaks(desk=desk, account=account)
        with step(desk) as this:
            books.hand_over(this, books.meet(this, twice))


def _read_warning(desk: Desk, account: Account, warning_id: str) -> None:
    warning = account.stripe.warning(warning_id)
    if warning.actionable:
        _bank_asks(desk, account, warning.charge_id, warning.id, Channel.FRAUD_WARNING)
    _touch(desk, account, warning.charge_id, why=f"early fraud warning {warning.id}")


def _bank_asks(
    desk: Desk, account: Account, charge_id: str, reference: str, channel: Channel, *, since: datetime | None = None
) -> Answer:
    """A request by the bank, once per dispute or warning however many events tell of it; once more where the bank
    waits anew after a look of ours (`since`) at which it did not.
    """
    anew = f":{since.isoformat()}" if since is not None else ""
    return ask(
        desk,
        Ask(
            account=account.name,
            named_by=NamedBy.CHARGE,
            named=charge_id,
            claims=Claims(),
            channel=channel,
            asked_by="stripe",
            external_ref=reference,
            idempotency_key=f"{channel}:{account.name}:{reference}{anew}",
        ),
    )


def _touch(desk: Desk, account: Account, charge_id: str, *, why: str) -> None:
    """Has an open case assessed anew, as `look_anew` says: what it was decided on has changed."""
    with step(desk) as this:
        look_anew(this, cases.find_open(this.db, account.name, charge_id), why=why)
