"""Whether a rule can ever match, or ever pay: a proof that it cannot, facts under which it does, or neither.

Conditions are taken apart into atoms, each true, false or unknown on its own. If no choice of them lets the rule
match, none of the facts behind them does: that is a proof. If one does, facts are made for it and the policy itself
is asked: that is a proof as well. Where an atom is beyond both (arithmetic, functions), it cannot be told.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from billingbot.core.decision import Truth
from billingbot.core.facts import FactValue
from billingbot.core.policy.conditions import conjunction
from billingbot.core.policy.expression import Name, Tree
from billingbot.core.policy.logic import FALSE, TRUE, UNKNOWN, All, Formula, atoms, possible, rule_formulas
from billingbot.core.policy.rules import Policy, Rule
from billingbot.core.policy.witness import CannotTellError, is_plain, witness

# Steps of one search. A policy of some dozen rules needs some hundred; at a tenth of a millisecond each this is
# about a second, and then it is said that it cannot be told.
_MOST_STEPS: Final = 5_000

# Ways to match that rest on an atom beyond this reasoning: where all of so many do, the next ones will as well.
_MOST_UNSURE: Final = 20

_Wanted: TypeAlias = tuple[Formula, int]
"""A formula and the set of values that it may have."""


class Reach(StrEnum):
    """What was found about a rule."""

    CAN = "can"
    NEVER = "never"
    CANNOT_TELL = "cannot-tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Whether it can, with known facts that show it; or the one rule above that alone stands before it, if one does."""

    reach: Reach
    facts: Mapping[str, FactValue] | None = None
    behind: str | None = None


class Reacher:
    """Asks about the rules of one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._formulas = rule_formulas(policy)

    def match(self, rule: Rule) -> Reached:
        """Whether some facts let this rule match, none above it being true."""
        return self._reached(rule, above_may_be=FALSE | UNKNOWN)

    def pay(self, rule: Rule) -> Reached:
        """Whether some facts let a refund rule pay: it matches, and every rule above is false, none unknown."""
        return self._reached(rule, above_may_be=FALSE)

    def alone(self, rule: Rule) -> Reached:
        """Whether its own conditions can all be true, whatever stands above it."""
        return self._searched(rule, self._own(rule), (), FALSE | UNKNOWN)

    def conjuncts(self, rule: Rule) -> frozenset[Formula]:
        """What must be true for it to match, with definitions put in their place."""
        return frozenset(self._formulas[rule.id])

    def _reached(self, rule: Rule, *, above_may_be: int) -> Reached:
        own, above = self._own(rule), self._above(rule)
        if self._searched(rule, own, (), above_may_be).reach is Reach.NEVER:
            return Reached(reach=Reach.NEVER)
        for other in above:  # a short search each, and a name to tell
            one = (All(self._formulas[other.id]), above_may_be)
            if self._searched(rule, (*own, one), (), above_may_be).reach is Reach.NEVER:
                return Reached(reach=Reach.NEVER, behind=other.id)
        all_above = [(All(self._formulas[other.id]), above_may_be) for other in above]
        return self._searched(rule, (*own, *all_above), above, above_may_be)

    def _own(self, rule: Rule) -> tuple[_Wanted, ...]:
        return tuple((formula, TRUE) for formula in self._formulas[rule.id])

    def _above(self, rule: Rule) -> Sequence[Rule]:
        return self._policy.rules[: self._policy.rules.index(rule)]

    def _searched(self, rule: Rule, wanted: Sequence[_Wanted], above: Sequence[Rule], above_may_be: int) -> Reached:
        unsure = 0
        try:
            for settled in _solutions(wanted):
                facts = _facts(settled)
                if facts is not None and self._confirms(rule, facts, above, above_may_be):
                    return Reached(reach=Reach.CAN, facts=facts)
                unsure += 1
                if unsure > _MOST_UNSURE:
                    break
        except CannotTellError:
            unsure += 1
        return Reached(reach=Reach.CANNOT_TELL if unsure else Reach.NEVER)

    def _confirms(self, rule: Rule, facts: Mapping[str, FactValue], above: Sequence[Rule], above_may_be: int) -> bool:
        """Whether the engine says so too: the reasoning is ours, the word is the engine's."""
        view = self._policy.compiler.view(facts, self._policy.defines)

        def truth(of: Rule) -> Truth:
            return conjunction([view.observe(condition).truth for condition in of.conditions.values()])

        allowed = {Truth.FALSE} if above_may_be == FALSE else {Truth.FALSE, Truth.UNKNOWN}
        return truth(rule) is Truth.TRUE and all(truth(other) in allowed for other in above)


def _solutions(wanted: Sequence[_Wanted]) -> Iterator[dict[Tree, int]]:
    """Every choice for atoms, as few as needed, under which all formulas have one of their wanted values.

    Choices that no facts bear out are left out, as far as that can be told. Raises CannotTellError where the search
    takes too long.
    """
    stack: list[dict[Tree, int]] = [{}]
    steps = 0
    while stack:
        settled = stack.pop()
        steps += 1
        if steps > _MOST_STEPS:
            raise CannotTellError("the search takes too long")
        open_ones = _still_open(wanted, settled)
        if open_ones is None:
            continue
        if not open_ones:
            yield settled
            continue
        formula, allowed = min(open_ones, key=lambda one: sum(atom not in settled for atom in atoms(one[0])))
        atom = next(atom for atom in atoms(formula) if atom not in settled)
        for value in _order(atom, allowed):
            further = settled | {atom: value}
            if isinstance(atom, Name) or _is_possible(further):
                stack.append(further)


def _order(atom: Tree, allowed: int) -> tuple[int, ...]:
    """What to try for an atom; the last comes first. What cannot be computed here can always be unknown."""
    if not is_plain(atom):
        return (TRUE, FALSE, UNKNOWN)
    return (UNKNOWN, FALSE, TRUE) if allowed == TRUE else (UNKNOWN, TRUE, FALSE)


def _is_possible(settled: Mapping[Tree, int]) -> bool:
    try:
        return witness(settled) is not None
    except CannotTellError:
        return True


def _facts(settled: Mapping[Tree, int]) -> Mapping[str, FactValue] | None:
    """Facts for a choice that is possible; None where they cannot be told."""
    try:
        return witness(settled)
    except CannotTellError:
        return None


def _still_open(wanted: Sequence[_Wanted], settled: Mapping[Tree, int]) -> list[_Wanted] | None:
    """The formulas that may still go wrong; None where one has gone wrong already."""
    found: list[_Wanted] = []
    for formula, allowed in wanted:
        values = possible(formula, settled)
        if not values & allowed:
            return None
        if values & ~allowed:
            found.append((formula, allowed))
    return found
