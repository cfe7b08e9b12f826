"""Reading `[examples]` and `[[example]]`: the base that every example starts from, and what sets each one apart."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

from billingbot.core.decision import UNDECIDED_RULE, Limit, Outcome, Recommendation
from billingbot.core.facts import CATALOGUE, FactType, FactValue
from billingbot.core.policy.rules import Example
from billingbot.core.policy.story import TOLD_BY_A_STORY, Story
from billingbot.core.policy.tables import Table

UNKNOWN: Final = "unknown"
"""How a file says that a fact could not be established."""
_COUNTS: Final = frozenset({"usage_lag_seconds", "usage_events"})
_STORY: Final = tuple(name for name in Story.__dataclass_fields__)
# More seconds than a source may lag, and more hits than anybody counts.
_COUNT_MAX: Final = 10**9


class ExampleReader:
    """Reads the examples of one file; `base` before `examples`."""

    def __init__(self, top: Table, *, clauses: Collection[str]) -> None:
        self._top = top
        written = top.raw.get("rule")  # as written: a rule that does not compile is told once, not in every example
        rules = [rule.get("id") for rule in written if isinstance(rule, dict)] if isinstance(written, list) else []
        self._reasons = {*rules, UNDECIDED_RULE, *(limit.value for limit in Limit)}
        self._clauses = clauses
        self._story: dict[str, Any] | None = None

    def base(self) -> dict[str, FactValue | None]:
        """The facts of `[examples.base]`, and the story of `[examples.story]` kept for the examples that tell one."""
        table = self._top.table("examples", required=False, where="examples")
        if table is None:
            return {}
        base = table.table("base", required=False, where="examples.base")
        story = table.table("story", required=False, where="examples.story")
        table.finish()
        if story is not None:
            self._story = _told(story, required=True)
        return _facts(base) if base else {}

    def examples(self) -> tuple[Example, ...]:
        """The examples in the file's order."""
        found: list[Example] = []
        names: set[str] = set()
        for table in self._top.tables("example", required=False):
            name = table.text("name")
            if name in names:
                table.problem("name", f"name: {name!r} is taken by an example above")
            names.add(name or "")
            example = self._example(table, name)
            if example is not None:
                found.append(example)
        return tuple(found)

    def _example(self, table: Table, name: str | None) -> Example | None:
        outcome = table.choice("outcome", Outcome)
        reason, clause = table.name("reason"), table.name("clause", required=False)
        recommendation = table.choice("recommendation", Recommendation) if "recommendation" in table.raw else None
        if reason is not None and reason not in self._reasons:
            table.problem("reason", f"reason: neither a rule nor a limit is named {reason!r}")
        if clause is not None and clause not in self._clauses:
            table.problem("clause", f"clause: no clause is named {clause!r}")
        facts = table.table("facts", required=False)
        own = table.table("story", required=False)
        values = _facts(facts) if facts else {}
        told = _told(own, required=False) if own else {}
        story = self._whole(table, told) if own else None
        if facts and own:
            for fact in sorted(values.keys() & set(TOLD_BY_A_STORY)):
                table.problem("facts", f"facts: {fact} follows from the story of the same example")
        table.finish()
        if name is None or outcome is None or reason is None:
            return None
        return Example(
            name=name,
            facts=values,
            story=story,
            told=tuple(told),
            outcome=outcome,
            reason=reason,
            clause=clause,
            recommendation=recommendation,
            line=table.line,
        )

    def _whole(self, table: Table, told: dict[str, Any]) -> Story | None:
        """The base's story with the example's own times and counts instead."""
        if self._story is None:
            table.problem("story", "story: expected a whole one in [examples.story] to start from")
            return None
        merged = self._story | told
        if merged.keys() != set(_STORY):
            return None  # what is missing in the base was told there
        if merged["usage_until"] < merged["usage_from"]:
            table.problem("story", "story: usage_until lies before usage_from")
            return None
        return Story(**merged)


def _told(table: Table, *, required: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _STORY:
        if not required and name not in table.raw:
            continue
        value: Any
        if name in _COUNTS:
            value = table.integer(name, least=0, most=_COUNT_MAX, unit=name.replace("_", " "))
        else:
            value = table.instant(name)
        if value is not None:
            found[name] = value
    table.finish()
    return found


def _facts(table: Table) -> dict[str, FactValue | None]:
    """Facts by their names, written as `usage.used = true`; "unknown" for one that could not be established."""
    found: dict[str, FactValue | None] = {}
    for topic in table.raw:
        group = table.table(topic, where=f"{table.where}: {topic}")
        if group is None:
            continue
        for key, value in group.raw.items():
            name = f"{topic}.{key}"
            if name not in CATALOGUE:
                group.problem(key, f"no fact is named {name!r}")
            elif value == UNKNOWN:
                found[name] = None
            elif _fits(value, CATALOGUE[name].type):
                found[name] = value.astimezone(UTC) if isinstance(value, datetime) else value
            else:
                group.problem(key, f"{key}: expected a {CATALOGUE[name].type} or {UNKNOWN!r}, got {value!r}")
    return found


def _fits(value: object, type_: FactType) -> bool:
    match type_:
        case FactType.BOOL:
            return isinstance(value, bool)
        case FactType.INT:
            return type(value) is int
        case FactType.STRING:
            return isinstance(value, str)
        case FactType.TIMESTAMP:
            return isinstance(value, datetime) and value.tzinfo is not None
