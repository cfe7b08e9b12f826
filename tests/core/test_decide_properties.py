"""What holds for any facts at all: unknowns never pay, use never pays, equal facts give equal bytes."""

import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders import AMOUNT, NOW, REFUNDABLE, a_fact, facts, shipped_policy

from billingbot.core.canonical import canonical_bytes, digest
from billingbot.core.decision import Outcome, Recommendation
from billingbot.core.facts import CATALOGUE, Facts, FactType, FactValue
from billingbot.core.policy import decide, load_policy
from billingbot.core.restore import restore_decision, restore_facts

POLICY = shipped_policy()
FEW = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_STRINGS = {
    "request.channel": ["api", "console", "cli", "inquiry", "early_fraud_warning", "dispute"],
    "charge.currency": ["usd", "eur", "jpy", "kwd", "xau"],
    "desk.mode": ["off", "shadow", "assist", "auto"],
    "warning.fraud_type": ["misc", "made_with_stolen_card", "unauthorized_use_of_card"],
}
# Edges of the shipped limits, and of 64 bits: a number that CEL cannot hold must not decide anything.
_NUMBERS = [-1, 0, 1, AMOUNT - 1, AMOUNT, 20000, 20001, 30000, 60000, 2**63 - 1, 2**63, -(2**70)]


def _values(name: str) -> st.SearchStrategy[FactValue]:
    match CATALOGUE[name].type:
        case FactType.BOOL:
            return st.booleans()
        case FactType.INT:
            return st.sampled_from(_NUMBERS) | st.integers(0, 30000)
        case FactType.STRING:
            return st.sampled_from(_STRINGS[name])
        case FactType.TIMESTAMP:
            return st.integers(-400, 400).map(lambda hours: NOW + timedelta(hours=hours))


ANY_FACTS = st.fixed_dictionaries({name: st.none() | _values(name) for name in CATALOGUE})
# A refund with a few facts changed at random: arbitrary facts almost never come near one.
NEARLY_A_REFUND = st.fixed_dictionaries({}, optional={name: st.none() | _values(name) for name in CATALOGUE}).map(
    lambda changes: dict(REFUNDABLE) | dict(list(changes.items())[:4])
)
SOME_FACTS = ANY_FACTS | NEARLY_A_REFUND
A_BOOL = st.sampled_from([name for name, spec in CATALOGUE.items() if spec.type is FactType.BOOL])

# What clause unused-trial and the mechanics of Stripe need: with any of these unknown nothing is paid.
NEEDED = [
    "charge.succeeded",
    "charge.captured",
    "charge.amount_minor",
    "charge.refunded_minor",
    "charge.refundable_minor",
    "charge.currency",
    "charge.is_last",
    "charge.single_payment",
    "charge.invoice_sent",
    "dispute.open_chargeback",
    "dispute.money_returned",
    "dispute.won",
    "dispute.allows_refund",
    "trial.exists",
    "trial.ended_early",
    "trial.charged_at_end",
    "trial.earlier_charge",
    "usage.used",
    "usage.complete",
    "history.trial_by_card",
    "history.trial_by_email",
    "history.refunds_customer",
    "history.refunds_card",
    "history.refunds_email",
    "history.denied_before",
    "request.nothing_charged",
    "request.ambiguous",
    "desk.mode",
]


@FEW
@given(SOME_FACTS, st.sampled_from(NEEDED))
def test_a_refund_never_rests_on_an_unknown(values: dict[str, Any], name: str) -> None:
    assert decide(facts(values | {name: None}), POLICY).outcome is not Outcome.REFUND


@FEW
@given(SOME_FACTS)
def test_seen_use_never_refunds(values: dict[str, Any]) -> None:
    assert decide(facts(values | {"usage.used": True}), POLICY).outcome is not Outcome.REFUND


@FEW
@given(SOME_FACTS)
def test_incomplete_evidence_never_refunds(values: dict[str, Any]) -> None:
    assert decide(facts(values | {"usage.complete": False}), POLICY).outcome is not Outcome.REFUND


@FEW
@given(SOME_FACTS, st.sets(st.sampled_from(sorted(CATALOGUE)), max_size=6))
def test_forgetting_facts_never_makes_a_refund(values: dict[str, Any], forgotten: set[str]) -> None:
    before = decide(facts(values), POLICY)
    after = decide(facts(values | dict.fromkeys(forgotten)), POLICY)
    if before.outcome is not Outcome.REFUND:
        assert after.outcome is not Outcome.REFUND


@FEW
@given(NEARLY_A_REFUND, A_BOOL)
def test_a_fact_that_may_be_unknown_in_a_refund_may_also_be_either(values: dict[str, Any], name: str) -> None:
    if decide(facts(values | {name: None}), POLICY).outcome is Outcome.REFUND:
        for value in (True, False):
            assert decide(facts(values | {name: value}), POLICY).outcome is Outcome.REFUND


def test_exactly_the_facts_no_rule_hangs_on_may_be_unknown_in_a_refund() -> None:
    irrelevant = {name for name in CATALOGUE if decide(facts({name: None}), POLICY).outcome is Outcome.REFUND}
    assert irrelevant == {
        "request.channel",
        "request.claims_unused",
        "cancellation.before_charge",
        "charge.created_at",
        "dispute.open_inquiry",
        "warning.actionable",
        "trial.started_at",
        "trial.ended_at",
        "usage.first_at",
        "usage.last_at",
        "warning.fraud_type",
        "dispute.fee_minor",
        "charge.percent_of_dispute_fee",
        "abuse.linked_trials",
        "abuse.linked_refunds",
    }


@FEW
@given(SOME_FACTS)
def test_a_refund_is_whole_positive_and_never_more_than_is_left(values: dict[str, Any]) -> None:
    decision = decide(facts(values), POLICY)
    if decision.outcome is Outcome.REFUND:
        assert decision.amount_minor == values["charge.refundable_minor"] == values["charge.amount_minor"]
        assert isinstance(decision.amount_minor, int)
        assert 0 < decision.amount_minor <= POLICY.limits.automatic_refund_max[str(decision.currency)]
    elif decision.amount_minor is not None:
        assert decision.recommendation is Recommendation.REFUND
        assert decision.amount_minor == values["charge.refundable_minor"]


@FEW
@given(SOME_FACTS, st.randoms())
def test_equal_facts_give_equal_bytes_in_whatever_order(values: dict[str, Any], chance: Any) -> None:
    names = list(values)
    chance.shuffle(names)
    shuffled = Facts(at=NOW, facts={name: a_fact(values[name]) for name in names})
    again = load_policy(POLICY.source, filename="elsewhere.toml")
    expected = canonical_bytes(decide(facts(values), POLICY))
    assert canonical_bytes(decide(shuffled, POLICY)) == expected
    assert canonical_bytes(decide(facts(values), again)) == expected


@FEW
@given(SOME_FACTS)
def test_what_was_stored_comes_back_and_is_decided_the_same_again(values: dict[str, Any]) -> None:
    found = facts(values)
    decision = decide(found, POLICY)
    stored_facts, stored_decision = canonical_bytes(found), canonical_bytes(decision)
    assert decision.facts_digest == digest(stored_facts)
    assert canonical_bytes(restore_facts(stored_facts)) == stored_facts
    assert canonical_bytes(restore_decision(stored_decision)) == stored_decision
    assert canonical_bytes(decide(restore_facts(stored_facts), POLICY)) == stored_decision


@FEW
@given(SOME_FACTS)
def test_the_verdict_agrees_with_its_own_trace(values: dict[str, Any]) -> None:
    decision = decide(facts(values), POLICY)
    assert decision.trace[-1].rule == decision.rule
    assert decision.trace[-1].observed == "true"
    assert all(trace.observed != "true" for trace in decision.trace[:-1])
    if decision.outcome is Outcome.REFUND:
        assert all(trace.observed == "false" for trace in decision.trace[:-1])
        assert all(limit.passed == "true" for limit in decision.limits)
        assert decision.missing == ()


def test_many_threads_share_one_policy() -> None:
    cases: list[Mapping[str, FactValue | None]] = [
        {},
        {"usage.used": True},
        {"usage.used": None},
        {"trial.exists": False},
    ]
    expected = [canonical_bytes(decide(facts(case), POLICY)) for case in cases]
    wrong: list[int] = []

    def work(seed: int) -> None:
        for turn in range(60):
            index = (turn + seed) % len(cases)
            if canonical_bytes(decide(facts(cases[index]), POLICY)) != expected[index]:
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
