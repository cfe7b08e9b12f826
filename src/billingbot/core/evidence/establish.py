"""Establishing facts: what Stripe, activity, support and our own records say becomes known or unknown facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from billingbot.core.canonical import timestamp
from billingbot.core.evidence.answer import Answer, yes_or_no
from billingbot.core.evidence.cancellation import cancelled_before
from billingbot.core.evidence.disputes import dispute_answers
from billingbot.core.evidence.dossier import Charge, Dossier, Invoice
from billingbot.core.evidence.exhibits import (
    candidate_exhibits,
    link_exhibits,
    stripe_exhibits,
    support_exhibits,
    usage_exhibits,
    without_addresses,
)
from billingbot.core.evidence.history import HistoryReport, LinkKind, normalise_email
from billingbot.core.evidence.links import Neighbourhood
from billingbot.core.evidence.links import shown as around_exhibit
from billingbot.core.evidence.trial import began_with_trial, charged_at_end, earlier_paid, ended_early, is_last
from billingbot.core.evidence.usage import SupportReport, UsageReport, shortfall
from billingbot.core.facts import CATALOGUE, Fact, Facts, FactValue, Known, Unknown
from billingbot.core.money_state import refunded_minor
from billingbot.core.request import RequestFacts


def establish(
    *,
    at: datetime,
    dossier: Dossier | None,
    request: RequestFacts,
    usage: Sequence[UsageReport],
    support: Sequence[SupportReport],
    history: HistoryReport | None,
    mode: str,
    dispute_fees: Mapping[str, int] = MappingProxyType({}),
    around: Neighbourhood | None = None,
) -> Facts:
    """Every fact of the catalogue as of `at`, known or unknown, with its source.

    `usage` and `support` hold one report for each configured source, those that failed included. Without a dossier
    (no one charge could be told from the request) whatever depends on a charge is unknown. `dispute_fees` is the
    policy's table, in minor units by currency; `around` the customers whom links lead to.
    """
    facts = _nothing(at) | _request(at, request) | _desk(at, mode)
    exhibits: dict[str, Any] = {"candidates": candidate_exhibits(request.candidates)}
    if dossier is not None:
        charged_at, since = dossier.charge.created_at, usage_since(dossier)
        facts |= _charge(dossier) | _disputes(dossier) | _trial(dossier, history, at=at)
        facts |= _warning(dossier) | _dispute_fee(dossier, dispute_fees, at=at)
        facts |= _usage(usage, since=since, at=at)
        facts |= _cancellation(dossier, support, since=since, at=at)
        facts |= _history(dossier, history, at=at) | _abuse(dossier, history, around, at=at)
        exhibits |= stripe_exhibits(dossier, history)
        exhibits |= {
            "evidence_since": timestamp(since),
            "usage": usage_exhibits(usage, since=since, at=at),
            "support": support_exhibits(support, charged_at=charged_at, since=since, at=at),
            "links": link_exhibits(history),
            "around": around_exhibit(around) if around else None,
        }
    return Facts(at=at, facts=facts, exhibits=exhibits)


def usage_since(dossier: Dossier) -> datetime:
    """Since when activity matters: the trial's start, else the subscription's, else the charge's own."""
    subscription = dossier.subscription
    if subscription is None:
        return dossier.charge.created_at
    return subscription.trial_start_at or subscription.started_at


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One source as of one instant: makes facts of what it says."""

    source: str
    as_of: datetime

    def known(self, value: FactValue) -> Known:
        return Known(value=value, source=self.source, as_of=self.as_of)

    def unknown(self, why: str) -> Unknown:
        return Unknown(why=without_addresses(why), source=self.source, as_of=self.as_of)

    def fact(self, answer: Answer) -> Fact:
        return self.unknown(answer.why) if answer.holds is None else self.known(answer.holds)

    def instant(self, at: datetime | None, why: str) -> Fact:
        return self.unknown(why) if at is None else self.known(at)


def _nothing(at: datetime) -> dict[str, Fact]:
    unclear = _Source(source="request", as_of=at).unknown("no one charge could be told from the request")
    return dict.fromkeys(CATALOGUE, unclear)


def _request(at: datetime, request: RequestFacts) -> dict[str, Fact]:
    said = _Source(source="request", as_of=at)
    return {
        "request.channel": said.known(request.channel.value),
        "request.claims_unused": said.known(request.claims.unused),
        "request.claims_cancellation": said.known(request.claims.cancelled),
        "request.nothing_charged": said.known(request.nothing_charged),
        "request.ambiguous": said.known(request.ambiguous),
    }


def _desk(at: datetime, mode: str) -> dict[str, Fact]:
    return {"desk.mode": _Source(source="desk", as_of=at).known(mode)}


def _charge(dossier: Dossier) -> dict[str, Fact]:
    stripe = _Source(source="stripe", as_of=dossier.read_at)
    charge, subscription = dossier.charge, dossier.subscription
    refunded = refunded_minor(dossier)
    by_hand = subscription is not None and subscription.collection_method == "send_invoice"
    return {
        "charge.succeeded": _succeeded(stripe, charge),
        "charge.captured": stripe.known(charge.captured),
        "charge.amount_minor": _amount(stripe, charge, charge.amount_captured_minor),
        "charge.refunded_minor": stripe.known(refunded),
        "charge.refundable_minor": _amount(stripe, charge, max(charge.amount_captured_minor - refunded, 0)),
        "charge.currency": stripe.known(charge.currency),
        "charge.created_at": stripe.known(charge.created_at),
        "charge.is_last": stripe.fact(is_last(dossier)),
        "charge.single_payment": _single_payment(stripe, charge, dossier.invoice),
        "charge.invoice_sent": stripe.known(by_hand),
    }


def _warning(dossier: Dossier) -> dict[str, Fact]:
    """A warning can be acted on until there is a dispute; one that still says so beside a dispute is behind.

    https://docs.stripe.com/api/radar/early_fraud_warnings/object#early_fraud_warning_object-actionable
    """
    stripe = _Source(source="stripe", as_of=dossier.read_at)
    newest = max(dossier.warnings, key=lambda warning: (warning.created_at, warning.id), default=None)
    actionable = any(warning.actionable for warning in dossier.warnings) and not dossier.disputes
    return {
        "warning.actionable": stripe.known(actionable),
        "warning.fraud_type": stripe.known(newest.fraud_type) if newest else stripe.unknown("no warning was raised"),
    }


def _dispute_fee(dossier: Dossier, fees: Mapping[str, int], *, at: datetime) -> dict[str, Fact]:
    """What a dispute would cost beside its amount, and how what is left of the charge compares with it."""
    policy, charge = _Source(source="policy", as_of=at), dossier.charge
    fee = fees.get(charge.currency)
    if fee is None:
        unset: Fact = policy.unknown(f"the policy names no dispute fee in {charge.currency}")
        return {"dispute.fee_minor": unset, "charge.percent_of_dispute_fee": unset}
    left = max(charge.amount_captured_minor - refunded_minor(dossier), 0)
    return {
        "dispute.fee_minor": policy.known(fee),
        "charge.percent_of_dispute_fee": policy.known(-(-left * 100 // fee)),
    }


def _amount(stripe: "_Source", charge: Charge, amount_minor: int) -> Fact:
    """An amount of the charge; of one that is pending, or in a state we do not know, nothing is settled yet."""
    if charge.status in {"succeeded", "failed"}:
        return stripe.known(amount_minor)
    return stripe.unknown(f"the charge is {charge.status}, so what it took is not settled")


def _succeeded(stripe: _Source, charge: Charge) -> Fact:
    if charge.status in {"succeeded", "failed"}:
        return stripe.known(charge.status == "succeeded")
    return stripe.unknown(f"the charge is neither succeeded nor failed but {charge.status}")


def _single_payment(stripe: _Source, charge: Charge, invoice: Invoice | None) -> Fact:
    """One invoice may be paid in several payments, one payment may pay several invoices, or none of it by Stripe.

    https://docs.stripe.com/invoicing/partial-payments
    """
    if invoice is None:
        return stripe.fact(yes_or_no(holds=True))
    paid = [payment for payment in invoice.payments if payment.status == "paid"]
    if not paid:
        return stripe.unknown("Stripe lists no payment of the invoice")
    only = paid[0]
    return stripe.known(
        invoice.status == "paid"
        and len(paid) == 1
        and only.type == "payment_intent"
        and only.reference_id is not None
        and only.reference_id == charge.payment_intent_id
        and only.amount_paid_minor == invoice.amount_paid_minor == charge.amount_captured_minor
        and invoice.amount_paid_off_stripe_minor == 0
        and invoice.currency == charge.currency
    )


def _disputes(dossier: Dossier) -> dict[str, Fact]:
    stripe = _Source(source="stripe", as_of=dossier.read_at)
    return {name: stripe.fact(answer) for name, answer in dispute_answers(dossier).items()}


def _trial(dossier: Dossier, history: HistoryReport | None, *, at: datetime) -> dict[str, Fact]:
    stripe = _Source(source="stripe", as_of=dossier.read_at)
    invoice, subscription = dossier.invoice, dossier.subscription
    if subscription is None and invoice is not None and invoice.subscription_id is not None:
        unread: Fact = stripe.unknown("the invoice's subscription could not be read")
        return {name: unread for name in CATALOGUE if name.startswith("trial.")} | {"charge.is_last": unread}
    trial = began_with_trial(subscription)
    started = subscription.trial_start_at if subscription and trial.holds else None
    ended = subscription.trial_end_at if subscription and trial.holds else None
    return {
        "trial.exists": stripe.fact(trial),
        "trial.started_at": stripe.instant(started, trial.why or "there was no trial"),
        "trial.ended_at": stripe.instant(
            ended if ended is not None and ended <= at else None, trial.why or "no trial has ended"
        ),
        "trial.ended_early": stripe.fact(
            ended_early(dossier, first_seen_end_at=history.first_trial_end_at if history else None)
        ),
        "trial.charged_at_end": stripe.fact(charged_at_end(dossier, at=at)),
        "trial.earlier_charge": stripe.known(bool(earlier_paid(dossier))),
    }


def _usage(reports: Sequence[UsageReport], *, since: datetime, at: datetime) -> dict[str, Fact]:
    activity = _Source(source="activity", as_of=min((report.asked_at for report in reports), default=at))
    lacking = {report.source: shortfall(report, since=since, now=at) for report in reports}
    whys = [f"{source}: {why}" for source, why in sorted(lacking.items()) if why is not None]
    complete = bool(reports) and not whys
    seen = [report for report in reports if report.saw_use]
    used: Fact
    if seen or complete:
        used = activity.known(bool(seen))
    else:
        used = activity.unknown("; ".join(whys) or "no activity source is configured")
    instants = sorted(
        instant
        for report in seen
        for instant in (report.first_at, report.last_at, report.tag_installed_at, report.api_connected_at)
        if instant is not None
    )
    none_seen = "no use was seen" if not seen else "no source says when"
    return {
        "usage.used": used,
        "usage.complete": activity.known(complete),
        "usage.first_at": activity.instant(instants[0] if instants else None, none_seen),
        "usage.last_at": activity.instant(instants[-1] if instants else None, none_seen),
    }


def _cancellation(
    dossier: Dossier, reports: Sequence[SupportReport], *, since: datetime, at: datetime
) -> dict[str, Fact]:
    source = _Source(source="stripe and support", as_of=min((r.asked_at for r in reports), default=dossier.read_at))
    charged_at = dossier.charge.created_at
    answer = cancelled_before(dossier.subscription, reports, charged_at=charged_at, since=since, at=at)
    return {"cancellation.before_charge": source.fact(answer)}


def _history(dossier: Dossier, history: HistoryReport | None, *, at: datetime) -> dict[str, Fact]:
    if history is None:
        unread: Fact = _Source(source="records", as_of=at).unknown("our own records were not read")
        return {name: unread for name in CATALOGUE if name.startswith("history.")}
    records = _Source(source="records", as_of=history.as_of)
    linked = {link.kind for link in history.links}
    return {
        "history.trial_by_card": _link(
            records, history, found=LinkKind.CARD in linked, blind=_why_no_card(dossier.charge)
        ),
        "history.trial_by_email": _link(
            records, history, found=LinkKind.EMAIL in linked, blind=_why_no_mailbox(dossier)
        ),
        "history.refunds_customer": records.known(history.refunds_customer),
        "history.refunds_card": records.known(history.refunds_card),
        "history.refunds_email": records.known(history.refunds_email),
        "history.denied_before": records.known(history.denied_before),
    }


def _abuse(
    dossier: Dossier, history: HistoryReport | None, around: Neighbourhood | None, *, at: datetime
) -> dict[str, Fact]:
    """How many trials and refunds strong links lead to. A count of half the records would be no count."""
    records = _Source(source="records", as_of=history.as_of if history else at)
    if history is None or around is None:
        lacking: str | None = "our own records were not read, or the charge names no customer"
    else:
        lacking = _why_no_card(dossier.charge) or _why_no_mailbox(dossier)
        if lacking is None and not history.complete:
            lacking = history.why or "earlier trials were not read in yet"
    if around is None or lacking is not None:
        unknown = records.unknown(lacking or "")
        return {"abuse.linked_trials": unknown, "abuse.linked_refunds": unknown}
    return {
        "abuse.linked_trials": records.known(around.linked_trials),
        "abuse.linked_refunds": records.known(around.linked_refunds),
    }


def _link(records: _Source, history: HistoryReport, *, found: bool, blind: str | None) -> Fact:
    """Found is found; not found says something only where there was something to look for, in whole records."""
    if found:
        return records.fact(yes_or_no(holds=True))
    if blind is not None:
        return records.unknown(blind)
    if not history.complete:
        return records.unknown(history.why or "earlier trials were not read in yet")
    return records.fact(yes_or_no(holds=False))


def _why_no_card(charge: Charge) -> str | None:
    """A payment without a card shares no card with anybody; a card without a fingerprint proves nothing."""
    if charge.payment_method_type is None:
        return "Stripe does not say how the charge was paid"
    if charge.payment_method_type == "card" and not charge.fingerprint:
        return "the card has no fingerprint to compare"
    return None


def _why_no_mailbox(dossier: Dossier) -> str | None:
    """Who gave no usable address cannot be told from one who came before: leaving it out must not be a way in."""
    email = dossier.customer.email if dossier.customer else None
    if email is None or normalise_email(email) is None:
        return "the customer has no usable e-mail address to compare"
    return None
