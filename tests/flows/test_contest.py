"""The evidence packet at the door: a dispute at the local Stripe, sources that say what they are told to."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pypdf import PdfReader

from billingbot.core.decision import Recommendation
from billingbot.core.disputes.evidence_fields import CUT, LONGEST_FIELD, PAPERS, Field, fitted, length, wanted
from billingbot.core.disputes.house_texts import HouseTexts
from billingbot.core.disputes.packet import Packet
from billingbot.core.errors import StripeNotFoundError
from billingbot.flows.disputes.contest import draft_packet
from billingbot.papers.evidence import printed_field
from billingbot.store import activity
from billingbot.store.activity import Hits
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
    assert packet.opinion is not None
    assert (packet.opinion.advice, packet.opinion.clause) == (
        Recommendation.CONTEST_DISPUTE,
        "false-cancellation-claim",
    )


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
    by_hand = {Field.DUPLICATE_CHARGE_EXPLANATION, Field.DUPLICATE_CHARGE_ID}
    assert wanted("a reason that Stripe added yesterday") == frozenset(Field) - by_hand
    assert by_hand <= wanted("duplicate")


def test_the_house_speaks_by_the_clause_that_the_policy_cites(shop: Shop) -> None:
    trial, dispute = _disputed(shop, reason="credit_not_processed")
    shop.usage.used_by.add(trial.customer)
    assert "[disputes.refund_refusal]" in _packet(shop, dispute).left_out[Field.REFUND_REFUSAL_EXPLANATION]
    texts = HouseTexts(refund_refusal={"discretion": "It was used."}, refund_policy="What is used is not refunded.")
    shop.desk = replace(shop.desk, texts=texts)
    packet = _packet(shop, dispute)
    refused = packet.statements[Field.REFUND_REFUSAL_EXPLANATION]
    assert (refused.text, refused.source) == ("It was used.", "configuration, clause discretion")
    assert packet.fields[Field.REFUND_POLICY] == "What is used is not refunded."


def test_an_unused_trial_is_the_customers_right_and_nothing_refuses_it(shop: Shop) -> None:
    _, dispute = _disputed(shop, reason="credit_not_processed")
    shop.desk = replace(shop.desk, texts=HouseTexts(refund_refusal={"discretion": "It was used."}))
    packet = _packet(shop, dispute)
    assert packet.opinion is not None
    assert (packet.opinion.advice, packet.opinion.rule) == (Recommendation.ACCEPT_DISPUTE, "unused-trial")
    assert Field.REFUND_REFUSAL_EXPLANATION in packet.left_out
    assert any("the policy would have refunded this charge" in doubt for doubt in packet.doubts)


def test_silent_sources_leave_the_advice_open(shop: Shop) -> None:
    _, dispute = _disputed(shop, reason="credit_not_processed")
    shop.usage.down = True
    packet = _packet(shop, dispute)
    assert packet.opinion is not None
    assert not packet.opinion.contests
    assert not packet.opinion.accepts


def test_who_bought_is_told_from_the_charge_its_customer_and_their_metadata(shop: Shop) -> None:
    trial, dispute = _disputed(shop)
    shop.stripe.post(
        f"/customers/{trial.customer}",
        name="Ada Lovelace",
        address={"line1": "1 Mill Rd", "city": "Leeds", "country": "GB"},
        metadata={"ip": "203.0.113.9", "terms_at": "2026-01-02T03:04:05+00:00"},
    )
    shop.desk = replace(
        shop.desk,
        texts=HouseTexts(
            purchase_ip_key="ip",
            terms_shown_at_key="terms_at",
            cancellation_policy_disclosure="The box was ticked on {shown_at}.",
            refund_policy_disclosure="Shown before every purchase.",
        ),
    )
    fields = _packet(shop, dispute).fields
    assert fields[Field.CUSTOMER_NAME] == "Ada Lovelace"
    assert fields[Field.CUSTOMER_PURCHASE_IP] == "203.0.113.9"
    assert fields[Field.CANCELLATION_POLICY_DISCLOSURE] == "The box was ticked on 2026-01-02 03:04:05 UTC."
    assert "1 Mill Rd" in fields[Field.BILLING_ADDRESS]
    assert "USD 49.00" in fields[Field.RECEIPT]


@pytest.mark.parametrize("held", [None, "last spring", "2026-01-02T03:04:05"])
def test_a_disclosure_without_its_instant_is_left_out(shop: Shop, held: str | None) -> None:
    trial, dispute = _disputed(shop)
    if held is not None:
        shop.stripe.post(f"/customers/{trial.customer}", metadata={"terms_at": held})
    texts = HouseTexts(terms_shown_at_key="terms_at", cancellation_policy_disclosure="Shown on {shown_at}.")
    shop.desk = replace(shop.desk, texts=texts)
    packet = _packet(shop, dispute)
    assert "is unknown" in packet.left_out[Field.CANCELLATION_POLICY_DISCLOSURE]


def test_what_the_customer_asked_is_among_the_communication(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, cancelled=True, text="I cancelled in March.")
    shop.work()
    dispute = shop.stripe.dispute(charge, status="needs_response", reason="general")["id"]
    said = _packet(shop, dispute).fields[Field.CUSTOMER_COMMUNICATION]
    assert "that it had been cancelled" in said
    assert "I cancelled in March." in said


def test_pushed_activity_is_counted_by_tag_and_api(shop: Shop) -> None:
    trial, dispute = _disputed(shop, reason="fraudulent")
    shop.usage.used_by.add(trial.customer)
    hits = [
        Hits(customer_id=trial.customer, kind=kind, events=count, first_at=None, last_at=None, in_place_at=None)
        for kind, count in (("tag", 5), ("api", 2))
    ]
    with shop.desk.db.begin() as connection:
        activity.add(connection, "default", shop.usage.name, hits)
    log = _packet(shop, dispute).fields[Field.ACCESS_ACTIVITY_LOG]
    assert "- Tracking tag hits: 5" in log
    assert "- API calls: 2" in log


def test_every_paper_of_a_packet_prints_and_prints_the_same(shop: Shop) -> None:
    trial, dispute = _disputed(shop, reason="general")
    shop.usage.used_by.add(trial.customer)
    shop.desk = replace(shop.desk, texts=HouseTexts(refund_policy="Used is used.\n## Exceptions\nNone. \u00fc \u0416"))
    packet = _packet(shop, dispute)
    papers = {field: text for field, text in packet.fields.items() if field in PAPERS}
    assert set(papers) == {Field.RECEIPT, Field.REFUND_POLICY, Field.SERVICE_DOCUMENTATION}
    for field, text in papers.items():
        printed = printed_field(field, text, dispute_id=dispute, charge_id=packet.charge_id)
        again = printed_field(field, text, dispute_id=dispute, charge_id=packet.charge_id)
        assert printed.content == again.content
        assert (printed.pages, printed.unprintable) == (1, 0)
        read = PdfReader(io.BytesIO(printed.content)).pages[0].extract_text()
        assert text.splitlines()[0].removeprefix("## ")[:40] in read


@pytest.mark.parametrize("long", [1, LONGEST_FIELD, LONGEST_FIELD + 1])
def test_a_text_too_long_is_cut_with_a_mark(long: int) -> None:
    text = fitted("x" * long)
    assert length(text) == min(long, LONGEST_FIELD)
    assert text.endswith(CUT) == (long > LONGEST_FIELD)


def test_a_text_is_as_long_as_stripe_counts_it() -> None:
    assert length(fitted("\U0001f600" * LONGEST_FIELD)) <= LONGEST_FIELD
