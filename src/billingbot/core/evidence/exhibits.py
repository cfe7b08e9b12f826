"""What a person wants to see beside the facts: plain JSON values, without e-mails, names or card numbers."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from billingbot.core.canonical import timestamp
from billingbot.core.evidence.cancellation import support_shortfall
from billingbot.core.evidence.dossier import Dispute, Dossier, FraudWarning, Invoice, Refund
from billingbot.core.evidence.history import HistoryReport
from billingbot.core.evidence.usage import Span, SupportReport, UsageReport, gaps, shortfall
from billingbot.core.money_state import money_of
from billingbot.core.request import Candidate

_ADDRESS: Final = re.compile(r"[^\s@<>\"'()/=?&:;,]+(?:@|%40)[^\s@<>\"'()/=?&:;,]+")


def without_addresses(text: str) -> str:
    """The text with every e-mail address taken out: a source may have put the customer's into its error."""
    return _ADDRESS.sub("(address)", text)


def usage_exhibits(reports: Sequence[UsageReport], *, since: datetime, at: datetime) -> list[dict[str, Any]]:
    """Each activity source's answer: what it saw, what it covers, and what it lacks."""
    return [
        {
            "source": report.source,
            "asked_at": timestamp(report.asked_at),
            "answered": report.answered,
            "why": _plain(report.why),
            "used": report.saw_use,
            "events": report.events,
            "first_at": _instant(report.first_at),
            "last_at": _instant(report.last_at),
            "tag_installed_at": _instant(report.tag_installed_at),
            "api_connected_at": _instant(report.api_connected_at),
            **_coverage(report, since=since, until=at - report.max_age),
            "lacks": _plain(shortfall(report, since=since, now=at)),
        }
        for report in sorted(reports, key=lambda report: report.source)
    ]


def support_exhibits(
    reports: Sequence[SupportReport], *, charged_at: datetime, since: datetime, at: datetime
) -> list[dict[str, Any]]:
    """Each support source's answer about a cancellation, as far as it matters for this charge."""
    return [
        {
            "source": report.source,
            "asked_at": timestamp(report.asked_at),
            "answered": report.answered,
            "why": _plain(report.why),
            "cancellation_asked_at": _instant(report.cancellation_asked_at),
            **_coverage(report, since=since, until=min(charged_at, at - report.max_age)),
            "lacks": _plain(support_shortfall(report, charged_at=charged_at, since=since, at=at)),
        }
        for report in sorted(reports, key=lambda report: report.source)
    ]


def stripe_exhibits(dossier: Dossier, history: HistoryReport | None) -> dict[str, Any]:
    """The refunds, disputes and warnings on the charge, and the span of the trial."""
    subscription = dossier.subscription
    first_end = history.first_trial_end_at if history else None
    return {
        "charge": dossier.charge.id,
        "invoice": dossier.invoice.id if dossier.invoice else None,
        "subscription": subscription.id if subscription else None,
        "trial": {
            "started_at": _instant(subscription.trial_start_at if subscription else None),
            "ended_at": _instant(subscription.trial_end_at if subscription else None),
            "first_end_seen_at": _instant(first_end),
        },
        "money": _money(dossier),
        "refunds": [_refund(refund) for refund in sorted(dossier.refunds, key=_by_age)],
        "disputes": [_dispute(dispute) for dispute in sorted(dossier.disputes, key=_by_age)],
        "warnings": [_warning(warning) for warning in sorted(dossier.warnings, key=_by_age)],
        "newer_charges": sorted(dossier.newer_charges),
        "other_paid_invoices": [_invoice(invoice) for invoice in sorted(dossier.other_paid, key=_by_age)],
    }


def link_exhibits(history: HistoryReport | None) -> list[dict[str, Any]]:
    """Other customers' earlier trials that share this one's card or mailbox, by ids alone."""
    links = history.links if history else ()
    return [
        {
            "kind": link.kind.value,
            "customer": link.customer_id,
            "subscription": link.subscription_id,
            "trial_started_at": timestamp(link.trial_start_at),
        }
        for link in sorted(links, key=lambda link: (link.trial_start_at, link.subscription_id, link.kind))
    ]


def candidate_exhibits(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """The charges that an ambiguous request may have meant, newest first."""
    return [
        {
            "charge": candidate.charge_id,
            "customer": candidate.customer_id,
            "subscription": candidate.subscription_id,
            "amount_minor": candidate.amount_minor,
            "currency": candidate.currency,
            "created_at": timestamp(candidate.created_at),
        }
        for candidate in sorted(candidates, key=lambda c: (c.created_at, c.charge_id), reverse=True)
    ]


def _by_age(entry: Refund | Dispute | FraudWarning | Invoice) -> tuple[datetime, str]:
    return entry.created_at, entry.id


def _money(dossier: Dossier) -> dict[str, Any]:
    """Where the money was, in the words that every payment is held against."""
    money = money_of(dossier)
    return {
        "state": money.state.value,
        "why": money.why,
        "refundable_minor": money.refundable_minor,
        "returned_minor": money.standing.returned_minor,
    }


def _refund(refund: Refund) -> dict[str, Any]:
    return {
        "id": refund.id,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "status": refund.status,
        "created_at": timestamp(refund.created_at),
        "ours": refund.our_refund_id is not None,
    }


def _dispute(dispute: Dispute) -> dict[str, Any]:
    return {
        "id": dispute.id,
        "status": dispute.status,
        "reason": dispute.reason,
        "case_type": dispute.case_type,
        "amount_minor": dispute.amount_minor,
        "currency": dispute.currency,
        "allows_refund": dispute.is_charge_refundable,
        "created_at": timestamp(dispute.created_at),
        "due_by": _instant(dispute.due_by),
    }


def _warning(warning: FraudWarning) -> dict[str, Any]:
    return {
        "id": warning.id,
        "actionable": warning.actionable,
        "fraud_type": warning.fraud_type,
        "created_at": timestamp(warning.created_at),
    }


def _invoice(invoice: Invoice) -> dict[str, Any]:
    return {
        "id": invoice.id,
        "amount_paid_minor": invoice.amount_paid_minor,
        "currency": invoice.currency,
        "created_at": timestamp(invoice.created_at),
    }


def _coverage(report: UsageReport | SupportReport, *, since: datetime, until: datetime) -> Mapping[str, Any]:
    holes = gaps(report.coverage, since=since, until=max(since, until)) if report.answered else ()
    return {
        "max_age_seconds": int(report.max_age.total_seconds()),
        "coverage": [_span(span) for span in sorted(report.coverage, key=lambda span: (span.start, span.end))],
        "gaps": [_span(span) for span in holes],
    }


def _span(span: Span) -> dict[str, str]:
    return {"from": timestamp(span.start), "to": timestamp(span.end)}


def _instant(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def _plain(text: str | None) -> str | None:
    return None if text is None else without_addresses(text)
