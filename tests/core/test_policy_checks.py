"""Checks: rules that can never match, twins, refunds that never pay, facts without a source; and what is no flaw."""

from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import POLICY_FILE, shipped_policy

from billingbot.core.decision import Truth
from billingbot.core.facts import FactValue
from billingbot.core.policy import Policy, PolicyError, load_policy
from billingbot.core.policy.checks import Flaw, Severity, Supply, check_policy
from billingbot.core.policy.conditions import Compiler, conjunction
from billingbot.core.policy.expression import Call, Literal, Name, Opaque, tree
from billingbot.core.policy.reach import Reach, Reacher

SOURCE = POLICY_FILE.read_text("utf-8").partition("\n[examples.base]")[0] + "\n"
ALL = Supply(usage=True, usage_times=True, support=True)


def with_rule(text: str, *, above: str) -> Policy:
    """The shipped policy with one more rule above the one of that id."""
    marker = f'[[rule]]\nid = "{above}"'
    assert marker in SOURCE
    return load_policy(SOURCE.replace(marker, f"{text}\n\n{marker}"), filename="policy.toml")


def a_rule(conditions: str, *, rule_id: str = "mine", more: str = "") -> str:
    return (
        f'[[rule]]\nid = "{rule_id}"\nrow = 9\noutcome = "review"\nsummary = "Mine."\n{more}\n[rule.when]\n{conditions}'
    )


def errors(policy: Policy) -> list[str]:
    return [flaw.what for flaw in check_policy(policy) if flaw.severity is Severity.ERROR]


def about(flaws: tuple[Flaw, ...], rule: str) -> list[str]:
    return [flaw.what for flaw in flaws if flaw.rule == rule]


def test_the_shipped_policy_has_no_flaw() -> None:
    assert check_policy(shipped_policy(), supply=ALL) == ()


def test_every_rule_of_the_shipped_policy_is_shown_to_match_by_facts() -> None:
    policy = shipped_policy()
    reacher = Reacher(policy)
    assert {reacher.match(rule).reach for rule in policy.rules} == {Reach.CAN}
    assert reacher.pay(policy.rules[[rule.id for rule in policy.rules].index("unused-trial")]).reach is Reach.CAN


@pytest.mark.parametrize(
    ("rule", "above", "what"),
    [
        (a_rule('a = "usage.used && trial.exists"'), "no-trial", "those of rule 'used' above are true as well"),
        (a_rule('a = "charge.amount_minor < 0"'), "used", "its conditions cannot all be true at once"),
        (a_rule('a = "usage.used"\nb = "!usage.used"'), "used", "its conditions cannot all be true at once"),
        (a_rule("a = \"request.channel == 'pigeon'\""), "used", "its conditions cannot all be true at once"),
        (
            a_rule('a = "charge.amount_minor > 10"\nb = "charge.amount_minor < 12"\nc = "charge.amount_minor != 11"'),
            "used",
            "its conditions cannot all be true at once",
        ),
        (
            a_rule('a = "charge.refundable_minor > charge.amount_minor"\nb = "charge.amount_minor >= 5"')
            + "\n\n"
            + a_rule('a = "charge.refundable_minor > 7"\nb = "charge.amount_minor == 6"', rule_id="second"),
            "used",
            "rule 'second': can never match: wherever its conditions are true, those of rule 'mine' above",
        ),
        (
            a_rule('a = "trial.exists"')
            + "\n\n"
            + a_rule('a = "!trial.exists"', rule_id="other")
            + "\n\n"
            + a_rule('a = "trial.exists || !trial.exists"\nb = "usage.used"', rule_id="third"),
            "used",
            "rule 'third': can never match: the rules above it take every case that it could",
        ),
        (a_rule('a = "true"'), "used", "rule 'used': can never match: wherever its conditions are true, those of rule"),
    ],
)
def test_a_rule_that_can_never_match_is_told_with_the_reason(rule: str, above: str, what: str) -> None:
    assert [error for error in errors(with_rule(rule, above=above)) if what in error]


@pytest.mark.parametrize(
    ("rule", "above"),
    [
        (a_rule('a = "charge.amount_minor > 10"\nb = "charge.amount_minor < 12"'), "used"),
        (a_rule('a = "usage.used"\nb = "charge.amount_minor > 100000"'), "used"),
        (a_rule("a = \"request.channel == 'inquiry'\""), "used"),
        (a_rule("a = \"charge.currency in ['usd', 'eur']\""), "used"),
        (a_rule("a = \"charge.created_at < timestamp('2026-01-01T00:00:00Z')\""), "used"),
        (a_rule('a = "trial.ended_at < trial.started_at"'), "used"),
        # Reachable where what the rule above reads is unknown: it does not match then.
        (a_rule('a = "true"\nb = "charge.succeeded"', rule_id="later"), "anything-else"),
    ],
)
def test_a_rule_that_can_match_is_no_flaw(rule: str, above: str) -> None:
    policy = with_rule(rule, above=above)
    added = next(one for one in policy.rules if one.id in {"mine", "later"})
    assert Reacher(policy).match(added).reach is Reach.CAN


@pytest.mark.parametrize(
    "condition",
    [
        "charge.currency.startsWith('u')",
        "trial.ended_at - trial.started_at > duration('240h')",
        "charge.amount_minor * 2 > 10",
        "['usd'].exists(one, one == charge.currency)",
        "charge.currency < 'm'",
    ],
)
def test_where_a_condition_computes_it_says_that_it_cannot_tell(condition: str) -> None:
    policy = with_rule(a_rule(f'a = "{condition}"'), above="used")
    told = about(check_policy(policy), "mine")
    assert [what for what in told if "cannot tell whether it ever matches" in what]
    assert errors(policy) == []


def test_a_rule_below_one_that_always_fails_to_compute_is_not_called_unreachable() -> None:
    # The division is an error whatever is known, so the rule with it never matches, and the one below may.
    failing = a_rule('a = "1 / 0 == 1 || 1 / 0 != 1"', rule_id="failing")
    assert [error for error in errors(with_rule(failing, above="used")) if "'used'" in error] == []


def test_computing_beside_a_contradiction_is_a_contradiction_all_the_same() -> None:
    policy = with_rule(a_rule('a = "charge.amount_minor * 2 > 10"\nb = "usage.used"\nc = "!usage.used"'), above="used")
    assert errors(policy) == ["rule 'mine': can never match: its conditions cannot all be true at once"]


def test_two_rules_that_differ_in_nothing_are_told() -> None:
    used = 'recommendation = "decline"\nclause = "discretion"\nreply = "decline"'
    first = a_rule('a = "usage.used && trial.exists"', rule_id="first", more=used)
    second = a_rule('one = "trial.exists"\ntwo = "usage.used"', rule_id="second", more=used)
    policy = with_rule(f"{first}\n\n{second}", above="used")
    assert errors(policy) == ["rule 'second': differs in nothing from rule 'first' above, but for its name and summary"]


def test_rules_with_the_same_verdict_and_other_conditions_are_no_twins() -> None:
    first = a_rule('a = "usage.used && trial.exists"', rule_id="first")
    second = a_rule('a = "usage.used && charge.is_last"', rule_id="second")
    assert errors(with_rule(f"{first}\n\n{second}", above="used")) == []


def test_a_refund_that_can_match_and_never_pay_is_told() -> None:
    # Never false where the refund matches: unknown, since the refund does not say whether support was asked.
    blocking = a_rule(
        'a = "usage.first_at < usage.last_at || true && trial.started_at > trial.ended_at"', rule_id="odd"
    )
    assert errors(with_rule(blocking, above="unused-trial")) == []
    never_false = a_rule('a = "history.denied_before || !history.denied_before"', rule_id="odd")
    [told] = [error for error in errors(with_rule(never_false, above="unused-trial")) if "unused-trial" in error]
    assert told == "rule 'unused-trial': can never pay: rule 'odd' above is never false where it matches"


@pytest.mark.parametrize("lacking", ["never-used", "every-source-covers-the-time"])
def test_a_refund_that_does_not_look_at_use_or_coverage_does_not_even_load(lacking: str) -> None:
    lines = SOURCE.split("\n")
    start = lines.index('id = "unused-trial"')
    cut = next(i for i in range(start, len(lines)) if lines[i].startswith(lacking))
    with pytest.raises(PolicyError, match="rule 'unused-trial': a refund must depend on usage"):
        load_policy("\n".join(lines[:cut] + lines[cut + 1 :]), filename="policy.toml")


def test_facts_that_no_source_supplies_are_told_with_the_rules_that_read_them() -> None:
    flaws = check_policy(shipped_policy(), supply=Supply(usage=False, usage_times=False, support=False))
    assert {flaw.severity for flaw in flaws} == {Severity.WARNING}
    told = " ".join(flaw.what for flaw in flaws)
    assert "rule 'unused-trial': never pays: no usage source is configured" in told
    assert "cancellation.before_charge: no support source" in told
    assert "'cancellation-not-found'" in told


def test_a_time_of_use_that_no_source_tells_is_told() -> None:
    policy = with_rule(a_rule("a = \"usage.last_at > timestamp('2026-01-01T00:00:00Z')\""), above="used")
    flaws = check_policy(policy, supply=Supply(usage=True, usage_times=False, support=True))
    assert [flaw for flaw in flaws if "no configured usage source tells when use was seen" in flaw.what]


def test_a_rule_without_an_example_and_a_definition_that_nothing_uses_are_warnings() -> None:
    text = POLICY_FILE.read_text("utf-8").replace("[define]\n", '[define]\nspare = "usage.used"\n')
    extra = a_rule('a = "usage.used && trial.exists"') + '\n\n[[rule]]\nid = "used"'
    policy = load_policy(text.replace('[[rule]]\nid = "used"', extra), filename="policy.toml")
    flaws = check_policy(policy)
    warnings = [flaw.what for flaw in flaws if flaw.severity is Severity.WARNING]
    assert "definition 'spare': nothing uses it" in warnings
    # The examples of `used` began with a trial, so the new rule takes them, and its own lack is none any more.
    assert [flaw.what for flaw in flaws if flaw.severity is Severity.ERROR and "expected used, got mine" in flaw.what]
    assert "rule 'used': decides none of the examples" in warnings


# ---------------------------------------------------------------- the trees, and the search against trying everything


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("usage.used", Name(name="usage.used")),
        ("false", Literal(value=False)),
        ("charge.amount_minor == -5", ("_==_", Name(name="charge.amount_minor"), Literal(value=-5))),
        ("!usage.used", ("!_", Name(name="usage.used"))),
        ("charge.currency == ''", ("_==_", Name(name="charge.currency"), Literal(value=""))),
        ("charge.amount_minor > 4611686018427387904", ("_>_", Name(name="charge.amount_minor"), Literal(value=2**62))),
    ],
)
def test_a_condition_is_read_back_as_the_engine_parsed_it(source: str, expected: object) -> None:
    found = tree(Compiler().condition(source))
    if isinstance(expected, tuple):
        assert isinstance(found, Call)
        assert (found.function, *found.arguments) == expected
    else:
        assert found == expected


def test_what_is_no_plain_tree_is_opaque() -> None:
    assert isinstance(tree(Compiler().condition("['a'].exists(x, x == charge.currency)")), Opaque)


_ATOMS = ("usage.used", "trial.exists", "charge.is_last")
_COUNTS = ("charge.amount_minor", "charge.refunded_minor")
_BOOLS = st.sampled_from(_ATOMS)
_SIDES = st.sampled_from((*_COUNTS, "0", "1", "2"))
_COMPARED = st.builds(
    lambda left, order, right: f"{left} {order} {right}",
    st.sampled_from(_COUNTS),
    st.sampled_from(("<", "<=", "==", "!=", ">", ">=")),
    _SIDES,
)
_CONDITIONS = st.recursive(
    st.one_of(_BOOLS, _BOOLS.map(lambda name: f"!{name}"), _COMPARED),
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"({a} && {b})", inner, inner),
        st.builds(lambda a, b: f"({a} || {b})", inner, inner),
        st.builds(lambda a: f"!({a})", inner),
        st.builds(lambda a, b, c: f"({a} ? {b} : {c})", inner, inner, inner),
    ),
    max_leaves=4,
)


@settings(max_examples=25, deadline=None)
@given(conditions=st.lists(_CONDITIONS, min_size=1, max_size=4))
def test_a_rule_can_match_exactly_where_trying_all_facts_finds_one_that_does(conditions: list[str]) -> None:
    rules = "\n\n".join(a_rule(f'a = "{source}"', rule_id=f"r{n}") for n, source in enumerate(conditions))
    head, tail = SOURCE.split("\n[[rule]]", 1)
    after = tail[tail.index("\n[limits]") :]
    last = a_rule('a = "true"', rule_id="last")
    policy = load_policy(f"{head}\n{rules}\n\n{last}\n{after}", filename="policy.toml")
    reacher = Reacher(policy)
    matched = _all_that_match(policy)
    for rule in policy.rules[:-1]:
        found = reacher.match(rule)
        assert (found.reach is Reach.CAN) is (rule.id in matched), (rule.id, conditions)
        assert found.reach is not Reach.CANNOT_TELL


def _all_that_match(policy: Policy) -> set[str]:
    """The rules that match first under some of all facts, each of them unknown or one of its values."""
    flags: list[FactValue | None] = [None, False, True]
    counts: list[FactValue | None] = [None, 0, 1, 2, 3, 4]
    found: set[str] = set()
    for values in product(*([flags] * len(_ATOMS)), *([counts] * len(_COUNTS))):
        facts = dict(zip((*_ATOMS, *_COUNTS), values, strict=True))
        found.add(_first(policy, {name: value for name, value in facts.items() if value is not None}))
    return found


def _first(policy: Policy, facts: Mapping[str, FactValue]) -> str:
    view = policy.compiler.view(facts, policy.defines)
    for rule in policy.rules:
        if conjunction([view.observe(condition).truth for condition in rule.conditions.values()]) is Truth.TRUE:
            return rule.id
    raise AssertionError("the last rule takes what is left")
