"""Conditions as formulas in Kleene's logic over atoms, and what each can still come to when only some are settled."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from billingbot.core.facts import CATALOGUE, FactType
from billingbot.core.policy.conditions import DEFINE_PREFIX
from billingbot.core.policy.expression import Call, Literal, Name, Tree, tree
from billingbot.core.policy.rules import Policy, Rule

TRUE: Final = 1
FALSE: Final = 2
UNKNOWN: Final = 4
"""What a formula may come to, as bits, so that a set of them is a number."""
ANY: Final = TRUE | FALSE | UNKNOWN


@dataclass(frozen=True, slots=True)
class Atom:
    """What has no parts here: a fact that is yes or no, a comparison, or something that is only seen whole."""

    of: Tree


@dataclass(frozen=True, slots=True)
class Fixed:
    """True or false, whatever is known."""

    value: int


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; unknown where its part is."""

    of: "Formula"


@dataclass(frozen=True, slots=True)
class All:
    """False if any part is, else unknown if any is, else true."""

    parts: "tuple[Formula, ...]"


@dataclass(frozen=True, slots=True)
class Some:
    """True if any part is, else unknown if any is, else false."""

    parts: "tuple[Formula, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of two by a test; unknown where the test is."""

    test: "Formula"
    yes: "Formula"
    no: "Formula"


Formula: TypeAlias = Atom | Fixed | Not | All | Some | Choice


def rule_formulas(policy: Policy) -> Mapping[str, tuple[Formula, ...]]:
    """For each rule the formulas that must all be true for it to match, with definitions put in their place."""
    defines: dict[str, Formula] = {}
    for name, condition in policy.defines.items():
        defines[DEFINE_PREFIX + name] = formula(tree(condition), defines)
    return {rule.id: tuple(_conjuncts(_of_rule(rule, defines))) for rule in policy.rules}


def formula(of: Tree, defines: Mapping[str, Formula]) -> Formula:
    """The formula of one condition. What is no operator of logic is an atom, compared by what is written."""
    match of:
        case Literal(value=bool() as value):
            return Fixed(TRUE if value else FALSE)
        case Name(name=name) if name in defines:
            return defines[name]
        case Call(function="!_", arguments=(inner,)):
            return _not(formula(inner, defines))
        case Call(function="_&&_", arguments=parts):
            return All(tuple(one for part in parts for one in _conjuncts(formula(part, defines))))
        case Call(function="_||_", arguments=parts):
            return Some(tuple(formula(part, defines) for part in parts))
        case Call(function="_?_:_", arguments=(test, yes, no)):
            return Choice(formula(test, defines), formula(yes, defines), formula(no, defines))
        case Call(function="_==_" | "_!=_" as operator, arguments=(left, right)) if _is_bool(left) and _is_bool(right):
            same = _same(formula(left, defines), formula(right, defines))
            return same if operator == "_==_" else _not(same)
        case _:
            return Atom(of)


def possible(of: Formula, settled: Mapping[Tree, int]) -> int:
    """The set of values that the formula may still come to; with every atom settled exactly one.

    An atom that occurs twice counts as two, so the set may be too large while atoms are open, and never too small.
    """
    match of:
        case Atom():
            return settled.get(of.of, ANY)
        case Fixed():
            return of.value
        case Not():
            inner = possible(of.of, settled)
            return (inner & UNKNOWN) | (TRUE if inner & FALSE else 0) | (FALSE if inner & TRUE else 0)
        case All():
            return _joined([possible(part, settled) for part in of.parts], winning=FALSE, yielding=TRUE)
        case Some():
            return _joined([possible(part, settled) for part in of.parts], winning=TRUE, yielding=FALSE)
        case Choice():
            test = possible(of.test, settled)
            yes = possible(of.yes, settled) if test & TRUE else 0
            no = possible(of.no, settled) if test & FALSE else 0
            return yes | no | (test & UNKNOWN)


def atoms(of: Formula) -> Iterator[Tree]:
    """The formula's atoms, in the order in which they are written."""
    match of:
        case Atom():
            yield of.of
        case Fixed():
            return
        case Not():
            yield from atoms(of.of)
        case All() | Some():
            for part in of.parts:
                yield from atoms(part)
        case Choice():
            for part in (of.test, of.yes, of.no):
                yield from atoms(part)


def _of_rule(rule: Rule, defines: Mapping[str, Formula]) -> Formula:
    return All(tuple(formula(tree(condition), defines) for condition in rule.conditions.values()))


def _conjuncts(of: Formula) -> Iterator[Formula]:
    if isinstance(of, All):
        for part in of.parts:
            yield from _conjuncts(part)
    else:
        yield of


def _not(of: Formula) -> Formula:
    return of.of if isinstance(of, Not) else Not(of)


def _same(left: Formula, right: Formula) -> Formula:
    return Some((All((left, right)), All((_not(left), _not(right)))))


def _is_bool(of: Tree) -> bool:
    match of:
        case Literal():
            return isinstance(of.value, bool)
        case Name():
            return of.name not in CATALOGUE or CATALOGUE[of.name].type is FactType.BOOL
        case Call():
            return of.function in {"!_", "_&&_", "_||_"}
        case _:
            return False


def _joined(parts: list[int], *, winning: int, yielding: int) -> int:
    """AND with FALSE winning and TRUE yielding; OR the other way round."""
    result = 0
    if any(part & winning for part in parts):
        result |= winning
    if all(part & yielding for part in parts):
        result |= yielding
    if any(part & UNKNOWN for part in parts) and all(part & (yielding | UNKNOWN) for part in parts):
        result |= UNKNOWN
    return result
