"""Re-decide: stored bytes become facts and decisions again, so that a verdict can be reproduced byte for byte."""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from billingbot.core.decision import Decision
from billingbot.core.facts import CATALOGUE, Fact, Facts, FactType, FactValue, Known, Unknown


def facts_of(stored: bytes) -> Facts:
    """The facts behind their canonical bytes. ValueError or KeyError where these are not facts of this catalogue."""
    plain = json.loads(stored)
    return Facts(
        at=_time(plain["at"]),
        facts={name: _fact(name, fact) for name, fact in plain["facts"].items()},
        exhibits=plain["exhibits"],
    )


def decision_of(stored: bytes) -> Decision:
    """The decision behind its canonical bytes. ValueError, KeyError or TypeError where it is none."""
    decision: Decision = _build(Decision, json.loads(stored))
    return decision


def _fact(name: str, plain: Mapping[str, Any]) -> Fact:
    if "why" in plain:
        return Unknown(why=plain["why"], source=plain["source"], as_of=_time(plain["as_of"]))
    value: FactValue = plain["value"]
    if CATALOGUE[name].type is FactType.TIMESTAMP:
        value = _time(str(value))
    return Known(value=value, source=plain["source"], as_of=_time(plain["as_of"]))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _build(kind: Any, plain: Any) -> Any:
    """A value of the annotated type from plain JSON: dataclasses, tuples, enums, optionals, mappings."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: _build(hints[field.name], plain[field.name]) for field in dataclasses.fields(kind)})  # type: ignore[operator] # a dataclass type is callable
    if origin is tuple:
        return tuple(_build(arguments[0], item) for item in plain)
    if origin in {typing.Union, types.UnionType} and len([a for a in arguments if a is not type(None)]) == 1:
        inner = next(argument for argument in arguments if argument is not type(None))
        return None if plain is None else _build(inner, plain)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(plain)
    return plain
