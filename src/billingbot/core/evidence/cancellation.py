"""Whether a cancellation was asked for before the charge, by Stripe's subscription or by support's records."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from billingbot.core.evidence.answer import Answer, unknown, yes_or_no
from billingbot.core.evidence.dossier import Subscription
from billingbot.core.evidence.usage import SupportReport, shortfall

# Stripe cancelled by itself, nobody asked. Any other reason, and none at all, counts as asked: it can only bring
# the case before a person. https://docs.stripe.com/api/subscriptions/object#subscription_object-cancellation_details
NOT_ASKED: Final = frozenset({"payment_failed", "payment_disputed"})


def cancelled_before(
    subscription: Subscription | None,
    support: Sequence[SupportReport],
    *,
    charged_at: datetime,
    since: datetime,
    at: datetime,
) -> Answer:
    """Whether a cancellation is on record before `charged_at`.

    Yes as soon as one place shows it. No only where the subscription shows none and every support source answered
    and covers `since` up to the charge; what came after the charge is none of its business.
    """
    on_stripe = on_subscription(subscription, charged_at=charged_at)
    asked = [report.cancellation_asked_at for report in support if report.cancellation_asked_at is not None]
    if on_stripe.holds or any(asked_at < charged_at for asked_at in asked):
        return yes_or_no(holds=True)
    if on_stripe.holds is None:
        return on_stripe
    if not support:
        return unknown("no support source is configured")
    lacking = [
        f"{report.source}: {what}"
        for report in sorted(support, key=lambda report: report.source)
        if (what := support_shortfall(report, charged_at=charged_at, since=since, at=at)) is not None
    ]
    return unknown("; ".join(lacking)) if lacking else yes_or_no(holds=False)


def on_subscription(subscription: Subscription | None, *, charged_at: datetime) -> Answer:
    """What the subscription alone shows.

    `canceled_at` is when a cancellation was last asked for, even one for the period's end, whose final invoice is
    paid afterwards. One asked for after the charge, by the customer or by us, does not count.
    """
    if subscription is None or subscription.cancellation_reason in NOT_ASKED:
        return yes_or_no(holds=False)
    instants = (subscription.canceled_at, subscription.ended_at, subscription.cancel_at)
    if any(instant is not None and instant < charged_at for instant in instants):
        return yes_or_no(holds=True)
    scheduled = subscription.cancel_at_period_end or subscription.cancel_at is not None
    if scheduled and subscription.canceled_at is None:
        return unknown("a cancellation is scheduled, and Stripe does not say since when")
    return yes_or_no(holds=False)


def support_shortfall(report: SupportReport, *, charged_at: datetime, since: datetime, at: datetime) -> str | None:
    """Why this source cannot prove that nobody asked to cancel before the charge; None where it can.

    Coverage must reach the charge, or `max_age` before now where the charge is younger than that.
    """
    return shortfall(report, since=since, now=min(at, charged_at + report.max_age))
