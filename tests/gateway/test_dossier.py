"""The dossier of a charge: everything around it, over all pages, found the way the API leads."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.gateway import raw
from tests.gateway.peer import answered, refused

from billingbot.core.errors import StripeAnswerError, StripeNotFoundError, StripeUnavailableError
from billingbot.core.evidence.dossier import Dossier
from billingbot.gateway import StripeGateway

NOW = datetime(2026, 7, 1, tzinfo=UTC)
AROUND = (raw.invoice(), raw.payment(), raw.subscription(), raw.customer())


@contextlib.contextmanager
def gateway(*objects: raw.Raw, **serving: Any) -> Iterator[StripeGateway]:
    with raw.serving(*objects, **serving) as peer:
        found = StripeGateway("main", "rk_test_1", livemode=False, api_base=peer.url)
        yield found
        found.close()


def dossier(*objects: raw.Raw, charge_id: str = "ch_1", **serving: Any) -> Dossier:
    with gateway(*objects, **serving) as found:
        return found.dossier(charge_id, now=NOW)


def test_a_charge_leads_to_its_invoice_subscription_and_customer() -> None:
    found = dossier(raw.charge(), *AROUND)
    assert found.read_at == NOW
    assert found.charge.id == "ch_1"
    assert found.invoice is not None
    assert (found.invoice.id, found.invoice.subscription_id) == ("in_1", "sub_1")
    assert [payment.reference_id for payment in found.invoice.payments] == ["pi_1"]
    assert [line.subscription_id for line in found.invoice.lines] == ["sub_1"]
    assert found.subscription is not None
    assert found.subscription.trial_end_at == datetime.fromtimestamp(raw.TRIAL_END, tz=UTC)
    assert found.customer is not None
    assert found.customer.email == "ada@example.com"
    assert (found.other_paid, found.refunds, found.disputes, found.warnings, found.newer_charges) == ((),) * 5


def test_a_charge_without_an_invoice_is_a_one_off() -> None:
    found = dossier(raw.charge(), raw.customer())
    assert (found.invoice, found.subscription, found.other_paid) == (None, None, ())


def test_a_charge_of_nobody_needs_no_customer() -> None:
    found = dossier(raw.charge(customer=None, payment_intent=None), raw.charge(2, customer=None))
    assert (found.customer, found.invoice, found.newer_charges) == (None, None, ())


def test_a_customer_that_was_wiped_is_unknown_and_a_deleted_one_is_deleted() -> None:
    assert dossier(raw.charge(), *AROUND[:3]).customer is None
    gone = {"id": "cus_1", "object": "customer", "deleted": True}
    found = dossier(raw.charge(), *AROUND[:3], gone).customer
    assert found is not None
    assert (found.deleted, found.email, found.metadata) == (True, None, ())


def test_the_subscriptions_other_paid_invoices_are_listed_and_free_ones_are_not() -> None:
    trial = raw.invoice(0, amount_paid=0, payments=raw.pages([]))
    others = [raw.invoice(2), raw.invoice(3), raw.invoice(9, "sub_2"), trial]
    found = dossier(raw.charge(), *AROUND, *others)
    assert [invoice.id for invoice in found.other_paid] == ["in_2", "in_3"]


def test_every_list_is_read_to_its_last_page() -> None:
    refunds = [raw.refund(n) for n in range(1, 8)]
    disputes = [raw.dispute(n) for n in range(1, 6)]
    warnings = [raw.warning(n) for n in range(1, 4)]
    invoices = [raw.invoice(n) for n in range(2, 12)]
    found = dossier(raw.charge(), *AROUND, *refunds, *disputes, *warnings, *invoices, page=2)
    assert [refund.id for refund in found.refunds] == [refund["id"] for refund in refunds]
    assert len(found.disputes) == 5
    assert len(found.warnings) == 3
    assert len(found.other_paid) == 10


def test_refunds_of_other_charges_are_not_ours() -> None:
    with pytest.raises(StripeAnswerError, match="refunds: charge: expected those of ch_1 only"):
        dossier(raw.charge(), instead={"/v1/refunds": answered(raw.pages([raw.refund(charge="ch_2")]))})


def test_an_invoices_further_lines_and_payments_are_fetched() -> None:
    many = raw.invoice(lines=raw.pages([raw.line(1)], more=True), payments=raw.pages([raw.payment()], more=True))
    lines = answered(raw.pages([raw.line(n) for n in range(1, 13)]))
    second = raw.payment(2, invoice="in_1", payment={"type": "payment_record", "payment_record": "prec_1"})
    found = dossier(raw.charge(), many, *AROUND[1:], second, instead={"/v1/invoices/in_1/lines": lines})
    assert found.invoice is not None
    assert len(found.invoice.lines) == 12
    assert [(one.type, one.reference_id) for one in found.invoice.payments] == [
        ("payment_intent", "pi_1"),
        ("payment_record", "prec_1"),
    ]


def test_payments_that_were_not_expanded_are_fetched() -> None:
    bare = raw.invoice()
    del bare["payments"]
    found = dossier(raw.charge(), bare, *AROUND[1:])
    assert found.invoice is not None
    assert [payment.id for payment in found.invoice.payments] == ["inpay_1"]


def test_an_intent_that_pays_two_invoices_leads_to_the_one_it_paid_more_of() -> None:
    small = raw.payment(1, amount_paid=900)
    large = raw.payment(2, amount_paid=4000, payment={"type": "payment_intent", "payment_intent": "pi_1"})
    tried = raw.payment(3, amount_paid=None, status="canceled", payment=large["payment"])
    found = dossier(raw.charge(), raw.invoice(1), raw.invoice(2), small, large, tried, *AROUND[2:])
    assert found.invoice is not None
    assert found.invoice.id == "in_2"


def test_payments_of_another_intent_are_never_taken_for_the_charges_own() -> None:
    foreign = answered(raw.pages([raw.payment(2)]))
    with pytest.raises(StripeAnswerError, match="expected those of pi_1 only"):
        dossier(raw.charge(), *AROUND, instead={"/v1/invoice_payments": foreign})


def test_newer_charges_are_the_successful_ones_of_the_same_subscription() -> None:
    newer = [raw.charge(2), raw.charge(3, status="failed", captured=False), raw.charge(4), raw.charge(5)]
    invoices = [raw.invoice(2), raw.invoice(3), raw.invoice(4, "sub_2")]
    older = raw.charge(0)
    found = dossier(raw.charge(), *AROUND, *newer, *invoices, older, raw.invoice(0))
    assert found.newer_charges == ("ch_2",)


def test_a_newer_charge_counts_though_it_was_refunded_or_its_payment_still_looks_open() -> None:
    refunded = raw.charge(2, amount_refunded=4900)
    fresh = raw.charge(3)
    still_open = raw.invoice(3, payments=raw.pages([raw.payment(3, status="open", amount_paid=None)]))
    found = dossier(raw.charge(), *AROUND, refunded, fresh, raw.invoice(2), still_open)
    assert set(found.newer_charges) == {"ch_2", "ch_3"}


def test_of_two_charges_within_one_second_each_sees_the_other_as_newer() -> None:
    twin = raw.charge(2, created=raw.charge(1)["created"])
    world = (raw.charge(), twin, *AROUND, raw.invoice(2), raw.payment(2))
    assert dossier(*world).newer_charges == ("ch_2",)
    assert dossier(*world, charge_id="ch_2").newer_charges == ("ch_1",)


def test_after_a_one_off_charge_only_newer_one_offs_count() -> None:
    one_off = raw.invoice(3, None)
    found = dossier(raw.charge(), raw.charge(2), raw.charge(3), raw.charge(4), raw.invoice(2), one_off, raw.customer())
    assert set(found.newer_charges) == {"ch_3", "ch_4"}


@pytest.mark.parametrize(
    ("status", "transactions", "fee"),
    [
        ("lost", [raw.transaction(fee=1500)], 1500),
        ("lost", [raw.transaction(fee=0)], 0),
        ("won", [raw.transaction(fee=1500), raw.transaction(2, amount=4900, fee=-1500)], 1500),
        ("warning_needs_response", [], None),
        ("lost", [raw.transaction(currency="jpy", fee=0, exchange_rate=0.0067)], 0),
    ],
)
def test_the_fee_of_a_dispute_is_that_of_its_withdrawal(status: str, transactions: list[raw.Raw], fee: object) -> None:
    found = dossier(raw.charge(), *AROUND, raw.dispute(status=status, balance_transactions=transactions))
    assert [(dispute.status, dispute.fee_minor) for dispute in found.disputes] == [(status, fee)]


def test_balance_transactions_that_are_ids_only_are_fetched() -> None:
    by_id = raw.dispute(balance_transactions=["txn_7"])
    assert dossier(raw.charge(), *AROUND, by_id, raw.transaction(7, fee=0)).disputes[0].fee_minor == 0


def test_a_balance_transaction_that_is_not_there_does_not_read_as_if_the_dispute_were_missing() -> None:
    with pytest.raises(StripeAnswerError, match=r"dispute: balance_transactions: .*No such object"):
        dossier(raw.charge(), *AROUND, raw.dispute(balance_transactions=["txn_7"]))


def test_a_dispute_that_allows_no_response_has_no_due_time() -> None:
    closed = raw.dispute(evidence_details={"due_by": 0})
    assert dossier(raw.charge(), *AROUND, closed).disputes[0].due_by is None


def test_a_dispute_that_the_list_lacks_is_read_where_the_charge_or_somebody_else_names_it() -> None:
    older, newer = raw.dispute(1), raw.dispute(2)
    lagging = answered(raw.pages([older]))
    charge = raw.charge(disputed=True, dispute="dp_2")
    for named, heard_of in ((charge, ()), (raw.charge(disputed=True), ("dp_2",))):
        with gateway(named, *AROUND, older, newer, instead={"/v1/disputes": lagging}) as found:
            read = found.dossier("ch_1", now=NOW, heard_of=heard_of)
        assert [dispute.id for dispute in read.disputes] == ["dp_1", "dp_2"]


def test_a_dispute_of_another_charge_is_no_answer_to_the_question_for_this_ones() -> None:
    others = answered(raw.pages([raw.dispute(1, charge="ch_9")]))
    with pytest.raises(StripeAnswerError, match="expected those of ch_1 only"):
        dossier(raw.charge(), *AROUND, instead={"/v1/disputes": others})


def test_the_older_shapes_lead_to_invoice_and_subscription_too() -> None:
    details = {"proration": False, "subscription": "sub_1", "parent": None, "type": "subscription"}
    old = raw.invoice(parent=None, lines=raw.pages([raw.line() | details])) | {"subscription": "sub_1"}
    found = dossier(raw.charge(payment_intent=None, invoice="in_1"), old, *AROUND[1:])
    assert found.invoice is not None
    assert found.invoice.subscription_id == "sub_1"
    assert found.invoice.lines[0].subscription_id == "sub_1"
    assert found.subscription is not None


def test_expanded_references_are_read_as_ids() -> None:
    expanded = raw.charge(customer=raw.customer(), payment_intent={"id": "pi_1", "object": "payment_intent"})
    found = dossier(expanded, *AROUND)
    assert (found.charge.customer_id, found.charge.payment_intent_id) == ("cus_1", "pi_1")


def test_a_charge_that_is_not_there_is_not_found() -> None:
    with pytest.raises(StripeNotFoundError, match="No such object"):
        dossier()


def test_an_invoice_that_is_not_there_does_not_read_as_if_the_charge_were_missing() -> None:
    with pytest.raises(StripeAnswerError, match="charge ch_1 leads to what cannot be found"):
        dossier(raw.charge(), raw.payment())


@pytest.mark.parametrize(
    "path", ["refunds", "disputes", "radar/early_fraud_warnings", "customers/cus_1", "invoices", "subscriptions/sub_1"]
)
def test_one_part_that_cannot_be_read_means_no_dossier(path: str) -> None:
    broken = {f"/v1/{path}": refused(500, headers={"Stripe-Should-Retry": "false"})}
    with pytest.raises(StripeUnavailableError, match="HTTP 500"):
        dossier(raw.charge(), *AROUND, instead=broken)


def test_many_dossiers_at_once_share_the_pool_without_waiting_for_ever() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with gateway(raw.charge(), *AROUND) as found, ThreadPoolExecutor(20) as callers:
        answers = list(callers.map(lambda _: found.dossier("ch_1", now=NOW), range(40), timeout=60))
    assert len({answer.charge for answer in answers}) == 1


def test_a_gateway_that_was_closed_opens_again() -> None:
    with gateway(raw.charge(), *AROUND) as found:
        first = found.dossier("ch_1", now=NOW)
        found.close()
        assert found.dossier("ch_1", now=NOW + timedelta(0)) == first
