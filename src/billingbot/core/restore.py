"""Reading stored facts and decisions back from their canonical JSON, so that they can be shown and decided again."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from billingbot.core.decision import (
    ConditionTrace,
    Decision,
    Limit,
    LimitTrace,
    Outcome,
    Priority,
    Recommendation,
    RuleTrace,
    Truth,
)
from billingbot.core.facts import CATALOGUE, EarlierFacts, Fact, FactType, FactValue, Known, Unknown

# The fields of a decision that are the same in JSON.
_PLAIN: Final = (
    "rule",
    "reason",
    "clause",
    "amount_minor",
    "currency",
    "reply",
    "policy_id",
    "policy_version",
    "policy_digest",
    "facts_digest",
)


def restore_facts(content: bytes) -> EarlierFacts:
    """The facts whose canonical bytes these are, and remain. ValueError names what is of another type.

    Facts that the catalogue has gained since are unknown: nobody established them then.
    """
    raw = _object(content, "facts")
    stored = {name: _fact(name, fact) for name, fact in raw["facts"].items()}
    return EarlierFacts(at=_instant(raw["at"]), facts=stored, exhibits=raw["exhibits"])


def restore_decision(content: bytes) -> Decision:
    """The decision whose canonical bytes these are. ValueError or KeyError where they are of no decision."""
    raw = _object(content, "decision")
    plain = {name: raw[name] for name in _PLAIN}
    return Decision(
        **plain,
        outcome=Outcome(raw["outcome"]),
        recommendation=Recommendation(raw["recommendation"]),
        priority=Priority(raw["priority"]),
        missing=tuple(raw["missing"]),
        trace=tuple(_rule_trace(rule) for rule in raw["trace"]),
        limits=tuple(_limit_trace(limit) for limit in raw["limits"]),
    )


def _object(content: bytes, what: str) -> Mapping[str, Any]:
    raw = json.loads(content)
    if not isinstance(raw, dict):
        raise ValueError(f"{what}: expected a JSON object, got {type(raw).__name__}")  # noqa: TRY004  # bad content, not a bad call
    return raw


def _fact(name: str, raw: Mapping[str, Any]) -> Fact:
    as_of = _instant(raw["as_of"])
    if "why" in raw:
        return Unknown(why=raw["why"], source=raw["source"], as_of=as_of)
    value = _value(name, raw["value"])
    if value is None:
        raise ValueError(f"facts: {name} has no value")
    return Known(value=value, source=raw["source"], as_of=as_of)


def _value(name: str, raw: Any) -> FactValue | None:
    is_time = name in CATALOGUE and CATALOGUE[name].type is FactType.TIMESTAMP
    value: FactValue | None = _instant(raw) if is_time and raw is not None else raw
    return value


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _rule_trace(raw: Mapping[str, Any]) -> RuleTrace:
    return RuleTrace(
        rule=raw["rule"],
        clause=raw["clause"],
        observed=Truth(raw["observed"]),
        conditions=tuple(_condition_trace(condition) for condition in raw["conditions"]),
    )


def _condition_trace(raw: Mapping[str, Any]) -> ConditionTrace:
    return ConditionTrace(
        name=raw["name"],
        expression=raw["expression"],
        observed=Truth(raw["observed"]),
        facts={name: _value(name, value) for name, value in raw["facts"].items()},
        error=raw.get("error"),
    )


def _limit_trace(raw: Mapping[str, Any]) -> LimitTrace:
    return LimitTrace(
        limit=Limit(raw["limit"]),
        passed=Truth(raw["passed"]),
        observed=raw["observed"],
        allowed=raw["allowed"],
    )
