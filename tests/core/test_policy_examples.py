"""The examples in a policy file: what they may say, how they are decided, and that the shipped ones cover its rules."""

from datetime import UTC, datetime

import pytest
from tests.builders import POLICY_FILE, shipped_policy

from billingbot.core.facts import CATALOGUE, Known
from billingbot.core.policy import PolicyError, load_policy
from billingbot.core.policy.examples import example_facts, in_words, try_examples

POLICY = shipped_policy()
TRIED = try_examples(POLICY)
BEFORE_EXAMPLES, BASE_AND_EXAMPLES = POLICY_FILE.read_text("utf-8").split("\n# Row 1: nothing to refund\n\n[[example]]")
BASE = BEFORE_EXAMPLES + "\n"


def with_example(text: str) -> str:
    return f'{BASE}[[example]]\nname = "mine"\n{text}\n'


@pytest.mark.parametrize("tried", TRIED, ids=lambda tried: tried.example.name)
def test_every_shipped_example_comes_out_as_it_says(tried: object) -> None:
    assert tried.wrong == ()  # type: ignore[attr-defined] # a Tried; parametrize gives objects


def test_every_rule_of_the_shipped_policy_decides_at_least_one_example() -> None:
    assert {tried.decision.rule for tried in TRIED} == {rule.id for rule in POLICY.rules}


def test_every_row_of_the_decision_table_and_every_limit_of_one_case_has_an_example() -> None:
    rows = {POLICY.rule(tried.decision.rule).row for tried in TRIED}  # type: ignore[union-attr] # it decided
    assert rows == set(range(1, 11))
    reasons = {tried.decision.reason for tried in TRIED}
    assert reasons >= {"limit-mode", "limit-currency", "limit-amount", "limit-earlier-refund", "limit-denied-before"}


def test_every_shipped_example_names_the_clause_that_its_verdict_cites() -> None:
    assert [tried.example.name for tried in TRIED if tried.example.clause != tried.decision.clause] == []


def test_the_base_says_every_fact_that_a_rule_or_a_limit_of_the_shipped_policy_reads() -> None:
    read = {fact for rule in POLICY.rules for fact in rule.facts}
    limits = {"desk.mode", "charge.currency", "history.denied_before"}
    assert POLICY.example_base.keys() >= read | limits


def test_what_an_example_does_not_say_is_as_in_the_base_and_else_unknown() -> None:
    policy = load_policy(
        with_example('facts.usage.used = true\noutcome = "review"\nreason = "used"'), filename="policy.toml"
    )
    facts = example_facts(policy, policy.examples[0])
    assert facts.known("usage.used") is True
    assert facts.known("charge.amount_minor") == 4900
    assert facts.known("usage.first_at") is None


def test_a_story_establishes_its_facts_as_a_real_case_does() -> None:
    text = with_example('story.usage_events = 1\noutcome = "review"\nreason = "used"')
    policy = load_policy(text, filename="policy.toml")
    facts = example_facts(policy, policy.examples[0])
    assert facts.known("usage.used") is True
    assert facts.known("usage.first_at") == datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert isinstance(facts["trial.charged_at_end"], Known)


def test_a_failing_example_says_what_was_expected_and_what_came() -> None:
    text = with_example('facts.usage.used = true\noutcome = "refund"\nreason = "unused-trial"\nclause = "unused-trial"')
    [tried] = try_examples(load_policy(text, filename="policy.toml"))
    assert tried.wrong == (
        "outcome: expected refund, got review",
        "reason: expected unused-trial, got used",
        "clause: expected unused-trial, got discretion",
    )
    assert in_words(tried.example) == "usage.used = true"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('reason = "used"', "outcome: missing"),
        ('outcome = "review"', "reason: missing"),
        ('outcome = "review"\nreason = "no-such-rule"', "neither a rule nor a limit is named 'no-such-rule'"),
        ('outcome = "review"\nreason = "used"\nclause = "nowhere"', "no clause is named 'nowhere'"),
        ('outcome = "perhaps"\nreason = "used"', "outcome: expected one of refund, review, close"),
        ('outcome = "review"\nreason = "used"\nfacts.usage.usd = true', "no fact is named 'usage.usd'"),
        ('outcome = "review"\nreason = "used"\nfacts.usage.used = "yes"', "expected a bool or 'unknown', got 'yes'"),
        ('outcome = "review"\nreason = "used"\nfacts.charge.amount_minor = true', "expected a int or 'unknown'"),
        ('outcome = "review"\nreason = "used"\nfacts.charge.created_at = 2026-03-01T00:00:00', "expected a timestamp"),
        ('outcome = "review"\nreason = "used"\nstory.usage_events = -1', "from 0 to"),
        ('outcome = "review"\nreason = "used"\nstory.asked_at = 2026-03-01', "a time with its zone"),
        ('outcome = "review"\nreason = "used"\nstory.nothing = 1', "unknown key 'nothing'"),
        ('outcome = "review"\nreason = "used"\nstory.usage_until = 2026-01-01T00:00:00Z', "before usage_from"),
        (
            'outcome = "review"\nreason = "used"\nstory.usage_events = 1\nfacts.usage.used = true',
            "follows from the story",
        ),
        ('outcome = "review"\nreason = "used"\nwhy = "x"', "unknown key 'why'"),
        ('outcome = "review"\nreason = "used"\n[[example]]\nname = "mine"', "is taken by an example above"),
    ],
)
def test_an_example_that_cannot_be_read_is_told_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(PolicyError) as fault:
        load_policy(with_example(text), filename="policy.toml")
    told = [line for line in fault.value.problems if problem in line]
    assert told
    assert told[0].startswith("policy.toml:")
    assert "example 'mine'" in told[0]


def test_a_policy_without_examples_loads() -> None:
    policy = load_policy(BASE.partition("\n[examples.base]")[0] + "\n", filename="policy.toml")
    assert (policy.examples, policy.example_base) == ((), {})


def test_without_a_base_what_an_example_does_not_say_is_unknown() -> None:
    text = BASE.partition("\n[examples.base]")[0] + "\n"
    text += '[[example]]\nname = "bare"\noutcome = "review"\nreason = "anything-else"\n'
    policy = load_policy(text, filename="policy.toml")
    assert all(example_facts(policy, policy.examples[0]).known(name) is None for name in CATALOGUE)
    assert try_examples(policy)[0].passed
