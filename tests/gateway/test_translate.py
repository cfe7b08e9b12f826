"""Stripe's JSON in our terms: recorded objects of every API version, and each field that can be wrong."""

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.gateway import raw

from billingbot.core.errors import StripeAnswerError
from billingbot.gateway import translate
from billingbot.gateway.fields import Fields

SHARED = Path(__file__).resolve().parents[3] / "shared"
RECORDED = SHARED / "stripe-recordings"
FIXTURES = SHARED / "stripe-fixtures" / "resources.json"


def _invoice(body: raw.Raw) -> Any:
    it = Fields(body, "invoice")
    payments, _ = it.first_page("payments") or ([], False)
    lines, _ = it.first_page("lines") or ([], False)
    return translate.invoice(body, lines, [translate.invoice_payment(payment) for payment in payments])


READERS: dict[str, Callable[[raw.Raw], Any]] = {
    "charge": translate.charge,
    "customer": translate.customer,
    "dispute": lambda body: translate.dispute(body, body["balance_transactions"]),
    "invoice": _invoice,
    "invoice_payment": translate.invoice_payment,
    "payment_method": translate.method_fingerprint,
    "radar.early_fraud_warning": translate.fraud_warning,
    "refund": translate.refund,
    "subscription": translate.subscription,
}


def objects_within(value: object) -> Iterator[raw.Raw]:
    """Every object of a kind we read, however deep it lies."""
    if isinstance(value, dict):
        if value.get("object") in READERS:
            yield value
        for inner in value.values():
            yield from objects_within(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects_within(inner)


def recorded() -> list[tuple[str, raw.Raw]]:
    if not RECORDED.is_dir():
        pytest.skip("recorded exchanges with Stripe are not at hand")
    exchanges = [
        json.loads(text)
        for path in sorted(RECORDED.glob("*.jsonl"))
        for text in path.read_text(encoding="utf-8").splitlines()
    ]
    found = [(one["api_version"], body) for one in exchanges for body in objects_within(one["body"])]
    for path in sorted((RECORDED / "webhooks").glob("*.json")):
        found += [(path.stem, body) for body in objects_within(json.loads(path.read_bytes())["data"]["object"])]
    return found


def test_recorded_objects_of_every_api_version_are_read() -> None:
    seen: dict[str, set[str]] = {}
    for version, body in recorded():
        read = READERS[body["object"]](body)
        seen.setdefault(body["object"], set()).add(version[:4])
        if hasattr(read, "id"):
            assert read.id == body["id"]
        if hasattr(read, "amount_minor"):
            assert (read.amount_minor, read.currency) == (body["amount"], body["currency"])
    assert {"charge", "customer", "dispute", "invoice", "invoice_payment", "refund", "subscription"} <= seen.keys()
    assert {"2020", "2026"} <= seen["subscription"] & seen["invoice"]


def test_recorded_invoices_name_their_subscription_in_every_api_version() -> None:
    for version, body in recorded():
        if body["object"] == "invoice" and str(body.get("billing_reason")).startswith("subscription"):
            read = _invoice(body)
            assert read.subscription_id is not None, version
            assert all(line.subscription_id == read.subscription_id for line in read.lines if not line.proration)


def test_recorded_trials_have_their_span() -> None:
    trials = [body for _, body in recorded() if body["object"] == "subscription" and body.get("trial_end")]
    assert trials
    for body in trials:
        read = translate.subscription(body)
        assert read.trial_end_at == datetime.fromtimestamp(body["trial_end"], tz=UTC)


def test_recorded_disputes_tell_the_fee_of_their_withdrawal() -> None:
    fees = {
        translate.dispute(body, body["balance_transactions"]).fee_minor
        for _, body in recorded()
        if body["object"] == "dispute" and body["balance_transactions"]
    }
    assert fees == {1500, 2000}


def test_the_objects_that_stripe_publishes_as_samples_are_read() -> None:
    if not FIXTURES.is_file():
        pytest.skip("Stripe's published sample objects are not at hand")
    samples = json.loads(FIXTURES.read_bytes())
    for kind in ("charge", "customer", "dispute", "radar.early_fraud_warning", "refund", "subscription"):
        assert READERS[kind](samples.get("resources", samples)[kind]).id


@pytest.mark.parametrize(
    ("reader", "body"),
    [
        (translate.charge, raw.charge()),
        (translate.customer, raw.customer()),
        (READERS["dispute"], raw.dispute()),
        (_invoice, raw.invoice()),
        (translate.invoice_payment, raw.payment()),
        (translate.invoice_line, raw.line()),
        (translate.refund, raw.refund()),
        (translate.fraud_warning, raw.warning()),
        (translate.subscription, raw.subscription()),
        (translate.method_fingerprint, raw.method()),
    ],
)
@pytest.mark.parametrize(
    "value", [[], ["x"], {"x": 1}, "", "é", "a\0", "x" * 256, -1, 0, 1.5, 10**30, True, None, "\ud800"]
)
def test_no_value_in_any_field_raises_anything_but_our_error(
    reader: Callable[[raw.Raw], object], body: raw.Raw, value: object
) -> None:
    for field in body.keys() - {"balance_transactions"}:  # taken out before, by the reader
        with contextlib.suppress(StripeAnswerError):
            reader(raw.copy(body) | {field: value})


@pytest.mark.parametrize(
    ("reader", "body", "says"),
    [
        (translate.charge, raw.charge(amount="1"), "charge ch_1: amount: expected an integer of minor units, got str"),
        (translate.charge, raw.charge(amount=-1), "charge ch_1: amount: expected zero or more minor units, got int"),
        (translate.charge, raw.charge(currency="USD"), "charge ch_1: currency: expected three lower-case letters"),
        (translate.charge, raw.charge(captured=None), "charge ch_1: captured: expected true or false"),
        (translate.charge, [], "charge: expected an object, got list"),
        (translate.refund, raw.charge(), "refund ch_1: object: expected refund"),
        (translate.subscription, raw.subscription(trial_end="x"), "subscription sub_1: trial_end: expected Unix"),
        (translate.invoice_payment, raw.payment(payment=None), "invoice_payment inpay_1: payment: expected an object"),
        (translate.invoice_line, raw.line(period={}), "line_item il_1: period: start: expected Unix seconds"),
    ],
)
def test_an_error_names_the_object_and_the_field(reader: Callable[[Any], object], body: object, says: str) -> None:
    with pytest.raises(StripeAnswerError) as caught:
        reader(body)
    assert str(caught.value).startswith(says)


def test_an_error_never_repeats_what_was_in_the_field() -> None:
    with pytest.raises(StripeAnswerError) as caught:
        translate.customer(raw.customer(email=["ada@example.com"], id="x" * 300))
    assert "ada" not in str(caught.value)


def test_what_stripe_leaves_out_is_taken_as_null() -> None:
    bare = {key: value for key, value in raw.refund().items() if key not in ("status", "metadata")}
    read = translate.refund(bare)
    assert (read.status, read.failure_reason, read.pending_reason, read.our_refund_id) == ("unknown", None, None, None)


def test_a_status_nobody_knows_yet_is_kept_as_it_is() -> None:
    assert translate.charge(raw.charge(status="teleported")).status == "teleported"
    assert translate.subscription(raw.subscription(status="hibernating")).status == "hibernating"


def test_what_an_invoice_got_outside_stripe_is_told_in_both_shapes() -> None:
    assert _invoice(raw.invoice(amount_paid_off_stripe=900)).amount_paid_off_stripe_minor == 900
    assert _invoice(raw.invoice(paid_out_of_band=True)).amount_paid_off_stripe_minor == 4900
    assert _invoice(raw.invoice(paid_out_of_band=False)).amount_paid_off_stripe_minor == 0


def test_a_proration_and_an_invoice_item_are_told_from_a_plain_line() -> None:
    item = {"type": "invoice_item_details", "invoice_item_details": {"subscription": "sub_1", "proration": True}}
    assert translate.invoice_line(raw.line(parent=item, amount=-700)).proration
    assert not translate.invoice_line(raw.line()).proration
    loose = translate.invoice_line(raw.line(parent=None))
    assert (loose.subscription_id, loose.proration) == (None, False)


def test_a_cancellation_is_read_with_its_reason_and_times() -> None:
    read = translate.subscription(
        raw.subscription(
            cancel_at_period_end=True,
            cancel_at=raw.TRIAL_END,
            canceled_at=raw.START,
            ended_at=raw.TRIAL_END,
            cancellation_details={"reason": "cancellation_requested"},
        )
    )
    assert (read.cancel_at_period_end, read.cancellation_reason) == (True, "cancellation_requested")
    assert read.cancel_at == read.ended_at == datetime.fromtimestamp(raw.TRIAL_END, tz=UTC)
    assert read.canceled_at == datetime.fromtimestamp(raw.START, tz=UTC)


def test_a_customers_metadata_is_sorted_and_can_be_stored() -> None:
    read = translate.customer(raw.customer(metadata={"z": "1", "account": "a\0\ud800b"}, email="ada\0@example.com"))
    assert read.metadata == (("account", "a?b"), ("z", "1"))
    assert read.email == "ada@example.com"


def test_the_fingerprint_of_a_charge_is_of_whatever_method_has_one() -> None:
    sepa = {"type": "sepa_debit", "sepa_debit": {"fingerprint": "iban"}}
    assert translate.charge(raw.charge(payment_method_details=sepa)).fingerprint == "iban"
    link = {"type": "link", "link": {}}
    assert translate.charge(raw.charge(payment_method_details=link)).fingerprint is None
    nothing = translate.charge(raw.charge(payment_method_details=None, billing_details=None))
    assert (nothing.payment_method_type, nothing.fingerprint, nothing.billing_email) == (None, None, None)
