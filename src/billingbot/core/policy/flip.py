"""The nearest flip: the smallest set of facts that, had they been otherwise, would have changed the outcome."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from billingbot.core.decision import Outcome, Truth
from billingbot.core.facts import CATALOGUE, Facts, FactType, FactValue
from billingbot.core.policy.conditions import Condition, View, conjunction, known_values
from billingbot.core.policy.deciding import UNDISPUTED
from billingbot.core.policy.limits import AUTO, check_limits, limit_facts
from billingbot.core.policy.rules import Policy, Rule

# More than three things that would all have to be otherwise tell nobody anything; the search stays under a second.
MOST_CHANGES: Final = 3
# As many as fit on a page; with one price limit and a handful of conditions there are seldom more.
MOST_FLIPS: Final = 6

Values: TypeAlias = Mapping[str, FactValue]

_NUMBER: Final = re.compile(r"(?<![\w.'\"])(\d+)(?![\w.'\"])")
_TEXT: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_DURATION: Final = re.compile(r"duration\(['\"](\d+)(h|m|s)['\"]\)")
_UNIT_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}
# What people ask about first: was it used, was it a trial, was it cancelled, did we know them.
_TELLING: Final = (
    "usage",
    "trial",
    "cancellation",
    "history",
    "abuse",
    "dispute",
    "warning",
    "charge",
    "request",
    "desk",
)
_MONEY: Final = ("charge.amount_minor", "charge.refunded_minor", "charge.refundable_minor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing in the world that would be otherwise: the facts that move with it, and what they would be."""

    facts: Mapping[str, FactValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """Changes that together, and none of them without the others, lead to another outcome by `rule`."""

    changes: tuple[Change, ...]
    outcome: Outcome
    rule: str

    @property
    def facts(self) -> tuple[str, ...]:
        """Every fact that would be otherwise, in the catalogue's order."""
        touched = {name for change in self.changes for name in change.facts}
        return tuple(name for name in CATALOGUE if name in touched)


def nearest_flips(facts: Facts, policy: Policy) -> tuple[Flip, ...]:
    """The smallest changes that would have led to another outcome, all of the same size, at most MOST_FLIPS.

    Where the policy did not refund, the other outcome is a refund; where it did, anything else. Empty where no
    MOST_CHANGES changes would do. The day's budget and the breaker are no facts of a case and not looked at.
    """
    values = known_values(facts)
    if outcome_of(values, policy)[0] is Outcome.REFUND:
        return tuple(sorted(_away(values, policy), key=_order))[:MOST_FLIPS]
    for size in range(1, MOST_CHANGES + 1):
        found = _to_refund(values, policy, size)
        if found:
            return found[:MOST_FLIPS]
    return ()


def outcome_of(values: Values, policy: Policy) -> tuple[Outcome, Rule]:
    """The outcome that `decide` would come to, and the rule, without the trace and the digests."""
    view = policy.compiler.view(values, policy.defines)
    undecided = False
    for rule in policy.rules:
        truth = _truth(rule, view)
        if truth is Truth.UNKNOWN:
            undecided = True
        if truth is Truth.TRUE:
            held = rule.outcome is Outcome.REFUND and (undecided or _failing_limit(values, policy) is not None)
            return (Outcome.REVIEW if held else rule.outcome), rule
    raise AssertionError("the last rule of a loaded policy matches always")


# ---------------------------------------------------------------- towards a refund


def _to_refund(values: Values, policy: Policy, size: int) -> tuple[Flip, ...]:
    """Every set of exactly `size` facts that leads to a refund, each found once, with the values tried first."""
    found: dict[frozenset[str], Flip] = {}
    for rule in policy.rules:
        if rule.outcome is Outcome.REFUND:
            for changes in _paths(values, policy, rule, size):
                key = frozenset(name for change in changes for name in change.facts)
                found.setdefault(key, Flip(changes=changes, outcome=Outcome.REFUND, rule=rule.id))
    return tuple(sorted(found.values(), key=_order))


def _order(flip: Flip) -> list[tuple[int, int]]:
    places = list(CATALOGUE)
    return sorted((_TELLING.index(name.partition(".")[0]), places.index(name)) for name in flip.facts)


def _paths(values: Values, policy: Policy, rule: Rule, left: int) -> Iterator[tuple[Change, ...]]:
    """Changes after which this rule refunds.

    Whatever stands in the way first depends on the facts it reads alone, so one of these has to change: branching
    over those finds every solution.
    """
    obstacle = _obstacle(values, policy, rule)
    if obstacle is None:
        if left == 0:
            yield ()
        return
    if left == 0:
        return
    for change in _changes(obstacle, values, policy):
        for rest in _paths({**values, **change.facts}, policy, rule, left - 1):
            touched = {name for other in rest for name in other.facts}
            if touched.isdisjoint(change.facts):  # moving the same fact twice is not two changes
                yield (change, *rest)


def _obstacle(values: Values, policy: Policy, rule: Rule) -> frozenset[str] | None:
    """The facts read by the first thing that keeps this rule from refunding; None where it does refund."""
    view = policy.compiler.view(values, policy.defines)
    for above in policy.rules[: policy.rules.index(rule)]:
        if _truth(above, view) is not Truth.FALSE:
            return above.facts
    for condition in rule.conditions.values():
        if view.observe(condition).truth is not Truth.TRUE:
            return frozenset(condition.reads)
    return _failing_limit(values, policy)


def _failing_limit(values: Values, policy: Policy) -> frozenset[str] | None:
    for trace in check_limits(values.get, policy.limits):
        if trace.passed is not Truth.TRUE:
            return frozenset(limit_facts(trace.limit, policy.limits))
    return None


def _truth(rule: Rule, view: View) -> Truth:
    return conjunction([view.observe(condition).truth for condition in rule.conditions.values()])


# ---------------------------------------------------------------- away from a refund


def _away(values: Values, policy: Policy) -> Iterator[Flip]:
    """Each single change after which the charge would not have been refunded."""
    read = {name for rule in policy.rules for name in rule.facts}
    read |= {
        name for trace in check_limits(values.get, policy.limits) for name in limit_facts(trace.limit, policy.limits)
    }
    seen: set[str] = set()
    for change in _changes(frozenset(read), values, policy, away=True):
        outcome, rule = outcome_of({**values, **change.facts}, policy)
        first = next(iter(change.facts))
        if outcome is not Outcome.REFUND and first not in seen:  # one line for each fact is enough
            seen.add(first)
            yield Flip(changes=(change,), outcome=outcome, rule=rule.id)


# ---------------------------------------------------------------- what may be otherwise


def _changes(names: frozenset[str], values: Values, policy: Policy, *, away: bool = False) -> Iterator[Change]:
    """Everything that may be otherwise and touches one of these facts; each moves what moves with it."""
    if not names.isdisjoint(UNDISPUTED) and not away and any(values.get(n) != v for n, v in UNDISPUTED.items()):
        yield Change(facts=UNDISPUTED)
    if not names.isdisjoint(_MONEY):
        yield from _sums(values, policy)
    for name in CATALOGUE:
        if name in names and name not in _MONEY and (away or name not in UNDISPUTED):
            for value in _others(name, values, policy):
                yield Change(facts={name: value})


def _sums(values: Values, policy: Policy) -> Iterator[Change]:
    """The amounts of a charge hang together: nothing refunded before, or an amount at the edge of a limit."""
    amount = values.get("charge.amount_minor")
    if not isinstance(amount, int):
        return
    if values.get("charge.refundable_minor") != amount:
        yield Change(facts={"charge.refunded_minor": 0, "charge.refundable_minor": amount})
        return
    most = policy.limits.automatic_refund_max.get(str(values.get("charge.currency")))
    edges = {*_edges(_MONEY, policy), *((most, most + 1) if most is not None else ())} - {amount}
    for edge in sorted(edges, key=lambda edge: abs(edge - amount)):
        if edge > 0:
            yield Change(facts={"charge.amount_minor": edge, "charge.refundable_minor": edge})


def _others(name: str, values: Values, policy: Policy) -> Iterator[FactValue]:
    """Values that may make a difference for this fact, other than the one it has."""
    now = values.get(name)
    match CATALOGUE[name].type:
        case FactType.BOOL:
            candidates: Iterable[FactValue] = (False, True)
        case FactType.INT:
            candidates = sorted({0, 1, *_edges((name,), policy)})
        case FactType.STRING:
            candidates = _words(name, now, policy)
        case FactType.TIMESTAMP:
            candidates = _instants(name, values, policy)
    return (value for value in candidates if value != now)


def _edges(names: Sequence[str], policy: Policy) -> Iterator[int]:
    """The numbers that conditions on these facts name, with their neighbours: where a comparison turns."""
    for condition in _reading(names, policy):
        for text in _NUMBER.findall(condition.source):
            yield from (edge for edge in range(int(text) - 1, int(text) + 2) if edge >= 0)


def _words(name: str, now: FactValue | None, policy: Policy) -> list[str]:
    if name == "desk.mode":
        return [AUTO]
    if name == "charge.currency":  # the same number in another currency is another sum, and explains nothing
        listed = sorted(policy.limits.automatic_refund_max)
        return [] if now in listed else listed
    quoted = {one or other for c in _reading((name,), policy) for one, other in _TEXT.findall(c.source)}
    return sorted(quoted)


def _instants(name: str, values: Values, policy: Policy) -> list[datetime]:
    """Around every other time that a condition compares this one with, a second before, at it, and after."""
    found: set[datetime] = set()
    for condition in _reading((name,), policy):
        anchors = [values[other] for other in condition.facts if other != name and other in values]
        spans = [int(n) * _UNIT_SECONDS[unit] for n, unit in _DURATION.findall(condition.source)]
        for anchor in anchors:
            if isinstance(anchor, datetime):
                for span in (0, *spans, *(-span for span in spans)):
                    found |= {anchor + timedelta(seconds=span + step) for step in (-1, 0, 1)}
    return sorted(found)


def _reading(names: Sequence[str], policy: Policy) -> Iterator[Condition]:
    conditions = (*policy.defines.values(), *(one for rule in policy.rules for one in rule.conditions.values()))
    return (condition for condition in conditions if not set(names).isdisjoint(condition.facts))
