"""The table of Stripe's endpoints: method, path, the parameters it takes, and the function that answers."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from billingbot.sandbox import forms, pages
from billingbot.sandbox.forms import Check
from billingbot.sandbox.state import Sandbox
from billingbot.sandbox.tables import Obj


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request whose parameters have been checked."""

    box: Sandbox
    ids: Mapping[str, str]
    params: Obj
    path: str = ""


Answer: TypeAlias = Callable[[Call], Obj]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One endpoint."""

    method: str
    pattern: re.Pattern[str]
    answer: Answer
    spec: Mapping[str, Check] = field(default_factory=dict)
    required: tuple[str, ...] = ()


ROUTES: Final[list[Route]] = []


def endpoint(
    method: str, path: str, spec: Mapping[str, Check] | None = None, required: tuple[str, ...] = ()
) -> Callable[[Answer], Answer]:
    """Register the decorated function as the answer of `method path`; `{name}` in the path is an id."""

    def register(answer: Answer) -> Answer:
        known = {"expand": forms.many(forms.name_of), **(spec or {})}
        ROUTES.append(Route(method=method, pattern=_pattern(path), answer=answer, spec=known, required=required))
        return answer

    return register


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$")


def find(method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
    """The endpoint for this request, with the ids of its path."""
    for route in ROUTES:
        if route.method == method and (match := route.pattern.match(path)):
            return route, match.groupdict()
    return None


def retrievable(path: str, table: str, label: str) -> None:
    """Register `GET path/{id}`."""

    @endpoint("GET", f"{path}/{{id}}")
    def retrieve(call: Call) -> Obj:
        return call.box.need(table, call.ids["id"], label)


def listable(path: str, table: str, filters: Mapping[str, Check], required: Iterable[str] = ()) -> None:
    """Register `GET path` with these filters, each compared with the field of its name, and `created`."""
    spec = {**pages.PAGING, "created": forms.created, **filters}

    @endpoint("GET", path, spec, tuple(required))
    def listing(call: Call) -> Obj:
        return list_of(call, table, tuple(filters))


def list_of(call: Call, table: str, fields: tuple[str, ...], keep: Callable[[Obj], bool] = lambda _: True) -> Obj:
    """A page of a table: the first filter with an index finds the rows, all filters decide."""
    rows = call.box.tables[table]
    index = next((name for name in fields if name in call.params and rows.has_index(name)), None)
    found = rows.newest_first(index, call.params[index]) if index else rows.newest_first()
    same, within = pages.equals(call.params, fields), pages.created_within(call.params.get("created"))
    return pages.page(rows, found, call.params, call.path, lambda obj: same(obj) and within(obj) and keep(obj))
