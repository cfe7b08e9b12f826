"""CEL conditions over the catalogue of facts: type-checked when compiled, three-valued when evaluated."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cel_expr_python import cel  # type: ignore[import-untyped]  # it ships its types without the py.typed marker

from billingbot.core.decision import Truth
from billingbot.core.facts import CATALOGUE, Facts, FactType, FactValue, Known

DEFINE_PREFIX: Final = "define."

_CEL_TYPES: Final[Mapping[FactType, cel.Type]] = {
    FactType.BOOL: cel.Type.BOOL,
    FactType.INT: cel.Type.INT,
    FactType.STRING: cel.Type.STRING,
    FactType.TIMESTAMP: cel.Type.TIMESTAMP,
}
# One problem in the engine's compile error: `ERROR: <input>:LINE:COLUMN: what is wrong`.
_PROBLEM: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")
_UNDECLARED: Final = re.compile(r"undeclared reference to '([\w.]+)'")
# What the engine says of a variable without a value: a fact that is unknown.
_NO_VALUE: Final = "UNKNOWN: No value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why an expression cannot be used; line and column count from 1 within the expression."""

    line: int
    column: int
    what: str


class ConditionError(ValueError):
    """An expression that does not compile, or is no condition; carries every problem found in it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{p.line}:{p.column}: {p.what}" for p in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A compiled boolean expression.

    `facts` and `defines` are the names it reads itself, `reads` the facts it reads through definitions too; all
    in the catalogue's order.
    """

    source: str
    facts: tuple[str, ...]
    defines: tuple[str, ...]
    reads: tuple[str, ...]
    program: cel.Expression = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a condition came to; `error` where its evaluation failed for another reason than an unknown fact."""

    truth: Truth
    error: str | None = None


class Compiler:
    """Compiles conditions against the catalogue and the named definitions of one policy."""

    def __init__(self, define_names: Iterable[str] = ()) -> None:
        variables = {name: _CEL_TYPES[spec.type] for name, spec in CATALOGUE.items()}
        self._defines = tuple(DEFINE_PREFIX + name for name in define_names)
        variables |= dict.fromkeys(self._defines, cel.Type.BOOL)
        self._names = tuple(variables)
        self._define_reads: dict[str, tuple[str, ...]] = {}
        self._env = cel.NewEnv(variables=variables)

    def condition(self, source: str) -> Condition:
        """The compiled condition. ConditionError where it is no valid boolean CEL over these names.

        A definition can be used once `define` has compiled it, so that none can depend on itself.
        """
        try:
            program = self._env.compile(source)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ConditionError(self._problems(str(error))) from error
        if program.return_type() != cel.Type.BOOL:
            found = str(program.return_type()).lower()
            raise ConditionError([Problem(line=1, column=1, what=f"expected a bool, this is of type {found}")])
        names = _names_read(program.serialize(), self._names)
        facts = tuple(name for name in names if name in CATALOGUE)
        defines = tuple(name.removeprefix(DEFINE_PREFIX) for name in names if name not in CATALOGUE)
        if unready := [name for name in defines if name not in self._define_reads]:
            what = f"define.{unready[0]} is not defined above, or does not compile"
            raise ConditionError([Problem(line=1, column=1, what=what)])
        reached = {*facts, *(fact for name in defines for fact in self._define_reads[name])}
        reads = tuple(name for name in CATALOGUE if name in reached)
        return Condition(source=source, facts=facts, defines=defines, reads=reads, program=program)

    def define(self, name: str, source: str) -> Condition:
        """The compiled condition, which those compiled after it may use as `define.NAME`."""
        condition = self.condition(source)
        self._define_reads[name] = condition.reads
        return condition

    def view(self, values: Mapping[str, FactValue], defines: Mapping[str, Condition]) -> "View":
        """One set of known values, with the definitions evaluated over them in the order given."""
        return View(self._env, values, defines)

    def _problems(self, text: str) -> list[Problem]:
        found = [
            Problem(line=int(line), column=int(column), what=self._in_words(what))
            for line, column, what in _PROBLEM.findall(text)
        ]
        return found or [Problem(line=1, column=1, what=text.partition("\n")[0])]

    def _in_words(self, what: str) -> str:
        undeclared = _UNDECLARED.search(what)
        if not undeclared:
            return what
        name = undeclared.group(1)
        close = difflib.get_close_matches(name, self._names, n=1)
        return f"unknown name '{name}'" + (f", did you mean '{close[0]}'?" if close else "")


class View:
    """Known values through which conditions are evaluated; a name without a value is unknown."""

    def __init__(self, env: cel.Env, values: Mapping[str, FactValue], defines: Mapping[str, Condition]) -> None:
        self._values: dict[str, FactValue] = dict(values)
        self._unknown_defines: dict[str, Condition] = {}
        activation, seen = env.Activation(self._values), set[str]()
        for name, condition in defines.items():
            if not seen.isdisjoint(condition.defines):  # an activation is a copy, and costs what three evaluations do
                activation, seen = env.Activation(self._values), set()
            truth = _evaluated(condition, activation).truth
            seen.add(name)
            if truth is Truth.UNKNOWN:
                self._unknown_defines[name] = condition
            else:
                self._values[DEFINE_PREFIX + name] = truth is Truth.TRUE
        self._activation = env.Activation(self._values)

    def observe(self, condition: Condition) -> Observed:
        """What the condition comes to: `false && unknown` is false, `true && unknown` is unknown.

        Anything else that goes wrong (overflow, division by zero, a missing map key) is unknown too, since it
        establishes nothing (law 5), and is told in `error`.
        """
        return _evaluated(condition, self._activation)

    def facts_read(self, condition: Condition) -> dict[str, FactValue | None]:
        """The facts the condition reads, through definitions too, with their values; None where unknown."""
        return {name: self._values.get(name) for name in condition.reads}

    def missing(self, condition: Condition) -> set[str]:
        """The unknown facts that a condition read, itself or through definitions that are unknown as well."""
        found = {name for name in condition.facts if name not in self._values}
        for name in condition.defines:
            if name in self._unknown_defines:
                found |= self.missing(self._unknown_defines[name])
        return found


def known_values(facts: Facts) -> dict[str, FactValue]:
    """The known facts as values for `Compiler.view`."""
    return {name: fact.value for name, fact in facts.facts.items() if isinstance(fact, Known)}


def conjunction(truths: Collection[Truth]) -> Truth:
    """AND in Kleene's logic: false if any is false, else unknown if any is unknown, else true."""
    if Truth.FALSE in truths:
        return Truth.FALSE
    return Truth.UNKNOWN if Truth.UNKNOWN in truths else Truth.TRUE


def _evaluated(condition: Condition, activation: cel.Activation) -> Observed:
    result = condition.program.eval(activation)
    if result.type() == cel.Type.BOOL:
        return _TRUE if result.value() else _FALSE
    text = str(result.value())
    return _UNKNOWN if text.startswith(_NO_VALUE) else Observed(truth=Truth.UNKNOWN, error=text)


_TRUE: Final = Observed(truth=Truth.TRUE)
_FALSE: Final = Observed(truth=Truth.FALSE)
_UNKNOWN: Final = Observed(truth=Truth.UNKNOWN)


def _names_read(checked: bytes, names: Iterable[str]) -> tuple[str, ...]:
    # The checked expression is protobuf: a resolved name stands in it as field 1 (0x0A), length, text. That is
    # exact where a search in the source would trip over strings, comments and names that begin alike.
    return tuple(name for name in names if bytes((0x0A, len(name))) + name.encode() in checked)
