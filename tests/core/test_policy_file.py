"""A policy file loads, or every problem in it is told at once with file, line and rule."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders import CHARGED, POLICY_FILE, shipped_policy

from billingbot.core.breaker import DEFAULT_BREAKER
from billingbot.core.canonical import digest
from billingbot.core.facts import CATALOGUE
from billingbot.core.money import Money
from billingbot.core.policy import CountBy, PolicyError, daily_limits, load_policy
from billingbot.core.policy.file import SOURCE_BYTES_MAX
from billingbot.core.policy.replies import Told, render

SHIPPED = POLICY_FILE.read_text(encoding="utf-8")

SMALL = """\
[policy]
id = "small"
version = "1"
[clauses.unused]
title = "Unused"
meaning = "Not used."
[define]
clean = "charge.succeeded && charge.captured"
[[rule]]
id = "pay"
row = 1
clause = "unused"
outcome = "refund"
reply = "paid"
summary = "Pays."
[rule.when]
evidence = "!usage.used && usage.complete"
clean = "define.clean"
[[rule]]
id = "rest"
row = 2
outcome = "review"
summary = "The rest."
[rule.when]
always = "true"
[limits]
daily_count_max = 5
one_automatic_refund_per_days = 30
earlier_refunds_by = ["customer"]
[limits.automatic_refund_max]
usd = 100
[limits.daily_amount_max]
usd = 1000
[due_hours]
urgent = 1
high = 2
normal = 3
[replies]
paid = "Paid {{ amount }} of {{ charged_on }}, {{ case }}."
"""


def problems_of(text: str | bytes) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load_policy(text, filename="p.toml")
    return caught.value.problems


def test_the_shipped_policy_loads_and_cites_its_exact_bytes() -> None:
    policy = shipped_policy()
    assert policy.digest == digest(POLICY_FILE.read_bytes())
    assert policy.source.encode() == POLICY_FILE.read_bytes()
    assert load_policy(SHIPPED, filename="policy.toml").digest == policy.digest
    assert load_policy(SHIPPED + "# a comment\n", filename="policy.toml").digest != policy.digest


def test_the_small_policy_of_these_tests_loads() -> None:
    policy = load_policy(SMALL, filename="p.toml")
    assert [rule.id for rule in policy.rules] == ["pay", "rest"]
    assert policy.rules[0].line == 9
    assert policy.rules[0].facts == {"usage.used", "usage.complete", "charge.succeeded", "charge.captured"}
    assert policy.limits.earlier_refunds_by == (CountBy.CUSTOMER,)
    assert policy.rule("nobody") is None


# what is replaced, by what, and a problem that has to be told, with its line
BROKEN: list[tuple[str, str, str]] = [
    (
        '"!usage.used && usage.complete"',
        '"!usage.usd && usage.complete"',
        "p.toml:17: rule 'pay': 'evidence' at 1:7: unknown name 'usage.usd', did you mean 'usage.used'?",
    ),
    (
        '"!usage.used && usage.complete"',
        '"!usage.used && charge.amount_minor"',
        "p.toml:17: rule 'pay': 'evidence' at 1:13: found no matching overload",
    ),
    (
        '"!usage.used && usage.complete"',
        '"charge.amount_minor"',
        "p.toml:17: rule 'pay': 'evidence' at 1:1: expected a bool, this is of type int",
    ),
    (
        '"!usage.used && usage.complete"',
        '"!usage.used && ("',
        "p.toml:17: rule 'pay': 'evidence' at 1:17: Syntax error",
    ),
    (
        '"!usage.used && usage.complete"',
        '""',
        "p.toml:17: rule 'pay': evidence: expected a text that is not empty, got ''",
    ),
    ('"!usage.used && usage.complete"', "7", "p.toml:17: rule 'pay': evidence: expected a text"),
    (
        '"!usage.used && usage.complete"',
        '"!usage.used"',
        "p.toml:16: rule 'pay': a refund must depend on usage.complete",
    ),
    (
        '"!usage.used && usage.complete"',
        '"usage.complete"',
        "p.toml:16: rule 'pay': a refund must depend on usage.used",
    ),
    (
        '"!usage.used && usage.complete"',
        '"!usage.used || usage.complete"',
        "p.toml:16: rule 'pay': a refund must be ruled out wherever usage.used is true",
    ),
    (
        '"!usage.used && usage.complete"',
        '"!usage.used && (usage.complete || true)"',
        "p.toml:16: rule 'pay': a refund must be ruled out wherever usage.complete is false",
    ),
    (
        '"!usage.used && usage.complete"',
        "\"desk.mode == 'usage.used usage.complete'\"",
        "a refund must depend on usage.used",
    ),
    (
        '"define.clean"',
        '"define.cleen"',
        "p.toml:18: rule 'pay': 'clean' at 1:7: unknown name 'define.cleen', did you mean 'define.clean'?",
    ),
    (
        'clean = "charge.succeeded',
        'clean = "define.clean && charge.succeeded',
        "p.toml:8: define: 'clean' at 1:1: define.clean is not defined above, or does not compile",
    ),
    (
        'clean = "charge.succeeded',
        'Clean = "charge.succeeded',
        "p.toml:8: define: expected lower-case letters, digits and underscores, got 'Clean'",
    ),
    ('id = "rest"', 'id = "pay"', "p.toml:20: rule 'pay': id: 'pay' is taken by a rule above"),
    (
        'id = "rest"',
        'id = "Rest of it"',
        "p.toml:20: rule 'Rest of it': id: expected lower-case words joined by hyphens",
    ),
    ('id = "rest"', 'id = "limit-mode"', "p.toml:20: rule 'limit-mode': id: 'limit-mode' is a reason of its own"),
    ('id = "rest"\n', "", "p.toml:19: rule number 2: id: missing"),
    ('clause = "unused"', 'clause = "used"', "p.toml:12: rule 'pay': clause: no clause is named 'used'"),
    ('reply = "paid"', 'reply = "sorry"', "p.toml:14: rule 'pay': reply: no reply is named 'sorry'"),
    (
        'outcome = "refund"',
        'outcome = "decline"',
        "p.toml:13: rule 'pay': outcome: expected one of refund, review, close, got 'decline'",
    ),
    ('outcome = "refund"', 'outcome = ["refund"]', "p.toml:13: rule 'pay': outcome: expected one of"),
    (
        'summary = "Pays."',
        'summary = "Pays."\nrecommendation = "refund"',
        "p.toml:16: rule 'pay': recommendation: only a review has one",
    ),
    (
        'summary = "The rest."',
        'summary = "The rest."\nrecommendation = "maybe"',
        "recommendation: expected one of refund, decline",
    ),
    (
        'summary = "The rest."',
        'summary = "The rest."\npriority = "soon"',
        "priority: expected one of urgent, high, normal",
    ),
    (
        'summary = "The rest."',
        'summary = "The rest."\nwaits_for = ["usage.gone"]',
        "waits_for: no fact is named 'usage.gone'",
    ),
    (
        'summary = "The rest."',
        'summary = "The rest."\nwaits_for = "usage.used"',
        "waits_for: expected a list of fact names",
    ),
    ('summary = "The rest."', 'summary = "The rest."\nsummery = "x"', "p.toml:24: rule 'rest': unknown key 'summery'"),
    ("row = 2", "row = true", "p.toml:21: rule 'rest': row: expected a whole number"),
    ("row = 2", "row = 0", "row: expected a whole number"),
    (
        'always = "true"',
        'always = "usage.used"',
        "p.toml:20: rule 'rest': the last rule must take every case that is left",
    ),
    (
        'id = "rest"\nrow = 2\noutcome = "review"',
        'id = "rest"\nrow = 2\noutcome = "close"',
        "the last rule must take every case",
    ),
    ('always = "true"\n', "", "p.toml:24: rule 'rest': when: expected at least one condition"),
    ('[rule.when]\nalways = "true"\n', "", "rule 'rest': when: missing"),
    ('always = "true"', 'Always = "true"', "when: expected lower-case words joined by hyphens, got 'Always'"),
    (
        "usd = 100\n",
        "usd = -1\n",
        "p.toml:31: limits.automatic_refund_max: usd: expected a whole number of minor units from 0",
    ),
    ("usd = 100\n", "usd = 1.5\n", "usd: expected a whole number of minor units"),
    (
        "usd = 100\n",
        "USD = 100\n",
        "p.toml:31: limits.automatic_refund_max: currency: expected three lower-case letters, got 'USD'",
    ),
    ("usd = 100\n", "dollars = 100\n", "currency: expected three lower-case letters, got 'dollars'"),
    ("usd = 100\n", "usd = 100\neur = 100\n", "daily_amount_max: eur is missing, the other limit names it"),
    ("usd = 1000\n", "usd = 1000\neur = 1000\n", "automatic_refund_max: eur is missing, the other limit names it"),
    ("usd = 1000\n", "usd = 99\n", "daily_amount_max: usd is below the limit of one refund"),
    ("daily_count_max = 5\n", "", "limits: daily_count_max: missing"),
    (
        "one_automatic_refund_per_days = 30",
        "one_automatic_refund_per_days = 0",
        "one_automatic_refund_per_days: expected a whole number of days from 1",
    ),
    ("[due_hours]\n", "[limits.breaker]\nrefunds_per_hour = 5\n[due_hours]\n", "refunded_percent_max: missing"),
    (
        "[due_hours]\n",
        "[limits.breaker]\nrefunds_per_hour = 5\nrefunded_percent_max = 101\npercent_from_requests = 9\n[due_hours]\n",
        "refunded_percent_max: expected a whole number of requests in a hundred from 0 to 100, got 101",
    ),
    (
        "[due_hours]\n",
        "[limits.second_approval_above]\nusd = -1\n[due_hours]\n",
        "usd: expected a whole number of minor units",
    ),
    ('["customer"]', '["person"]', "earlier_refunds_by: no way to count is named 'person'"),
    ('["customer"]', "[]", "earlier_refunds_by: expected at least one of customer, card, email"),
    ('["customer"]', '["card", "card"]', "earlier_refunds_by: names a way to count twice"),
    ("high = 2\n", "", "p.toml:34: due_hours: high: missing"),
    ("high = 2\n", "high = 0\n", "high: expected a whole number of hours from 1"),
    ("high = 2\n", "high = 2\nlow = 9\n", "p.toml:37: due_hours: unknown key 'low'"),
    (
        "{{ amount }}",
        "{{ email }}",
        "p.toml:39: replies: paid: expected one of amount, charged_on, trial_started_on, trial_ended_on, case",
    ),
    ("{{ amount }}", "{{ amount.__class__ }}", "paid: expected only text, placeholders and if, got getattr"),
    ("{{ amount }}", "{{ amount|length }}", "paid: expected only text, placeholders and if, got filter"),
    ("{{ amount }}", "{% for i in amount %}x{% endfor %}", "placeholders and if, got for"),
    ("{{ amount }}", "{{ range(9) }}", "replies: paid: expected "),
    ("{{ amount }}", "{% include 'x' %}", "placeholders and if, got include"),
    ("{{ amount }}", "{{ amount", "p.toml:39: replies: paid: line "),
    ('id = "small"\n', "", "p.toml:1: policy: id: missing"),
    ('version = "1"', "version = 1", "p.toml:3: policy: version: expected a text"),
    ('[policy]\nid = "small"\nversion = "1"\n', "", "p.toml:1: policy: missing"),
    ('title = "Unused"\n', "", "p.toml:4: clause 'unused': title: missing"),
    (
        "[clauses.unused]",
        "[clauses.Unused]",
        "p.toml:4: clauses: expected lower-case words joined by hyphens, got 'Unused'",
    ),
    ("[due_hours]", "[due_ours]", "p.toml:34: unknown key 'due_ours'"),
    ("[policy]", "policies = 3\n[policy]", "p.toml:1: unknown key 'policies'"),
    ("row = 2", "row = ", "p.toml:21: not TOML"),
]


@pytest.mark.parametrize(("old", "new", "told"), BROKEN)
def test_a_broken_file_is_refused_with_line_and_rule(old: str, new: str, told: str) -> None:
    assert old in SMALL
    found = problems_of(SMALL.replace(old, new))
    assert any(told in problem for problem in found), found
    assert all(problem.startswith("p.toml:") for problem in found)


def test_all_problems_are_told_at_once_in_the_order_of_lines() -> None:
    broken = SMALL.replace("usage.used", "usage.usd").replace("row = 2", "row = -2").replace("high = 2\n", "")
    found = problems_of(broken)
    assert len(found) == 3
    assert [int(problem.split(":")[1]) for problem in found] == sorted(int(p.split(":")[1]) for p in found)


def test_an_error_in_a_condition_of_several_lines_names_its_own_line() -> None:
    broken = SMALL.replace('always = "true"', 'always = """true ||\n  false ||\n  usage.usd"""')
    assert any(problem.startswith("p.toml:27: rule 'rest': 'always' at 3:") for problem in problems_of(broken))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "p.toml:1: the policy is empty"),
        ("# nothing but a comment\n", "p.toml:1: the policy is empty"),
        (b"\xff\xfe", "p.toml:1: expected UTF-8"),
        (b"id = '\xc3'", "p.toml:1: expected UTF-8"),
        ("\ud800", "p.toml:1: expected UTF-8"),
        ("\ufeff" + SMALL, "p.toml:1: not TOML"),
        ("a = " + "[" * 100_000, "p.toml:1: nested too deeply"),
        ("a = " + "9" * 100_000, "p.toml:1: not TOML"),
        ("a = 1\nb = ", "p.toml:2: not TOML"),
        ("a = 1\na = 1\n", "p.toml:2: not TOML"),
        ("#" * (SOURCE_BYTES_MAX + 1), "p.toml:1: expected at most"),
        ("\x00", "p.toml:1: not TOML"),
    ],
)
def test_what_is_no_policy_at_all_is_refused_in_one_sentence(content: str | bytes, told: str) -> None:
    found = problems_of(content)
    assert len(found) == 1
    assert told in found[0]


def test_a_file_without_rules_is_told_so() -> None:
    without_rules = SMALL[: SMALL.index("[[rule]]")] + SMALL[SMALL.index("[limits]") :]
    assert problems_of(without_rules) == ["p.toml:1: rule: missing"]


def test_windows_line_ends_load_and_keep_their_own_digest() -> None:
    windows = load_policy(SHIPPED.replace("\n", "\r\n").encode(), filename="p.toml")
    assert windows.digest != shipped_policy().digest
    assert [rule.id for rule in windows.rules] == [rule.id for rule in shipped_policy().rules]


def loads_or_tells(text: str | bytes) -> None:
    found = []
    try:
        load_policy(text, filename="p.toml")
    except PolicyError as error:
        found = error.problems or [""]
    assert all(problem.startswith("p.toml:") for problem in found)


FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FUZZ
@given(st.text() | st.binary())
def test_no_text_raises_anything_but_a_policy_error(text: str | bytes) -> None:
    loads_or_tells(text)


@FUZZ
@given(st.randoms(use_true_random=False), st.sampled_from([SHIPPED, SMALL]))
def test_no_mutation_of_a_policy_raises_anything_but_a_policy_error(chance: random.Random, text: str) -> None:
    for _ in range(chance.randint(1, 4)):
        at, until = sorted((chance.randrange(len(text)), chance.randrange(len(text))))
        until = min(until, at + chance.choice((1, 3, 40)))
        pasted = chance.choice(
            ("", '"', "[", "]", "=", "\n", "{", "}", "!", "0", ".", "&&", "\x00", "é", text[at:until])
        )
        text = text[:at] + pasted * chance.randint(1, 3) + text[until:]
    loads_or_tells(text)


@FUZZ
@given(
    st.sampled_from(["policy", "clauses", "define", "rule", "limits", "due_hours", "replies"]),
    st.sampled_from(["1", '"x"', "[]", "{}", "[1]", "[{}]", "true", "1979-05-27", "1.5", "{x = {y = {}}}", "nan"]),
)
def test_a_table_of_another_type_is_told(key: str, value: str) -> None:
    kept, skipping = [], False
    for line in SMALL.splitlines():
        if line.startswith("["):
            skipping = line.strip("[]").split(".")[0] == key
        kept.append("" if skipping else line)
    loads_or_tells(f"{key} = {value}\n" + "\n".join(kept))


@FUZZ
@given(st.text(alphabet="usage.d()!&|<>=+-*/%?: 0123456789'\"[]{},\\ntrue\x00é", max_size=60))
def test_no_condition_text_raises_anything_but_a_policy_error(condition: str) -> None:
    quoted = condition.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\x00", "\\u0000")
    loads_or_tells(SMALL.replace('always = "true"', f'always = "{quoted}"'))


def test_daily_limits_are_those_of_the_currency() -> None:
    policy = load_policy(SMALL, filename="p.toml")
    assert daily_limits(policy, "usd").amount_max_minor == 1000
    assert daily_limits(policy, "usd").count_max == 5
    assert daily_limits(policy, "eur").amount_max_minor is None


def test_every_shipped_reply_is_written_in_every_language_and_used() -> None:
    policy = shipped_policy()
    told = Told(case="case_1", money=Money(amount_minor=4900, currency="eur"), charged_at=CHARGED)
    for reply in policy.replies.values():
        assert set(reply.letters) == {"en", "de"}
        for tag in reply.letters:
            rendered = render(reply, told, preferred=[tag])
            assert rendered.language == tag
            assert "case_1" in rendered.text
            assert "{" not in rendered.subject + rendered.text
    assert {rule.reply for rule in policy.rules} - {None} == set(policy.replies)


def test_every_shipped_clause_is_cited_but_the_definition() -> None:
    policy = shipped_policy()
    cited = {rule.clause for rule in policy.rules} - {None}
    assert set(policy.clauses) - cited == {"usage-definition"}  # a definition: no case is decided by it alone


def test_no_rule_reads_a_fact_outside_the_catalogue() -> None:
    for rule in shipped_policy().rules:
        assert rule.facts <= set(CATALOGUE)


def test_a_policy_without_a_breaker_has_the_shipped_one_and_asks_nobody_for_two_people() -> None:
    limits = load_policy(SMALL, filename="p.toml").limits
    assert limits.breaker == DEFAULT_BREAKER == shipped_policy().limits.breaker
    assert not limits.wants_two(10**9, "usd")


@pytest.mark.parametrize(
    ("amount_minor", "currency", "two"),
    [(100_000, "usd", False), (100_001, "usd", True), (1, "sek", True), (150_000, "jpy", False)],
)
def test_two_people_approve_above_the_amount_and_in_a_currency_that_is_not_listed(
    amount_minor: int, currency: str, *, two: bool
) -> None:
    assert shipped_policy().limits.wants_two(amount_minor, currency) is two
