"""What changed between two policies, rule by rule and in words, so that nobody has to read two files side by side."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from billingbot.core.canonical import timestamp
from billingbot.core.money import Money
from billingbot.core.policy.conditions import Condition
from billingbot.core.policy.rules import Policy, Rule


class Part(StrEnum):
    """The part of a policy that differs, as headings name it."""

    POLICY = "policy"
    RULES = "rules"
    DEFINITIONS = "definitions"
    LIMITS = "limits"
    SETTINGS = "settings"
    CLAUSES = "clauses"
    REPLIES = "replies"
    EXAMPLES = "examples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One change in one sentence, as from the older to the newer policy. `rule` is the rule it is about, if any."""

    part: Part
    what: str
    rule: str | None = None


# What a rule says beside its conditions, in the words of the file.
_RULE_FIELDS: Final = ("outcome", "recommendation", "clause", "priority", "reply", "row", "summary", "waits_for")
# Tables that are told in their own words; whatever else a file has is told key by key.
_TOLD: Final = frozenset({"policy", "rule", "define", "clauses", "replies", "examples", "example"})


def differences(before: Policy, after: Policy) -> tuple[Difference, ...]:
    """Every change from one policy to the other; empty where they differ in comments and layout at the most."""
    old, new = tomllib.loads(before.source), tomllib.loads(after.source)
    currencies = frozenset({*before.limits.automatic_refund_max, *after.limits.automatic_refund_max})
    return (
        *_rules(before, after),
        *_definitions(before, after),
        *_settings(old, new, currencies),
        *_texts(Part.CLAUSES, "clause", old.get("clauses", {}), new.get("clauses", {})),
        *_texts(Part.REPLIES, "reply", old.get("replies", {}), new.get("replies", {})),
        *_examples(old, new),
        *(Difference(part=Part.POLICY, what=what) for what in _changed(old["policy"], new["policy"])),
    )


# ---------------------------------------------------------------- rules


def _rules(before: Policy, after: Policy) -> Iterator[Difference]:
    old, new = {rule.id: rule for rule in before.rules}, {rule.id: rule for rule in after.rules}
    for rule in before.rules:
        if rule.id not in new:
            yield _of_rule(rule, f"removed; it said: {_saying(rule)}")
    for rule in after.rules:
        if rule.id not in old:
            yield _of_rule(rule, f"added {_place(after.rules, rule)}: {_saying(rule)}")
    for rule_id in _moved(list(old), list(new)):
        was, now = _place(before.rules, old[rule_id]), _place(after.rules, new[rule_id])
        yield _of_rule(new[rule_id], f"moved: was {was}, is {now}")
    for rule in after.rules:
        if rule.id in old:
            yield from (_of_rule(rule, what) for what in _rule(old[rule.id], rule))


def _of_rule(rule: Rule, what: str) -> Difference:
    return Difference(part=Part.RULES, what=f"rule {rule.id}: {what}", rule=rule.id)


def _saying(rule: Rule) -> str:
    conditions = " and ".join(condition.source for condition in rule.conditions.values())
    return f"{rule.outcome} where {conditions}"


def _place(rules: Sequence[Rule], rule: Rule) -> str:
    index = rules.index(rule)
    return f"above {rules[index + 1].id}" if index + 1 < len(rules) else "last"


def _moved(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """The rules that changed their order among those both files have; as few as explain it."""
    here, there = [one for one in old if one in new], [one for one in new if one in old]
    blocks = difflib.SequenceMatcher(a=here, b=there, autojunk=False).get_matching_blocks()
    stayed = {here[index] for block in blocks for index in range(block.a, block.a + block.size)}
    return [one for one in there if one not in stayed]


def _rule(old: Rule, new: Rule) -> Iterator[str]:
    for name in _RULE_FIELDS:
        was, now = _said(old, name), _said(new, name)
        if was != now:
            yield f"{name.replace('_', ' ')}: {was} becomes {now}"
    yield from _conditions(old.conditions, new.conditions)


def _conditions(old: Mapping[str, Condition], new: Mapping[str, Condition]) -> Iterator[str]:
    gone, come = [name for name in old if name not in new], [name for name in new if name not in old]
    for name in list(gone):
        same = next((other for other in come if new[other].source == old[name].source), None)
        if same is not None:
            gone.remove(name)
            come.remove(same)
            yield f"condition {name} is now called {same}"
    yield from (f"condition {name} removed: {old[name].source}" for name in gone)
    yield from (f"condition {name} added: {new[name].source}" for name in come)
    for name, condition in new.items():
        if name in old and old[name].source != condition.source:
            yield f"condition {name}: {old[name].source} becomes {condition.source}"


def _said(rule: Rule, name: str) -> str:
    value = getattr(rule, name)
    match value:
        case None:
            return "by the rules below" if name == "recommendation" else "none"
        case tuple():
            return ", ".join(str(one) for one in value) or "none"
        case _:
            return str(value)


def _definitions(before: Policy, after: Policy) -> Iterator[Difference]:
    for what in _conditions(before.defines, after.defines):
        name = what.split()[1].rstrip(":")
        users = _users(after, name) or _users(before, name)
        used = f" (rules {', '.join(users)})" if users else " (no rule uses it)"
        text = what.replace("condition", "definition", 1)
        yield Difference(part=Part.DEFINITIONS, what=text + used)


def _users(policy: Policy, name: str) -> list[str]:
    """The rules that read a definition, itself or through others."""
    reached = {name}
    for other, condition in policy.defines.items():  # each uses only those above it
        if not reached.isdisjoint(condition.defines):
            reached.add(other)
    return [
        rule.id
        for rule in policy.rules
        if any(not reached.isdisjoint(condition.defines) for condition in rule.conditions.values())
    ]


# ---------------------------------------------------------------- settings and texts


def _settings(old: Mapping[str, Any], new: Mapping[str, Any], currencies: frozenset[str]) -> Iterator[Difference]:
    here = {key: value for key, value in old.items() if key not in _TOLD}
    there = {key: value for key, value in new.items() if key not in _TOLD}
    for what in _changed(here, there, currencies):
        yield Difference(part=Part.LIMITS if what.startswith("limits.") else Part.SETTINGS, what=what)


def _changed(old: Mapping[str, Any], new: Mapping[str, Any], currencies: frozenset[str] = frozenset()) -> Iterator[str]:
    here, there = dict(_leaves(old)), dict(_leaves(new))
    for path in dict.fromkeys((*here, *there)):
        if here.get(path) == there.get(path) and (path in here) == (path in there):
            continue
        was = _amount(path, here[path], currencies) if path in here else None
        now = _amount(path, there[path], currencies) if path in there else None
        name = ".".join(path)
        if was is None:
            yield f"{name}: added, {now}"
        elif now is None:
            yield f"{name}: removed, was {was}"
        else:
            yield f"{name}: {was} becomes {now}"


def _leaves(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _amount(path: tuple[str, ...], value: object, currencies: frozenset[str]) -> str:
    """The value as a person reads it; minor units of a currency with their currency."""
    if type(value) is int and path[-1] in currencies and len(path) > 1:
        return str(Money(amount_minor=value, currency=path[-1]))
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _texts(part: Part, word: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            yield Difference(part=part, what=f"{word} {name}: removed")
        elif name not in old:
            yield Difference(part=part, what=f"{word} {name}: added")
        elif old[name] != new[name]:
            yield Difference(part=part, what=f"{word} {name}: {_lines(_text(old[name]), _text(new[name]))}")


def _text(value: object) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}: {line}" for key, text in value.items() for line in str(text).splitlines()]
    return str(value).splitlines()


def _lines(old: Sequence[str], new: Sequence[str]) -> str:
    """The lines that went and came, without those around them."""
    told = [line for line in difflib.ndiff(old, new) if line.startswith(("- ", "+ "))]
    return (
        "; ".join(f"{'without' if line[0] == '-' else 'with'} '{line[2:].strip()}'" for line in told) or "blank lines"
    )


def _examples(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for what in _changed(old.get("examples", {}), new.get("examples", {})):
        yield Difference(part=Part.EXAMPLES, what=f"every example: {what}")
    here = {example["name"]: example for example in old.get("example", ())}
    there = {example["name"]: example for example in new.get("example", ())}
    for name in dict.fromkeys((*here, *there)):
        if name not in there:
            yield Difference(part=Part.EXAMPLES, what=f"example '{name}': removed")
        elif name not in here:
            wanted = f"{there[name]['outcome']}, {there[name]['reason']}"
            yield Difference(part=Part.EXAMPLES, what=f"example '{name}': added, expects {wanted}")
        else:
            for what in _changed(here[name], there[name]):
                yield Difference(part=Part.EXAMPLES, what=f"example '{name}': {what}")
