"""The few times and counts that an example may tell instead of facts, established like a real case's."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billingbot.core.evidence.dossier import Charge, Dossier, Invoice, InvoiceLine, InvoicePayment, Subscription
from billingbot.core.evidence.establish import establish
from billingbot.core.evidence.history import HistoryReport
from billingbot.core.evidence.usage import Span, UsageReport
from billingbot.core.facts import Fact
from billingbot.core.request import Channel, Claims, RequestFacts

TOLD_BY_A_STORY: Final = (
    "charge.created_at",
    "trial.exists",
    "trial.started_at",
    "trial.ended_at",
    "trial.ended_early",
    "trial.charged_at_end",
    "usage.used",
    "usage.complete",
    "usage.first_at",
    "usage.last_at",
)
"""The facts that follow from a story; every other fact an example states itself."""
_SOURCE: Final = "example"
# Any amount above zero: a story is about times, and amounts are stated as facts.
_SOME_MINOR: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One trial, its charge, and what one usage source says of it; all times in UTC.

    `usage_from` and `usage_until` are the time for which the source can speak, `usage_lag_seconds` how far it may
    lie behind the question, `usage_events` how many hits or calls it saw.
    """

    trial_began_at: datetime
    trial_was_to_end_at: datetime
    """Where the trial's end was when it began: an upgrade moves it forward."""
    trial_ended_at: datetime
    period_began_at: datetime
    """The start of the service period that the charge paid for."""
    charged_at: datetime
    asked_at: datetime
    """When somebody asks for the money back, and everything is read."""
    usage_from: datetime
    usage_until: datetime
    usage_lag_seconds: int
    usage_events: int


def facts_told(story: Story) -> Mapping[str, Fact]:
    """The facts of TOLD_BY_A_STORY, established exactly as those of a real case are."""
    facts = establish(
        at=story.asked_at,
        dossier=_dossier(story),
        request=RequestFacts(channel=Channel.API, claims=Claims()),
        usage=(_usage(story),),
        support=(),
        history=_history(story),
        mode="auto",
    )
    return {name: facts[name] for name in TOLD_BY_A_STORY}


def _dossier(story: Story) -> Dossier:
    subscription = Subscription(
        id="sub",
        livemode=False,
        status="active",
        customer_id="cus",
        collection_method="charge_automatically",
        started_at=story.trial_began_at,
        trial_start_at=story.trial_began_at,
        trial_end_at=story.trial_ended_at,
        trial_offer=False,
        cancel_at_period_end=False,
        cancel_at=None,
        canceled_at=None,
        ended_at=None,
        cancellation_reason=None,
        fingerprint=None,
    )
    return Dossier(
        read_at=story.asked_at,
        charge=_charge(story),
        invoice=_invoice(story),
        other_paid=(),
        subscription=subscription,
        customer=None,
        refunds=(),
        disputes=(),
        warnings=(),
        newer_charges=(),
    )


def _charge(story: Story) -> Charge:
    return Charge(
        id="ch",
        livemode=False,
        status="succeeded",
        paid=True,
        captured=True,
        disputed=False,
        amount_minor=_SOME_MINOR,
        amount_captured_minor=_SOME_MINOR,
        amount_refunded_minor=0,
        currency="usd",
        created_at=story.charged_at,
        customer_id="cus",
        payment_intent_id="pi",
        payment_method_type="card",
        fingerprint=None,
        billing_email=None,
    )


def _invoice(story: Story) -> Invoice:
    line = InvoiceLine(
        subscription_id="sub",
        proration=False,
        amount_minor=_SOME_MINOR,
        period_start=story.period_began_at,
        period_end=story.period_began_at + timedelta(days=30),
    )
    payment = InvoicePayment(
        id="inpay",
        invoice_id="in",
        status="paid",
        type="payment_intent",
        reference_id="pi",
        amount_paid_minor=_SOME_MINOR,
    )
    return Invoice(
        id="in",
        status="paid",
        billing_reason="subscription_cycle",
        currency="usd",
        amount_paid_minor=_SOME_MINOR,
        amount_paid_off_stripe_minor=0,
        customer_id="cus",
        subscription_id="sub",
        created_at=story.period_began_at,
        paid_at=story.charged_at,
        lines=(line,),
        payments=(payment,),
    )


def _usage(story: Story) -> UsageReport:
    seen = story.trial_began_at if story.usage_events else None
    return UsageReport(
        source=_SOURCE,
        asked_at=story.asked_at,
        answered=True,
        why=None,
        first_at=seen,
        last_at=seen,
        events=story.usage_events,
        tag_installed_at=None,
        api_connected_at=None,
        used=story.usage_events > 0,
        coverage=(Span(start=story.usage_from, end=story.usage_until),),
        max_age=timedelta(seconds=story.usage_lag_seconds),
    )


def _history(story: Story) -> HistoryReport:
    return HistoryReport(
        as_of=story.asked_at,
        complete=True,
        why=None,
        links=(),
        first_trial_end_at=story.trial_was_to_end_at,
        refunds_customer=0,
        refunds_card=0,
        refunds_email=0,
        denied_before=False,
    )
