"""Pages of a list: so many rows, and a cursor that tells where the next page begins, however rows move meanwhile."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.errors import InputError

T = TypeVar("T")

PAGE_ROWS: Final = 50
"""Rows of a page where nobody says otherwise: what a screen shows and a terminal scrolls."""

# Ids of ours are a short prefix and 26 characters; anything else is no cursor of ours and never reaches Postgres.
_ID: Final = re.compile(r"[a-z]{2,8}_[0-9a-z]{26}")
_BAD_CURSOR: Final = "expected the cursor of an earlier page, unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some rows of a list; `next` is the cursor for the rows behind them, None where there are none."""

    items: tuple[T, ...]
    next: str | None


def newest_first(
    connection: Connection,
    query: sa.Select[Any],
    key: sa.Column[Any],
    build: Callable[[sa.Row[Any]], T],
    *,
    after: str | None,
    limit: int,
) -> Page[T]:
    """A page of a list ordered by our own ids, which sort by time, newest first. The cursor is the last row's id."""
    if after is not None:
        query = query.where(key < checked_id(after))
    rows = connection.execute(query.order_by(key.desc()).limit(_one_more(limit))).all()
    return cut(rows, limit, build, lambda row: str(row._mapping[key]))


def cut(
    rows: Sequence[sa.Row[Any]], limit: int, build: Callable[[sa.Row[Any]], T], cursor: Callable[[sa.Row[Any]], str]
) -> Page[T]:
    """The page of `limit` rows out of one more than that: the one more only tells that there is a next page."""
    shown = rows[:limit]
    following = cursor(shown[-1]) if len(rows) > limit else None
    return Page(items=tuple(build(row) for row in shown), next=following)


def checked_id(after: str) -> str:
    """The cursor, where it is an id of ours. InputError where it is not."""
    if not _ID.fullmatch(after):
        raise InputError("after", _BAD_CURSOR)
    return after


def pack(*parts: str | int) -> str:
    """A cursor of several parts, opaque to whoever carries it."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def unpack(after: str, *kinds: type) -> list[Any]:
    """The parts of a cursor made by `pack`, of these types. InputError for anything else."""
    try:
        parts = json.loads(base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise InputError("after", _BAD_CURSOR) from None
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise InputError("after", _BAD_CURSOR)
    return parts


def _one_more(limit: int) -> int:
    if limit < 1:
        raise InputError("limit", "expected at least 1")
    return limit + 1
