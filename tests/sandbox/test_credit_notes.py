"""Credit notes of the local Stripe: what they check, what they refund, and under which key."""

from typing import Any

import pytest

from billingbot.sandbox.client import SandboxClient, SandboxError
from billingbot.sandbox.server import RunningSandbox


@pytest.fixture
def stripe(sandbox: RunningSandbox) -> SandboxClient:
    return sandbox.client


def paid_invoice(stripe: SandboxClient, amount: int = 1000) -> Any:
    customer = stripe.post("/customers")["id"]
    stripe.add_card(customer)
    price = stripe.post("/prices", currency="usd", unit_amount=amount, recurring={"interval": "month"},
                        product_data={"name": "Plan"})["id"]  # fmt: skip
    subscription = stripe.post("/subscriptions", customer=customer, items=[{"price": price}])["id"]
    return stripe.get("/invoices", subscription=subscription)["data"][0]


def test_a_note_makes_one_refund_without_its_metadata_and_tells_of_both(stripe: SandboxClient) -> None:
    invoice = paid_invoice(stripe)
    note = stripe.post("/credit_notes", invoice=invoice["id"], amount=1000, refund_amount=1000, metadata={"a": "b"})
    [entry] = note["refunds"]
    refund = stripe.get(f"/refunds/{entry['refund']}")
    assert (refund["amount"], refund["status"], refund["metadata"]) == (1000, "succeeded", {})
    assert (note["number"], note["metadata"]) == (f"{invoice['number']}-CN-01", {"a": "b"})
    assert stripe.get("/credit_notes", invoice=invoice["id"])["data"] == [note]
    assert stripe.get(f"/credit_notes/{note['id']}") == note
    assert {"refund.created", "credit_note.created"} <= {event["type"] for event in stripe.objects("event")}
    again = stripe.get(f"/invoices/{invoice['id']}")
    assert (again["status"], again["post_payment_credit_notes_amount"]) == ("paid", 1000)


def test_one_key_makes_one_note(stripe: SandboxClient) -> None:
    asked = {"invoice": paid_invoice(stripe)["id"], "amount": 1000, "refund_amount": 1000}
    first, second = (stripe.post("/credit_notes", idempotency_key="key-1", **asked) for _ in range(2))
    assert first == second
    assert len(stripe.objects("credit_note")) == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"refund_amount": 1000}, "One of `amount`, `lines`"),
        ({"amount": 1000, "refund_amount": 900}, r"\(\$9.00\) must equal the credit note amount \(\$10.00\)"),
        ({"amount": 1001, "refund_amount": 1001}, "greater than what can still be credited"),
        ({"amount": 1000, "refund_amount": 1000, "email_type": "letter"}, "email_type: must be one of"),
    ],
)
def test_a_note_that_cannot_be_makes_no_refund(stripe: SandboxClient, asked: dict[str, Any], said: str) -> None:
    invoice = paid_invoice(stripe)
    with pytest.raises(SandboxError, match=said):
        stripe.post("/credit_notes", invoice=invoice["id"], **asked)
    assert stripe.objects("refund") == []
    assert stripe.objects("credit_note") == []


def test_a_plain_refund_takes_from_what_can_be_credited_and_may_be_linked_instead(stripe: SandboxClient) -> None:
    invoice = paid_invoice(stripe)
    charge = stripe.get("/charges", customer=invoice["customer"])["data"][0]["id"]
    refund = stripe.post("/refunds", charge=charge, amount=400)["id"]
    with pytest.raises(SandboxError, match="greater than what can still be credited"):
        stripe.post("/credit_notes", invoice=invoice["id"], amount=1000, refund_amount=1000)
    linked = stripe.post("/credit_notes", invoice=invoice["id"], amount=400, refunds=[{"refund": refund}])
    assert [entry["refund"] for entry in linked["refunds"]] == [refund]
    stripe.post("/credit_notes", invoice=invoice["id"], amount=600, refund_amount=600)
    assert len(stripe.objects("refund")) == 2


def test_a_note_on_an_open_invoice_lowers_what_is_due(stripe: SandboxClient) -> None:
    customer = stripe.post("/customers")["id"]
    stripe.post("/invoiceitems", customer=customer, amount=1000, currency="usd")
    made = stripe.post("/invoices", customer=customer, pending_invoice_items_behavior="include")["id"]
    stripe.post(f"/invoices/{made}/finalize")
    note = stripe.post("/credit_notes", invoice=made, amount=300)
    assert (note["type"], note["pre_payment_amount"], note["post_payment_amount"]) == ("pre_payment", 300, 0)
    assert stripe.get(f"/invoices/{made}")["amount_remaining"] == 700


def test_a_charge_that_was_charged_back_is_not_refunded_by_a_note(stripe: SandboxClient) -> None:
    invoice = paid_invoice(stripe)
    charge = stripe.get("/charges", customer=invoice["customer"])["data"][0]["id"]
    stripe.dispute(charge, status="needs_response")
    with pytest.raises(SandboxError, match="charge_disputed"):
        stripe.post("/credit_notes", invoice=invoice["id"], amount=1000, refund_amount=1000)
