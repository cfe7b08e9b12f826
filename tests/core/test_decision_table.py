"""The decision table, line by line: each row, each boundary, and what happens where a fact is unknown."""

from typing import Any

import pytest
from tests.builders import AMOUNT, facts, shipped_policy

from billingbot.core.decision import UNDECIDED_RULE, Outcome, Recommendation
from billingbot.core.policy import decide

POLICY = shipped_policy()

INQUIRY = {"dispute.none": False, "dispute.open_inquiry": True}
CHARGEBACK = {"dispute.none": False, "dispute.open_chargeback": True, "dispute.allows_refund": False}
RETURNED = {"dispute.none": False, "dispute.money_returned": True, "dispute.allows_refund": False}
WON = {"dispute.none": False, "dispute.won": True}
REFUNDED = {"charge.refunded_minor": AMOUNT, "charge.refundable_minor": 0}
IN_PART = {"charge.refunded_minor": 1, "charge.refundable_minor": AMOUNT - 1}
GAP = {"usage.used": None, "usage.complete": False}
USED = {"usage.used": True}
USED_WITH_GAP = {"usage.used": True, "usage.complete": False}
CLAIMS = {"request.claims_cancellation": True}
CANCELLED = {"cancellation.before_charge": True}
WARNED = {"request.channel": "early_fraud_warning", "warning.actionable": True, "warning.fraud_type": "misc"}
STOLEN = WARNED | {"warning.fraud_type": "made_with_stolen_card"}
SMALL = {"charge.percent_of_dispute_fee": 100}
NEAR = {"charge.percent_of_dispute_fee": 135}
NO_FEE = {"dispute.fee_minor": None, "charge.percent_of_dispute_fee": None}
RENEWAL = {"trial.charged_at_end": False, "trial.earlier_charge": True}

# row, what is so, expected outcome, reason, recommendation
TABLE: list[tuple[int, dict[str, Any], str, str, str]] = [
    # Row 1: nothing to refund
    (1, {"charge.amount_minor": 0, "charge.refundable_minor": 0}, "close", "charge-zero", "none"),
    (1, {"charge.succeeded": False}, "close", "charge-failed", "none"),
    (1, {"charge.succeeded": False, "charge.captured": False}, "close", "charge-failed", "none"),
    (1, {"charge.captured": False, "charge.amount_minor": 0}, "close", "not-captured", "none"),
    (1, REFUNDED, "close", "already-refunded", "none"),
    (1, RETURNED, "close", "returned-through-dispute", "none"),
    (1, REFUNDED | USED, "close", "already-refunded", "none"),
    (1, REFUNDED | {"history.trial_by_card": True}, "close", "already-refunded", "none"),
    (1, REFUNDED | GAP, "close", "already-refunded", "none"),
    (1, RETURNED | {"desk.mode": "off"}, "close", "returned-through-dispute", "none"),
    (1, REFUNDED | {"trial.exists": None}, "close", "already-refunded", "none"),
    # Row 1, but a bank waits for an answer: a person, never a silent close
    (1, REFUNDED | INQUIRY, "review", "bank-asks-about-nothing", "none"),
    (1, {"charge.captured": False} | INQUIRY, "review", "bank-asks-about-nothing", "none"),
    (1, {"charge.succeeded": False, "warning.actionable": True}, "review", "bank-asks-about-nothing", "none"),
    (1, RETURNED | {"dispute.open_inquiry": True}, "review", "bank-asks-about-nothing", "none"),
    (
        1,
        {"charge.amount_minor": 0, "charge.refundable_minor": 0} | INQUIRY,
        "review",
        "bank-asks-about-nothing",
        "none",
    ),
    # Row 2: an open chargeback; advice by what the other rows would have said
    (2, CHARGEBACK, "review", "open-chargeback", "accept_dispute"),
    (2, CHARGEBACK | USED, "review", "open-chargeback", "contest_dispute"),
    (2, CHARGEBACK | GAP, "review", "open-chargeback", "contest_dispute"),
    (2, CHARGEBACK | RENEWAL, "review", "open-chargeback", "contest_dispute"),
    (2, CHARGEBACK | CANCELLED | USED, "review", "open-chargeback", "accept_dispute"),
    (2, CHARGEBACK | {"history.trial_by_card": True}, "review", "open-chargeback", "contest_dispute"),
    (2, CHARGEBACK | {"history.trial_by_card": None}, "review", "open-chargeback", "contest_dispute"),
    (2, CHARGEBACK | CLAIMS, "review", "open-chargeback", "contest_dispute"),
    (2, CHARGEBACK | {"desk.mode": "shadow"}, "review", "open-chargeback", "accept_dispute"),
    (2, CHARGEBACK | REFUNDED | {"dispute.open_inquiry": True}, "review", "open-chargeback", "contest_dispute"),
    (2, CHARGEBACK | {"charge.captured": False}, "review", "open-chargeback", "contest_dispute"),
    (2, CHARGEBACK | REFUNDED, "review", "open-chargeback", "contest_dispute"),
    (2, CHARGEBACK | {"request.channel": "dispute"}, "review", "open-chargeback", "accept_dispute"),
    # Row 3: repeated trial
    (3, {"history.trial_by_card": True}, "review", "repeat-trial", "decline"),
    (3, {"history.trial_by_email": True}, "review", "repeat-trial", "decline"),
    (3, {"history.trial_by_card": True, "history.trial_by_email": None}, "review", "repeat-trial", "decline"),
    (3, {"history.trial_by_card": None, "history.trial_by_email": True}, "review", "repeat-trial", "decline"),
    (3, {"history.trial_by_email": True} | CANCELLED | USED | GAP, "review", "repeat-trial", "decline"),
    (3, {"history.trial_by_card": True} | INQUIRY, "review", "repeat-trial", "decline"),
    (9, {"history.trial_by_card": True, "trial.exists": False}, "review", "no-trial", "decline"),
    # Row 4: a cancellation claimed and not found
    (4, CLAIMS, "review", "cancellation-not-found", "decline"),
    (4, CLAIMS | USED, "review", "cancellation-not-found", "decline"),
    (4, CLAIMS | GAP, "review", "cancellation-not-found", "decline"),
    (7, CLAIMS | CANCELLED, "refund", "unused-trial", "refund"),
    (7, CLAIMS | {"cancellation.before_charge": None}, "review", UNDECIDED_RULE, "none"),
    (8, CLAIMS | USED | {"cancellation.before_charge": None}, "review", "used", "decline"),
    # Row 5: charged after a cancellation
    (5, CANCELLED | USED, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | CLAIMS | USED, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | RENEWAL, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | {"trial.exists": False}, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | IN_PART, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | USED_WITH_GAP, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | USED | INQUIRY, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | {"trial.charged_at_end": False}, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | {"trial.ended_early": True}, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | {"trial.earlier_charge": True}, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | {"charge.is_last": False}, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | {"charge.single_payment": False}, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | {"charge.invoice_sent": True}, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | WON, "review", "charged-after-cancellation", "refund"),
    (5, CANCELLED | {"desk.mode": "shadow"} | USED, "review", "charged-after-cancellation", "refund"),
    (7, CANCELLED | {"desk.mode": "shadow"}, "review", "limit-mode", "refund"),
    (7, CANCELLED, "refund", "unused-trial", "refund"),
    (7, {"cancellation.before_charge": None}, "refund", "unused-trial", "refund"),
    # Row 6: evidence with a gap
    (6, GAP, "review", "evidence-incomplete", "none"),
    (6, USED_WITH_GAP, "review", "evidence-incomplete", "none"),
    (6, GAP | RENEWAL, "review", "evidence-incomplete", "none"),
    (6, GAP | INQUIRY, "review", "evidence-incomplete", "none"),
    (6, GAP | IN_PART, "review", "evidence-incomplete", "none"),
    (6, GAP | {"history.trial_by_card": None}, "review", "evidence-incomplete", "none"),
    (6, GAP | CANCELLED, "review", "evidence-incomplete-after-cancellation", "refund"),
    # Row 7: the one refund
    (7, {}, "refund", "unused-trial", "refund"),
    (7, INQUIRY | {"request.channel": "inquiry"}, "refund", "unused-trial", "refund"),
    (7, {"warning.actionable": True, "request.channel": "early_fraud_warning"}, "refund", "unused-trial", "refund"),
    (7, {"request.claims_unused": False}, "refund", "unused-trial", "refund"),
    (7, {"usage.first_at": None, "usage.last_at": None}, "refund", "unused-trial", "refund"),
    # Row 7, outside its limits: a person, recommended to refund
    (7, {"desk.mode": "off"}, "review", "limit-mode", "refund"),
    (7, {"desk.mode": "shadow"}, "review", "limit-mode", "refund"),
    (7, {"desk.mode": "assist"}, "review", "limit-mode", "refund"),
    (7, {"charge.amount_minor": 20000, "charge.refundable_minor": 20000}, "refund", "unused-trial", "refund"),
    (7, {"charge.amount_minor": 20001, "charge.refundable_minor": 20001}, "review", "limit-amount", "refund"),
    (7, {"charge.currency": "xau"}, "review", "limit-currency", "refund"),
    (
        7,
        {"charge.currency": "jpy", "charge.amount_minor": 30000, "charge.refundable_minor": 30000},
        "refund",
        "unused-trial",
        "refund",
    ),
    (
        7,
        {"charge.currency": "jpy", "charge.amount_minor": 30001, "charge.refundable_minor": 30001},
        "review",
        "limit-amount",
        "refund",
    ),
    (
        7,
        {"charge.currency": "kwd", "charge.amount_minor": 60001, "charge.refundable_minor": 60001},
        "review",
        "limit-amount",
        "refund",
    ),
    (7, {"history.refunds_customer": 1}, "review", "limit-earlier-refund", "refund"),
    (7, {"history.refunds_card": 1}, "review", "limit-earlier-refund", "refund"),
    (7, {"history.refunds_email": 2}, "review", "limit-earlier-refund", "refund"),
    (7, {"history.refunds_email": None}, "review", "limit-earlier-refund", "refund"),
    (7, {"history.denied_before": True}, "review", "limit-denied-before", "refund"),
    (7, {"history.denied_before": None}, "review", "limit-denied-before", "refund"),
    (7, {"desk.mode": "shadow", "charge.currency": "xau"}, "review", "limit-mode", "refund"),
    # Row 7, where a rule above it could not be told: a person, without advice
    (7, {"history.trial_by_card": None}, "review", UNDECIDED_RULE, "none"),
    (7, {"history.trial_by_email": None}, "review", UNDECIDED_RULE, "none"),
    (7, {"warning.actionable": None}, "refund", "unused-trial", "refund"),
    # Row 7, asked by the bank through a fraud warning: what row 7 refunds is refunded, the rest is a person's, and
    # the advice weighs the charge against what a dispute costs
    (7, WARNED, "refund", "unused-trial", "refund"),
    (7, STOLEN | SMALL, "refund", "unused-trial", "refund"),
    (7, WARNED | {"desk.mode": "assist"}, "review", "limit-mode", "refund"),
    (7, WARNED | {"history.trial_by_card": None}, "review", UNDECIDED_RULE, "none"),
    (7, WARNED | USED | SMALL, "review", "warning-small-against-fee", "refund"),
    (7, STOLEN | USED | SMALL, "review", "warning-small-against-fee", "refund"),
    (7, WARNED | RENEWAL | SMALL, "review", "warning-small-against-fee", "refund"),
    (7, WARNED | USED | {"charge.percent_of_dispute_fee": 101}, "review", "warning-near-the-fee", "none"),
    (7, WARNED | USED | NEAR, "review", "warning-near-the-fee", "none"),
    (7, WARNED | USED | {"charge.percent_of_dispute_fee": 136}, "review", "warning-used-above-fee", "decline"),
    (7, WARNED | RENEWAL, "review", "warning-unused-above-fee", "decline"),
    (7, WARNED | IN_PART, "review", "warning-unused-above-fee", "decline"),
    (7, STOLEN | USED, "review", "warning-card-not-theirs", "none"),
    (7, STOLEN | NEAR | USED, "review", "warning-card-not-theirs", "none"),
    (7, WARNED | USED | {"warning.fraud_type": None}, "review", "warning-used-above-fee", "decline"),
    (7, WARNED | USED | NO_FEE, "review", "fraud-warning", "none"),
    (7, WARNED | {"usage.used": None}, "review", "fraud-warning", "none"),
    (3, WARNED | SMALL | {"history.trial_by_card": True}, "review", "repeat-trial", "decline"),
    (5, WARNED | SMALL | CANCELLED | USED, "review", "charged-after-cancellation", "refund"),
    (6, WARNED | SMALL | GAP, "review", "evidence-incomplete", "none"),
    # A warning that comes after a dispute or a refund is not actionable, and pays nothing
    (1, WARNED | REFUNDED, "review", "bank-asks-about-nothing", "none"),
    (1, WARNED | REFUNDED | {"warning.actionable": False}, "close", "already-refunded", "none"),
    (1, WARNED | RETURNED | {"warning.actionable": False}, "close", "returned-through-dispute", "none"),
    (2, WARNED | CHARGEBACK | {"warning.actionable": False}, "review", "open-chargeback", "accept_dispute"),
    (10, WARNED | WON | {"warning.actionable": False}, "review", "dispute-won", "none"),
    # Row 8: used
    (8, USED, "review", "used", "decline"),
    (8, USED | RENEWAL, "review", "used", "decline"),
    (8, USED | {"trial.exists": False}, "review", "used", "decline"),
    (8, USED | IN_PART, "review", "used", "decline"),
    (8, USED | WON, "review", "used", "decline"),
    (8, USED | INQUIRY, "review", "used", "decline"),
    (8, USED | {"warning.actionable": True}, "review", "used", "decline"),
    (8, USED | {"history.trial_by_card": None}, "review", "used", "decline"),
    # Row 9: never used, but not the one trial-end charge
    (9, {"trial.exists": False, "trial.charged_at_end": False}, "review", "no-trial", "decline"),
    (9, {"trial.ended_early": True, "trial.charged_at_end": False}, "review", "trial-ended-early", "decline"),
    (9, {"trial.ended_early": True}, "review", "trial-ended-early", "decline"),
    (9, RENEWAL, "review", "not-the-first-charge", "decline"),
    (9, {"trial.earlier_charge": True}, "review", "not-the-first-charge", "decline"),
    (9, {"charge.is_last": False}, "review", "not-the-last-charge", "decline"),
    (9, {"trial.charged_at_end": False}, "review", "not-charged-at-trial-end", "decline"),
    (9, RENEWAL | INQUIRY, "review", "not-the-first-charge", "decline"),
    (9, RENEWAL | IN_PART, "review", "not-the-first-charge", "decline"),
    # Row 10: anything else
    (10, IN_PART, "review", "refunded-in-part", "none"),
    (10, {"charge.single_payment": False}, "review", "several-payments", "none"),
    (10, {"charge.single_payment": False, "charge.is_last": None}, "review", "several-payments", "none"),
    (10, {"charge.invoice_sent": True, "trial.charged_at_end": False}, "review", "paid-by-hand", "none"),
    (10, WON, "review", "dispute-won", "none"),
    (10, WON | {"dispute.open_inquiry": True}, "review", "dispute-won", "none"),
    (10, {"charge.invoice_sent": True}, "review", "paid-by-hand", "none"),
    (1, {"request.nothing_charged": True}, "close", "nothing-charged", "none"),
    (10, {"request.ambiguous": True}, "review", "ambiguous-request", "none"),
    (10, {"request.ambiguous": True} | GAP, "review", "ambiguous-request", "none"),
    (10, {"dispute.allows_refund": False}, "review", "anything-else", "none"),
    (10, {"dispute.none": False}, "review", "anything-else", "none"),
    (10, {"dispute.allows_refund": None}, "review", "anything-else", "none"),
    (10, {"trial.exists": None}, "review", "anything-else", "none"),
    (10, {"trial.charged_at_end": None}, "review", "anything-else", "none"),
    (10, {"charge.is_last": None}, "review", "anything-else", "none"),
    (10, {"charge.single_payment": None}, "review", "anything-else", "none"),
    (10, {"charge.succeeded": None}, "review", "anything-else", "none"),
    (10, {"usage.used": None}, "review", "anything-else", "none"),
]


@pytest.mark.parametrize(("row", "so", "outcome", "reason", "recommendation"), TABLE)
def test_each_line_of_the_table_comes_out_as_written(
    row: int, so: dict[str, Any], outcome: str, reason: str, recommendation: str
) -> None:
    decision = decide(facts(so), POLICY)
    assert (decision.outcome, decision.reason, decision.recommendation) == (outcome, reason, recommendation)
    rule = POLICY.rule(decision.rule)
    assert rule is not None
    assert rule.row == row


def test_every_rule_of_the_shipped_policy_is_reached_by_some_line() -> None:
    reached = {decide(facts(so), POLICY).rule for _, so, *_ in TABLE}
    assert reached == {rule.id for rule in POLICY.rules}


def test_rows_stand_in_the_order_of_the_table() -> None:
    rows = [rule.row for rule in POLICY.rules]
    assert rows == sorted(rows)
    assert set(rows) == set(range(1, 11))


def test_only_row_seven_refunds() -> None:
    assert [(rule.row, rule.clause) for rule in POLICY.rules if rule.outcome is Outcome.REFUND] == [(7, "unused-trial")]


def test_the_machine_never_declines_it_only_recommends_to() -> None:
    declining = [rule for rule in POLICY.rules if rule.recommendation is Recommendation.DECLINE]
    assert declining
    assert all(rule.outcome is Outcome.REVIEW for rule in declining)


@pytest.mark.parametrize(
    ("so", "clause"),
    [
        ({}, "unused-trial"),
        ({"history.trial_by_card": True}, "trial-abuse"),
        (CLAIMS, "false-cancellation-claim"),
        (CANCELLED | USED, None),
        (GAP, "unused-trial"),
        (USED, "discretion"),
        (RENEWAL, "no-partial-refunds"),
        (IN_PART, "discretion"),
        (CHARGEBACK, None),
        (REFUNDED, None),
        ({"history.trial_by_card": None}, "trial-abuse"),
    ],
)
def test_the_clause_is_the_one_the_table_names(so: dict[str, Any], clause: str | None) -> None:
    assert decide(facts(so), POLICY).clause == clause


@pytest.mark.parametrize(
    ("so", "priority"),
    [
        (CANCELLED | USED, "urgent"),
        (CHARGEBACK, "urgent"),
        (REFUNDED | INQUIRY, "urgent"),
        (GAP | CANCELLED, "urgent"),
        (GAP, "normal"),
        (USED, "normal"),
    ],
)
def test_what_is_urgent_is_urgent(so: dict[str, Any], priority: str) -> None:
    assert decide(facts(so), POLICY).priority == priority


@pytest.mark.parametrize(
    ("so", "missing"),
    [
        ({}, ()),
        (GAP, ("usage.complete",)),
        ({"history.trial_by_card": None}, ("history.trial_by_card",)),
        (CLAIMS | {"cancellation.before_charge": None}, ("cancellation.before_charge",)),
        ({"history.refunds_card": None}, ("history.refunds_card",)),
        ({"history.denied_before": None}, ("history.denied_before",)),
        ({"trial.charged_at_end": None}, ("trial.charged_at_end",)),
        (USED | {"history.trial_by_card": None}, ("history.trial_by_card",)),
        (USED | {"cancellation.before_charge": None}, ("cancellation.before_charge",)),
        (CLAIMS | {"cancellation.before_charge": None, "warning.actionable": None}, ("cancellation.before_charge",)),
    ],
)
def test_missing_names_the_unknown_facts_that_stood_in_the_way(so: dict[str, Any], missing: tuple[str, ...]) -> None:
    assert decide(facts(so), POLICY).missing == missing


@pytest.mark.parametrize(
    ("so", "amount"),
    [
        ({}, AMOUNT),
        ({"desk.mode": "assist"}, AMOUNT),
        (CANCELLED | IN_PART, AMOUNT - 1),
        (USED, None),
        (CHARGEBACK, None),
        ({"history.trial_by_card": None}, None),
        (REFUNDED, None),
    ],
)
def test_an_amount_stands_only_where_a_refund_is_given_or_recommended(so: dict[str, Any], amount: int | None) -> None:
    decision = decide(facts(so), POLICY)
    assert decision.amount_minor == amount
    assert decision.currency == (None if amount is None else "usd")


def test_all_limits_are_told_and_the_first_that_fails_is_the_reason() -> None:
    decision = decide(facts({"desk.mode": "shadow", "history.denied_before": True, "history.refunds_card": 1}), POLICY)
    assert decision.reason == "limit-mode"
    assert [(trace.limit.value, trace.passed.value) for trace in decision.limits] == [
        ("limit-mode", "false"),
        ("limit-currency", "true"),
        ("limit-amount", "true"),
        ("limit-earlier-refund", "false"),
        ("limit-denied-before", "false"),
    ]


def test_the_trace_ends_with_the_rule_that_decided() -> None:
    decision = decide(facts(USED), POLICY)
    assert [trace.rule for trace in decision.trace] == [
        rule.id for rule in POLICY.rules[: [rule.id for rule in POLICY.rules].index("used") + 1]
    ]
    assert decision.trace[-1].conditions[0].facts == {"usage.used": True}
