"""What happens around a verdict: daily limits, the look just before paying, and what no approval can override."""

from dataclasses import replace
from typing import Any

import pytest
from tests.builders import AMOUNT, facts, shipped_policy

from billingbot.core.decision import Blocker, Limit, Outcome, Recommendation, Truth
from billingbot.core.policy import approval_blockers, decide, load_policy, still_holds, with_limit

POLICY = shipped_policy()
REFUND = decide(facts(), POLICY)


def test_a_daily_limit_turns_a_refund_into_a_review_that_recommends_it() -> None:
    held = with_limit(REFUND, Limit.DAILY_AMOUNT, "USD 1,980.00 spent", "at most USD 2,000.00")
    assert held.outcome is Outcome.REVIEW
    assert held.reason == "limit-daily-amount"
    assert held.recommendation is Recommendation.REFUND
    assert (held.amount_minor, held.currency) == (AMOUNT, "usd")
    assert held.limits[:-1] == REFUND.limits
    assert held.limits[-1].passed is Truth.FALSE


def test_only_a_refund_can_be_held_back() -> None:
    with pytest.raises(ValueError, match="expected a refund"):
        with_limit(decide(facts(usage__used=True), POLICY), Limit.DAILY_COUNT, "50", "50")


def test_a_refund_still_holds_where_the_same_is_decided_again() -> None:
    assert still_holds(REFUND, decide(facts(), POLICY))
    assert still_holds(REFUND, decide(facts({"request.claims_unused": False}), POLICY))


@pytest.mark.parametrize(
    "so",
    [
        {"usage.used": True},
        {"usage.used": None, "usage.complete": False},
        {"dispute.open_chargeback": True, "dispute.none": False},
        {"charge.refunded_minor": 1, "charge.refundable_minor": AMOUNT - 1},
        {"charge.refunded_minor": AMOUNT, "charge.refundable_minor": 0},
        {"charge.amount_minor": 100, "charge.refundable_minor": 100},
        {"charge.currency": "eur"},
        {"desk.mode": "shadow"},
        {"history.trial_by_card": None},
    ],
)
def test_a_refund_no_longer_holds_once_anything_that_matters_changed(so: dict[str, Any]) -> None:
    assert not still_holds(REFUND, decide(facts(so), POLICY))


def test_what_was_no_refund_never_holds_as_one() -> None:
    review = decide(facts({"desk.mode": "shadow"}), POLICY)
    assert not still_holds(review, REFUND)
    assert not still_holds(replace(REFUND, amount_minor=None), replace(REFUND, amount_minor=None))


@pytest.mark.parametrize(
    ("so", "blockers"),
    [
        ({}, ()),
        ({"usage.used": True}, ()),
        ({"charge.refundable_minor": 0}, (Blocker.NOTHING_REFUNDABLE,)),
        ({"charge.refundable_minor": None}, (Blocker.NOTHING_REFUNDABLE,)),
        ({"charge.succeeded": False}, (Blocker.NOT_SUCCEEDED,)),
        ({"charge.succeeded": None}, (Blocker.NOT_SUCCEEDED,)),
        ({"charge.captured": False}, (Blocker.NOT_CAPTURED,)),
        ({"dispute.money_returned": True}, (Blocker.MONEY_RETURNED,)),
        ({"dispute.money_returned": None}, (Blocker.MONEY_RETURNED,)),
        ({"dispute.open_chargeback": True}, (Blocker.OPEN_CHARGEBACK,)),
        ({"dispute.allows_refund": False}, (Blocker.DISPUTE_FORBIDS,)),
        ({"dispute.allows_refund": None}, (Blocker.DISPUTE_FORBIDS,)),
        ({"dispute.none": False, "dispute.open_inquiry": True}, ()),
    ],
)
def test_what_blocks_an_approved_refund_is_named(so: dict[str, Any], blockers: tuple[Blocker, ...]) -> None:
    assert approval_blockers(facts(so)) == blockers


def test_a_machine_refund_is_never_blocked() -> None:
    assert approval_blockers(facts()) == ()


def test_a_condition_that_cannot_be_evaluated_is_unknown_and_says_why() -> None:
    source = POLICY.source.replace('use-was-seen = "usage.used"', 'use-was-seen = "charge.amount_minor / 0 == 1"')
    decision = decide(facts({"usage.used": True}), load_policy(source, filename="p.toml"))
    trace = next(rule for rule in decision.trace if rule.rule == "used").conditions[0]
    assert trace.observed is Truth.UNKNOWN
    assert trace.error is not None
    assert "divide by zero" in trace.error


def test_a_failing_condition_above_a_refund_holds_it_back() -> None:
    source = POLICY.source.replace(
        'same-card-or-mailbox = "history', 'broken = "charge.amount_minor / 0 == 1"\nsame-card-or-mailbox = "history'
    )
    broken = load_policy(source, filename="p.toml")
    # The other conditions of the rule are false, so it is false, whatever the broken one would say.
    assert decide(facts(), broken).outcome is Outcome.REFUND
    alone = POLICY.source.replace('same-card-or-mailbox = "history.trial_by_card || history.trial_by_email"', "")
    alone = alone.replace('began-with-a-trial = "trial.exists"\n\n', 'broken = "charge.amount_minor / 0 == 1"\n\n', 1)
    held = decide(facts(), load_policy(alone, filename="p.toml"))
    assert (held.outcome, held.reason) == (Outcome.REVIEW, "undecided-rule")
    assert held.clause == "trial-abuse"


def test_a_refund_of_nothing_is_outside_the_limits_of_any_policy() -> None:
    loose = POLICY.source.replace(' && charge.refundable_minor == charge.amount_minor"', '"')
    loose = loose.replace('nothing-is-left = "charge.refundable_minor == 0"', 'nothing-is-left = "false"')
    decision = decide(facts({"charge.refundable_minor": 0}), load_policy(loose, filename="p.toml"))
    assert (decision.outcome, decision.reason) == (Outcome.REVIEW, "limit-amount")
