"""Deciding stored facts again by memory comes to the very verdict of `decide`, whatever the facts and the policy."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders import REFUNDABLE, facts, shipped_policy
from tests.core.test_decide_properties import SOME_FACTS

from billingbot.core.canonical import canonical_bytes
from billingbot.core.decision import Decision, Recommendation
from billingbot.core.mode import Mode
from billingbot.core.policy import Policy, decide, load_policy
from billingbot.core.policy.again import FactReader, Redecider, Verdict, facts_needed
from billingbot.core.restore import restore_facts

POLICY = shipped_policy()
Values = Mapping[str, Any]

# Conditions of every kind: bools, numbers, times, text, errors, definitions over any of them.
_DEFINES = {
    "plain": "!usage.used || trial.exists",
    "cheap": "charge.amount_minor < 5000",
    "long_trial": "trial.ended_at - trial.started_at > duration('240h')",
    "calm": "dispute.none && !dispute.won",
    "both": "define.cheap && define.calm",
    "any_number": "define.both || charge.refunded_minor > 0",
}
_CONDITIONS = (
    "usage.used",
    "!trial.exists",
    "request.claims_unused && charge.captured",
    "charge.amount_minor > 20000",
    "charge.amount_minor == charge.refundable_minor && dispute.none",
    "charge.refunded_minor * 4611686018427387904 > 1",
    "10 / charge.refunded_minor == 1",
    "charge.created_at < timestamp('2026-03-16T00:00:00Z')",
    "usage.first_at < trial.ended_at || usage.used",
    "charge.currency in ['usd', 'eur']",
    "charge.currency.startsWith('u')",
    "request.channel == 'inquiry' || dispute.open_inquiry",
    "dispute.open_chargeback",
    "dispute.allows_refund ? charge.amount_minor < 30000 : trial.exists",
    "history.refunds_card > 0",
    "desk.mode == 'auto'",
    "usage.complete || usage.used",
    *(f"define.{name}" for name in _DEFINES),
    "!define.both",
    "define.any_number && charge.is_last",
)
_ENDS = (
    'outcome = "close"',
    'outcome = "review"\nrecommendation = "refund"',
    'outcome = "review"\nrecommendation = "decline"\npriority = "high"',
    'outcome = "review"\nrecommendation = "by_other_rules"',
    'outcome = "refund"',
)


def _policy(rules: Sequence[tuple[str, Sequence[str]]]) -> Policy:
    defines = "\n".join(f'{name} = "{source}"' for name, source in _DEFINES.items())
    texts = []
    for index, (end, conditions) in enumerate(rules):
        evidence = ("!usage.used", "usage.complete") if "refund" in end.split("\n", maxsplit=1)[0] else ()
        when = "\n".join(f'c{number} = "{one}"' for number, one in enumerate((*conditions, *evidence)))
        texts.append(f'[[rule]]\nid = "rule{index}"\nrow = 1\n{end}\nsummary = "x"\n[rule.when]\n{when}\n')
    head = POLICY.source.partition("[define]")[0]
    rest = POLICY.source[POLICY.source.index("[limits]") : POLICY.source.index("[examples.base]")]
    last = '[[rule]]\nid = "last"\nrow = 9\noutcome = "review"\nsummary = "x"\n[rule.when]\nalways = "true"\n'
    return load_policy("\n".join([head, "[define]", defines, *texts, last, rest]), filename="made-up.toml")


A_RULE = st.tuples(st.sampled_from(_ENDS), st.lists(st.sampled_from(_CONDITIONS), min_size=1, max_size=3))
POLICIES = st.lists(A_RULE, min_size=1, max_size=7).map(_policy)
SEVERAL = st.lists(SOME_FACTS, min_size=1, max_size=4)
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _told(one: Verdict | Decision) -> tuple[object, ...]:
    return one.outcome, one.rule, one.reason, one.clause, one.recommendation, one.priority, one.reply


def _assert_the_same(again: Redecider, reader: FactReader, values: Values, *, without: Sequence[str] = ()) -> None:
    stored = json.loads(canonical_bytes(facts(values)))
    for name in without:
        del stored["facts"][name]
    content = canonical_bytes(stored)
    expected = decide(restore_facts(content), again.policy)
    for _ in range(2):  # as met for the first time, and as remembered
        found = again.verdict(reader.read(content), content)
        assert _told(found) == _told(expected)
        assert found.recommendation is not Recommendation.REFUND or (expected.amount_minor, expected.currency) == (
            values["charge.refundable_minor"] if expected.currency else None,
            values["charge.currency"] if expected.amount_minor is not None else None,
        )


@MANY
@given(SEVERAL)
def test_the_shipped_policy_decides_the_same_from_memory(several: list[Values]) -> None:
    reader = FactReader(facts_needed(POLICY))
    again = Redecider(POLICY, reader)
    for values in several:
        _assert_the_same(again, reader, values)
        for name in ("charge.amount_minor", "charge.refunded_minor", "charge.refundable_minor"):
            _assert_the_same(again, reader, {**values, name: 0})
            _assert_the_same(again, reader, {**values, name: 4901})


@MANY
@given(POLICIES, SEVERAL)
def test_any_policy_decides_the_same_from_memory(policy: Policy, several: list[Values]) -> None:
    reader = FactReader(facts_needed(policy))
    again = Redecider(policy, reader)
    for values in several:
        _assert_the_same(again, reader, values)
        # Its neighbours share all but one fact: what the memory must not take for the same.
        for name in policy.rules[0].facts:
            _assert_the_same(again, reader, {**values, name: None})
            _assert_the_same(again, reader, {**values, name: REFUNDABLE[name]})


@MANY
@given(POLICIES, SEVERAL, st.sets(st.sampled_from(sorted(REFUNDABLE)), max_size=3))
def test_facts_that_the_catalogue_gained_later_are_unknown(
    policy: Policy, several: list[Values], new: set[str]
) -> None:
    reader = FactReader(facts_needed(policy))
    again = Redecider(policy, reader)
    for values in several:
        _assert_the_same(again, reader, values)
        _assert_the_same(again, reader, {**values, **dict.fromkeys(new)}, without=sorted(new))


@MANY
@given(SEVERAL, st.sampled_from(Mode))
def test_a_supposed_mode_decides_as_if_it_had_been(several: list[Values], mode: Mode) -> None:
    reader = FactReader(facts_needed(POLICY))
    again = Redecider(POLICY, reader, as_mode=mode)
    for values in several:
        content = canonical_bytes(facts(values))
        expected = decide(facts({**values, "desk.mode": mode.value}), POLICY)
        assert _told(again.verdict(reader.read(content), content)) == _told(expected)


def test_advice_on_a_dispute_sees_numbers_as_though_nobody_had_disputed() -> None:
    under_chargeback = ('outcome = "review"\nrecommendation = "by_other_rules"', ["dispute.open_chargeback"])
    policy = _policy([under_chargeback, ('outcome = "refund"', ["charge.amount_minor < 7000 && dispute.none"])])
    reader = FactReader(facts_needed(policy))
    again = Redecider(policy, reader)
    disputed = {**REFUNDABLE, "dispute.open_chargeback": True, "dispute.none": False}
    for amount in (6999, 7000):  # false both times as the charge is; one is a refund without the dispute
        _assert_the_same(again, reader, {**disputed, "charge.amount_minor": amount})


def test_what_is_absent_is_named_and_told_apart_from_what_is_unknown() -> None:
    reader = FactReader(facts_needed(POLICY))
    again = Redecider(POLICY, reader)
    for name in ("trial.exists", "charge.amount_minor", "history.denied_before"):
        stored = json.loads(canonical_bytes(facts({name: None})))
        unknown = canonical_bytes(stored)
        assert again.verdict(reader.read(unknown), unknown).lacking == ()
        del stored["facts"][name]
        absent = canonical_bytes(stored)
        assert again.verdict(reader.read(absent), absent).lacking == (name,)
        assert again.verdict(reader.read(unknown), unknown).lacking == ()


@pytest.mark.parametrize(
    ("name", "value"), [("charge.amount_minor", "4900"), ("usage.used", 1), ("charge.currency", None)]
)
def test_a_fact_of_another_type_is_refused_as_restoring_refuses_it(name: str, value: object) -> None:
    stored = json.loads(canonical_bytes(facts()))
    stored["facts"][name]["value"] = value
    content = canonical_bytes(stored)
    with pytest.raises(ValueError, match="facts"):
        restore_facts(content)
    with pytest.raises(ValueError, match="facts"):
        FactReader(facts_needed(POLICY)).read(content)


def test_the_memory_is_bounded_and_forgets_without_a_wrong_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billingbot.core.policy.again.COMBINATIONS_MAX", 2)
    monkeypatch.setattr("billingbot.core.policy.again.NUMBERS_MAX", 2)
    reader = FactReader(facts_needed(POLICY))
    again = Redecider(POLICY, reader)
    for turn in range(3):
        for amount in (0, 1, 4900, 20000, 20001):
            for used in (False, True, None):
                values = {**REFUNDABLE, "charge.refundable_minor": amount, "usage.used": used, "trial.exists": turn < 2}
                _assert_the_same(again, reader, values)
    assert all(len(numbers.seen) <= 2 for numbers in again._numbers)
    assert max(len(again._seen), len(again._limits_seen), len(again._held)) <= 2
