"""Reading what people type: instants, and values that must be one of a few."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from billingbot.core.errors import InputError

Choice = TypeVar("Choice", bound=StrEnum)


def instant(option: str, text: str) -> datetime:
    """An instant in UTC. InputError where it is none, or has no zone: nobody should guess whose midnight it is."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InputError(option, "expected a time with a zone, such as 2026-03-01T09:00:00Z")
    return at.astimezone(UTC)
