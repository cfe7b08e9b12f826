"""Checks: what is wrong with a policy that loads, told with the rule's name before anybody publishes it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from billingbot.core.decision import Outcome
from billingbot.core.policy.examples import try_examples
from billingbot.core.policy.reach import Reach, Reacher
from billingbot.core.policy.rules import Policy, Rule

_WHY_NOT: Final = "a condition computes something, or there are too many ways"


class Severity(StrEnum):
    """An error keeps a policy from being published; a warning is told."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """What is wrong, and where: `rule` is the rule it is about, if any, `line` counts from 1."""

    severity: Severity
    rule: str | None
    line: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What the configured sources can supply. `usage_times` where one of them tells when use was seen."""

    usage: bool
    usage_times: bool
    support: bool


def check_policy(policy: Policy, *, supply: Supply | None = None) -> tuple[Flaw, ...]:
    """Every flaw, errors and warnings, in the file's order; with a supply also what no source can tell.

    What loading refuses already is not asked again: names, types, a refund that use or a gap does not rule out.
    """
    reacher = Reacher(policy)
    found = [
        *_examples(policy),
        *(flaw for rule in policy.rules for flaw in _of_rule(policy, rule, reacher)),
        *_definitions(policy),
    ]
    if supply is not None:
        found += _unsupplied(policy, supply)
    return tuple(sorted(found, key=lambda flaw: flaw.line))


def _of_rule(policy: Policy, rule: Rule, reacher: Reacher) -> Iterator[Flaw]:
    twin = _twin(policy, rule, reacher)
    if twin is not None:
        yield _error(rule, f"differs in nothing from rule '{twin}' above, but for its name and summary")
        return
    found = reacher.match(rule)
    match found.reach:
        case Reach.NEVER:
            yield _error(rule, _why_never(rule, found.behind, reacher))
        case Reach.CANNOT_TELL:
            yield _warning(rule, f"cannot tell whether it ever matches: {_WHY_NOT}")
        case Reach.CAN if rule.outcome is Outcome.REFUND:
            yield from _paying(rule, reacher)


def _paying(rule: Rule, reacher: Reacher) -> Iterator[Flaw]:
    """A refund needs every rule above it to be false; one that is true or unknown beside it keeps it from paying."""
    found = reacher.pay(rule)
    if found.reach is Reach.NEVER:
        which = f"rule '{found.behind}' above is" if found.behind else "the rules above are"
        yield _error(rule, f"can never pay: {which} never false where it matches")
    elif found.reach is Reach.CANNOT_TELL:
        yield _warning(rule, f"cannot tell whether it ever pays: {_WHY_NOT}")


def _why_never(rule: Rule, behind: str | None, reacher: Reacher) -> str:
    if behind is not None:
        return f"can never match: wherever its conditions are true, those of rule '{behind}' above are true as well"
    if reacher.alone(rule).reach is Reach.NEVER:
        return "can never match: its conditions cannot all be true at once"
    return "can never match: the rules above it take every case that it could"


def _twin(policy: Policy, rule: Rule, reacher: Reacher) -> str | None:
    """A rule above with the same conditions, however they are split and named, and the same verdict."""
    for other in policy.rules[: policy.rules.index(rule)]:
        if _verdict(other) == _verdict(rule) and reacher.conjuncts(other) == reacher.conjuncts(rule):
            return other.id
    return None


def _verdict(rule: Rule) -> tuple[object, ...]:
    return (rule.outcome, rule.recommendation, rule.clause, rule.priority, rule.reply, frozenset(rule.waits_for))


def _examples(policy: Policy) -> Iterator[Flaw]:
    tried = try_examples(policy)
    for one in tried:
        if not one.passed:
            what = f"example '{one.example.name}': {'; '.join(one.wrong)}"
            yield Flaw(severity=Severity.ERROR, rule=one.decision.rule, line=one.example.line, what=what)
    if not tried:
        yield Flaw(severity=Severity.WARNING, rule=None, line=1, what="no example says what this policy should decide")
        return
    decided = {one.decision.rule for one in tried}
    for rule in policy.rules:
        if rule.id not in decided:
            yield _warning(rule, "decides none of the examples")


def _definitions(policy: Policy) -> Iterator[Flaw]:
    used = {name for rule in policy.rules for condition in rule.conditions.values() for name in condition.defines}
    used |= {name for condition in policy.defines.values() for name in condition.defines}
    for name in policy.defines:
        if name not in used:
            yield Flaw(severity=Severity.WARNING, rule=None, line=1, what=f"definition '{name}': nothing uses it")


def _unsupplied(policy: Policy, supply: Supply) -> Iterator[Flaw]:
    """Facts that rules read and no configured source can tell, with the rules and with what follows."""
    if not supply.usage:
        for rule in _readers(policy, "usage.used", "usage.complete"):
            if rule.outcome is Outcome.REFUND:
                yield _warning(rule, "never pays: no usage source is configured, so nothing is known of use")
        yield from _unknown(policy, ("usage.used", "usage.complete"), "no usage source is configured")
    if not supply.usage_times:
        times = ("usage.first_at", "usage.last_at")
        yield from _unknown(policy, times, "no configured usage source tells when use was seen")
    if not supply.support:
        why = "no support source is configured, so it is known only where Stripe shows a cancellation"
        yield from _unknown(policy, ("cancellation.before_charge",), why)


def _unknown(policy: Policy, facts: tuple[str, ...], why: str) -> Iterator[Flaw]:
    readers = [f"'{rule.id}'" for rule in _readers(policy, *facts)]
    if readers:
        what = f"{' and '.join(facts)}: {why}; read by the rules {', '.join(readers)}"
        yield Flaw(severity=Severity.WARNING, rule=None, line=1, what=what)


def _readers(policy: Policy, *facts: str) -> list[Rule]:
    return [rule for rule in policy.rules if not rule.facts.isdisjoint(facts)]


def _error(rule: Rule, what: str) -> Flaw:
    return Flaw(severity=Severity.ERROR, rule=rule.id, line=rule.line, what=f"rule '{rule.id}': {what}")


def _warning(rule: Rule, what: str) -> Flaw:
    return Flaw(severity=Severity.WARNING, rule=rule.id, line=rule.line, what=f"rule '{rule.id}': {what}")
