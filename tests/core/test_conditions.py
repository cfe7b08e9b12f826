"""Conditions are checked when compiled, three-valued when evaluated, and know which facts they read."""

import pytest

from billingbot.core.decision import Truth
from billingbot.core.facts import FactValue
from billingbot.core.policy.conditions import Compiler, ConditionError, View


def observed(source: str, values: dict[str, FactValue]) -> Truth:
    compiler = Compiler()
    return compiler.view(values, {}).observe(compiler.condition(source)).truth


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        ("usage.used", {"usage.used": True}, Truth.TRUE),
        ("usage.used", {}, Truth.UNKNOWN),
        ("!usage.used", {}, Truth.UNKNOWN),
        ("usage.used && usage.complete", {"usage.complete": False}, Truth.FALSE),
        ("usage.complete && usage.used", {"usage.complete": False}, Truth.FALSE),
        ("usage.used && usage.complete", {"usage.complete": True}, Truth.UNKNOWN),
        ("usage.used || usage.complete", {"usage.complete": True}, Truth.TRUE),
        ("usage.used || usage.complete", {"usage.complete": False}, Truth.UNKNOWN),
        ("usage.used == usage.used", {}, Truth.UNKNOWN),
        ("charge.amount_minor / 0 == 1", {"charge.amount_minor": 1}, Truth.UNKNOWN),
        ("charge.amount_minor * 2 > 0", {"charge.amount_minor": 2**62}, Truth.UNKNOWN),
        ("charge.amount_minor > 0", {"charge.amount_minor": 2**70}, Truth.UNKNOWN),
        ("{'usd': true}[charge.currency]", {"charge.currency": "eur"}, Truth.UNKNOWN),
        ("charge.currency in ['usd', 'eur']", {"charge.currency": "eur"}, Truth.TRUE),
    ],
)
def test_unknown_is_neither_true_nor_false(source: str, values: dict[str, FactValue], expected: Truth) -> None:
    assert observed(source, values) is expected


def test_a_condition_knows_exactly_the_facts_it_reads() -> None:
    compiler = Compiler(["young"])
    compiler.define("young", "charge.created_at > trial.ended_at")
    condition = compiler.condition("define.young && charge.currency == 'usage.used' // usage.complete")
    assert condition.facts == ("charge.currency",)
    assert condition.defines == ("young",)
    assert condition.reads == ("charge.currency", "charge.created_at", "trial.ended_at")


def test_names_that_begin_alike_are_not_mistaken_for_each_other() -> None:
    assert Compiler().condition("charge.refundable_minor > 0").facts == ("charge.refundable_minor",)


def view_of_definitions(values: dict[str, FactValue]) -> tuple[View, Compiler]:
    compiler = Compiler(["one", "two"])
    defines = {
        "one": compiler.define("one", "usage.used && usage.complete"),
        "two": compiler.define("two", "define.one || trial.exists"),
    }
    return compiler.view(values, defines), compiler


def test_a_definition_is_as_unknown_as_what_it_reads() -> None:
    view, compiler = view_of_definitions({"usage.used": True})
    condition = compiler.condition("define.two")
    assert view.observe(condition).truth is Truth.UNKNOWN
    assert view.missing(condition) == {"usage.complete", "trial.exists"}
    assert view.facts_read(condition) == {"trial.exists": None, "usage.used": True, "usage.complete": None}


def test_a_definition_that_is_known_misses_nothing() -> None:
    view, compiler = view_of_definitions({"usage.used": False})
    condition = compiler.condition("define.one || trial.exists")
    assert view.observe(condition).truth is Truth.UNKNOWN
    assert view.missing(condition) == {"trial.exists"}


@pytest.mark.parametrize(
    "source", ["", "usage.used &&", "usage", "true ? 1 : 2", "dyn(1)", "'a' == 1", "\x00", "(" * 500]
)
def test_what_is_no_condition_is_refused_with_a_position(source: str) -> None:
    with pytest.raises(ConditionError) as caught:
        Compiler().condition(source)
    assert all(problem.line >= 1 and problem.column >= 1 and problem.what for problem in caught.value.problems)
