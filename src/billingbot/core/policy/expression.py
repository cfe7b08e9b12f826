"""Conditions as trees: read back from the engine's own parse, so that what is reasoned about is what is evaluated."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from billingbot.core.policy.conditions import Condition

Value: TypeAlias = bool | int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A constant."""

    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A fact, or a definition as `define.NAME`."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An operator or a function, by the engine's name for it (`_&&_`, `!_`, `_<=_`, `@in`, `startsWith`)."""

    function: str
    arguments: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """A part that is no plain value, name, operator or list; equal only to the very same part."""

    content: bytes


Tree: TypeAlias = Literal | Name | Call | Opaque

LIST: Final = "list"
"""The function by which a list of values is told."""

# Field numbers of the engine's serialised form: a google.protobuf.Any around cel.expr.CheckedExpr, whose field 4 is
# the expression. https://github.com/google/cel-spec/blob/master/proto/cel/expr/checked.proto and syntax.proto
_ANY_VALUE: Final = 2
_CHECKED_EXPR: Final = 4
_CONSTANT, _IDENT, _CALL, _LIST = 3, 4, 6, 7
_BOOL, _INT, _STRING = 2, 3, 6
_TARGET, _FUNCTION, _ARGUMENT = 1, 2, 3
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def tree(condition: Condition) -> Tree:
    """The condition as the engine parsed it. ValueError where its serialised form is not the one known here."""
    checked = _only(condition.program.serialize(), _ANY_VALUE)
    return _tree(_only(checked, _CHECKED_EXPR))


def names(of: Tree) -> Iterator[str]:
    """Every fact and definition in the tree, as often as it occurs; none of what is opaque."""
    match of:
        case Name():
            yield of.name
        case Call():
            for argument in of.arguments:
                yield from names(argument)
        case Literal() | Opaque():
            return


def _tree(content: bytes) -> Tree:
    for number, value in _fields(content):
        if not isinstance(value, bytes):
            continue  # the node's own number in the text
        if number == _CONSTANT:
            return _constant(value)
        if number == _IDENT:
            return Name(name=_only(value, 1).decode())
        if number == _CALL:
            return _call(value)
        if number == _LIST:
            return Call(function=LIST, arguments=tuple(_tree(one) for one in _all(value, 1)))
    return Opaque(content=content)


def _constant(content: bytes) -> Tree:
    for number, value in _fields(content):
        if number == _BOOL:
            return Literal(value=bool(value))
        if number == _INT and isinstance(value, int):
            return Literal(value=value - (1 << 64) if value >= 1 << 63 else value)
        if number == _STRING and isinstance(value, bytes):
            return Literal(value=value.decode())
    return Opaque(content=content)


def _call(content: bytes) -> Tree:
    operands = (*_all(content, _TARGET), *_all(content, _ARGUMENT))
    return Call(function=_only(content, _FUNCTION).decode(), arguments=tuple(_tree(one) for one in operands))


def _all(content: bytes, wanted: int) -> Iterator[bytes]:
    return (value for number, value in _fields(content) if number == wanted and isinstance(value, bytes))


def _only(content: bytes, wanted: int) -> bytes:
    found = next(_all(content, wanted), None)
    if found is None:
        raise ValueError(f"condition: expected field {wanted} in the engine's serialised form")
    return found


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of one protobuf message, in their order. https://protobuf.dev/programming-guides/encoding/"""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(content, at)
            yield number, value
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _LENGTH:
            length, at = _varint(content, at)
        if length is None or at + length > len(content):
            raise ValueError("condition: the engine's serialised form is not protobuf")
        yield number, content[at : at + length]
        at += length


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
