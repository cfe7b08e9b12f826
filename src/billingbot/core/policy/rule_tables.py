"""Reading definitions and rules from a policy file, and the laws that a rule must keep to be loaded."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final

from billingbot.core.decision import UNDECIDED_RULE, Limit, Outcome, Priority, Recommendation, Truth
from billingbot.core.facts import CATALOGUE, FactValue
from billingbot.core.policy.conditions import Compiler, Condition, ConditionError, conjunction
from billingbot.core.policy.rules import Rule
from billingbot.core.policy.tables import NAME, Problems, Table

BY_OTHER_RULES: Final = "by_other_rules"
# More rows than any decision table a person could read.
ROW_MAX: Final = 999
_DEFINE_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
# What a refund must rest on, and the value of each that forbids it whatever else is so (clause unused-trial).
_EVIDENCE: Final[Mapping[str, FactValue]] = {"usage.used": True, "usage.complete": False}
# Reasons that a decision gives beside rule ids: a rule of that name would be mistaken for one.
_TAKEN_IDS: Final = frozenset({UNDECIDED_RULE, *(limit.value for limit in Limit)})


class RuleReader:
    """Reads `[define]` and `[[rule]]`; call `defines` before `rules`."""

    def __init__(self, top: Table, problems: Problems, *, clauses: Collection[str], replies: Collection[str]) -> None:
        self._top = top
        self._problems = problems
        self._clauses = clauses
        self._replies = replies
        self._table = top.table("define", required=False, where="define")
        names = self._table.raw if self._table else {}
        self.compiler = Compiler(name for name in names if _DEFINE_NAME.fullmatch(name))
        self._defines: dict[str, Condition] = {}

    def defines(self) -> dict[str, Condition]:
        """The named conditions in the file's order, each using only those above it."""
        for name in self._table.raw if self._table else ():
            condition = self._define(self._table, name) if self._table else None
            if condition is not None:
                self._defines[name] = condition
        return dict(self._defines)

    def rules(self) -> tuple[Rule, ...]:
        """The rules in the file's order. Problems are told for each rule, and for the order as a whole."""
        rules: list[Rule] = []
        seen: set[str] = set()
        tables = self._top.tables("rule")
        for table in tables:
            rule = self._rule(table)
            rule_id = table.raw.get("id")
            if isinstance(rule_id, str):
                if rule_id in seen:
                    table.problem("id", f"id: {rule_id!r} is taken by a rule above")
                seen.add(rule_id)
            if rule is not None:
                rules.append(rule)
        if tables and rules and len(rules) == len(tables):
            self._check_catch_all(tables[-1], rules[-1])
        return tuple(rules)

    def _rule(self, table: Table) -> Rule | None:
        rule_id = table.name("id")
        if rule_id in _TAKEN_IDS:
            table.problem("id", f"id: {rule_id!r} is a reason of its own and cannot name a rule")
        row = table.integer("row", least=1, most=ROW_MAX, unit="the decision table's rows")
        outcome = table.choice("outcome", Outcome)
        clause = self._known(table, "clause", self._clauses)
        reply = self._known(table, "reply", self._replies)
        priority = table.choice("priority", Priority, default=Priority.NORMAL)
        recommendation = _recommendation(table, outcome)
        summary = table.text("summary")
        waits_for = table.names("waits_for", CATALOGUE, "fact")
        conditions = self._conditions(table)
        table.finish()
        if rule_id is None or row is None or outcome is None or priority is None or summary is None:
            return None
        if conditions is None:
            return None
        rule = Rule(
            id=rule_id,
            row=row,
            clause=clause,
            outcome=outcome,
            recommendation=recommendation,
            priority=priority,
            reply=reply,
            summary=summary,
            conditions=conditions,
            waits_for=waits_for,
            facts=frozenset(name for condition in conditions.values() for name in condition.reads),
            line=self._problems.line_of(table.path),
        )
        if outcome is Outcome.REFUND:
            self._check_refund(table, rule)
        return rule

    def _conditions(self, table: Table) -> dict[str, Condition] | None:
        when = table.table("when")
        if when is None:
            return None
        found: dict[str, Condition] = {}
        for name in when.raw:
            if not NAME.fullmatch(name):
                when.problem(name, f"when: expected lower-case words joined by hyphens, got {name!r}")
            condition = self._compiled(when, name, self.compiler.condition)
            if condition is not None:
                found[name] = condition
        if not when.raw:
            table.problem("when", "when: expected at least one condition")
        return found if len(found) == len(when.raw) else None

    def _define(self, table: Table, name: str) -> Condition | None:
        if not _DEFINE_NAME.fullmatch(name):
            table.problem(name, f"expected lower-case letters, digits and underscores, got {name!r}")
            return None
        return self._compiled(table, name, lambda source: self.compiler.define(name, source))

    def _compiled(self, table: Table, key: str, compile_: Callable[[str], Condition]) -> Condition | None:
        source = table.text(key)
        if source is None:
            return None
        try:
            return compile_(source)
        except ConditionError as error:
            for problem in error.problems:
                what = f"'{key}' at {problem.line}:{problem.column}: {problem.what}"
                table.problem(key, what, line_offset=problem.line - 1)
            return None

    def _known(self, table: Table, key: str, known: Collection[str]) -> str | None:
        value = table.name(key, required=False)
        if value is not None and value not in known:
            table.problem(key, f"{key}: no {key} is named {value!r}")
        return value

    def _check_refund(self, table: Table, rule: Rule) -> None:
        """A refund rests on evidence: the rule must be false where use was seen, or where evidence has gaps."""
        for name, forbidding in _EVIDENCE.items():
            if name not in rule.facts:
                table.problem("when", f"a refund must depend on {name}")
            elif self._truth(rule, {name: forbidding}) is not Truth.FALSE:
                shown = str(forbidding).lower()
                table.problem("when", f"a refund must be ruled out wherever {name} is {shown}")

    def _check_catch_all(self, table: Table, rule: Rule) -> None:
        """The last rule takes what is left: it matches whatever is known, and hands over to a person."""
        if rule.outcome is not Outcome.REVIEW or self._truth(rule, {}) is not Truth.TRUE:
            expected = "expected a review whose only condition is true"
            table.problem("id", f"the last rule must take every case that is left: {expected}")

    def _truth(self, rule: Rule, values: Mapping[str, FactValue]) -> Truth:
        view = self.compiler.view(values, self._defines)
        return conjunction([view.observe(condition).truth for condition in rule.conditions.values()])


def _recommendation(table: Table, outcome: Outcome | None) -> Recommendation | None:
    """What the file says, or what its outcome implies; None where the other rules are to be asked."""
    if outcome is not Outcome.REVIEW:
        if table.text("recommendation", required=False) is not None:
            table.problem("recommendation", "recommendation: only a review has one")
        return Recommendation.REFUND if outcome is Outcome.REFUND else Recommendation.NONE
    if table.text("recommendation", required=False) == BY_OTHER_RULES:
        return None
    return table.choice("recommendation", Recommendation, default=Recommendation.NONE)
