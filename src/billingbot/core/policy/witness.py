"""Facts that make given atoms true, false or unknown, or the certainty that there are none."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from billingbot.core.facts import CATALOGUE, FactType, FactValue
from billingbot.core.mode import Mode
from billingbot.core.policy.expression import Call, Literal, Name, Tree, names
from billingbot.core.policy.logic import TRUE, UNKNOWN
from billingbot.core.request import Channel

# What a request says, and the mode, are known in every case.
ALWAYS_KNOWN: Final = frozenset({*(name for name in CATALOGUE if name.startswith("request.")), "desk.mode"})
# Facts with few values; every other text may be anything.
_CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "request.channel": [channel.value for channel in Channel],
    "desk.mode": [mode.value for mode in Mode],
}
_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "_<_": operator.lt,
    "_<=_": operator.le,
    "_>_": operator.gt,
    "_>=_": operator.ge,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Values tried for one set of atoms; a policy that people wrote needs some dozen.
_MOST_TRIES: Final = 20_000
# A text that no policy names.
_OTHER: Final = "another"


class CannotTellError(Exception):
    """An atom that is beyond this reasoning (a function, arithmetic), or too many values to try."""


_Constant: TypeAlias = str | int


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Fact or constant, operator, fact or constant; or a fact in a list of constants. Times count in microseconds."""

    operator: str
    sides: tuple[Name | _Constant, ...]
    constants: tuple[_Constant, ...]

    def facts(self) -> list[str]:
        """The facts compared."""
        return [side.name for side in self.sides if isinstance(side, Name)]


def witness(settled: Mapping[Tree, int]) -> Mapping[str, FactValue] | None:
    """Known facts under which every atom is as settled; a fact that is not among them is unknown.

    None where no facts do that: complete for facts that are yes or no, and for comparisons of amounts, counts and
    times with constants and with each other, and of texts for equality. Amounts and counts are never negative.
    Raises CannotTellError for other atoms.
    """
    values: dict[str, FactValue] = {}
    comparisons: list[tuple[_Comparison, bool]] = []
    unknown: list[tuple[Tree, set[str]]] = []
    for atom, value in settled.items():
        if isinstance(atom, Name):
            if value == UNKNOWN and atom.name in ALWAYS_KNOWN:
                return None
            if value != UNKNOWN:
                values[atom.name] = value == TRUE
        elif value == UNKNOWN:
            unknown.append((atom, {name for name in names(atom) if name in CATALOGUE} - ALWAYS_KNOWN))
        else:
            comparisons.append((_comparison(atom), value == TRUE))
    compared = sorted({fact for comparison, _ in comparisons for fact in comparison.facts()})
    for atom, facts in unknown:
        if not facts <= set(compared):
            continue  # one of them can be unknown
        if not is_plain(atom):
            raise CannotTellError(atom)  # it may still fail, as a division by zero does, and is unknown then
        return None
    pools = {fact: _pool(fact, [comparison for comparison, _ in comparisons]) for fact in compared}
    found = _assigned(compared, pools, comparisons)
    return None if found is None else values | {fact: _value(fact, found[fact]) for fact in compared}


def is_plain(atom: Tree) -> bool:
    """Whether an atom is within this reasoning when it is true or false; unknown every atom is."""
    try:
        return isinstance(atom, Name) or bool(_comparison(atom))
    except CannotTellError:
        return False


def _comparison(atom: Tree) -> _Comparison:
    match atom:
        case Call(function="@in", arguments=(left, Call(function="list", arguments=members))):
            return _Comparison("@in", (_side(left),), tuple(_constant(member) for member in members))
        case Call(function=name, arguments=(left, right)) if name in {"_==_", "_!=_", *_ORDERS}:
            sides = (_side(left), _side(right))
            found = _Comparison(name, sides, tuple(side for side in sides if not isinstance(side, Name)))
            texts = any(CATALOGUE[fact].type is FactType.STRING for fact in found.facts())
            if texts and (name in _ORDERS or len(found.facts()) > 1):
                raise CannotTellError(name)
            return found
        case _:
            raise CannotTellError(atom)


def _side(of: Tree) -> Name | _Constant:
    if isinstance(of, Name) and of.name in CATALOGUE and CATALOGUE[of.name].type is not FactType.BOOL:
        return of
    return _constant(of)


def _constant(of: Tree) -> _Constant:
    match of:
        case Literal(value=bool()):
            raise CannotTellError(of)
        case Literal(value=value):
            return value
        case Call(function="timestamp", arguments=(Literal(value=str() as written),)):
            return _microseconds(written)
        case _:
            raise CannotTellError(of)


def _microseconds(written: str) -> int:
    try:
        at = datetime.fromisoformat(written)
    except ValueError as fault:
        raise CannotTellError(written) from fault
    if at.tzinfo is None:
        raise CannotTellError(written)
    return (at - _EPOCH) // timedelta(microseconds=1)


def _pool(fact: str, comparisons: Sequence[_Comparison]) -> Sequence[_Constant]:
    """Enough values to meet every order among the constants: around each, as many as there are facts to tell apart."""
    constants = {constant for comparison in comparisons for constant in comparison.constants}
    if CATALOGUE[fact].type is FactType.STRING:
        texts = sorted(constant for constant in constants if isinstance(constant, str))
        return _CHOICES.get(fact, [*texts, *(f"{_OTHER}{n}" for n in range(len(comparisons) + 1))])
    apart = len({name for comparison in comparisons for name in comparison.facts()})
    near = {0, *(constant for constant in constants if isinstance(constant, int))}
    around = {constant + step for constant in near for step in range(-apart, apart + 1)}
    return sorted(value for value in around if value >= 0)


def _assigned(
    facts: Sequence[str], pools: Mapping[str, Sequence[_Constant]], comparisons: Sequence[tuple[_Comparison, bool]]
) -> Mapping[str, _Constant] | None:
    """One value for each fact so that all comparisons come out as wanted, by trying with an early end."""
    chosen: dict[str, _Constant] = {}
    tries = 0

    def fill(index: int) -> bool:
        nonlocal tries
        if index == len(facts):
            return True
        for value in pools[facts[index]]:
            tries += 1
            if tries > _MOST_TRIES:
                raise CannotTellError(facts)
            chosen[facts[index]] = value
            if _agrees(chosen, comparisons) and fill(index + 1):
                return True
        chosen.pop(facts[index], None)
        return False

    return chosen if fill(0) else None


def _agrees(chosen: Mapping[str, _Constant], comparisons: Sequence[tuple[_Comparison, bool]]) -> bool:
    """Whether no comparison whose facts all have a value comes out otherwise than wanted."""
    for comparison, wanted in comparisons:
        if all(fact in chosen for fact in comparison.facts()) and _holds(comparison, chosen) is not wanted:
            return False
    return True


def _holds(comparison: _Comparison, chosen: Mapping[str, _Constant]) -> bool:
    sides = [chosen[side.name] if isinstance(side, Name) else side for side in comparison.sides]
    match comparison.operator:
        case "@in":
            return sides[0] in comparison.constants
        case "_==_":
            return sides[0] == sides[1]
        case "_!=_":
            return sides[0] != sides[1]
        case order:
            return _ORDERS[order](sides[0], sides[1])


def _value(fact: str, value: _Constant) -> FactValue:
    if CATALOGUE[fact].type is FactType.TIMESTAMP and isinstance(value, int):
        return _EPOCH + timedelta(microseconds=value)
    return value
