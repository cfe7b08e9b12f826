"""Pages of what an account made within a span of time, for comparing; one unreadable object never hides the rest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from billingbot.core.errors import InputError, StripeAnswerError
from billingbot.gateway.transport import Transport

T = TypeVar("T")

MOST: Final = 100
"""The most that Stripe gives at once (https://docs.stripe.com/api/pagination)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From `since` on and before `until`, by Stripe's `created`, which counts whole seconds."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """One page, newest first."""

    items: tuple[T, ...]
    unreadable: tuple[tuple[str, str], ...]
    """Objects of the page that could not be read: their ids, and a sentence each."""
    next: str | None
    """Where the next page starts; None at the end."""


def created_within(
    transport: Transport,
    path: str,
    read: Callable[[Mapping[str, Any]], T],
    *,
    span: Span,
    after: str | None,
    limit: int,
    **filters: str,
) -> Listing[T]:
    """One page of a list by creation. InputError for a limit that Stripe does not take."""
    if not 1 <= limit <= MOST:
        raise InputError("limit", f"expected 1 to {MOST}")
    bounds = {"gte": int(span.since.timestamp()), "lt": int(span.until.timestamp())}
    raws, following = transport.page(path, after=after, limit=limit, created=bounds, **filters)
    items, unreadable = [], []
    for raw in raws:
        try:
            items.append(read(raw))
        except StripeAnswerError as error:
            unreadable.append((_id(raw, path), str(error)))
    return Listing(items=tuple(items), unreadable=tuple(unreadable), next=following)


def _id(raw: Mapping[str, Any], path: str) -> str:
    found = raw.get("id")
    if not isinstance(found, str) or not found:
        raise StripeAnswerError(f"{path}: id: expected each object of the list to have one")
    return found
