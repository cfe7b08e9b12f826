"""Why a case flips between two policies: the rule, and the condition in it, that came to something else."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from billingbot.core.decision import UNDECIDED_RULE, Decision, Truth
from billingbot.core.facts import Facts
from billingbot.core.policy.conditions import Condition, View, known_values
from billingbot.core.policy.deciding import decide
from billingbot.core.policy.limits import limit_facts
from billingbot.core.policy.rules import Policy, Rule


class Change(StrEnum):
    """What about a rule made the difference; each is a sentence with the rule before it."""

    NEW = "is new and matches"
    GONE = "is gone"
    HOLDS = "matches now"
    FAILS = "no longer matches"
    ORDER = "stands above the one that matched"
    SAYS_ELSE = "says something else now"
    UNKNOWN = "cannot be decided now: a fact is unknown"
    DECIDED = "can be decided now"
    HELD = "is held back by a limit now"
    FREED = "is no longer held back by a limit"
    UNTOLD = "decides now; what decided before cannot be told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why one case flips: which rule, what about it, and by which of its conditions or limits; may be empty."""

    rule: str
    change: Change
    conditions: tuple[str, ...]
    facts: tuple[str, ...]
    """The facts that these conditions or limits read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision with what it was made from."""

    facts: Facts
    policy: Policy
    decision: Decision

    @classmethod
    def of(cls, facts: Facts, policy: Policy) -> "Decided":
        """The decision of this policy on these facts."""
        return cls(facts=facts, policy=policy, decision=decide(facts, policy))

    def view(self) -> View:
        """What the policy's conditions come to."""
        return self.policy.compiler.view(known_values(self.facts), self.policy.defines)


def cause(before: Decided, after: Decided) -> Cause:
    """Why a case is decided otherwise than before; its facts are the same, but for a mode that may be supposed.

    Where the same rule decides, it is a limit, an unknown fact, or the rule's own words. Where another one does, it
    is that rule if it matches only now; else the one that decided before, if it fails now; else their order.
    """
    old, new = before.policy, after.policy
    if before.decision.rule == after.decision.rule:
        return _same_rule(before, after)
    deciding, decided = new.rule(after.decision.rule), old.rule(before.decision.rule)
    if deciding is None or decided is None:
        raise ValueError("decision: expected one of its own policy")
    was, left = old.rule(deciding.id), new.rule(decided.id)
    if was is None:
        return _of(Change.NEW, deciding, deciding.conditions)
    if failed := _not_true(was, before.view()):
        return _of(Change.HOLDS, deciding, failed)
    if left is None:
        return _of(Change.GONE, decided, decided.conditions)
    if fails := _not_true(left, after.view()):
        return _of(Change.FAILS, left, fails)
    return Cause(rule=deciding.id, change=Change.ORDER, conditions=(), facts=())


def _same_rule(before: Decided, after: Decided) -> Cause:
    rule = after.decision.rule
    for one, held_back, undecided in ((after, Change.HELD, Change.UNKNOWN), (before, Change.FREED, Change.DECIDED)):
        failing = next((trace.limit for trace in one.decision.limits if trace.passed is not Truth.TRUE), None)
        if failing is not None:
            read = limit_facts(failing, one.policy.limits)
            return Cause(rule=rule, change=held_back, conditions=(failing.value,), facts=read)
        if one.decision.reason == UNDECIDED_RULE:
            return _undecided(one.decision, one.policy, undecided)
    return Cause(rule=rule, change=Change.SAYS_ELSE, conditions=(), facts=())


def _undecided(decision: Decision, policy: Policy, change: Change) -> Cause:
    open_rule = next(rule for rule in decision.trace if rule.observed is Truth.UNKNOWN)
    names = {one.name for one in open_rule.conditions if one.observed is Truth.UNKNOWN}
    rule = policy.rule(open_rule.rule)
    if rule is None:
        raise ValueError("decision: expected one of this policy")
    return _of(change, rule, {name: one for name, one in rule.conditions.items() if name in names})


def _not_true(rule: Rule, view: View) -> dict[str, Condition]:
    return {name: one for name, one in rule.conditions.items() if view.observe(one).truth is not Truth.TRUE}


def _of(change: Change, rule: Rule, conditions: Mapping[str, Condition]) -> Cause:
    facts = dict.fromkeys(name for condition in conditions.values() for name in condition.reads)
    return Cause(rule=rule.id, change=change, conditions=tuple(conditions), facts=tuple(facts))
