"""Lists as Stripe pages them: newest first, a cursor by id, 1 to 100 at a time."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from billingbot.sandbox import forms
from billingbot.sandbox.errors import missing
from billingbot.sandbox.forms import Check
from billingbot.sandbox.tables import Obj, Table

DEFAULT_LIMIT: Final = 10  # https://docs.stripe.com/api/pagination

PAGING: Final[Mapping[str, Check]] = {
    "limit": forms.integer(1, 100),
    "starting_after": forms.name_of,
    "ending_before": forms.name_of,
    "expand": forms.many(forms.name_of),
}


def page(table: Table, rows: Iterable[Obj], params: Obj, url: str, keep: Callable[[Obj], bool] = lambda _: True) -> Obj:
    """One page of `rows` (newest first) that pass `keep`. Raises StripeError for a cursor that is not there."""
    limit = params.get("limit", DEFAULT_LIMIT)
    after = _rank(table, params.get("starting_after"), "starting_after")
    before = _rank(table, params.get("ending_before"), "ending_before")
    found: list[Obj] = []
    for obj in rows:
        rank = table.position(obj["id"]) or 0
        if before is not None and rank <= before:
            break
        if (after is None or rank < after) and keep(obj):
            found.append(obj)
            if before is None and len(found) > limit:
                break
    # Backwards, the page is the oldest of those newer than the cursor.
    chosen = found[:limit] if before is None else found[-limit:]
    return {"object": "list", "data": chosen, "has_more": len(found) > limit, "url": url}


def _rank(table: Table, cursor: str | None, param: str) -> int | None:
    if cursor is None:
        return None
    rank = table.position(cursor)
    if rank is None:
        raise missing(_label(table, cursor), cursor, param, 400)
    return rank


def _label(table: Table, cursor: str) -> str:
    some = next(iter(table.rows.values()), None)
    return str(some["object"]) if some else cursor.partition("_")[0]


def created_within(bounds: Mapping[str, int] | None) -> Callable[[Obj], bool]:
    """A test for the `created` filter's bounds."""
    tests: Mapping[str, Callable[[int, int], bool]] = {
        "gt": lambda at, bound: at > bound,
        "gte": lambda at, bound: at >= bound,
        "lt": lambda at, bound: at < bound,
        "lte": lambda at, bound: at <= bound,
    }
    wanted = list((bounds or {}).items())
    return lambda obj: all(tests[name](obj["created"], bound) for name, bound in wanted)


def equals(params: Mapping[str, Any], names: Iterable[str]) -> Callable[[Obj], bool]:
    """A test that the named fields have the values the request gave."""
    wanted = {name: params[name] for name in names if name in params}
    return lambda obj: all(obj.get(name) == value for name, value in wanted.items())
