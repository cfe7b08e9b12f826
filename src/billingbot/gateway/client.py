"""The gateway itself: all that billingbot asks of one Stripe account, in core types."""

import os
import threading
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from billingbot.core.books.settlement import BalanceTransaction
from billingbot.core.credit import with_its_note
from billingbot.core.disputes.answering import Standing
from billingbot.core.disputes.purchase import Purchase
from billingbot.core.errors import InputError
from billingbot.core.evidence.dossier import (
    Charge,
    Customer,
    Dispute,
    Dossier,
    FraudWarning,
    Invoice,
    Refund,
    Subscription,
)
from billingbot.core.refund_terms import CancelWhen, RefundTerms
from billingbot.core.request import Candidate, NamedBy
from billingbot.gateway import translate
from billingbot.gateway.answering import AnswerAsk, close_dispute, put_evidence, standing_of, upload_paper
from billingbot.gateway.answers import AnswerOutcome, CancelAnswer, RefundAnswer, UploadOutcome
from billingbot.gateway.cancelling import CancelAsk, cancel, still_collected
from billingbot.gateway.candidates import find_charges, never_charged
from billingbot.gateway.crediting import CreditAsk, credit
from billingbot.gateway.dossier import read_dossier
from billingbot.gateway.lists import Listing, Span, created_within
from billingbot.gateway.past_events import EventPage, Whose, read_page
from billingbot.gateway.payment import Ask, pay
from billingbot.gateway.permissions import missing_permissions
from billingbot.gateway.purchase import read_purchase
from billingbot.gateway.reading import Reader
from billingbot.gateway.transport import Transport

# One dossier has six reads that need not wait for each other; more would only press on Stripe's rate limit.
_PARALLEL_READS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPage:
    """A page of the account's history: subscriptions that had a trial, each with its customer where known."""

    subscriptions: tuple[tuple[Subscription, Customer | None], ...]
    next: str | None
    """Where the next page starts; None at the end."""


class StripeGateway:
    """One Stripe account in one mode. Synchronous, safe among threads, no Stripe type ever leaves it.

    Reads raise StripeUnavailableError (try later), StripeNotFoundError, StripeForbiddenError (a person must mend
    the key) or StripeAnswerError (what came cannot be read). `api_base` is for a stand-in, `stripe_account` for a
    connected account.
    """

    def __init__(
        self,
        account: str,
        api_key: str,
        livemode: bool,  # noqa: FBT001 - the mode belongs to the key before it
        api_base: str | None = None,
        stripe_account: str | None = None,
    ) -> None:
        self.account = account
        self.livemode = livemode
        self._whose = Whose(account=account, livemode=livemode, stripe_account=stripe_account)
        self._transport = Transport(api_key, livemode=livemode, api_base=api_base, stripe_account=stripe_account)
        self._reader = Reader(self._transport)
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._pid = 0

    def dossier(self, charge_id: str, *, now: datetime, heard_of: Collection[str] = ()) -> Dossier:
        """All that Stripe says about a charge, read at `now`; `heard_of` are disputes of it that we know."""
        return read_dossier(self._reader, self._executor(), charge_id, now, heard_of=heard_of)

    def charge(self, charge_id: str) -> Charge:
        """A charge."""
        return self._reader.charge_with_invoice(charge_id)[0]

    def invoice(self, invoice_id: str) -> Invoice:
        """An invoice with all its lines and payments."""
        return self._reader.invoice(invoice_id)

    def invoice_of_payment(self, invoice_payment_id: str) -> str:
        """The id of the invoice that an invoice payment belongs to."""
        return self._reader.invoice_of_payment(invoice_payment_id)

    def subscription(self, subscription_id: str) -> Subscription:
        """A subscription, with the fingerprint of its default payment method."""
        return self._reader.subscription(subscription_id)

    def subscription_identity(self, subscription_id: str) -> tuple[Subscription, Customer]:
        """A subscription and its customer; the fingerprint, where no default gives one, of any listed method."""
        return self._reader.identity(subscription_id)

    def customer(self, customer_id: str) -> Customer:
        """A customer, perhaps a deleted one."""
        return self._reader.customer(customer_id)

    def customer_of_payment_method(self, payment_method_id: str) -> str | None:
        """The id of the customer that a payment method is attached to, if it is attached to one."""
        return self._reader.customer_of_payment_method(payment_method_id)

    def refund(self, refund_id: str) -> Refund:
        """A refund."""
        return self._reader.refund(refund_id)

    def refunds_of_charge(self, charge_id: str, *, credited_on: str | None = None) -> tuple[Refund, ...]:
        """All refunds of a charge, ours or not, newest first.

        With `credited_on`, its invoice, those that credit notes made carry the marks of their notes. A refund that a
        note of ours names and the list lacks is read by itself: absent it is not.
        """
        listed = self._reader.refunds_of_charge(charge_id)
        if credited_on is None:
            return listed
        notes = self._reader.credit_notes(credited_on)
        ids = {refund.id for refund in listed}
        lacking = [name for note in notes if note.our_refund_id for name in note.refunds if name not in ids]
        found = (*listed, *(self._reader.refund(name) for name in lacking))
        return tuple(with_its_note(refund, notes) for refund in found)

    def refund_by_note(self, refund_id: str, invoice_id: str) -> Refund:
        """A refund, with the marks of the credit note of this invoice that made it, where one did."""
        refund = self._reader.refund(refund_id)
        return with_its_note(refund, self._reader.credit_notes(invoice_id))

    def refunds_created(self, span: Span, *, after: str | None, limit: int) -> Listing[Refund]:
        """One page of all refunds of the account that were made within the span, newest first."""
        return created_within(self._transport, "refunds", translate.refund, span=span, after=after, limit=limit)

    def charges_created(self, span: Span, *, after: str | None, limit: int) -> Listing[Charge]:
        """One page of all charges, successful or not, that were made within the span, newest first."""
        return created_within(self._transport, "charges", translate.charge, span=span, after=after, limit=limit)

    def disputes_created(self, span: Span, *, after: str | None, limit: int) -> Listing[Dispute]:
        """One page of all disputes that were opened within the span, newest first; without their fees."""
        return created_within(self._transport, "disputes", _dispute_listed, span=span, after=after, limit=limit)

    def transactions_of(self, source_id: str) -> tuple[BalanceTransaction, ...]:
        """All balance transactions of a refund or a dispute, newest first."""
        return self._reader.transactions_of(source_id)

    def transactions_created(
        self, kind: str, span: Span, *, after: str | None, limit: int
    ) -> Listing[BalanceTransaction]:
        """One page of the account's balance transactions of this type that were made within the span, newest first."""
        read = translate.balance_transaction
        path = "balance_transactions"
        return created_within(self._transport, path, read, span=span, after=after, limit=limit, type=kind)

    def invoice_of_charge(self, charge_id: str) -> str | None:
        """The id of the invoice that the charge paid, or tried to; None for a charge of none."""
        return self._reader.invoice_of_charge(charge_id)

    def dispute(self, dispute_id: str) -> Dispute:
        """A dispute with the fee of its withdrawal."""
        return self._reader.dispute(dispute_id)

    def disputes_of_charge(self, charge_id: str) -> tuple[Dispute, ...]:
        """All disputes of a charge."""
        return self._reader.disputes_of_charge(charge_id)

    def purchase(self, charge_id: str, *, now: datetime) -> Purchase:
        """Who bought what: a charge's personal side, for an answer to a bank."""
        return read_purchase(self._transport, charge_id, now)

    def warning(self, warning_id: str) -> FraudWarning:
        """An early fraud warning."""
        return self._reader.warning(warning_id)

    def find_charges(self, named_by: NamedBy, value: str) -> tuple[Candidate, ...]:
        """The charges a request can mean, newest first: none where nothing has that name, several if ambiguous."""
        return find_charges(self._reader, self._executor(), named_by, value)

    def never_charged(self, named_by: NamedBy, value: str) -> bool:
        """Whether what a request names exists and nothing was ever paid for it, so that nothing can be refunded."""
        return never_charged(self._reader, named_by, value)

    def trial_subscriptions(self, *, after: str | None, limit: int = 100, since: datetime | None = None) -> TrialPage:
        """One page of all subscriptions ever, those with a trial; `after` is the `next` of the page before.

        With `since` only those created then or later. `limit` is how many subscriptions are looked at, 1 to 100
        (Stripe's most). A page may be empty though more follow.
        """
        if not 1 <= limit <= 100:
            raise InputError("limit", "expected 1 to 100")
        page, more = self._reader.identities(after=after, limit=limit, since=since)
        kept = tuple(pair for pair in page if _had_trial(pair[0]))
        return TrialPage(subscriptions=kept, next=page[-1][0].id if more and page else None)

    def past_events(self, *, types: tuple[str, ...], since: datetime, until: datetime, after: str | None) -> EventPage:
        """One page of the events of these types (20 at the most) created since and before `until`, newest first.

        `after` is the `next` of the page before. Stripe keeps events for 30 days.
        """
        return read_page(self._transport, self._whose, types=types, since=since, until=until, after=after)

    def create_refund(
        self,
        *,
        charge_id: str,
        amount_minor: int,
        reason: str,
        metadata: Mapping[str, str],
        idempotency_key: str,
        currency: str | None = None,
    ) -> RefundAnswer:
        """Pay a refund: one attempt, an explicit amount, under a key of ours. The outcome is a value, always.

        `metadata` carries `billingbot_refund` (our refund's id) and `billingbot_key` (the same key), so that the
        refund can be found again by them; `currency`, where given, is what the answer must be in. Raises
        InputError, before anything is sent, for parameters that must never be.
        """
        ask = Ask(
            charge_id=charge_id,
            amount_minor=amount_minor,
            currency=currency,
            reason=reason,
            metadata=metadata,
            key=idempotency_key,
        )
        return pay(self._transport, ask)

    def create_credit_note(
        self,
        *,
        invoice_id: str,
        charge_id: str,
        amount_minor: int,
        metadata: Mapping[str, str],
        idempotency_key: str,
        currency: str | None = None,
    ) -> RefundAnswer:
        """Pay a refund by a credit note of its invoice, which makes the refund: one attempt. Otherwise as a refund.

        The accepted refund carries the note's marks. `charge_id` is what the refund has to be of.
        """
        refund = Ask(
            charge_id=charge_id,
            amount_minor=amount_minor,
            currency=currency,
            reason="requested_by_customer",
            metadata=metadata,
            key=idempotency_key,
        )
        return credit(self._transport, self._reader, CreditAsk(invoice_id=invoice_id, refund=refund))

    def cancel_subscription(
        self, *, subscription_id: str, cancel_when: CancelWhen, cancellation_id: str, idempotency_key: str
    ) -> CancelAnswer:
        """End a subscription, now or with its period: one attempt. The outcome is a value, always.

        `cancellation_id` is left on the subscription, so that the end can be known for ours. Raises InputError,
        before anything is sent, for parameters that must never be.
        """
        ask = CancelAsk(
            subscription_id=subscription_id,
            cancel_when=cancel_when,
            cancellation_id=cancellation_id,
            key=idempotency_key,
        )
        return cancel(self._transport, ask)

    def still_collected(self, subscription_id: str, customer_id: str) -> tuple[str, ...]:
        """Invoices and pending items of a subscription that Stripe would still charge."""
        return still_collected(self._transport, subscription_id, customer_id)

    def standing(self, dispute_id: str) -> Standing:
        """A dispute, with all that decides whether an answer may go out."""
        return standing_of(self._transport.get("disputes", dispute_id))

    def put_evidence(
        self, *, dispute_id: str, evidence: Mapping[str, str], submit: bool, answer_id: str, idempotency_key: str
    ) -> AnswerOutcome:
        """Stage evidence, or with `submit` send it to the bank: one attempt. The outcome is a value, always.

        `answer_id` is left on the dispute, so that our answer can be known for ours. Raises InputError, before
        anything is sent, for parameters that must never be.
        """
        ask = AnswerAsk(
            dispute_id=dispute_id, evidence=evidence, submit=submit, answer_id=answer_id, key=idempotency_key
        )
        return put_evidence(self._transport, ask)

    def close_dispute(self, dispute_id: str, *, idempotency_key: str) -> AnswerOutcome:
        """Accept a dispute, which cannot be undone: one attempt. The outcome is a value, always."""
        return close_dispute(self._transport, dispute_id, idempotency_key)

    def upload_paper(self, *, filename: str, content: bytes, idempotency_key: str) -> UploadOutcome:
        """Upload a PDF as evidence for a dispute: one attempt. The outcome is a value, always."""
        return upload_paper(self._transport, filename=filename, content=content, key=idempotency_key)

    def probe(self, terms: RefundTerms | None = None) -> tuple[str, ...]:
        """What the key may not read though it should, under these terms, a sentence each. StripeUnavailableError."""
        return missing_permissions(self._transport, self._executor(), terms)

    def close(self) -> None:
        """Let the reading threads end; the gateway starts new ones if it is used again."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=True)
                self._pool = None

    def __repr__(self) -> str:
        return f"StripeGateway(account={self.account!r}, livemode={self.livemode})"

    def _executor(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None or self._pid != os.getpid():
                self._pool = ThreadPoolExecutor(_PARALLEL_READS, thread_name_prefix=f"stripe-{self.account}")
                self._pid = os.getpid()
            return self._pool


def _dispute_listed(raw: Mapping[str, Any]) -> Dispute:
    """A dispute as lists show it: what it cost is read where somebody decides, not where lists are compared."""
    return translate.dispute(raw, ())


def _had_trial(subscription: Subscription) -> bool:
    return bool(subscription.trial_start_at or subscription.trial_end_at or subscription.trial_offer)
