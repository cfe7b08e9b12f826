"""The statements of an answer to a bank: what our facts can say in each field, who says so, and why one is missing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from billingbot.core.disputes.evidence_fields import Field
from billingbot.core.disputes.house_texts import NO_TEXTS, SHOWN_AT, HouseTexts
from billingbot.core.disputes.purchase import Purchase, Said
from billingbot.core.disputes.purchase_facts import PurchaseFact, Told
from billingbot.core.evidence.answer import Answer
from billingbot.core.evidence.cancellation import cancelled_before
from billingbot.core.evidence.dossier import Dispute, Dossier
from billingbot.core.evidence.establish import usage_since
from billingbot.core.evidence.usage import SupportReport, UsageReport, gaps
from billingbot.core.money import Money
from billingbot.core.policy.undisputed import Opinion

STRIPE: Final = "Stripe"
HOUSE: Final = "configuration"
OUR_RECORDS: Final = "our records"
PRODUCT: Final = "pushed by the product"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What one source counted of one kind: tag hits or API calls."""

    source: str
    kind: str
    events: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """All that an answer is drafted from, read within one look."""

    dossier: Dossier
    dispute: Dispute
    usage: Sequence[UsageReport]
    support: Sequence[SupportReport]
    opinion: Opinion | None = None
    """None where the policy was not asked."""
    purchase: Purchase | None = None
    counted: Sequence[Counted] = ()
    said: Sequence[Said] = ()
    told: Mapping[PurchaseFact, Told] = field(default_factory=dict)
    """What the product pushed about the purchase: it knows best."""
    texts: HouseTexts = NO_TEXTS

    @property
    def cancelled(self) -> Answer:
        """Whether a cancellation is on record before the charge."""
        return cancelled_before(
            self.dossier.subscription,
            self.support,
            charged_at=self.dossier.charge.created_at,
            since=usage_since(self.dossier),
            at=self.dossier.read_at,
        )

    @property
    def used(self) -> list[UsageReport]:
        """The sources that saw use; a source that gave no answer saw none."""
        return sorted((one for one in self.usage if one.answered and one.saw_use), key=lambda one: one.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one field says, who says so, and as of when."""

    text: str
    source: str
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Why a field that would help says nothing."""

    why: str


def statement(field: Field, on: Grounds) -> Statement | Silence:
    """What the facts can say in this field. Unknown is never stated as fact (law 5)."""
    return _SAID[field](on)


def instant(at: datetime) -> str:
    """A time as banks read it."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


# ---------------------------------------------------------------- what Stripe says


def _by_stripe(on: Grounds, text: str | None, why: str = "Stripe does not say") -> Statement | Silence:
    if not text:
        return Silence(why=why)
    return Statement(text=text, source=STRIPE, as_of=on.dossier.read_at)


def _product(on: Grounds) -> Statement | Silence:
    if on.texts.product_description is not None:
        return _by_house(on, on.texts.product_description, "product_description")
    said = on.purchase.description if on.purchase else None
    return _by_stripe(on, said, "nothing is configured ([disputes] product_description), and the charge has no text")


def _pushed(on: Grounds, name: PurchaseFact) -> Statement | None:
    told = on.told.get(name)
    return Statement(text=told.value, source=PRODUCT, as_of=told.told_at) if told is not None else None


def _name(on: Grounds) -> Statement | Silence:
    if (pushed := _pushed(on, PurchaseFact.CUSTOMER_NAME)) is not None:
        return pushed
    known = _metadata(on, on.texts.customer_name_key) or (on.purchase.name if on.purchase else None)
    return _by_stripe(on, known)


def _email(on: Grounds) -> Statement | Silence:
    registered = on.dossier.customer.email if on.dossier.customer else None
    return _by_stripe(on, registered or on.dossier.charge.billing_email)


def _ip(on: Grounds) -> Statement | Silence:
    if (pushed := _pushed(on, PurchaseFact.CUSTOMER_PURCHASE_IP)) is not None:
        return pushed
    key = on.texts.purchase_ip_key
    if key is None:
        return Silence(why="the product pushed none, and no metadata is named for it: [disputes] purchase_ip_key")
    return _by_stripe(on, _metadata(on, key), f"neither charge nor customer has metadata {key}")


def _address(on: Grounds) -> Statement | Silence:
    known = on.purchase.billing_address if on.purchase else None
    return _pushed(on, PurchaseFact.BILLING_ADDRESS) or _by_stripe(on, known)


def _service(on: Grounds) -> Statement | Silence:
    lines = [line for line in on.dossier.invoice.lines if line.amount_minor > 0] if on.dossier.invoice else []
    if not lines:
        return Silence(why="the charge has no invoice that names a period")
    first, last = min(line.period_start for line in lines), max(line.period_end for line in lines)
    return _by_stripe(on, f"{first:%Y-%m-%d} to {last:%Y-%m-%d}")


def _course(on: Grounds) -> Statement | Silence:
    charge, subscription = on.dossier.charge, on.dossier.subscription
    lines = []
    if subscription is not None:
        lines.append(f"Subscription {subscription.id} began on {instant(subscription.started_at)}.")
        if subscription.trial_start_at and subscription.trial_end_at:
            start, end = instant(subscription.trial_start_at), instant(subscription.trial_end_at)
            lines.append(f"Free trial from {start} to {end}.")
    amount = Money(amount_minor=charge.amount_minor, currency=charge.currency)
    lines.append(f"Charge {charge.id} of {amount} was made on {instant(charge.created_at)}.")
    if subscription is not None and subscription.canceled_at and subscription.canceled_at > charge.created_at:
        lines.append(f"The subscription was cancelled on {instant(subscription.canceled_at)}, after the charge.")
    for refund in sorted(on.dossier.refunds, key=lambda one: (one.created_at, one.id)):
        given = Money(amount_minor=refund.amount_minor, currency=refund.currency)
        lines.append(f"Refund {refund.id} of {given} was made on {instant(refund.created_at)}: {refund.status}.")
    return _by_stripe(on, "\n".join(lines))


def _receipt(on: Grounds) -> Statement | Silence:
    charge, bought, invoice = on.dossier.charge, on.purchase, on.dossier.invoice
    if not (charge.paid and charge.captured):
        return Silence(why="the charge was not captured")
    amount = Money(amount_minor=charge.amount_captured_minor, currency=charge.currency)
    lines = [f"Paid: {amount} on {instant(charge.created_at)}", f"Payment: {charge.id}"]
    if invoice is not None:
        lines.append(f"Invoice: {invoice.id}")
        lines += [
            f"Period: {line.period_start:%Y-%m-%d} to {line.period_end:%Y-%m-%d},"
            f" {Money(amount_minor=line.amount_minor, currency=invoice.currency)}"
            for line in invoice.lines
        ]
    if bought is not None:
        card = f"{bought.brand or 'card'} ending in {bought.last4}" if bought.last4 else None
        told = {
            "Card": card,
            "On the cardholder's statement": bought.descriptor,
            "For": bought.description,
            "Receipt number": bought.receipt_number,
            "Receipt sent by Stripe to": bought.receipt_email if bought.receipt_number else None,
        }
        lines += [f"{name}: {value}" for name, value in told.items() if value]
    return _by_stripe(on, "\n".join(lines))


def _metadata(on: Grounds, key: str | None) -> str | None:
    held = on.purchase.metadata.get(key, "") if on.purchase is not None and key is not None else ""
    return held.strip() or None


# ---------------------------------------------------------------- what was used


def _activity(on: Grounds) -> Statement | Silence:
    if not on.used:
        return Silence(why="no source has seen any use")
    lines = [line for report in on.used for line in _lines_of(report, on)]
    as_of = max(report.asked_at for report in on.used)
    return Statement(text="\n".join(lines), source=", ".join(one.source for one in on.used), as_of=as_of)


def _lines_of(report: UsageReport, on: Grounds) -> Iterator[str]:
    yield f"Activity of this customer's account, recorded by {report.source}:"
    for what, at in (
        ("Tracking tag installed", report.tag_installed_at),
        ("API connected", report.api_connected_at),
        ("First recorded use", report.first_at),
        ("Last recorded use", report.last_at),
    ):
        if at is not None:
            yield f"- {what}: {instant(at)}"
    if report.events:
        yield f"- Recorded events: {report.events}"
    for kind in sorted((one for one in on.counted if one.source == report.source), key=lambda one: one.kind):
        if kind.events:
            span = f", {instant(kind.first_at)} to {instant(kind.last_at)}" if kind.first_at and kind.last_at else ""
            yield f"- {_KINDS.get(kind.kind, kind.kind)}: {kind.events}{span}"
    after = report.last_at is not None and report.last_at > on.dossier.charge.created_at
    if after:
        yield "- The account was used after it had been charged"
    since, until = usage_since(on.dossier), on.dossier.read_at
    whole = not gaps(report.coverage, since=since, until=max(since, until - report.max_age))
    if whole:
        yield f"- Records are complete from {instant(since)} to {instant(max(since, until - report.max_age))}"


_KINDS: Final[Mapping[str, str]] = {"tag": "Tracking tag hits", "api": "API calls"}


def _record(on: Grounds) -> Statement | Silence:
    """The service as one paper: how it came about, for which time it was paid, and what the account did."""
    activity, course, service = _activity(on), _course(on), _service(on)
    if isinstance(activity, Silence) or isinstance(course, Silence):
        return Silence(why="no source has seen any use")
    parts = ["## How it came about", course.text]
    if isinstance(service, Statement):
        parts += ["## Service paid for", service.text]
    parts += ["## What the account did", activity.text]
    return Statement(text="\n".join(parts), source=f"{STRIPE}, {activity.source}", as_of=activity.as_of)


# ---------------------------------------------------------------- what was cancelled, and refused


def _rebuttal(on: Grounds) -> Statement | Silence:
    """Only where nobody cancelled, and that is established: not knowing of a cancellation rebuts nothing."""
    subscription, cancelled = on.dossier.subscription, on.cancelled
    if cancelled.holds:
        return Silence(why="a cancellation is on record before the charge")
    if subscription is None:
        return Silence(why="the charge is of no subscription")
    if cancelled.holds is None:
        return Silence(why=cancelled.why)
    charge = on.dossier.charge
    lines = [
        (
            f"No cancellation of subscription {subscription.id} was made before the charge of"
            f" {instant(charge.created_at)}: neither the subscription nor our support records, which cover the time"
            f" from {instant(usage_since(on.dossier))} to the charge, show a request to cancel."
        )
    ]
    if subscription.canceled_at is not None:
        lines.append(f"A cancellation was made on {instant(subscription.canceled_at)}, after the charge.")
    lines += [
        f"The account was used after the charge, last on {instant(report.last_at)} ({report.source})."
        for report in on.used
        if report.last_at is not None and report.last_at > charge.created_at
    ]
    sources = sorted(report.source for report in on.support)
    return Statement(text="\n".join(lines), source=", ".join([STRIPE, *sources]), as_of=on.dossier.read_at)


def _refusal(on: Grounds) -> Statement | Silence:
    """The house's text for the clause that the policy cites, where the policy would have declined.

    A charge after a cancellation is not refused, however much was used.
    """
    if on.cancelled.holds:
        return Silence(why="a cancellation is on record before the charge")
    if on.opinion is None or not on.opinion.contests:
        return Silence(why="the policy does not say that a refund is refused")
    clause = on.opinion.clause
    text = on.texts.refund_refusal.get(clause) if clause is not None else None
    if text is None:
        return Silence(why=f"no text is configured for clause {clause}: [disputes.refund_refusal]")
    return Statement(text=text, source=f"{HOUSE}, clause {clause}", as_of=on.dossier.read_at)


# ---------------------------------------------------------------- what the house says


def _by_house(on: Grounds, text: str | None, name: str) -> Statement | Silence:
    if text is None:
        return Silence(why=f"nothing is configured: [disputes] {name}")
    return Statement(text=text, source=HOUSE, as_of=on.dossier.read_at)


def _disclosure(on: Grounds, text: str | None, name: str) -> Statement | Silence:
    """With the instant at which the customer was shown the policy, where the text names it; never without."""
    if text is None or SHOWN_AT not in text:
        return _by_house(on, text, name)
    key, pushed = on.texts.terms_shown_at_key, _pushed(on, PurchaseFact.TERMS_SHOWN_AT)
    held = pushed.text if pushed is not None else _metadata(on, key)
    shown_at = _moment(held) if held else None
    if shown_at is None:
        why = "is no time" if held else "is not there"
        return Silence(why=f"when the customer was shown it is unknown: metadata {key or '(none is named)'} {why}")
    filled = text.replace(SHOWN_AT, instant(shown_at))
    by = PRODUCT if pushed is not None else f"Stripe metadata {key}"
    return Statement(text=filled, source=f"{HOUSE}; {by}", as_of=on.dossier.read_at)


def _moment(text: str) -> datetime | None:
    """ISO 8601 with a zone, or Unix seconds."""
    try:
        at = datetime.fromtimestamp(int(text), UTC) if text.isdecimal() else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return at if at.tzinfo is not None else None


def _communication(on: Grounds) -> Statement | Silence:
    if not on.said:
        return Silence(why="our records hold no message from or to the customer")
    parts = [line for one in on.said for line in (f"## {instant(one.at)}: {one.what}", one.text)]
    return Statement(text="\n".join(parts), source=OUR_RECORDS, as_of=on.dossier.read_at)


def _by_hand(_: Grounds) -> Statement | Silence:
    return Silence(why="only a person knows: write it")


_SAID: Final = {
    Field.PRODUCT_DESCRIPTION: _product,
    Field.CUSTOMER_NAME: _name,
    Field.CUSTOMER_EMAIL_ADDRESS: _email,
    Field.CUSTOMER_PURCHASE_IP: _ip,
    Field.BILLING_ADDRESS: _address,
    Field.SERVICE_DATE: _service,
    Field.ACCESS_ACTIVITY_LOG: _activity,
    Field.SERVICE_DOCUMENTATION: _record,
    Field.CANCELLATION_REBUTTAL: _rebuttal,
    Field.CANCELLATION_POLICY: lambda on: _by_house(on, on.texts.cancellation_policy, "cancellation_policy"),
    Field.CANCELLATION_POLICY_DISCLOSURE: lambda on: _disclosure(
        on, on.texts.cancellation_policy_disclosure, "cancellation_policy_disclosure"
    ),
    Field.REFUND_REFUSAL_EXPLANATION: _refusal,
    Field.REFUND_POLICY: lambda on: _by_house(on, on.texts.refund_policy, "refund_policy"),
    Field.REFUND_POLICY_DISCLOSURE: lambda on: _disclosure(
        on, on.texts.refund_policy_disclosure, "refund_policy_disclosure"
    ),
    Field.CUSTOMER_COMMUNICATION: _communication,
    Field.RECEIPT: _receipt,
    Field.DUPLICATE_CHARGE_EXPLANATION: _by_hand,
    Field.DUPLICATE_CHARGE_ID: _by_hand,
    Field.UNCATEGORIZED_TEXT: _course,
}
