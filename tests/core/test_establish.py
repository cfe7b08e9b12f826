"""Facts from what the sources say: each trap of Stripe, of coverage and of our own records."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.builders import (
    AMOUNT,
    CHARGED,
    NOW,
    STARTED,
    TRIAL_END,
    a_charge,
    a_customer,
    a_dispute,
    a_dossier,
    a_history,
    a_line,
    a_payment,
    a_refund,
    a_request,
    a_subscription,
    a_warning,
    an_inquiry,
    an_invoice,
    no_cancellation,
    shipped_policy,
    unreachable,
    unused,
    used,
)

from billingbot.core.canonical import canonical_bytes
from billingbot.core.evidence.dossier import Dossier
from billingbot.core.evidence.establish import establish, usage_since
from billingbot.core.evidence.history import HistoryReport, LinkKind, TrialLink
from billingbot.core.evidence.usage import Span, SupportReport, UsageReport
from billingbot.core.facts import CATALOGUE, Facts, FactValue, Unknown
from billingbot.core.policy import decide
from billingbot.core.request import Candidate, Channel, Claims, RequestFacts

POLICY = shipped_policy()
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def established(
    dossier: Dossier | None = None,
    *,
    at: datetime = NOW,
    request: RequestFacts | None = None,
    usage: Sequence[UsageReport] | None = None,
    support: Sequence[SupportReport] | None = None,
    history: HistoryReport | None = None,
    mode: str = "auto",
) -> Facts:
    return establish(
        at=at,
        dossier=dossier or a_dossier(),
        request=request or a_request(),
        usage=[unused()] if usage is None else usage,
        support=[no_cancellation()] if support is None else support,
        history=history or a_history(),
        mode=mode,
    )


def test_the_good_case_establishes_what_a_refund_needs() -> None:
    found = established()
    assert decide(found, POLICY).outcome == "refund"
    not_asked = {"warning.fraud_type", "dispute.fee_minor", "charge.percent_of_dispute_fee"}
    not_asked |= {"abuse.linked_trials", "abuse.linked_refunds"}
    assert {name for name, _ in found.unknowns()} == {"usage.first_at", "usage.last_at"} | not_asked


def test_every_fact_of_the_catalogue_has_a_source_and_an_instant() -> None:
    for name in CATALOGUE:
        fact = established()[name]
        assert fact.source
        assert fact.as_of.tzinfo is not None


def invoice_with(**line: Any) -> Dossier:
    return a_dossier(invoice=an_invoice(lines=(a_line(**line),)))


def with_subscription(**overrides: Any) -> Dossier:
    return a_dossier(subscription=a_subscription(**overrides))


def with_invoice(**overrides: Any) -> Dossier:
    return a_dossier(invoice=an_invoice(**overrides))


OTHER = an_invoice(id="in_0", created_at=STARTED, paid_at=STARTED, amount_paid_minor=900)
LATER = an_invoice(id="in_2", created_at=TRIAL_END + 30 * DAY, paid_at=TRIAL_END + 30 * DAY)

TRIALS: list[tuple[str, Dossier, dict[str, FactValue | None]]] = [
    ("the good case", a_dossier(), {"trial.exists": True, "trial.charged_at_end": True, "trial.ended_early": False}),
    (
        "line starts 300 s after the trial's end",
        invoice_with(period_start=TRIAL_END + timedelta(seconds=300)),
        {"trial.charged_at_end": True},
    ),
    (
        "line starts 301 s after the trial's end",
        invoice_with(period_start=TRIAL_END + timedelta(seconds=301)),
        {"trial.charged_at_end": False},
    ),
    ("a renewal", invoice_with(period_start=TRIAL_END + 30 * DAY), {"trial.charged_at_end": False}),
    ("a proration", invoice_with(proration=True), {"trial.charged_at_end": False}),
    ("a line of another subscription", invoice_with(subscription_id="sub_9"), {"trial.charged_at_end": False}),
    ("a manual line", invoice_with(subscription_id=None), {"trial.charged_at_end": False}),
    (
        "a proration beside the period's line",
        with_invoice(lines=(a_line(), a_line(proration=True, amount_minor=-100))),
        {"trial.charged_at_end": True},
    ),
    ("two lines start there", with_invoice(lines=(a_line(), a_line())), {"trial.charged_at_end": None}),
    ("no lines", with_invoice(lines=()), {"trial.charged_at_end": False}),
    (
        "trial ended early, by the invoice",
        with_invoice(billing_reason="subscription_update"),
        {"trial.charged_at_end": False, "trial.ended_early": True},
    ),
    ("first invoice", with_invoice(billing_reason="subscription_create"), {"trial.charged_at_end": False}),
    ("manual invoice", with_invoice(billing_reason="manual"), {"trial.charged_at_end": False}),
    ("no billing reason", with_invoice(billing_reason=None), {"trial.charged_at_end": False}),
    (
        "an upgrade long after the trial",
        with_invoice(billing_reason="subscription_update", lines=(a_line(period_start=TRIAL_END + 9 * DAY),)),
        {"trial.ended_early": False, "trial.charged_at_end": False},
    ),
    ("paid late, after failed attempts", with_invoice(paid_at=TRIAL_END + 6 * DAY), {"trial.charged_at_end": True}),
    ("no trial", with_subscription(trial_start_at=None, trial_end_at=None), {"trial.exists": False}),
    (
        "trial begins 300 s after the start",
        with_subscription(trial_start_at=STARTED + timedelta(seconds=300)),
        {"trial.exists": True},
    ),
    (
        "trial begins 301 s after the start: it moves a billing date",
        with_subscription(trial_start_at=STARTED + timedelta(seconds=301)),
        {"trial.exists": False, "trial.charged_at_end": False},
    ),
    (
        "a later trial of a paying customer",
        with_subscription(started_at=STARTED - 900 * DAY),
        {"trial.exists": False, "trial.charged_at_end": False},
    ),
    (
        "a second trial that keeps the first one's start",
        a_dossier(subscription=a_subscription(), other_paid=(replace(OTHER, created_at=STARTED + DAY),)),
        {"trial.exists": True, "trial.earlier_charge": True},
    ),
    (
        "a trial offer",
        with_subscription(trial_offer=True),
        {"trial.exists": None, "trial.charged_at_end": None, "trial.ended_early": None},
    ),
    (
        "the trial still runs",
        with_subscription(trial_end_at=NOW + DAY),
        {"trial.exists": True, "trial.charged_at_end": False, "trial.ended_at": None},
    ),
    ("resumed after a pause", invoice_with(period_start=TRIAL_END + 3 * DAY), {"trial.charged_at_end": False}),
    (
        "an invoice to be paid by hand",
        with_subscription(collection_method="send_invoice"),
        {"trial.charged_at_end": False, "charge.invoice_sent": True},
    ),
    (
        "one-off charge",
        a_dossier(invoice=None, subscription=None),
        {
            "trial.exists": False,
            "trial.charged_at_end": False,
            "trial.ended_early": False,
            "trial.earlier_charge": False,
            "charge.is_last": True,
            "charge.single_payment": True,
        },
    ),
    (
        "a subscription that could not be read",
        a_dossier(subscription=None),
        {"trial.exists": None, "trial.charged_at_end": None, "charge.is_last": None},
    ),
    ("a set-up fee in the trial", a_dossier(other_paid=(OTHER,)), {"trial.earlier_charge": True}),
    (
        "a renewal followed",
        a_dossier(other_paid=(LATER,)),
        {"trial.earlier_charge": False, "charge.is_last": False},
    ),
    (
        "a later invoice that was paid before this charge",
        a_dossier(other_paid=(replace(LATER, created_at=TRIAL_END + SECOND, paid_at=CHARGED - SECOND),)),
        {"trial.earlier_charge": True},
    ),
    ("a newer charge", a_dossier(newer_charges=("ch_2",)), {"charge.is_last": False}),
    (
        "a newer charge that may be the invoice's second payment",
        a_dossier(
            invoice=an_invoice(payments=(a_payment(amount_paid_minor=1000), a_payment(id="inpay_2"))),
            newer_charges=("ch_2",),
        ),
        {"charge.is_last": None, "charge.single_payment": False, "trial.charged_at_end": True},
    ),
    (
        "one-off charge with a newer one",
        a_dossier(invoice=None, subscription=None, newer_charges=("ch_2",)),
        {"charge.is_last": False},
    ),
]


@pytest.mark.parametrize(("dossier", "expected"), [line[1:] for line in TRIALS], ids=[line[0] for line in TRIALS])
def test_a_trial_end_charge_is_told_by_its_invoice(dossier: Dossier, expected: dict[str, FactValue | None]) -> None:
    found = established(dossier)
    assert {name: found.known(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("first_end", "expected"),
    [
        (TRIAL_END, False),
        (None, False),
        (TRIAL_END + timedelta(seconds=300), False),
        (TRIAL_END + timedelta(seconds=301), True),
        (TRIAL_END - 5 * DAY, False),
    ],
)
def test_a_trial_end_that_we_saw_later_before_was_moved_forward(first_end: datetime | None, expected: bool) -> None:
    found = established(history=a_history(first_trial_end_at=first_end))
    assert found.known("trial.ended_early") is expected


PAYMENTS: list[tuple[str, Dossier, bool | None]] = [
    ("one payment", a_dossier(), True),
    ("one paid and one canceled", with_invoice(payments=(a_payment(), a_payment(id="x", status="canceled"))), True),
    ("two payments", with_invoice(payments=(a_payment(amount_paid_minor=1), a_payment(id="inpay_2"))), False),
    ("outside Stripe", with_invoice(payments=(a_payment(type="payment_record", reference_id="prec_1"),)), False),
    ("a charge without an intent", with_invoice(payments=(a_payment(type="charge", reference_id="ch_1"),)), False),
    ("partly outside Stripe", with_invoice(amount_paid_off_stripe_minor=100), False),
    ("another intent", with_invoice(payments=(a_payment(reference_id="pi_9"),)), False),
    ("another amount", with_invoice(payments=(a_payment(amount_paid_minor=AMOUNT - 1),)), False),
    ("one intent pays several invoices", a_dossier(charge=a_charge(amount_captured_minor=2 * AMOUNT)), False),
    ("another currency", with_invoice(currency="eur"), False),
    ("an open invoice, paid in part so far", with_invoice(status="open"), False),
    ("no payment listed", with_invoice(payments=()), None),
    ("no invoice", a_dossier(invoice=None, subscription=None), True),
]


@pytest.mark.parametrize(("dossier", "expected"), [line[1:] for line in PAYMENTS], ids=[line[0] for line in PAYMENTS])
def test_one_payment_is_one_whole_payment_through_stripe(dossier: Dossier, expected: bool | None) -> None:
    assert established(dossier).known("charge.single_payment") is expected


@pytest.mark.parametrize(
    ("charge", "refunds", "refunded", "refundable"),
    [
        ({}, (), 0, AMOUNT),
        ({"amount_refunded_minor": 100}, (), 100, AMOUNT - 100),
        ({}, (a_refund(amount_minor=100, status="pending"),), 100, AMOUNT - 100),
        ({}, (a_refund(amount_minor=100, status="requires_action"),), 100, AMOUNT - 100),
        ({}, (a_refund(status="failed"),), 0, AMOUNT),
        ({}, (a_refund(status="canceled"),), 0, AMOUNT),
        ({"amount_refunded_minor": 100}, (a_refund(amount_minor=100),), 100, AMOUNT - 100),
        ({"amount_refunded_minor": AMOUNT}, (a_refund(),), AMOUNT, 0),
        ({"amount_captured_minor": 100, "amount_refunded_minor": AMOUNT}, (), AMOUNT, 0),
        ({"captured": False, "amount_captured_minor": 0}, (), 0, 0),
    ],
)
def test_what_is_refunded_counts_refunds_on_their_way_and_not_those_that_came_back(
    charge: dict[str, Any], refunds: tuple[Any, ...], refunded: int, refundable: int
) -> None:
    found = established(a_dossier(charge=a_charge(**charge), refunds=refunds))
    assert found.known("charge.refunded_minor") == refunded
    assert found.known("charge.refundable_minor") == refundable


@pytest.mark.parametrize(("status", "expected"), [("succeeded", True), ("failed", False), ("pending", None)])
def test_a_charge_that_is_still_on_its_way_has_neither_succeeded_nor_failed(status: str, expected: bool | None) -> None:
    assert established(a_dossier(charge=a_charge(status=status))).known("charge.succeeded") is expected


# none, open inquiry, open chargeback, money returned, won, allows refund
DISPUTES: list[tuple[str, tuple[Any, ...], tuple[bool | None, ...]]] = [
    ("none", (), (True, False, False, False, False, True)),
    ("inquiry", (an_inquiry(),), (False, True, False, False, False, True)),
    ("inquiry answered", (an_inquiry(status="warning_under_review"),), (False, True, False, False, False, True)),
    ("inquiry closed", (an_inquiry(status="warning_closed"),), (False, False, False, False, False, True)),
    ("chargeback", (a_dispute(),), (False, False, True, False, False, False)),
    ("under review", (a_dispute(status="under_review"),), (False, False, True, False, False, False)),
    ("appeal", (a_dispute(status="appeal_needs_response"),), (False, False, True, False, False, False)),
    ("lost", (a_dispute(status="lost"),), (False, False, False, True, False, False)),
    ("prevented", (a_dispute(status="prevented"),), (False, False, False, True, False, False)),
    ("resolved by rule", (a_dispute(status="lost", fee_minor=0),), (False, False, False, True, False, False)),
    (
        "resolved by rule, seen open",
        (a_dispute(case_type="resolution"),),
        (False, False, False, True, False, False),
    ),
    (
        "won",
        (a_dispute(status="won", is_charge_refundable=True),),
        (False, False, False, False, True, True),
    ),
    ("strange status", (a_dispute(status="pondering"),), (False, None, None, None, None, None)),
    (
        "one strange among known",
        (an_inquiry(), a_dispute(id="dp_2", status="pondering")),
        (False, None, None, None, None, None),
    ),
    ("lost in part", (a_dispute(status="lost", amount_minor=100),), (False, False, False, None, False, False)),
    (
        "lost in two parts",
        (
            a_dispute(status="lost", amount_minor=100),
            a_dispute(id="dp_2", status="lost", amount_minor=AMOUNT - 100),
        ),
        (False, False, False, True, False, False),
    ),
    (
        "lost in another currency",
        (a_dispute(status="lost", currency="eur"),),
        (False, False, False, None, False, False),
    ),
    (
        "inquiry over more than the charge",
        (an_inquiry(amount_minor=AMOUNT + 1),),
        (False, True, False, False, False, None),
    ),
    ("inquiry that forbids", (an_inquiry(is_charge_refundable=False),), (False, True, False, False, False, False)),
]


@pytest.mark.parametrize(("disputes", "expected"), [line[1:] for line in DISPUTES], ids=[line[0] for line in DISPUTES])
def test_a_dispute_says_where_the_money_is(disputes: tuple[Any, ...], expected: tuple[bool | None, ...]) -> None:
    found = established(a_dossier(disputes=disputes))
    names = ("none", "open_inquiry", "open_chargeback", "money_returned", "won", "allows_refund")
    assert tuple(found.known(f"dispute.{name}") for name in names) == expected


def test_a_charge_marked_as_disputed_without_a_dispute_leaves_every_dispute_fact_open() -> None:
    found = established(a_dossier(charge=a_charge(disputed=True)))
    assert all(found.known(name) is None for name in CATALOGUE if name.startswith("dispute."))
    assert decide(found, POLICY).outcome == "review"


def test_the_newest_warning_says_what_kind_of_fraud_and_none_says_nothing() -> None:
    newer = a_warning(id="issfr_2", fraud_type="made_with_stolen_card", created_at=NOW)
    found = established(a_dossier(warnings=(newer, a_warning())))
    assert found.known("warning.fraud_type") == "made_with_stolen_card"
    assert established().known("warning.fraud_type") is None


def test_a_warning_beside_a_dispute_cannot_be_acted_on_whatever_it_says() -> None:
    for dispute in (a_dispute(), an_inquiry(), a_dispute(status="won"), a_dispute(status="lost")):
        found = established(a_dossier(warnings=(a_warning(),), disputes=(dispute,)))
        assert found.known("warning.actionable") is False


@pytest.mark.parametrize(
    ("currency", "left", "fee", "percent"),
    [
        ("usd", 1500, 1500, 100),
        ("usd", 1501, 1500, 101),
        ("usd", 2025, 1500, 135),
        ("usd", 2026, 1500, 136),
        ("usd", 0, 1500, 0),
        ("usd", 1, 1500, 1),
        ("jpy", 1300, 1300, 100),
        ("sek", 4900, None, None),
    ],
)
def test_what_is_left_of_a_charge_is_weighed_against_the_fee_of_its_currency(
    currency: str, left: int, fee: int | None, percent: int | None
) -> None:
    refunded = a_refund(amount_minor=100_000 - left, currency=currency)
    charge = a_charge(amount_captured_minor=100_000, currency=currency)
    found = establish(
        at=NOW,
        dossier=a_dossier(charge=charge, refunds=(refunded,)),
        request=a_request(),
        usage=[unused()],
        support=[no_cancellation()],
        history=a_history(),
        mode="auto",
        dispute_fees=POLICY.dispute_fees,
    )
    assert found.known("dispute.fee_minor") == fee
    assert found.known("charge.percent_of_dispute_fee") == percent


def test_a_warning_counts_while_it_can_be_acted_on() -> None:
    assert established(a_dossier(warnings=(a_warning(),))).known("warning.actionable") is True
    assert established(a_dossier(warnings=(a_warning(actionable=False),))).known("warning.actionable") is False


MAX_AGE = unused().max_age
USAGE: list[tuple[str, list[UsageReport], bool | None, bool]] = [
    ("one source, whole coverage", [unused()], False, True),
    ("two sources", [unused(), unused("api-calls")], False, True),
    ("no source", [], None, False),
    ("one saw use", [unused(), used("api-calls")], True, True),
    ("one saw use, one silent", [used(), unreachable("api-calls")], True, False),
    ("one silent", [unused(), unreachable("api-calls")], None, False),
    ("a tag in place without a hit", [unused(tag_installed_at=STARTED)], True, True),
    ("an API connected without a call", [unused(api_connected_at=STARTED)], True, True),
    ("use before the trial", [unused(first_at=STARTED - 90 * DAY)], True, True),
    ("states no coverage", [unused(coverage=())], None, False),
    ("coverage one second late", [unused(coverage=(Span(start=STARTED + SECOND, end=NOW),))], None, False),
    ("coverage exactly as fresh as asked", [unused(coverage=(Span(start=STARTED, end=NOW - MAX_AGE),))], False, True),
    ("coverage stale by a second", [unused(coverage=(Span(start=STARTED, end=NOW - MAX_AGE - SECOND),))], None, False),
    (
        "a hole in the middle",
        [unused(coverage=(Span(start=STARTED, end=TRIAL_END), Span(start=TRIAL_END + SECOND, end=NOW)))],
        None,
        False,
    ),
    (
        "two spans that touch",
        [unused(coverage=(Span(start=TRIAL_END, end=NOW), Span(start=STARTED, end=TRIAL_END)))],
        False,
        True,
    ),
    ("use, seen through a gap", [used(coverage=())], True, False),
]


@pytest.mark.parametrize(
    ("usage", "expected", "complete"), [line[1:] for line in USAGE], ids=[line[0] for line in USAGE]
)
def test_use_is_seen_by_any_source_and_ruled_out_only_by_all(
    usage: list[UsageReport], expected: bool | None, complete: bool
) -> None:
    found = established(usage=usage)
    assert found.known("usage.used") is expected
    assert found.known("usage.complete") is complete


def test_first_and_last_use_come_from_all_sources() -> None:
    early = used("api-calls", first_at=STARTED + DAY, last_at=None, api_connected_at=STARTED + SECOND)
    found = established(usage=[used(), early])
    assert found.known("usage.first_at") == STARTED + SECOND
    assert found.known("usage.last_at") == STARTED + timedelta(days=5)


def test_an_unknown_use_names_its_sources_and_no_address() -> None:
    silent = unreachable("api-calls", why="GET /accounts?email=ada%40example.com and ada@example.com: 503")
    fact = established(usage=[unused(coverage=()), silent])["usage.used"]
    assert isinstance(fact, Unknown)
    assert fact.why.startswith("api-calls: ")
    assert "tag-hits: states no coverage" in fact.why
    assert "example.com" not in fact.why


def test_evidence_is_wanted_since_the_trial_or_the_best_start_there_is() -> None:
    assert usage_since(a_dossier()) == STARTED
    assert usage_since(with_subscription(trial_start_at=None, started_at=STARTED - DAY)) == STARTED - DAY
    assert usage_since(a_dossier(invoice=None, subscription=None)) == CHARGED


BEFORE, AFTER = CHARGED - SECOND, CHARGED + SECOND
CANCELLATIONS: list[tuple[str, dict[str, Any], list[SupportReport], bool | None]] = [
    ("nowhere", {}, [no_cancellation()], False),
    ("asked for before", {"canceled_at": BEFORE, "cancellation_reason": "cancellation_requested"}, [], True),
    ("at the period's end, asked for before", {"canceled_at": BEFORE, "cancel_at_period_end": True}, [], True),
    ("asked for after", {"canceled_at": AFTER, "cancel_at_period_end": True}, [no_cancellation()], False),
    ("asked for at the very instant", {"canceled_at": CHARGED}, [no_cancellation()], False),
    ("without a reason", {"canceled_at": BEFORE}, [no_cancellation()], True),
    ("for a strange reason", {"canceled_at": BEFORE, "cancellation_reason": "moon"}, [no_cancellation()], True),
    ("payment failed", {"canceled_at": BEFORE, "cancellation_reason": "payment_failed"}, [no_cancellation()], False),
    (
        "payment disputed",
        {"canceled_at": BEFORE, "cancellation_reason": "payment_disputed"},
        [no_cancellation()],
        False,
    ),
    ("ended before", {"ended_at": BEFORE}, [no_cancellation()], True),
    ("due before", {"cancel_at": BEFORE}, [no_cancellation()], True),
    ("due later, since when is not told", {"cancel_at": NOW + DAY}, [no_cancellation()], None),
    ("scheduled, since when is not told", {"cancel_at_period_end": True}, [no_cancellation()], None),
    ("no support source", {}, [], None),
    ("support was asked before", {}, [no_cancellation(cancellation_asked_at=BEFORE)], True),
    ("support was asked after", {}, [no_cancellation(cancellation_asked_at=AFTER)], False),
    (
        "one support source knows, another is silent",
        {},
        [no_cancellation(cancellation_asked_at=BEFORE), no_cancellation("mail", answered=False, coverage=())],
        True,
    ),
    ("a support source is silent", {}, [no_cancellation(answered=False, why="timed out", coverage=())], None),
    ("support covers up to the charge", {}, [no_cancellation(coverage=(Span(start=STARTED, end=CHARGED),))], False),
    ("support ends before the charge", {}, [no_cancellation(coverage=(Span(start=STARTED, end=BEFORE),))], None),
    ("support begins late", {}, [no_cancellation(coverage=(Span(start=STARTED + SECOND, end=NOW),))], None),
]


@pytest.mark.parametrize(
    ("subscription", "support", "expected"),
    [line[1:] for line in CANCELLATIONS],
    ids=[line[0] for line in CANCELLATIONS],
)
def test_a_cancellation_counts_when_it_was_asked_for_before_the_charge(
    subscription: dict[str, Any], support: list[SupportReport], expected: bool | None
) -> None:
    found = established(with_subscription(**subscription), support=support)
    assert found.known("cancellation.before_charge") is expected


def test_support_of_a_charge_just_made_may_be_as_old_as_its_max_age() -> None:
    at = CHARGED + timedelta(minutes=1)
    report = no_cancellation(coverage=(Span(start=STARTED, end=at - MAX_AGE),))
    assert established(at=at, support=[report]).known("cancellation.before_charge") is False
    late = no_cancellation(coverage=(Span(start=STARTED, end=at - MAX_AGE - SECOND),))
    assert established(at=at, support=[late]).known("cancellation.before_charge") is None


def linked(*kinds: LinkKind) -> tuple[TrialLink, ...]:
    return tuple(
        TrialLink(kind=kind, customer_id="cus_9", subscription_id="sub_9", trial_start_at=STARTED - 90 * DAY)
        for kind in kinds
    )


HISTORIES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], bool | None, bool | None]] = [
    ("clean", {}, {}, {}, False, False),
    ("same card", {"links": linked(LinkKind.CARD)}, {}, {}, True, False),
    ("same mailbox", {"links": linked(LinkKind.EMAIL)}, {}, {}, False, True),
    ("not read in yet", {"complete": False, "why": "reading"}, {}, {}, None, None),
    ("not read in yet, a link found", {"complete": False, "links": linked(LinkKind.CARD)}, {}, {}, True, None),
    ("no fingerprint", {}, {"fingerprint": None}, {}, None, False),
    ("no fingerprint, a link found", {"links": linked(LinkKind.CARD)}, {"fingerprint": None}, {}, True, False),
    ("no card", {}, {"fingerprint": None, "payment_method_type": "sepa_debit"}, {}, False, False),
    ("method not told", {}, {"payment_method_type": None}, {}, None, False),
    ("no address", {}, {}, {"email": None}, False, None),
    ("no usable address", {}, {}, {"email": "ada"}, False, None),
    ("no address, a link found", {"links": linked(LinkKind.EMAIL)}, {}, {"email": None}, False, True),
]


@pytest.mark.parametrize(
    ("history", "charge", "customer", "card", "mailbox"),
    [line[1:] for line in HISTORIES],
    ids=[line[0] for line in HISTORIES],
)
def test_no_link_means_something_only_where_there_was_something_to_look_for(
    history: dict[str, Any],
    charge: dict[str, Any],
    customer: dict[str, Any],
    card: bool | None,
    mailbox: bool | None,
) -> None:
    dossier = a_dossier(charge=a_charge(**charge), customer=a_customer(**customer))
    found = established(dossier, history=a_history(**history))
    assert found.known("history.trial_by_card") is card
    assert found.known("history.trial_by_email") is mailbox


def test_a_request_without_a_charge_is_ambiguous_and_knows_nothing_of_one() -> None:
    candidate = Candidate(
        charge_id="ch_7",
        customer_id="cus_1",
        subscription_id="sub_1",
        amount_minor=AMOUNT,
        currency="usd",
        created_at=CHARGED,
    )
    found = establish(
        at=NOW,
        dossier=None,
        request=a_request(ambiguous=True, candidates=(candidate,)),
        usage=[],
        support=[],
        history=None,
        mode="auto",
    )
    assert found.known("request.ambiguous") is True
    known = {name for name in CATALOGUE if found.known(name) is not None}
    assert known == {name for name in CATALOGUE if name.startswith("request.")} | {"desk.mode"}
    assert found.exhibits["candidates"][0]["charge"] == "ch_7"
    decision = decide(found, POLICY)
    assert (decision.outcome, decision.reason) == ("review", "ambiguous-request")


def test_records_that_were_not_read_are_unknown() -> None:
    found = establish(
        at=NOW,
        dossier=a_dossier(),
        request=a_request(),
        usage=[unused()],
        support=[],
        history=None,
        mode="auto",
    )
    assert all(found.known(name) is None for name in CATALOGUE if name.startswith("history."))
    assert decide(found, POLICY).outcome == "review"


def test_claims_and_channel_are_told_as_claimed() -> None:
    request = RequestFacts(channel=Channel.INQUIRY, claims=Claims(unused=False, cancelled=True))
    found = established(request=request)
    assert found.known("request.channel") == "inquiry"
    assert found.known("request.claims_unused") is False
    assert found.known("request.claims_cancellation") is True


def test_exhibits_are_plain_and_carry_neither_address_nor_fingerprint() -> None:
    dossier = a_dossier(
        charge=a_charge(fingerprint="fp_secret", billing_email="ada@example.com"),
        refunds=(a_refund(status="failed"),),
        disputes=(an_inquiry(),),
        warnings=(a_warning(),),
        other_paid=(OTHER,),
        newer_charges=("ch_2",),
    )
    found = established(
        dossier,
        usage=[unreachable(why="no answer about ada@example.com")],
        support=[no_cancellation(answered=False, why="ada@example.com?", coverage=())],
        history=a_history(links=linked(LinkKind.CARD, LinkKind.EMAIL)),
    )
    written = canonical_bytes(found).decode()
    assert "example.com" not in written
    assert "fp_secret" not in written
    assert found.exhibits["usage"][0]["lacks"] == "no answer about (address)"
    assert {link["kind"] for link in found.exhibits["links"]} == {"card", "email"}


def test_the_order_of_reports_does_not_change_the_facts() -> None:
    reports = [unused(), unreachable("api-calls"), used("pixel")]
    mail = no_cancellation("mail")
    forth = established(usage=reports, support=[mail, no_cancellation()])
    back = established(usage=reports[::-1], support=[no_cancellation(), mail])
    assert canonical_bytes(forth) == canonical_bytes(back)


def test_an_exhibit_shows_coverage_and_what_is_missing_of_it() -> None:
    found = established(usage=[unused(coverage=(Span(start=STARTED, end=TRIAL_END),))])
    shown = found.exhibits["usage"][0]
    assert shown["coverage"] == [{"from": "2026-03-01T09:00:00.000000Z", "to": "2026-03-15T09:00:00.000000Z"}]
    assert shown["gaps"] == [{"from": "2026-03-15T09:00:00.000000Z", "to": "2026-03-17T09:45:00.000000Z"}]
    assert found.exhibits["evidence_since"] == "2026-03-01T09:00:00.000000Z"
