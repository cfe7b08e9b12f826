"""Every page and every form against every role: who lacks the power is told so, whatever the screens show."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute
from pydantic import BaseModel

from billingbot.core.access.powers import Power, Role, powers_of
from billingbot.flows.access import people, sign_in
from billingbot.web.app import make_app
from billingbot.web.console.pages import routers
from billingbot.web.console.visit import COOKIE
from tests.builders import POLICY_FILE
from tests.console.conftest import Client, Console, SignedIn
from tests.flows.test_privacy import a_closed_case
from tests.web.street import endpoints, served

ACCOUNT: Final = "default"
_P = Power
TAKES: Final = {
    "GET /cases/new": _P.ASK,
    "GET /policy/publish": _P.PUBLISH,
    "GET /settings/keys": _P.MANAGE,
    "GET /settings/people": _P.MANAGE,
    "GET /settings/people/{person_id}": _P.MANAGE,
    "GET /settings/sessions": _P.MANAGE,
    "GET /settings/privacy": _P.MANAGE,
    "GET /settings/privacy/{search_id}": _P.MANAGE,
    "POST /cases/new": _P.ASK,
    "POST /cases/{case_id}/approve": _P.DECIDE,
    "POST /cases/{case_id}/assign": _P.DECIDE,
    "POST /cases/{case_id}/charge": _P.DECIDE,
    "POST /cases/{case_id}/claim": _P.DECIDE,
    "POST /cases/{case_id}/deny": _P.DECIDE,
    "POST /cases/{case_id}/note": _P.DECIDE,
    "POST /cases/{case_id}/notes/{note_id}": _P.DECIDE,
    "POST /cases/{case_id}/reassess": _P.DECIDE,
    "POST /cases/{case_id}/release": _P.DECIDE,
    "POST /cases/{case_id}/relink": _P.DECIDE,
    "POST /cases/{case_id}/reply": _P.DECIDE,
    "POST /cases/{case_id}/send": _P.DECIDE,
    "POST /cases/{case_id}/snooze": _P.DECIDE,
    "POST /cases/{case_id}/unlink": _P.DECIDE,
    "POST /cases/{case_id}/wake": _P.DECIDE,
    "POST /disputes/{dispute_id}/accept": _P.CHECK,
    "POST /disputes/{dispute_id}/draft": _P.DECIDE,
    "POST /disputes/{dispute_id}/drop": _P.DECIDE,
    "POST /disputes/{dispute_id}/edit": _P.DECIDE,
    "POST /disputes/{dispute_id}/restore": _P.DECIDE,
    "POST /disputes/{dispute_id}/send": _P.DECIDE,
    "POST /disputes/{dispute_id}/stage": _P.DECIDE,
    "POST /disputes/{dispute_id}/take-back": _P.CHECK,
    "POST /events/backfills": _P.RUN,
    "POST /jobs/dismiss": _P.RUN,
    "POST /months/close": _P.SIGN,
    "POST /months/{month}/sign": _P.SIGN,
    "POST /notices/test": _P.RUN,
    "POST /policy/backtests": _P.PUBLISH,
    "POST /policy/backtests/{backtest_id}/stop": _P.PUBLISH,
    "POST /policy/publish": _P.PUBLISH,
    "POST /policy/published": _P.PUBLISH,
    "POST /policy/shadow": _P.PUBLISH,
    "POST /policy/shadow/stop": _P.PUBLISH,
    "POST /queue/claim": _P.DECIDE,
    "POST /queue/next": _P.DECIDE,
    "POST /queue/release": _P.DECIDE,
    "POST /reconcile": _P.RUN,
    "POST /replays": _P.RUN,
    "POST /replays/{name}/resume": _P.RUN,
    "POST /replays/{name}/stop": _P.RUN,
    "POST /settings/breakers/{account}/close": _P.SWITCH,
    "POST /settings/keys": _P.MANAGE,
    "POST /settings/keys/revoke": _P.MANAGE,
    "POST /settings/modes/{account}": _P.SWITCH,
    "POST /settings/people": _P.MANAGE,
    "POST /settings/people/{person_id}/disable": _P.MANAGE,
    "POST /settings/people/{person_id}/enable": _P.MANAGE,
    "POST /settings/people/{person_id}/link": _P.MANAGE,
    "POST /settings/people/{person_id}/reset": _P.MANAGE,
    "POST /settings/people/{person_id}/roles": _P.MANAGE,
    "POST /settings/people/{person_id}/sessions/end": _P.MANAGE,
    "POST /settings/privacy": _P.MANAGE,
    "POST /settings/privacy/{search_id}/drop": _P.MANAGE,
    "POST /settings/privacy/{search_id}/erase": _P.MANAGE,
    "POST /settings/privacy/{search_id}/show": _P.MANAGE,
}
"""What takes more than being here; a new form fails the test below until it stands here or among the next."""
# A person's own: their way in, their views, what they have seen, where they are.
OWN: Final = frozenset(
    {
        "POST /account/password",
        "POST /account/reading",
        "POST /account/second-factor",
        "POST /account/second-factor/confirm",
        "POST /account/second-factor/drop",
        "POST /account/sessions/{session_id}/end",
        "POST /cases/{case_id}/presence",
        "POST /notices/seen",
        "POST /queue/views",
        "POST /queue/views/{view_id}/drop",
        "POST /sign-out",
    }
)
# Whatever a form demands, so that it is its power alone that is missing.
FIELDS: Final = {
    "account": ACCOUNT,
    "as_of": "2026-01-01T00:00:00Z",
    "case": "case_01k00000000000000000000000",
    "digest": f"sha256:{'0' * 64}",
    "field": "product_description",
    "ids": "job_01k00000000000000000000000",
    "may": "see",
    "mode": "shadow",
    "month": "2026-01",
    "named_by": "charge",
    "roles": "support",
    "since": "2026-01-01T00:00:00Z",
    "email": "vera@example.com",
    "seq": "1",
    "through": "job_01k00000000000000000000000",
    "tie": "card cus_1 cus_2",
    "until": "2036-01-01T00:00:00Z",
    "why": "words of somebody",
    "sure": "yes",
    "version": "1",
}
ROUTES: Final = {
    f"{method} {route.path}": route
    for router in routers
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods)
}


def _filled(path: str, known: Mapping[str, str] = MappingProxyType({})) -> str:
    ids = {"month": "2026-01", "account": ACCOUNT, "form": "csv", **known}
    names = {"case": "case", "person": "per", "backtest": "bkt", "dispute": "dp", "search": "ers"}
    parts = []
    for part in path.split("/"):
        name = part.strip("{}")
        made = ids.get(name) or f"{names.get(name.removesuffix('_id'), 'x')}_01k00000000000000000000000"
        parts.append(made if part.startswith("{") else part)
    return "/".join(parts)


def _fields(route: APIRoute) -> dict[str, str]:
    """Every field that the form demands, and those without which a page stops before its verb."""
    names: list[str] = []
    for parameter in route.dependant.body_params:
        kind = parameter.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += [name for name, field in kind.model_fields.items() if field.is_required()]
        elif parameter.field_info.is_required() or parameter.alias in FIELDS:
            names.append(parameter.alias)
    words = POLICY_FILE.read_text(encoding="utf-8") if route.path.startswith("/policy") else "words of somebody"
    return {name: words if name == "text" else FIELDS.get(name, "words of somebody") for name in names}


def _ask(client: Client, name: str) -> int:
    method, path = name.split(" ")
    if method == "GET":
        return client.get(_filled(path), follow_redirects=False).status_code
    fields = _fields(ROUTES[name])
    return client.post(_filled(path), data={"csrf": client.csrf, **fields}, follow_redirects=False).status_code


def test_every_form_says_what_it_takes() -> None:
    forms = {name for name in ROUTES if name.startswith("POST")}
    assert forms == {name for name in TAKES if name.startswith("POST")} | OWN
    assert {name.split(" ")[0] for name in ROUTES} == {"GET", "POST"}


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_who_lacks_the_power_is_told_so_and_who_may_look_may_look_everywhere_else(
    console: Console, signed_in: SignedIn, role: Role
) -> None:
    somebody, has = signed_in(role), powers_of([role])
    told = {name: _ask(somebody, name) for name, takes in TAKES.items() if takes not in has}
    assert {name: status for name, status in told.items() if status != 403} == {}
    looked = {
        name: _ask(somebody, name) for name in ROUTES if name.startswith("GET") and name not in {*TAKES, "GET /pulse"}
    }
    assert [name for name, status in looked.items() if status == 403] == []


def _ways_out(console: Console, name: str) -> Iterator[str]:
    """Cookies of sessions that count no more, by what ended them."""
    desk = console.shop.desk
    yield "never-was-one"
    signed_out = console.session(Role.SUPPORT, name=name)
    found = sign_in.session_of(desk, signed_out)
    assert found
    sign_in.sign_out(desk, found[1])
    yield signed_out
    revoked = console.session(Role.SUPPORT, name=name)
    people.revoke(desk, name, by="tests")
    yield revoked
    disabled = console.session(Role.SUPPORT, name=name)
    people.disable(desk, name, by="tests")
    yield disabled


def test_a_session_that_ended_opens_nothing(console: Console, stranger: Client) -> None:
    console.session(Role.ADMIN, name="Ada")
    for secret in _ways_out(console, "Grace"):
        stranger.cookies.set(COOKIE, secret)
        for name in ROUTES:
            assert _ask(stranger, name) == 303, name


def test_looking_changes_nothing(console: Console, signed_in: SignedIn) -> None:
    """Browsers, mail scanners and chat programs open addresses by themselves: every page works on a database that
    takes no change."""
    shop = console.shop
    a_closed_case(shop)
    ids = {
        "case_id": shop.rows("SELECT id FROM cases")[0].id,
        "charge_id": shop.rows("SELECT charge_id AS id FROM cases")[0].id,
        "event_id": shop.rows("SELECT id FROM inbox")[0].id,
        "job_id": shop.rows("SELECT id FROM jobs")[0].id,
        "person_id": people.add(shop.desk, name="Grace", email=None, roles=[Role.SUPPORT], by="tests").id,
        "seq": "1",
        "secret": sign_in.make_link(shop.desk, "Grace", by="tests"),
    }
    admin = signed_in(Role.ADMIN)
    engine = sa.create_engine(shop.desk.db.url, connect_args={"options": "-c default_transaction_read_only=on"})
    fallen = []
    with served(make_app(replace(shop.desk, db=engine), endpoints())) as url:
        for name in ["GET /sign-in/link/{secret}", *ROUTES]:
            path = _filled(name.removeprefix("GET "), ids)
            if name.startswith("GET") and name != "GET /pulse" and admin.get(f"{url}{path}").status_code >= 500:
                fallen.append(path)
    engine.dispose()
    assert fallen == []
