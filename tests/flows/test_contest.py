"""The evidence packet at the door: a dispute at the local Stripe, sources that say what they are told to."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billingbot.core.errors import StripeNotFoundError
from billingbot.core.packet import CUT, LONGEST_FIELD, Field, Packet, fitted, wanted
from billingbot.flows.contest import draft_packet
from tests.flows.shop import Shop, Trial


def _disputed(shop: Shop, **how: Any) -> tuple[Trial, str]:
    trial, charge = shop.charged_trial()
    how = {"status": "needs_response", "reason": "subscription_canceled"} | how
    return trial, shop.stripe.dispute(charge, **how)["id"]


def _packet(shop: Shop, dispute: str) -> Packet:
    return draft_packet(shop.desk, "default", dispute)


def test_a_claimed_cancellation_is_met_with_the_record_and_the_use(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.stripe.advance(to=datetime.now(UTC) - timedelta(days=1))  # the bank waits for nine days
    dispute = shop.stripe.dispute(charge, status="needs_response", reason="subscription_canceled")["id"]
    shop.usage.used_by.add(trial.customer)
    packet = _packet(shop, dispute)
    assert set(packet.fields) >= {Field.ACCESS_ACTIVITY_LOG, Field.CANCELLATION_REBUTTAL, Field.SERVICE_DATE}
    assert "Recorded events: 7" in packet.fields[Field.ACCESS_ACTIVITY_LOG]
    assert "Records are complete from" in packet.fields[Field.ACCESS_ACTIVITY_LOG]
    assert trial.subscription in packet.fields[Field.CANCELLATION_REBUTTAL]
    assert packet.doubts == ()


def test_an_answer_that_comes_too_late_is_told_so(shop: Shop) -> None:
    _, dispute = _disputed(shop)  # weeks ago: Stripe's clock here stands before ours
    assert any("the answer was due by" in doubt for doubt in _packet(shop, dispute).doubts)


def test_the_same_facts_give_the_same_digest_and_a_new_fact_another(shop: Shop) -> None:
    trial, dispute = _disputed(shop, reason="product_not_received")
    first = _packet(shop, dispute)
    assert _packet(shop, dispute).digest == first.digest
    shop.usage.used_by.add(trial.customer)
    assert _packet(shop, dispute).digest != first.digest


def test_a_silent_support_source_rebuts_nothing(shop: Shop) -> None:
    _, dispute = _disputed(shop)
    shop.support.down = True
    packet = _packet(shop, dispute)
    assert Field.CANCELLATION_REBUTTAL not in packet.fields
    assert "timed out" in packet.left_out[Field.CANCELLATION_REBUTTAL]


def test_a_cancellation_on_record_is_never_argued_away(shop: Shop) -> None:
    trial, dispute = _disputed(shop, reason="general")
    shop.usage.used_by.add(trial.customer)
    shop.support.asked_at[trial.customer] = datetime(2020, 1, 1, tzinfo=UTC)
    packet = _packet(shop, dispute)
    assert {Field.CANCELLATION_REBUTTAL, Field.REFUND_REFUSAL_EXPLANATION} <= set(packet.left_out)
    assert any("in the right" in doubt for doubt in packet.doubts)


def test_without_use_there_is_no_log_and_a_doubt(shop: Shop) -> None:
    _, dispute = _disputed(shop, reason="credit_not_processed")
    packet = _packet(shop, dispute)
    assert {Field.ACCESS_ACTIVITY_LOG, Field.REFUND_REFUSAL_EXPLANATION} <= set(packet.left_out)
    assert any("no use is on record" in doubt for doubt in packet.doubts)


def test_a_silent_usage_source_is_named(shop: Shop) -> None:
    _, dispute = _disputed(shop)
    shop.usage.down = True
    packet = _packet(shop, dispute)
    assert Field.ACCESS_ACTIVITY_LOG not in packet.fields
    assert "gave no answer about use: tag-hits" in packet.doubts


@pytest.mark.parametrize("status", ["lost", "won", "under_review", "prevented"])
def test_a_dispute_that_awaits_no_answer_says_so(shop: Shop, status: str) -> None:
    _, dispute = _disputed(shop, status=status)
    assert f"the dispute is {status}: no answer is awaited" in _packet(shop, dispute).doubts


def test_a_dispute_over_more_than_the_charge_is_pointed_out(shop: Shop) -> None:
    _, dispute = _disputed(shop, amount=9800)
    assert any("may cover several" in doubt for doubt in _packet(shop, dispute).doubts)


def test_drafting_changes_nothing_at_stripe(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)
    opened = shop.stripe.dispute(charge, status="needs_response", reason="fraudulent")
    _packet(shop, opened["id"])
    assert shop.stripe.get(f"/disputes/{opened['id']}") == opened
    shop.assert_not_paid(charge)


def test_a_dispute_that_does_not_exist_is_not_found(shop: Shop) -> None:
    with pytest.raises(StripeNotFoundError):
        _packet(shop, "du_nothing")


def test_a_claim_of_fraud_is_not_met_with_the_refund_policy() -> None:
    assert Field.REFUND_REFUSAL_EXPLANATION not in wanted("fraudulent")
    assert wanted("a reason that Stripe added yesterday") == frozenset(Field)


@pytest.mark.parametrize("length", [1, LONGEST_FIELD, LONGEST_FIELD + 1])
def test_a_text_too_long_is_cut_with_a_mark(length: int) -> None:
    text = fitted("x" * length)
    assert len(text) == min(length, LONGEST_FIELD)
    assert text.endswith(CUT) == (length > LONGEST_FIELD)
