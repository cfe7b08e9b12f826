"""Stripe's form encoding read into nested values, and the checks that word their refusals as Stripe does."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from billingbot.sandbox.errors import StripeError, invalid
from billingbot.sandbox.tables import Obj

Check: TypeAlias = Callable[[Any, str], Any]

_PIECES = re.compile(r"\[([^\]]*)\]")


def parse(encoded: str) -> Obj:
    """`a[b][0]=1&c[]=2` as `{"a": {"b": ["1"]}, "c": ["2"]}`; values stay text."""
    tree: Obj = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        head, bracket, _ = name.partition("[")
        pieces = [head, *_PIECES.findall(name)] if bracket else [head]
        _plant(tree, pieces, value)
    return {name: _lists(value) for name, value in tree.items()}


def _plant(tree: Obj, pieces: list[str], value: str) -> None:
    for piece in pieces[:-1]:
        branch = tree.setdefault(piece, {})
        if not isinstance(branch, dict):
            raise invalid(f"Invalid hash for {piece}", piece)
        tree = branch
    last = pieces[-1] or str(len(tree))  # `c[]` counts on
    tree[last] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(item) for name, item in value.items()}
    if inner and all(name.isdigit() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


def check(params: Obj, spec: Mapping[str, Check], required: tuple[str, ...] = (), *, at: str = "") -> Obj:
    """The parameters as checked values. Raises StripeError 400 for an unknown, missing or malformed one."""
    unknown = [_under(at, name) for name in params if name not in spec]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise invalid(f"Received unknown parameter{plural}: {', '.join(unknown)}", unknown[0], "parameter_unknown")
    for name in required:
        if name not in params:
            path = _under(at, name)
            raise invalid(f"Missing required param: {path}.", path, "parameter_missing")
    return {name: spec[name](value, _under(at, name)) for name, value in params.items()}


def _under(at: str, name: str) -> str:
    return f"{at}[{name}]" if at else name


def _empty(path: str) -> StripeError:
    message = (
        f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a parameter; however"
        f" '{path}' cannot be unset. You should remove '{path}' from your request or supply a non-empty value."
    )
    return invalid(message, path, "parameter_invalid_empty")


def text(value: Any, path: str) -> str | None:
    """Text; an empty value unsets the field."""
    if not isinstance(value, str):
        raise invalid(f"Invalid string: {value}", path)
    return value or None


def name_of(value: Any, path: str) -> str:
    """Text that must not be empty, such as an id."""
    if not isinstance(value, str):
        raise invalid(f"Invalid string: {value}", path)
    if not value:
        raise _empty(path)
    return value


def integer(minimum: int | None = None, maximum: int | None = None) -> Check:
    """An integer between bounds, both included."""

    def checked(value: Any, path: str) -> int:
        if value == "":
            raise _empty(path)
        if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,15}", value):
            raise invalid(f"Invalid integer: {value}", path, "parameter_invalid_integer")
        number = int(value)
        if minimum is not None and number < minimum:
            message = f"This value must be greater than or equal to {minimum}."
            raise invalid(message, path, "parameter_invalid_integer")
        if maximum is not None and number > maximum:
            message = f"This value must be less than or equal to {maximum}."
            raise invalid(message, path, "parameter_invalid_integer")
        return number

    return checked


def moment(value: Any, path: str) -> int:
    """A Unix timestamp."""
    if not isinstance(value, str) or not value.isdigit():
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the range [0, 4294967295]", path)
    return int(value)


def moment_or(*words: str) -> Check:
    """A Unix timestamp, one of the words, or empty to unset."""

    def checked(value: Any, path: str) -> int | str | None:
        if value in words:
            return str(value)
        return None if value == "" else moment(value, path)

    return checked


def boolean(value: Any, path: str) -> bool:
    """`true` or `false`."""
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value}", path)
    return bool(value == "true")


def one_of(*choices: str) -> Check:
    """One of Stripe's words."""

    def checked(value: Any, path: str) -> str:
        if value in choices:
            return str(value)
        spoken = choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])}, or {choices[-1]}"
        raise invalid(f"Invalid {path}: must be one of {spoken}", path)

    return checked


def percent(value: Any, path: str) -> Decimal:
    """A percentage with up to two decimals."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,3}(\.\d{1,2})?", value) or not 0 < Decimal(value) <= 100:
        raise invalid(f"Invalid percent: {value}", path)
    return Decimal(value)


def nested(required: tuple[str, ...] = (), /, **fields: Check) -> Check:
    """A hash with these fields; empty unsets it."""

    def checked(value: Any, path: str) -> Obj | None:
        if value == "":
            return None
        if not isinstance(value, dict):
            raise invalid("Invalid object", path)
        return check(value, fields, required, at=path)

    return checked


def many(item: Check, *, most: int | None = None) -> Check:
    """An array of checked items; empty clears it."""

    def checked(value: Any, path: str) -> list[Any]:
        if value == "":
            return []
        if not isinstance(value, list):
            raise invalid("Invalid array", path)
        if most is not None and len(value) > most:
            raise invalid(f"Array too long: you may pass at most {most} items.", path)
        return [item(each, f"{path}[{at}]") for at, each in enumerate(value)]

    return checked


def metadata(value: Any, path: str) -> dict[str, str]:
    """Up to 50 pairs, keys to 40 and values to 500 characters; an empty value unsets a key, an empty hash all.

    https://docs.stripe.com/api/metadata
    """
    if value == "":
        return {"": ""}  # the sign to clear, see `merge_metadata`
    pairs = {str(at): each for at, each in enumerate(value)} if isinstance(value, list) else value
    if not isinstance(pairs, dict) or not all(isinstance(each, str) for each in pairs.values()):
        raise invalid("Invalid object", path)
    if len(pairs) > 50:
        raise invalid("Metadata may have up to 50 keys.", path)
    for name, each in pairs.items():
        if len(name) > 40:
            raise invalid(f"Metadata keys can be at most 40 characters long: {name}", path)
        if len(each) > 500:
            message = f"Metadata values can have up to 500 characters, but you passed in a value that is {len(each)}"
            raise invalid(f"{message} characters.", f"{path}[{name}]")
    return pairs


def merge_metadata(old: dict[str, str], new: dict[str, str] | None) -> dict[str, str]:
    """Metadata after an update."""
    if new is None:
        return old
    if new == {"": ""}:
        return {}
    return {name: value for name, value in {**old, **new}.items() if value}


def anything(value: Any, path: str) -> Any:
    """Accepted and not looked at: a parameter that changes nothing a refund could see."""
    del path
    return value


def created(value: Any, path: str) -> Any:
    """A list's `created` filter: one second, or a hash of bounds."""
    if isinstance(value, str):
        return {"gte": moment(value, path), "lte": moment(value, path)}
    return nested(gt=moment, gte=moment, lt=moment, lte=moment)(value, path)
