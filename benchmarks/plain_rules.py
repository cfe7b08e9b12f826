"""A policy's expressions as plain Python: what they cost without an engine, unknown facts, trace and type checks."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Final

from billingbot.core.facts import CATALOGUE, FactValue
from billingbot.core.policy import Policy

# Longest first, so that no name is taken for the beginning of another.
_NAME: Final = re.compile("|".join(re.escape(name) for name in sorted(CATALOGUE, key=len, reverse=True)))
_DEFINE: Final = re.compile(r"define\.(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRules:
    """The rules of one policy, each a single Python expression over the known facts."""

    rules: tuple[tuple[str, Callable[[Mapping[str, FactValue]], bool]], ...]

    def first_match(self, values: Mapping[str, FactValue]) -> str:
        """The id of the first rule that matches. KeyError where it reads a fact that is unknown."""
        return next(rule for rule, holds in self.rules if holds(values))


def plain_rules(policy: Policy) -> PlainRules:
    """The same rules in the same order, for a policy that uses no more of CEL than `&&`, `||`, `!` and comparisons."""
    defines: dict[str, str] = {}
    for name, condition in policy.defines.items():
        defines[name] = f"({_python(condition.source, defines)})"
    rules = []
    for rule in policy.rules:
        whole = " and ".join(f"({_python(condition.source, defines)})" for condition in rule.conditions.values())
        rules.append((rule.id, _function(compile(f"lambda facts: {whole}", rule.id, "eval"))))
    return PlainRules(rules=tuple(rules))


def _python(source: str, defines: Mapping[str, str]) -> str:
    text = _DEFINE.sub(lambda found: defines[found[1]], source)
    text = re.sub(r"!(?!=)", " not ", text).replace("&&", " and ").replace("||", " or ")
    text = re.sub(r"\btrue\b", "True", text)
    return _NAME.sub(
        lambda found: found[0] if found.string[found.start() - 1] in "\"'" else f'facts["{found[0]}"]', text
    )


def _function(code: CodeType) -> Callable[[Mapping[str, FactValue]], bool]:
    made: Callable[[Mapping[str, FactValue]], bool] = eval(code)  # noqa: S307 - the policy that ships with this repository
    return made
