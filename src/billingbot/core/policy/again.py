"""Deciding stored facts again, a million at a time: `decide` is asked once for all cases that cannot differ."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgspec

from billingbot.core.decision import Limit, Outcome, Priority, Recommendation, Truth
from billingbot.core.facts import CATALOGUE, Facts, FactType, FactValue, Known
from billingbot.core.mode import Mode
from billingbot.core.policy.conditions import Condition
from billingbot.core.policy.deciding import UNDISPUTED, decide
from billingbot.core.policy.limits import check_limits, limit_facts
from billingbot.core.policy.rules import Policy
from billingbot.core.restore import restore_facts

# A combination costs about half a kilobyte: some 16 MB for a policy in each process at the most. The shipped
# policy meets a few hundred of them in a million cases.
COMBINATIONS_MAX: Final = 32_768
# Sets of numbers and times that one condition reads, about 200 bytes each; a policy has a handful of such
# conditions, and a company a few hundred prices.
NUMBERS_MAX: Final = 65_536

_MODE: Final = "desk.mode"
_AMOUNT: Final = "charge.refundable_minor"
_CURRENCY: Final = "charge.currency"
_WIDE: Final = frozenset(name for name, spec in CATALOGUE.items() if spec.type in {FactType.INT, FactType.TIMESTAMP})
"""Facts with so many values that cases seldom share them: they are looked at condition by condition."""

StoredFacts: TypeAlias = Any
"""What `FactReader.read` returns: a struct of generated fields, read by the getters made from it."""


class _Absent:
    """Stands for a fact that the stored bytes do not have: the catalogue gained it later."""

    __slots__ = ()


_ABSENT: Final = _Absent()
_NOT_KNOWN: Final = (msgspec.UNSET, _ABSENT)


class _BoolFact(msgspec.Struct, frozen=True, gc=False):
    value: bool | msgspec.UnsetType = msgspec.UNSET


class _IntFact(msgspec.Struct, frozen=True, gc=False):
    value: int | msgspec.UnsetType = msgspec.UNSET


class _TextFact(msgspec.Struct, frozen=True, gc=False):
    # A time stays text until a condition reads it: canonical JSON spells each instant in one way.
    value: str | msgspec.UnsetType = msgspec.UNSET


_STRUCTS: Final[Mapping[FactType, type[msgspec.Struct]]] = {
    FactType.BOOL: _BoolFact,
    FactType.INT: _IntFact,
    FactType.STRING: _TextFact,
    FactType.TIMESTAMP: _TextFact,
}


class FactReader:
    """Reads from canonical facts only what is asked for, type-checked, straight into one struct.

    An unknown fact and one that the catalogue did not have yet come out as two different things, since the
    second is worth telling; a condition sees neither.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(name for name in CATALOGUE if name in set(names))
        self._fields = {name: f"f{index}" for index, name in enumerate(self.names)}
        absent = {type_: struct(value=_ABSENT) for type_, struct in _STRUCTS.items()}
        read = [(self._fields[name], _STRUCTS[_type(name)], absent[_type(name)]) for name in self.names]
        rename = {field: name for name, field in self._fields.items()}
        facts = msgspec.defstruct("_StoredFacts", read, rename=rename, frozen=True, gc=False)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            msgspec.defstruct("_Stored", [("facts", facts)], gc=False)
        )

    def read(self, content: bytes) -> StoredFacts:
        """The facts in these canonical bytes. ValueError where one of them is not of its type."""
        facts: StoredFacts = self._decoder.decode(content)
        return facts.facts

    def getter(self, names: Sequence[str]) -> Callable[[StoredFacts], tuple[Any, ...]]:
        """A function from what `read` returns to the values of these facts. KeyError for one that is not read."""
        paths = [f"{self._fields[name]}.value" for name in names]
        if not paths:
            return lambda _facts: ()
        get = attrgetter(*paths)
        return get if len(paths) > 1 else lambda facts: (get(facts),)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """What `decide` says, but for what differs from case to case: amount, trace and digests.

    One object for all cases that cannot differ: it is its own key, compared by identity.
    """

    outcome: Outcome
    rule: str
    reason: str
    clause: str | None
    recommendation: Recommendation
    priority: Priority
    reply: str | None
    granted: bool
    """A refund by a rule, which the limits are asked about."""
    lacking: tuple[str, ...]
    """Facts that were read and are not in the stored bytes: the catalogue gained them later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    """A condition that reads numbers or times itself: what matters of them is what the condition comes to."""

    condition: Condition
    defines: Mapping[str, Condition]
    names: tuple[str, ...]
    undisputed: bool
    """Asked as though nobody had disputed the charge, for rules that leave a dispute to the others."""
    get: Callable[[StoredFacts], tuple[Any, ...]]
    seen: dict[tuple[Any, ...], int] = field(default_factory=dict)


class Redecider:
    """One policy over many stored facts, exactly as `decide` would have it and some hundred times as fast.

    Facts reach a verdict through three doors, and the memory is keyed by what comes through them:

    - conditions and definitions that read no number and no time themselves: by the values they read;
    - those that do: by their truth, remembered for the very values they read (and once more as though nobody had
      disputed the charge, where a rule leaves its advice to the other rules);
    - the limits: by the values they read.

    All else (sources, times of reading, exhibits) ends up in the digest alone. The first case of each combination
    is decided by `decide` itself, so nothing is decided here by other code. What is remembered is bounded, and
    forgotten as a whole when full. Not to be shared between threads.
    """

    def __init__(self, policy: Policy, reader: FactReader, *, as_mode: Mode | None = None) -> None:
        self.policy = policy
        self._as_mode = as_mode
        self._narrow = _narrow_names(policy)
        self._get_narrow = reader.getter(self._narrow)
        self._numbers = _numbers(policy, reader)
        self._limits = _limit_names(policy)
        self._get_limits = reader.getter(self._limits)
        self._seen: dict[tuple[Any, ...], Verdict] = {}
        self._limits_seen: dict[tuple[Any, ...], tuple[str | None, tuple[str, ...]]] = {}
        self._held: dict[tuple[Verdict, str | None, tuple[str, ...]], Verdict] = {}

    def verdict(self, facts: StoredFacts, content: bytes) -> Verdict:
        """The verdict on these facts; `content` are the bytes that they were read from. ValueError as by restoring."""
        key = self._get_narrow(facts)
        for numbers in self._numbers:
            values = numbers.get(facts)
            truth = numbers.seen.get(values)
            key += (self._observe(numbers, values) if truth is None else truth,)
        found = self._seen.get(key)
        if found is None:
            found = self._decide(content, facts)
            _keep(self._seen, key, found, COMBINATIONS_MAX)
        return self._within_limits(found, facts) if found.granted else found

    def restored(self, content: bytes) -> Facts:
        """The facts as they are decided on: as stored, but for a mode that is supposed. ValueError as by restoring."""
        facts = restore_facts(content)
        if self._as_mode is None:
            return facts
        supposed = Known(value=self._as_mode.value, source="backtest", as_of=facts.at)
        return replace(facts, facts={**facts.facts, _MODE: supposed})

    def _decide(self, content: bytes, facts: StoredFacts) -> Verdict:
        decision = decide(self.restored(content), self.policy)
        granted = bool(decision.limits)  # the limits are only asked about a refund that a rule grants
        read = (*self._narrow, *(name for numbers in self._numbers for name in numbers.names))
        values = (*self._get_narrow(facts), *(one for numbers in self._numbers for one in numbers.get(facts)))
        return Verdict(
            outcome=Outcome.REFUND if granted else decision.outcome,
            rule=decision.rule,
            reason=decision.rule if granted else decision.reason,
            clause=decision.clause,
            recommendation=decision.recommendation,
            priority=decision.priority,
            reply=decision.reply,
            granted=granted,
            lacking=_lacking(read, values),
        )

    def _within_limits(self, found: Verdict, facts: StoredFacts) -> Verdict:
        values = self._get_limits(facts)
        checked = self._limits_seen.get(values)
        if checked is None:
            checked = self._check_limits(values)
            _keep(self._limits_seen, values, checked, NUMBERS_MAX)
        limit, lacking = checked
        if limit is None and not lacking:
            return found
        held = self._held.get((found, limit, lacking))
        if held is None:
            outcome, reason = (Outcome.REFUND, found.reason) if limit is None else (Outcome.REVIEW, limit)
            missing = tuple(name for name in CATALOGUE if name in {*found.lacking, *lacking})
            held = replace(found, outcome=outcome, reason=reason, lacking=missing)
            _keep(self._held, (found, limit, lacking), held, COMBINATIONS_MAX)
        return held

    def _check_limits(self, values: tuple[Any, ...]) -> tuple[str | None, tuple[str, ...]]:
        known = _known(self._limits, values)
        if self._as_mode is not None:
            known[_MODE] = self._as_mode.value
        traces = check_limits(known.get, self.policy.limits)
        failing = next((trace.limit.value for trace in traces if trace.passed is not Truth.TRUE), None)
        return failing, _lacking(self._limits, values)

    def _observe(self, numbers: _Numbers, values: tuple[Any, ...]) -> int:
        known = _known(numbers.names, values)
        if numbers.undisputed:
            known |= UNDISPUTED
        if self._as_mode is not None:
            known[_MODE] = self._as_mode.value
        view = self.policy.compiler.view(known, numbers.defines)
        truth = _CODES[view.observe(numbers.condition).truth]
        # Which of them are absent has to tell two keys apart as well, or the count of those would be wrong.
        absent = sum(1 << place for place, value in enumerate(values) if value is _ABSENT)
        code = truth + len(_CODES) * absent
        _keep(numbers.seen, values, code, NUMBERS_MAX)
        return code


_CODES: Final[Mapping[Truth, int]] = {Truth.FALSE: 0, Truth.TRUE: 1, Truth.UNKNOWN: 2}


def facts_needed(policy: Policy) -> frozenset[str]:
    """Every fact that a verdict under this policy can depend on, and those that an amount is told by."""
    conditions = (*policy.defines.values(), *(one for rule in policy.rules for one in rule.conditions.values()))
    read = (name for condition in conditions for name in condition.reads)
    return frozenset({*read, *_limit_names(policy), _AMOUNT, _CURRENCY})


def _narrow_names(policy: Policy) -> tuple[str, ...]:
    narrow = {name for one in _conditions(policy) if not _is_wide(one) for name in one.facts}
    return tuple(name for name in CATALOGUE if name in narrow)


def _numbers(policy: Policy, reader: FactReader) -> tuple[_Numbers, ...]:
    asks_others = any(rule.recommendation is None for rule in policy.rules)
    found: dict[tuple[str, bool], _Numbers] = {}
    for condition in _conditions(policy):
        if not _is_wide(condition):
            continue
        disputable = asks_others and not UNDISPUTED.keys().isdisjoint(condition.reads)
        for undisputed in (False, True) if disputable else (False,):
            found[condition.source, undisputed] = _Numbers(
                condition=condition,
                defines=_defines_below(policy, condition),
                names=condition.reads,
                undisputed=undisputed,
                get=reader.getter(condition.reads),
            )
    return tuple(found.values())


def _conditions(policy: Policy) -> Iterable[Condition]:
    yield from policy.defines.values()
    for rule in policy.rules:
        yield from rule.conditions.values()


def _is_wide(condition: Condition) -> bool:
    return not _WIDE.isdisjoint(condition.facts)


def _defines_below(policy: Policy, condition: Condition) -> dict[str, Condition]:
    """The definitions that a condition rests on, in the file's order."""
    wanted, found = set(condition.defines), dict[str, Condition]()
    for name in reversed(tuple(policy.defines)):
        if name in wanted:
            found[name] = policy.defines[name]
            wanted |= set(policy.defines[name].defines)
    return dict(reversed(found.items()))


def _limit_names(policy: Policy) -> tuple[str, ...]:
    read = {name for limit in Limit for name in limit_facts(limit, policy.limits)}
    return tuple(name for name in CATALOGUE if name in read)


def _known(names: Sequence[str], values: Sequence[Any]) -> dict[str, FactValue]:
    pairs = zip(names, values, strict=True)
    return {name: _value(name, value) for name, value in pairs if value not in _NOT_KNOWN}


def _value(name: str, stored: Any) -> FactValue:
    if _type(name) is not FactType.TIMESTAMP:
        value: FactValue = stored
        return value
    at = datetime.fromisoformat(stored)
    if at.tzinfo is None:
        raise ValueError(f"facts: {name} should be a timestamp with a zone, got {stored!r}")
    return at


def _lacking(names: Sequence[str], values: Sequence[Any]) -> tuple[str, ...]:
    absent = {name for name, value in zip(names, values, strict=True) if value is _ABSENT}
    return tuple(name for name in CATALOGUE if name in absent)


def _type(name: str) -> FactType:
    return CATALOGUE[name].type


def _keep(memory: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    if len(memory) >= most:
        memory.clear()
    memory[key] = value
