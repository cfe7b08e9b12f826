"""Canonical JSON: one value, one sequence of bytes, so that digests and re-decisions compare byte for byte."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, Final

_AS_IT_IS: Final = frozenset({bool, int, str})  # exactly these: a subclass may write itself otherwise
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_bytes(value: Any) -> bytes:
    """The canonical form: sorted keys, no spaces, UTF-8, UTC times in microseconds, no floats.

    Takes dataclasses, mappings, sequences, str, int, bool, None, datetimes and str enums.
    Raises TypeError for anything else, floats included: they have no one spelling.
    """
    return _ENCODER.encode(_plain(value)).encode()


def digest(content: bytes) -> str:
    """`sha256:` and the hex digest: what decisions and the ledger cite."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def timestamp(at: datetime) -> str:
    """A time as it stands in canonical JSON: UTC, microseconds, `Z`."""
    moment = at.astimezone(UTC)
    if moment.year < 1000:  # the C library writes such years without zeros in front, and what was written stays
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"  # three times as fast


def _plain(value: Any) -> Any:
    kind: type = type(value)
    if value is None or kind in _AS_IT_IS:
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError("canonical JSON: a time needs a zone")
        return timestamp(value)
    names = _field_names(kind)
    if names is not None:
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"canonical JSON: no form for {kind.__name__}")


@cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    """The fields of a dataclass, looked up once for each class; None for any other class."""
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"canonical JSON: expected a str key, got {type(key).__name__}")
    return str(key)
