"""What changed between two policies, in words; and that no change of the file goes untold."""

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import POLICY_FILE

from billingbot.core.policy import Policy, PolicyError, load_policy
from billingbot.core.policy.differences import Part, differences
from billingbot.core.toml_lines import toml_lines

SOURCE = POLICY_FILE.read_text("utf-8")
SHIPPED = load_policy(SOURCE, filename="policy.toml")
USED = '[[rule]]\nid = "used"\nrow = 8\nclause = "discretion"\noutcome = "review"\nrecommendation = "decline"\n'


def changed(*replacements: tuple[str, str], source: str = SOURCE) -> Policy:
    for before, after in replacements:
        assert before in source
        source = source.replace(before, after)
    return load_policy(source, filename="policy.toml")


def told(policy: Policy, part: Part) -> list[str]:
    return [one.what for one in differences(SHIPPED, policy) if one.part is part]


def test_a_policy_does_not_differ_from_itself_nor_by_comments() -> None:
    assert differences(SHIPPED, SHIPPED) == ()
    assert differences(SHIPPED, changed(("[define]", "# A note for whoever comes next.\n[define]"))) == ()


def test_limits_are_told_as_amounts_of_their_currency() -> None:
    new = changed(
        ("usd = 20000 # 200.00", "usd = 25000"),
        ("jpy = 30000 # 30,000: the yen has no smaller unit", "jpy = 40000"),
        ("kwd = 600000", "kwd = 650500"),
        ("daily_count_max = 50", "daily_count_max = 60"),
        ('earlier_refunds_by = ["customer", "card", "email"]', 'earlier_refunds_by = ["customer", "card"]'),
    )
    assert sorted(told(new, Part.LIMITS)) == [
        "limits.automatic_refund_max.jpy: JPY 30,000 becomes JPY 40,000",
        "limits.automatic_refund_max.usd: USD 200.00 becomes USD 250.00",
        "limits.daily_amount_max.kwd: KWD 600.000 becomes KWD 650.500",
        "limits.daily_count_max: 50 becomes 60",
        "limits.earlier_refunds_by: customer, card, email becomes customer, card",
    ]


def test_a_currency_that_is_new_or_gone_is_told() -> None:
    new = changed(("usd = 20000 # 200.00", "sek = 200000"), ("usd = 200000", "sek = 2000000"))
    assert "limits.automatic_refund_max.usd: removed, was USD 200.00" in told(new, Part.LIMITS)
    assert "limits.automatic_refund_max.sek: added, SEK 2,000.00" in told(new, Part.LIMITS)


def test_a_rule_added_is_told_with_its_place() -> None:
    rule = '[[rule]]\nid = "mine"\nrow = 8\noutcome = "review"\nsummary = "x"\n[rule.when]\na = "trial.exists"\n\n'
    assert told(changed((USED, rule + USED)), Part.RULES) == ["rule mine: added above used: review where trial.exists"]


def test_a_rule_removed_is_told_with_what_it_said() -> None:
    before, _, rest = SOURCE.partition(USED)
    without = before + rest[rest.index("\n# ── Row 9") :]
    policy = load_policy(without.partition("\n[examples.base]")[0] + "\n", filename="policy.toml")
    assert told(policy, Part.RULES) == ["rule used: removed; it said: review where usage.used"]


def test_a_rule_that_moved_is_told_alone() -> None:
    before, _, rest = SOURCE.partition(USED)
    end = rest.index("\n# ── Row 9")
    body = USED + rest[:end].rstrip() + "\n\n"
    marker = '[[rule]]\nid = "ambiguous-request"'
    moved = (before + rest[end:]).replace(marker, body + marker)
    assert told(load_policy(moved, filename="policy.toml"), Part.RULES) == [
        "rule used: moved: was above no-trial, is above ambiguous-request"
    ]


def test_what_a_rule_says_otherwise_is_told_field_by_field() -> None:
    new = changed((USED, USED.replace('"discretion"', '"unused-trial"').replace('"decline"', '"none"')))
    assert told(new, Part.RULES) == [
        "rule used: recommendation: decline becomes none",
        "rule used: clause: discretion becomes unused-trial",
    ]
    by_others = changed(('recommendation = "by_other_rules"', 'recommendation = "none"'))
    assert told(by_others, Part.RULES) == ["rule open-chargeback: recommendation: by the rules below becomes none"]


def test_conditions_that_are_new_gone_renamed_or_otherwise_are_told() -> None:
    other = changed(('use-was-seen = "usage.used"', 'use-was-seen = "usage.used && trial.exists"'))
    assert told(other, Part.RULES) == [
        "rule used: condition use-was-seen: usage.used becomes usage.used && trial.exists"
    ]
    renamed = changed(('use-was-seen = "usage.used"', 'seen = "usage.used"'))
    assert told(renamed, Part.RULES) == ["rule used: condition use-was-seen is now called seen"]
    more = changed(('use-was-seen = "usage.used"', 'use-was-seen = "usage.used"\nat-all = "trial.exists"'))
    assert told(more, Part.RULES) == ["rule used: condition at-all added: trial.exists"]


def test_a_definition_is_told_with_the_rules_that_it_reaches() -> None:
    new = changed(
        ('paid_plainly = "charge.single_payment && !charge.invoice_sent"', 'paid_plainly = "charge.single_payment"')
    )
    assert told(new, Part.DEFINITIONS) == [
        (
            "definition paid_plainly: charge.single_payment && !charge.invoice_sent becomes charge.single_payment"
            " (rules charged-after-cancellation, unused-trial)"
        )
    ]


def test_due_times_examples_clauses_and_the_head_are_told() -> None:
    new = changed(
        ("urgent = 4 ", "urgent = 2 "),
        ('version = "2026-11"', 'version = "2026-12"'),
        ('title = "Repeated trials"', 'title = "Trials again and again"'),
        ('name = "The charge failed"\n', 'name = "It failed"\n'),
    )
    assert told(new, Part.SETTINGS) == ["due_hours.urgent: 4 becomes 2"]
    assert told(new, Part.POLICY) == ["version: 2026-11 becomes 2026-12"]
    assert told(new, Part.CLAUSES) == [
        "clause trial-abuse: without 'title: Repeated trials'; with 'title: Trials again and again'"
    ]
    assert told(new, Part.EXAMPLES) == [
        "example 'The charge failed': removed",
        "example 'It failed': added, expects close, charge-failed",
    ]


SHIPPED_LINES = toml_lines(SOURCE)
LEAVES: list[tuple[tuple[str | int, ...], Any]] = []


def _collect(value: Any, path: tuple[str | int, ...]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _collect(inner, (*path, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, inner in enumerate(value):
            _collect(inner, (*path, index))
    else:
        LEAVES.append((path, value))


_collect(tomllib.loads(SOURCE), ())


@settings(max_examples=60, deadline=None)
@given(leaf=st.sampled_from(LEAVES))
def test_no_change_of_a_value_goes_untold(leaf: tuple[tuple[str | int, ...], Any]) -> None:
    """Whatever single line of the file changes, and still loads, some sentence says so."""
    path, value = leaf
    other = _other(value)
    text = _with_line(path, other)
    if text is None:
        return
    try:
        policy = load_policy(text, filename="policy.toml")
    except PolicyError:
        return  # it cannot be used, so nobody compares it
    if tomllib.loads(text) != tomllib.loads(SOURCE):
        assert differences(SHIPPED, policy), (path, value, other)
        assert differences(policy, SHIPPED)


def _other(value: Any) -> str | None:
    match value:
        case bool():
            return str(not value).lower()
        case int():
            return str(value + 1)
        case str() if "\n" not in value:
            return f'"{value} "' if " " in value else '"unused-trial"'
        case _:
            return None


def _with_line(path: tuple[str | int, ...], other: str | None) -> str | None:
    """The file with the line of that path saying something else; None where it is more than a line."""
    line = SHIPPED_LINES.of(path)
    lines = SOURCE.split("\n")
    key, equals, _ = lines[line - 1].partition(" = ")
    if other is None or not equals:
        return None
    return "\n".join([*lines[: line - 1], f"{key} = {other}", *lines[line:]])
