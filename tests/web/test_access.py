"""The API's doors for whoever watches over access: keys and sessions, seen and ended; and lists that people keep."""

from collections.abc import Iterator

import httpx
import pytest
import sqlalchemy as sa

from billingbot.core.access.powers import Power, Role
from billingbot.flows.access import people, sign_in
from billingbot.flows.access.sign_in import SignedIn
from billingbot.flows.desk import Desk
from billingbot.flows.switch import create_key, who_has
from tests.flows.shop import Shop

KEYS, SESSIONS, LISTS = "/api/v1/keys", "/api/v1/sessions", "/api/v1/queue/lists"


@pytest.fixture
def keeper(desk: Desk, street: httpx.Client) -> Iterator[httpx.Client]:
    """A program that watches over access, and may do nothing with money."""
    secret = create_key(desk, "keeper", by="tests", may={Power.MANAGE, Power.SEE})
    street.headers["Authorization"] = f"Bearer {secret}"
    return street


def _signed_in(desk: Desk, name: str) -> SignedIn:
    made = people.add(desk, name=name, email=None, roles=[Role.SUPPORT], by="tests")
    entered = sign_in.by_link(desk, sign_in.make_link(desk, made.id, by="tests"), user_agent="a browser")
    assert isinstance(entered, SignedIn)
    return entered


def test_a_key_that_got_out_is_ended_by_a_program(desk: Desk, keeper: httpx.Client) -> None:
    leaked = create_key(desk, "help desk/2", by="Ada", may={Power.DECIDE, Power.SEE})
    [listed] = keeper.get(KEYS, params={"made_by": "Ada"}).json()["items"]
    assert (listed["name"], listed["powers"], listed["made_by"]) == ("help desk/2", ["see", "decide"], "Ada")
    assert leaked not in keeper.get(KEYS).text
    ended = keeper.post(f"{KEYS}/revoke", json={"by": "night watch", "name": "help desk/2"}).json()
    assert ended["revoked_at"] is not None
    assert who_has(desk, leaked) is None
    assert keeper.post(f"{KEYS}/revoke", json={"by": "night watch", "name": "help desk/2"}).status_code == 404
    assert [key["name"] for key in keeper.get(KEYS, params={"in_use": True}).json()["items"]] == ["keeper"]
    with desk.db.begin() as connection:
        actor = sa.text("SELECT actor FROM ledger_entries WHERE kind = 'key.revoked'")
        assert connection.execute(actor).scalar_one() == "night watch"


def test_sessions_are_seen_and_ended_by_a_program(desk: Desk, keeper: httpx.Client) -> None:
    ada, grace = _signed_in(desk, "Ada"), _signed_in(desk, "Grace")
    listed = keeper.get(SESSIONS).json()["items"]
    assert [(one["person"], one["user_agent"]) for one in listed] == [("Grace", "a browser"), ("Ada", "a browser")]
    wrong = {"by": "night watch", "person": "Grace", "session": ada.session.id}
    assert keeper.post(f"{SESSIONS}/revoke", json=wrong).status_code == 404
    ended = keeper.post(f"{SESSIONS}/revoke", json={"by": "night watch", "person": "ada"})
    assert ended.json() == {"count": 1}
    assert sign_in.session_of(desk, ada.secret) is None
    assert sign_in.session_of(desk, grace.secret) is not None
    assert [one["person"] for one in keeper.get(SESSIONS).json()["items"]] == ["Grace"]
    every = keeper.get(SESSIONS, params={"ended": True, "person": "Ada"}).json()["items"]
    assert [one["is_live"] for one in every] == [False]
    assert keeper.get(SESSIONS, params={"person": "nobody"}).status_code == 404


def test_who_may_not_manage_neither_sees_nor_ends_them(desk: Desk, street: httpx.Client) -> None:
    limited = create_key(desk, "limited", by="tests", may=set(Power) - {Power.MANAGE})
    street.headers["Authorization"] = f"Bearer {limited}"
    for path, whose in ((KEYS, {"name": "limited"}), (SESSIONS, {"person": "kim"})):
        for refused in (street.get(path), street.post(f"{path}/revoke", json={"by": "kim", **whose})):
            assert (refused.status_code, refused.json()["error"]["message"][:8]) == (403, "manage: ")


def test_a_list_that_somebody_keeps_is_read_by_a_program_as_the_console_shows_it(
    shop: Shop, counter: httpx.Client
) -> None:
    for amount in (4900, 1900):
        trial, charge = shop.charged_trial(amount=amount)
        shop.usage.used_by.add(trial.customer)
        shop.ask(charge)
    shop.work()
    kept = counter.post(LISTS, json={"by": "kim", "name": "Large ones", "query": "amount_from=40&currency=usd"}).json()
    [listed] = counter.get(LISTS, params={"owner": "kim"}).json()["items"]
    assert listed == kept
    assert counter.get(LISTS, params={"owner": "lou"}).json()["items"] == []
    large = counter.get(f"/api/v1/queue?{listed['query']}").json()["items"]
    assert [one["case"]["amount"]["minor"] for one in large] == [4900]
    first = counter.get("/api/v1/queue", params={"limit": 1}).json()
    rest = counter.get("/api/v1/queue", params={"limit": 1, "after": first["next"]}).json()
    assert {one["case"]["amount"]["minor"] for one in (*first["items"], *rest["items"])} == {4900, 1900}
    counter.post(f"/api/v1/cases/{large[0]['case']['id']}/claim", json={"by": "kim"})
    mine = counter.get("/api/v1/queue", params={"who": "mine", "person": "kim"}).json()["items"]
    assert [one["case"]["id"] for one in mine] == [large[0]["case"]["id"]]
    wrong = {"amount_from": "many"}, {"amount_from": "40"}, {"unknown": "x"}, {"who": "mine"}, {"after": "x"}
    assert {counter.get("/api/v1/queue", params=params).status_code for params in wrong} == {422}
    assert counter.post(f"{LISTS}/{kept['id']}/drop", json={"by": "lou"}).status_code == 404
    assert counter.post(f"{LISTS}/{kept['id']}/drop", json={"by": "kim"}).json()["id"] == kept["id"]
    assert counter.get(LISTS, params={"owner": "kim"}).json()["items"] == []
