"""Every page against what nobody well-meaning sends: forms without a mark, and values of every wrong kind."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from billingbot.core.access.powers import Role
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.pages import public, routers
from tests.console.conftest import SignedIn

# NUL, half a surrogate pair, a quote, markup, a path, too large a number, too long a word, nothing.
HOSTILE = ("\x00", "\ud800", "'\"><script>", "../../etc", "9" * 40, "x" * 5000, "", "%", "2026-13-45", "-1")
ROUTES = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]


def _sent(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


def _filled(path: str, value: str) -> str:
    parts = [_sent(value) or "x" if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


def _asked(route: APIRoute) -> Iterator[str]:
    """The names that the page reads from its address, those of a whole form among them."""
    for parameter in route.dependant.query_params:
        kind = parameter.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (field.alias or name for name, field in kind.model_fields.items())
        else:
            yield parameter.alias


def test_every_page_for_people_is_behind_the_door() -> None:
    assert len(ROUTES) > 50
    assert [route.path for route in ROUTES if not isinstance(route, ConsoleRoute)] == []
    assert all(route.path.startswith("/sign-in") for router in public for route in router.routes)  # type: ignore[attr-defined]


def test_no_form_is_taken_without_the_sessions_mark(signed_in: SignedIn) -> None:
    admin = signed_in(Role.ADMIN)
    forms = [route for route in ROUTES if "POST" in route.methods]
    assert len(forms) > 30
    for route in forms:
        path = _filled(route.path, "x")
        for fields in ({}, {"csrf": "0" * 64}, {"csrf": ""}):
            answer = admin.post(path, data=fields, follow_redirects=False)
            assert answer.status_code == 403, (path, answer.status_code)


@pytest.mark.parametrize("value", HOSTILE, ids=[repr(value[:12]) for value in HOSTILE])
def test_no_page_falls_over_what_its_address_says(signed_in: SignedIn, value: str) -> None:
    admin = signed_in(Role.ADMIN)
    fallen = []
    for route in ROUTES:
        if "GET" not in route.methods or route.path == "/pulse":
            continue
        path = _filled(route.path, value) if value not in {"../../etc", ""} else _filled(route.path, "x")
        for address in (path, *(f"{_filled(route.path, 'x')}?{name}={_sent(value)}" for name in _asked(route))):
            answer = admin.get(address, follow_redirects=False)
            if answer.status_code >= 500:
                fallen.append((answer.status_code, address[:200]))
    assert fallen == []
