"""Dossiers, reports and facts with good defaults: an unused trial, charged at its end, refundable by machine."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from billingbot.core.evidence.dossier import (
    Charge,
    Customer,
    Dispute,
    Dossier,
    FraudWarning,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    Refund,
    Subscription,
)
from billingbot.core.evidence.history import HistoryReport
from billingbot.core.evidence.usage import Span, SupportReport, UsageReport
from billingbot.core.facts import CATALOGUE, Fact, Facts, FactValue, Known, Unknown
from billingbot.core.policy import Policy, load_policy
from billingbot.core.request import Channel, Claims, RequestFacts

POLICY_FILE = Path(__file__).resolve().parents[1] / "config" / "policy.toml"

STARTED = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
TRIAL_END = STARTED + timedelta(days=14)
CHARGED = TRIAL_END + timedelta(hours=1)  # Stripe charges about an hour after the period begins
NOW = CHARGED + timedelta(days=2)
AMOUNT = 4900


@cache
def shipped_policy() -> Policy:
    """The policy as shipped, compiled once per process: nothing can change it."""
    return load_policy(POLICY_FILE.read_bytes(), filename="policy.toml")


def a_charge(**overrides: Any) -> Charge:
    base: dict[str, Any] = {
        "id": "ch_1",
        "livemode": False,
        "status": "succeeded",
        "paid": True,
        "captured": True,
        "disputed": False,
        "amount_minor": AMOUNT,
        "amount_captured_minor": AMOUNT,
        "amount_refunded_minor": 0,
        "currency": "usd",
        "created_at": CHARGED,
        "customer_id": "cus_1",
        "payment_intent_id": "pi_1",
        "payment_method_type": "card",
        "fingerprint": "fp_1",
        "billing_email": None,
    }
    return Charge(**(base | overrides))


def a_line(**overrides: Any) -> InvoiceLine:
    base: dict[str, Any] = {
        "subscription_id": "sub_1",
        "proration": False,
        "amount_minor": AMOUNT,
        "period_start": TRIAL_END,
        "period_end": TRIAL_END + timedelta(days=30),
    }
    return InvoiceLine(**(base | overrides))


def a_payment(**overrides: Any) -> InvoicePayment:
    base: dict[str, Any] = {
        "id": "inpay_1",
        "invoice_id": "in_1",
        "status": "paid",
        "type": "payment_intent",
        "reference_id": "pi_1",
        "amount_paid_minor": AMOUNT,
    }
    return InvoicePayment(**(base | overrides))


def an_invoice(**overrides: Any) -> Invoice:
    base: dict[str, Any] = {
        "id": "in_1",
        "status": "paid",
        "billing_reason": "subscription_cycle",
        "currency": "usd",
        "amount_paid_minor": AMOUNT,
        "amount_paid_off_stripe_minor": 0,
        "customer_id": "cus_1",
        "subscription_id": "sub_1",
        "created_at": TRIAL_END,
        "paid_at": CHARGED,
        "lines": (a_line(),),
        "payments": (a_payment(),),
    }
    return Invoice(**(base | overrides))


def a_subscription(**overrides: Any) -> Subscription:
    base: dict[str, Any] = {
        "id": "sub_1",
        "livemode": False,
        "status": "active",
        "customer_id": "cus_1",
        "collection_method": "charge_automatically",
        "started_at": STARTED,
        "trial_start_at": STARTED,
        "trial_end_at": TRIAL_END,
        "trial_offer": False,
        "cancel_at_period_end": False,
        "cancel_at": None,
        "canceled_at": None,
        "ended_at": None,
        "cancellation_reason": None,
        "fingerprint": "fp_1",
    }
    return Subscription(**(base | overrides))


def a_customer(**overrides: Any) -> Customer:
    base: dict[str, Any] = {"id": "cus_1", "email": "ada@example.com", "deleted": False, "metadata": ()}
    return Customer(**(base | overrides))


def a_refund(**overrides: Any) -> Refund:
    base: dict[str, Any] = {
        "id": "re_1",
        "charge_id": "ch_1",
        "amount_minor": AMOUNT,
        "currency": "usd",
        "status": "succeeded",
        "failure_reason": None,
        "pending_reason": None,
        "created_at": CHARGED + timedelta(hours=1),
        "our_refund_id": None,
        "our_attempt_key": None,
    }
    return Refund(**(base | overrides))


def a_dispute(**overrides: Any) -> Dispute:
    base: dict[str, Any] = {
        "id": "dp_1",
        "charge_id": "ch_1",
        "status": "needs_response",
        "reason": "fraudulent",
        "case_type": "chargeback",
        "amount_minor": AMOUNT,
        "currency": "usd",
        "is_charge_refundable": False,
        "fee_minor": 1500,
        "created_at": CHARGED + timedelta(days=1),
        "due_by": CHARGED + timedelta(days=8),
    }
    return Dispute(**(base | overrides))


def an_inquiry(**overrides: Any) -> Dispute:
    base: dict[str, Any] = {
        "status": "warning_needs_response",
        "case_type": "inquiry",
        "is_charge_refundable": True,
        "fee_minor": None,
    }
    return a_dispute(**(base | overrides))


def a_warning(**overrides: Any) -> FraudWarning:
    base: dict[str, Any] = {
        "id": "issfr_1",
        "charge_id": "ch_1",
        "actionable": True,
        "fraud_type": "unauthorized_use_of_card",
        "created_at": CHARGED + timedelta(days=1),
    }
    return FraudWarning(**(base | overrides))


def a_dossier(**overrides: Any) -> Dossier:
    """An unused trial's first and only charge; override whole parts with `a_charge(...)` and its kin."""
    base: dict[str, Any] = {
        "read_at": NOW,
        "charge": a_charge(),
        "invoice": an_invoice(),
        "other_paid": (),
        "subscription": a_subscription(),
        "customer": a_customer(),
        "refunds": (),
        "disputes": (),
        "warnings": (),
        "newer_charges": (),
    }
    return Dossier(**(base | overrides))


def unused(source: str = "tag-hits", **overrides: Any) -> UsageReport:
    """An activity source that covers the whole time and saw nothing."""
    base: dict[str, Any] = {
        "source": source,
        "asked_at": NOW,
        "answered": True,
        "why": None,
        "first_at": None,
        "last_at": None,
        "events": 0,
        "tag_installed_at": None,
        "api_connected_at": None,
        "used": False,
        "coverage": (Span(start=STARTED, end=NOW),),
        "max_age": timedelta(minutes=15),
    }
    return UsageReport(**(base | overrides))


def used(source: str = "tag-hits", **overrides: Any) -> UsageReport:
    """An activity source that saw use on the third day."""
    seen = {"used": True, "events": 3, "first_at": STARTED + timedelta(days=3), "last_at": STARTED + timedelta(days=5)}
    return unused(source, **(seen | overrides))


def unreachable(source: str = "tag-hits", why: str = "timed out after 5 s") -> UsageReport:
    """An activity source that could not be asked."""
    return unused(source, answered=False, why=why, events=None, coverage=())


def no_cancellation(source: str = "support-desk", **overrides: Any) -> SupportReport:
    """A support source that covers the whole time and knows of no cancellation."""
    base: dict[str, Any] = {
        "source": source,
        "asked_at": NOW,
        "answered": True,
        "why": None,
        "cancellation_asked_at": None,
        "coverage": (Span(start=STARTED, end=NOW),),
        "max_age": timedelta(minutes=15),
    }
    return SupportReport(**(base | overrides))


def a_history(**overrides: Any) -> HistoryReport:
    """Whole records that know nothing against anybody."""
    base: dict[str, Any] = {
        "as_of": NOW,
        "complete": True,
        "why": None,
        "links": (),
        "first_trial_end_at": TRIAL_END,
        "refunds_customer": 0,
        "refunds_card": 0,
        "refunds_email": 0,
        "denied_before": False,
    }
    return HistoryReport(**(base | overrides))


def a_request(**overrides: Any) -> RequestFacts:
    """Somebody asks through the API and says that nothing was used."""
    base: dict[str, Any] = {"channel": Channel.API, "claims": Claims(unused=True)}
    return RequestFacts(**(base | overrides))


REFUNDABLE: Mapping[str, FactValue | None] = {
    "request.channel": "api",
    "request.claims_unused": True,
    "request.claims_cancellation": False,
    "request.nothing_charged": False,
    "request.ambiguous": False,
    "charge.succeeded": True,
    "charge.captured": True,
    "charge.amount_minor": AMOUNT,
    "charge.refunded_minor": 0,
    "charge.refundable_minor": AMOUNT,
    "charge.currency": "usd",
    "charge.created_at": CHARGED,
    "charge.is_last": True,
    "charge.single_payment": True,
    "charge.invoice_sent": False,
    "dispute.none": True,
    "dispute.open_inquiry": False,
    "dispute.open_chargeback": False,
    "dispute.money_returned": False,
    "dispute.won": False,
    "dispute.allows_refund": True,
    "warning.actionable": False,
    "trial.exists": True,
    "trial.started_at": STARTED,
    "trial.ended_at": TRIAL_END,
    "trial.ended_early": False,
    "trial.charged_at_end": True,
    "trial.earlier_charge": False,
    "usage.used": False,
    "usage.complete": True,
    "usage.first_at": None,
    "usage.last_at": None,
    "cancellation.before_charge": False,
    "history.trial_by_card": False,
    "history.trial_by_email": False,
    "history.refunds_customer": 0,
    "history.refunds_card": 0,
    "history.refunds_email": 0,
    "history.denied_before": False,
    "desk.mode": "auto",
    "warning.fraud_type": None,
    "dispute.fee_minor": 1500,
    "charge.percent_of_dispute_fee": 327,
    "abuse.linked_trials": 0,
    "abuse.linked_refunds": 0,
}
"""The facts of a refund by row 7; None is unknown."""


def facts(values: Mapping[str, FactValue | None] | None = None, **overrides: FactValue | None) -> Facts:
    """Facts of a refund by row 7, with these instead; None makes a fact unknown.

    Keyword names write the dot as two underscores: `facts(usage__used=True)`.
    """
    named = {name.replace("__", ".", 1): value for name, value in overrides.items()}
    merged = dict(REFUNDABLE) | dict(values or {}) | named
    if strange := merged.keys() - CATALOGUE.keys():
        raise ValueError(f"no such fact: {sorted(strange)}")
    return Facts(at=NOW, facts={name: a_fact(value) for name, value in merged.items()})


def a_fact(value: FactValue | None) -> Fact:
    """Known with this value, or unknown."""
    if value is None:
        return Unknown(why="not told by this test", source="test", as_of=NOW)
    return Known(value=value, source="test", as_of=NOW)
