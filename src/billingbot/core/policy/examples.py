"""Examples: cases that a policy file tells with their verdicts, so that a change which breaks one is seen at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from billingbot.core.canonical import timestamp
from billingbot.core.decision import Decision, Outcome, Recommendation
from billingbot.core.facts import CATALOGUE, Fact, Facts, FactValue, Known, Unknown
from billingbot.core.policy.deciding import decide
from billingbot.core.policy.rules import Example, Policy
from billingbot.core.policy.story import facts_told

_SOURCE: Final = "example"
# An example without a story has no time of its own, and no condition can ask for one.
_NO_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What an example came to. `wrong` says, field by field, what was expected and what came instead."""

    example: Example
    decision: Decision
    wrong: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the verdict is the one that the file tells."""
        return not self.wrong


def try_examples(policy: Policy) -> tuple[Tried, ...]:
    """Decides every example of the policy by it, in the file's order."""
    return tuple(_tried(policy, example) for example in policy.examples)


def example_facts(policy: Policy, example: Example) -> Facts:
    """All facts of an example: its own, else those its story tells, else those of the base, else unknown."""
    at = example.story.asked_at if example.story else _NO_TIME
    found: dict[str, Fact] = {name: _fact(None, at) for name in CATALOGUE}
    found |= {name: _fact(value, at) for name, value in policy.example_base.items()}
    if example.story is not None:
        found |= facts_told(example.story)
    found |= {name: _fact(value, at) for name, value in example.facts.items()}
    return Facts(at=at, facts=found)


def _tried(policy: Policy, example: Example) -> Tried:
    decision = decide(example_facts(policy, example), policy)
    return Tried(example=example, decision=decision, wrong=tuple(_differences(example, decision)))


def _differences(example: Example, decision: Decision) -> Iterator[str]:
    expected: Mapping[str, Outcome | Recommendation | str | None] = {
        "outcome": example.outcome,
        "reason": example.reason,
        "clause": example.clause,
        "recommendation": example.recommendation,
    }
    for name, wanted in expected.items():
        got = getattr(decision, name)
        # A reason is always told; of the rest an example may leave out what it is not about.
        if wanted is not None and wanted != got:
            yield f"{name}: expected {wanted}, got {got or 'none'}"


def _fact(value: FactValue | None, at: datetime) -> Fact:
    if value is None:
        return Unknown(why="the example does not say", source=_SOURCE, as_of=at)
    return Known(value=value, source=_SOURCE, as_of=at)


def in_words(example: Example) -> str:
    """What sets an example apart from the base, as a person reads it."""
    told = [f"{name} = {_value(value)}" for name, value in example.facts.items()]
    story = example.story
    told += [f"{name} = {_value(getattr(story, name))}" for name in example.told] if story else []
    return ", ".join(told) or "the base"


def _value(value: FactValue | None) -> str:
    match value:
        case None:
            return "unknown"
        case bool():
            return str(value).lower()
        case datetime():
            return timestamp(value)
        case _:
            return str(value)
