"""The evidence packet: what our facts can say to a bank about a dispute, field by field, and what they cannot."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from billingbot.core.answer import Answer
from billingbot.core.cancellation import cancelled_before
from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.dispute_life import returned_money
from billingbot.core.dossier import Dispute, Dossier
from billingbot.core.establish import usage_since
from billingbot.core.money import Money
from billingbot.core.usage import SupportReport, UsageReport, gaps

# Stripe's limit for each text field of the evidence. https://docs.stripe.com/api/disputes/update
# Its limit for all of them together (150,000) cannot be reached with the six of `Field`.
LONGEST_FIELD: Final = 20_000
CUT: Final = "\n[cut here: longer than the field takes]"
ANSWERABLE: Final = frozenset({"needs_response", "warning_needs_response"})


class Field(StrEnum):
    """The fields of Stripe's evidence that facts of ours can fill, by Stripe's names."""

    ACCESS_ACTIVITY_LOG = "access_activity_log"
    CANCELLATION_REBUTTAL = "cancellation_rebuttal"
    REFUND_REFUSAL_EXPLANATION = "refund_refusal_explanation"
    SERVICE_DATE = "service_date"
    CUSTOMER_EMAIL_ADDRESS = "customer_email_address"
    UNCATEGORIZED_TEXT = "uncategorized_text"


_F = Field
# The period served, who was served and how the charge came about answer every claim.
_ALWAYS: Final = frozenset({_F.SERVICE_DATE, _F.CUSTOMER_EMAIL_ADDRESS, _F.UNCATEGORIZED_TEXT})
_BY_REASON: Final[Mapping[str, frozenset[Field]]] = {
    # "I had cancelled": what is on record about that, and that the service went on being used.
    "subscription_canceled": frozenset({_F.CANCELLATION_REBUTTAL, _F.ACCESS_ACTIVITY_LOG}),
    # "A refund is owed": why the policy owes none, and the use that decides it.
    "credit_not_processed": frozenset({_F.REFUND_REFUSAL_EXPLANATION, _F.ACCESS_ACTIVITY_LOG}),
    # "It was not me" and "I do not know this": that somebody with this account used it. Refunds are beside the point.
    "fraudulent": frozenset({_F.ACCESS_ACTIVITY_LOG}),
    "unrecognized": frozenset({_F.ACCESS_ACTIVITY_LOG}),
    # "I never got it": use is receipt.
    "product_not_received": frozenset({_F.ACCESS_ACTIVITY_LOG}),
    # "It is not what was sold": it was used all the same, and the policy says what follows from that.
    "product_unacceptable": frozenset({_F.REFUND_REFUSAL_EXPLANATION, _F.ACCESS_ACTIVITY_LOG}),
}
# A reason without a claim of its own (`general`, and any that Stripe adds): whatever the facts can say.
_ELSE: Final = frozenset(Field)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A draft for a person to read. `fields` are texts by Stripe's names, `left_out` why a helpful one is missing.

    `doubts` speak for accepting the dispute or against any answer. `digest` is of the fields. It holds the
    customer's address: it is for the bank and the person who answers it, never for logs or the ledger.
    """

    dispute_id: str
    charge_id: str
    reason: str
    status: str
    amount_minor: int
    currency: str
    due_by: datetime | None
    fields: Mapping[Field, str]
    left_out: Mapping[Field, str]
    doubts: tuple[str, ...]
    digest: str


def wanted(reason: str) -> frozenset[Field]:
    """The fields that help against a claim of this reason, by Stripe's word for it."""
    return _ALWAYS | _BY_REASON.get(reason, _ELSE)


def draft(
    dossier: Dossier, dispute: Dispute, *, usage: Sequence[UsageReport], support: Sequence[SupportReport]
) -> Packet:
    """The packet of a dispute of the dossier's charge. It says what is established; unknown is left out (law 5)."""
    cancelled = _cancelled(dossier, support)
    said = {
        _F.ACCESS_ACTIVITY_LOG: _activity(dossier, usage),
        _F.CANCELLATION_REBUTTAL: _rebuttal(dossier, cancelled),
        _F.REFUND_REFUSAL_EXPLANATION: _refusal(usage, cancelled),
        _F.SERVICE_DATE: _service(dossier),
        _F.CUSTOMER_EMAIL_ADDRESS: (dossier.customer.email if dossier.customer else None)
        or dossier.charge.billing_email,
        _F.UNCATEGORIZED_TEXT: _course(dossier),
    }
    needed = wanted(dispute.reason)
    fields = {name: fitted(text) for name, text in said.items() if name in needed and text}
    return Packet(
        dispute_id=dispute.id,
        charge_id=dispute.charge_id,
        reason=dispute.reason,
        status=dispute.status,
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
        due_by=dispute.due_by,
        fields=fields,
        left_out={name: _why_not(name, cancelled) for name in Field if name in needed and name not in fields},
        doubts=tuple(_doubts(dossier, dispute, usage, cancelled)),
        digest=digest(canonical_bytes({name.value: text for name, text in fields.items()})),
    )


def fitted(text: str) -> str:
    """`text` as long as a field takes, with a mark where it was cut."""
    return text if len(text) <= LONGEST_FIELD else text[: LONGEST_FIELD - len(CUT)] + CUT


# ---------------------------------------------------------------- the texts


def _cancelled(dossier: Dossier, support: Sequence[SupportReport]) -> Answer:
    return cancelled_before(
        dossier.subscription,
        support,
        charged_at=dossier.charge.created_at,
        since=usage_since(dossier),
        at=dossier.read_at,
    )


def _activity(dossier: Dossier, usage: Sequence[UsageReport]) -> str | None:
    lines = [line for report in _used(usage) for line in _lines_of(report, dossier)]
    return "\n".join(lines) or None


def _lines_of(report: UsageReport, dossier: Dossier) -> Iterator[str]:
    yield f"Activity of this customer's account, recorded by {report.source}:"
    for what, at in (
        ("Tracking tag installed", report.tag_installed_at),
        ("API connected", report.api_connected_at),
        ("First recorded use", report.first_at),
        ("Last recorded use", report.last_at),
    ):
        if at is not None:
            yield f"- {what}: {_time(at)}"
    if report.events:
        yield f"- Recorded events: {report.events}"
    since, until = usage_since(dossier), dossier.read_at
    whole = not gaps(report.coverage, since=since, until=max(since, until - report.max_age))
    if whole:
        yield f"- Records are complete from {_time(since)} to {_time(max(since, until - report.max_age))}"


def _used(usage: Sequence[UsageReport]) -> list[UsageReport]:
    """The sources that saw use; a source that gave no answer saw none."""
    return sorted((one for one in usage if one.answered and one.saw_use), key=lambda one: one.source)


def _rebuttal(dossier: Dossier, cancelled: Answer) -> str | None:
    """Only where nobody cancelled, and that is established: not knowing of a cancellation rebuts nothing."""
    if dossier.subscription is None or cancelled.holds is not False:
        return None
    return (
        f"No cancellation of subscription {dossier.subscription.id} was made before the charge of"
        f" {_time(dossier.charge.created_at)}: neither the subscription nor our support records, which cover the time"
        f" from {_time(usage_since(dossier))} to the charge, show a request to cancel."
    )


def _refusal(usage: Sequence[UsageReport], cancelled: Answer) -> str | None:
    """The clauses `unused-trial` and `discretion` in other words: only what was never used is refunded unasked.

    A charge after a cancellation is not refused, however much was used.
    """
    if cancelled.holds or not _used(usage):
        return None
    return (
        "Under our refund policy a charge at the end of a free trial is refunded where the service was never used."
        " The service begins to be used when the tracking tag is installed or the API is connected. Our records show"
        " that this account was used, so no refund was due."
    )


def _service(dossier: Dossier) -> str | None:
    lines = [line for line in dossier.invoice.lines if line.amount_minor > 0] if dossier.invoice else []
    if not lines:
        return None
    first, last = min(line.period_start for line in lines), max(line.period_end for line in lines)
    return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _course(dossier: Dossier) -> str:
    charge, subscription = dossier.charge, dossier.subscription
    lines = []
    if subscription is not None:
        lines.append(f"Subscription {subscription.id} began on {_time(subscription.started_at)}.")
        if subscription.trial_start_at and subscription.trial_end_at:
            lines.append(f"Free trial from {_time(subscription.trial_start_at)} to {_time(subscription.trial_end_at)}.")
    amount = Money(amount_minor=charge.amount_minor, currency=charge.currency)
    lines.append(f"Charge {charge.id} of {amount} was made on {_time(charge.created_at)}.")
    return "\n".join(lines)


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


# ---------------------------------------------------------------- what the person must know


def _why_not(name: Field, cancelled: Answer) -> str:
    if name in {Field.CANCELLATION_REBUTTAL, Field.REFUND_REFUSAL_EXPLANATION} and cancelled.holds:
        return "a cancellation is on record before the charge"
    if name is Field.CANCELLATION_REBUTTAL:
        return cancelled.why or "the charge is of no subscription"
    if name in {Field.ACCESS_ACTIVITY_LOG, Field.REFUND_REFUSAL_EXPLANATION}:
        return "no source has seen any use"
    return "Stripe does not say"


def _doubts(dossier: Dossier, dispute: Dispute, usage: Sequence[UsageReport], cancelled: Answer) -> Iterator[str]:
    if returned_money(dispute) or dispute.status not in ANSWERABLE:
        yield f"the dispute is {dispute.status}: no answer is awaited"
    elif dispute.due_by is None:
        yield "Stripe names no due time: no answer is possible"
    elif dispute.due_by <= dossier.read_at:
        yield f"the answer was due by {_time(dispute.due_by)}"
    if cancelled.holds:
        yield "a cancellation is on record before the charge: the customer seems to be in the right"
    if not _used(usage):
        yield "no use is on record: the policy may grant what the customer asks for"
    silent = sorted(one.source for one in usage if not one.answered)
    if silent:
        yield f"gave no answer about use: {', '.join(silent)}"
    if dispute.amount_minor != dossier.charge.amount_captured_minor or dispute.currency != dossier.charge.currency:
        yield "the dispute is not over the amount of this charge: it may cover several"
    if dossier.charge.amount_refunded_minor:
        yield "a refund of this charge is on record: say so in the answer"
