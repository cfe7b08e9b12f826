"""Canonical JSON: one value, one sequence of bytes, so that digests and re-decisions compare byte for byte."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any


def canonical_bytes(value: Any) -> bytes:
    """The canonical form: sorted keys, no spaces, UTF-8, UTC times in microseconds, no floats.

    Takes dataclasses, mappings, sequences, str, int, bool, None, datetimes and str enums.
    Raises TypeError for anything else, floats included: they have no one spelling.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(content: bytes) -> str:
    """`sha256:` and the hex digest: what decisions and the ledger cite."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def timestamp(at: datetime) -> str:
    """A time as it stands in canonical JSON: UTC, microseconds, `Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return value.value
    if type(value) in {str, int}:
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError("canonical JSON: a time needs a zone")
        return timestamp(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"canonical JSON: no form for {type(value).__name__}")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"canonical JSON: expected a str key, got {type(key).__name__}")
    return str(key)
