"""Settings: people and their roles, API keys, modes and breakers."""

from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from starlette.responses import Response

from billingbot.core.access.person import MOST_NAME
from billingbot.core.access.powers import Power, Role, powers_of, roles_with
from billingbot.core.errors import InputError
from billingbot.core.mode import MEANS, Mode
from billingbot.flows.access import people, sign_in
from billingbot.flows.breaker import close_breaker, list_breakers
from billingbot.flows.switch import LEAST, create_key, current_modes, list_keys, revoke_key, set_mode
from billingbot.web.api.fields import MOST_ROWS, Cursor, Word
from billingbot.web.console.asked import Asked
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here, Visit

router = APIRouter(route_class=ConsoleRoute, prefix="/settings")

Text = Annotated[str, Form(max_length=1000)]
Words = Annotated[list[str], Form()]

WHAT: Final = {
    Power.SEE: "read everything but secrets",
    Power.ASK: "put a request for a refund before the desk",
    Power.PUSH: "tell what customers used",
    Power.DECIDE: "work the queue: claim, approve, deny, reply",
    Power.CHECK: "give the second approval; send answers to banks",
    Power.RUN: "replay, dismiss, backfill, reconcile",
    Power.SWITCH: "set the mode, close the breaker",
    Power.SIGN: "close a month and sign it",
    Power.PUBLISH: "publish a policy, start and stop a shadow",
    Power.MANAGE: "people, roles, keys, erasure",
}
"""Each power in a few words, for people who hand it out."""


@router.get("")
def index(here: Here) -> Response:
    """The first page that this person may use."""
    return here.go("/settings/people" if here.may(Power.MANAGE) else "/settings/modes")


# ---------------------------------------------------------------- people


@router.get("/people")
def show_people(here: Here) -> Response:
    """Everybody, and a form for one more."""
    return here.show("settings/people.html", everybody=people.everybody(here.desk), **_roles())


@router.post("/people")
def add_person(here: Here, name: Text = "", email: Text = "", roles: Words = []) -> Response:  # noqa: B006 # FastAPI's way of saying none
    """Adds somebody, and shows the link to send them."""
    made = people.add(here.desk, name=name, email=email or None, roles=_wanted(roles), by=here.name)
    return _link_page(here, made.name, sign_in.make_link(here.desk, made.id, by=here.name))


@router.get("/people/{person_id}")
def show_person(here: Here, person_id: str) -> Response:
    """One person: roles, sessions, and keeping them out."""
    found = people.find(here.desk, person_id)
    sessions = people.list_sessions(here.desk, who=found.id, limit=MOST_ROWS).items
    return here.show("settings/person.html", one=found, sessions=sessions, **_roles())


@router.post("/people/{person_id}/roles")
def change_roles(here: Here, person_id: str, roles: Words = []) -> Response:  # noqa: B006 # FastAPI's way of saying none
    """These roles and no others, from their next click on."""
    found = people.set_roles(here.desk, person_id, _wanted(roles), by=here.name)
    return _back(here, found.id, f"{found.name} is {' and '.join(found.roles)}.")


@router.post("/people/{person_id}/link")
def link_person(here: Here, person_id: str) -> Response:
    """A one-time link; an earlier one works no more."""
    found = people.find(here.desk, person_id)
    return _link_page(here, found.name, sign_in.make_link(here.desk, found.id, by=here.name))


@router.post("/people/{person_id}/reset")
def reset_person(here: Here, person_id: str) -> Response:
    """No password, no second factor, no session; a link to begin anew."""
    found = people.reset(here.desk, person_id, by=here.name)
    return _link_page(here, found.name, sign_in.make_link(here.desk, found.id, by=here.name))


@router.post("/people/{person_id}/disable")
def disable_person(here: Here, person_id: str) -> Response:
    """Out at once."""
    found = people.disable(here.desk, person_id, by=here.name)
    return _back(here, found.id, f"{found.name} is kept out, and every session of theirs has ended.")


@router.post("/people/{person_id}/enable")
def enable_person(here: Here, person_id: str) -> Response:
    """In again, by a link or their password."""
    found = people.enable(here.desk, person_id, by=here.name)
    return _back(here, found.id, f"{found.name} may sign in again.")


@router.post("/people/{person_id}/sessions/end")
def end_sessions(here: Here, person_id: str, session: Text = "") -> Response:
    """One session, or all of them."""
    ended = people.revoke(here.desk, person_id, by=here.name, session_id=session or None)
    return _back(here, person_id, f"Ended {ended} {'session' if ended == 1 else 'sessions'}.")


class SessionQuery(Asked):
    """Whose sessions; `ended` shows those as well that nobody could go on with."""

    person: Word | None = None
    ended: bool = False
    after: Cursor | None = None


@router.get("/sessions")
def show_sessions(here: Here, query: Annotated[SessionQuery, Query()]) -> Response:
    """Where everybody is signed in."""
    page = people.list_sessions(here.desk, who=query.person, live=not query.ended, after=query.after)
    staff = [(one.name, one.name) for one in people.everybody(here.desk)]
    more = _more("/settings/sessions", query, page.next)
    return here.show("settings/sessions.html", page=page, query_=query, staff=staff, more=more)


# ---------------------------------------------------------------- keys


class KeyQuery(Asked):
    """Whose keys; `revoked` shows those as well that open nothing any more."""

    made_by: Word | None = None
    revoked: bool = False
    after: Cursor | None = None


@router.get("/keys")
def show_keys(here: Here, query: Annotated[KeyQuery, Query()]) -> Response:
    """Keys without their secrets, and a form for another."""
    page = list_keys(here.desk, made_by=query.made_by, in_use=not query.revoked, after=query.after)
    makers = sorted({one.name for one in people.everybody(here.desk)} | ({query.made_by} if query.made_by else set()))
    return here.show(
        "settings/keys.html",
        keys=page.items,
        query_=query,
        makers=[(name, name) for name in makers],
        more=_more("/settings/keys", query, page.next),
        powers=list(Power),
        least=LEAST,
        what=WHAT,
    )


@router.post("/keys")
def make_key(here: Here, name: Text = "", may: Words = []) -> Response:  # noqa: B006 # FastAPI's way of saying none
    """Makes a key and shows its secret, this once."""
    if not set(may) <= set(Power):
        raise InputError("may", f"expected some of {', '.join(Power)}")
    secret = create_key(here.desk, name, by=here.name, may=[Power(power) for power in may])
    return here.show("settings/key.html", name=name, secret=secret)


@router.post("/keys/revoke")
def end_key(here: Here, name: Text = "") -> Response:
    """It opens nothing from this moment on."""
    key = revoke_key(here.desk, name, by=here.name)
    return here.go("/settings/keys", said=f"{key.name} opens nothing any more.")


# ---------------------------------------------------------------- modes


@router.get("/modes")
def show_modes(here: Here) -> Response:
    """What billingbot may do by itself, account by account, and breakers that opened."""
    return here.show(
        "settings/modes.html", rows=current_modes(here.desk), breakers=list_breakers(here.desk), means=MEANS
    )


@router.post("/modes/{account}")
def change_mode(here: Here, account: str, mode: Text = "", why: Text = "", sure: Text = "") -> Response:
    """Counts at once; auto wants to be confirmed, since refunds leave by themselves then."""
    if mode not in set(Mode):
        raise InputError("mode", f"expected one of {', '.join(Mode)}")
    if not why.strip():
        raise InputError("why", "expected the reason, in a few words")
    if mode == Mode.AUTO and not sure:
        raise InputError("sure", "expected, since in auto refunds leave without a person")
    row = set_mode(here.desk, account, Mode(mode), by=here.name, why=why)
    return here.go("/settings/modes", said=f"Account {row.account} is in mode {row.mode}.")


@router.post("/breakers/{account}/close")
def close(here: Here, account: str, why: Text = "", sure: Text = "") -> Response:
    """Restores auto, unless somebody has set another mode since."""
    if not why.strip():
        raise InputError("why", "expected the reason, in a few words")
    if not sure:
        raise InputError("sure", "expected, since refunds may leave without a person again")
    close_breaker(here.desk, account, by=here.name, why=why)
    return here.go("/settings/modes", said=f"The breaker of account {account} is closed.")


def _more(path: str, query: Asked, following: str | None) -> str | None:
    return f"{path}?{urlencode({**query.given, 'after': following})}" if following else None


def _roles() -> dict[str, Any]:
    told = {role: "; ".join(WHAT[power] for power in Power if power in powers_of([role])) for role in Role}
    told[Role.ADMIN] = "everything"
    return {"roles": list(Role), "told": told, "most_name": MOST_NAME, "managers": roles_with(Power.MANAGE)}


def _wanted(roles: list[str]) -> list[Role]:
    if not set(roles) <= set(Role):
        raise InputError("roles", f"expected some of {', '.join(Role)}")
    return [Role(role) for role in roles]


def _link_page(here: Visit, name: str, secret: str) -> Response:
    base = (here.desk.public_url or str(here.request.base_url)).rstrip("/")
    url = f"{base}{sign_in.link_path(secret)}"
    return here.show("settings/link.html", status=HTTPStatus.CREATED, name=name, url=url)


def _back(here: Visit, person_id: str, said: str) -> Response:
    return here.go(f"/settings/people/{person_id}", said=said)
