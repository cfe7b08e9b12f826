"""Settings: people are added and kept out, keys are made and revoked, modes are set with a reason; by who may alone."""

import re

import pytest

from billingbot.core.access.powers import Power, Role
from billingbot.core.mode import Mode
from billingbot.flows.switch import current_modes, who_has
from tests.console.conftest import Client, Console, SignedIn


def test_somebody_is_added_and_enters_by_the_link_that_is_shown(signed_in: SignedIn, stranger: Client) -> None:
    admin = signed_in(Role.ADMIN, name="Ada")
    made = admin.post("/settings/people", data={"csrf": admin.csrf, "name": "Grace", "roles": ["support", "ops"]})
    link = re.search(r"/sign-in/link/[\w-]+", made.text)
    assert link
    assert stranger.post(link.group()).status_code == 303
    assert "Grace" in stranger.get("/account").text
    person = re.search(
        r"/settings/people/per_\w+", admin.get("/settings/people").text.split("Grace")[0][::-1][:200][::-1]
    )
    assert person
    page = admin.get(person.group()).text
    assert page.count(" checked") == 2
    assert "is finance." in admin.act(f"{person.group()}/roles", roles="finance").text
    assert f"{person.group()}/sessions/end" in admin.get("/settings/sessions?person=Grace").text
    assert "Ended 1 session." in admin.act(f"{person.group()}/sessions/end").text
    assert "Nobody is signed in like this." in admin.get("/settings/sessions?person=Grace").text
    assert "ended" in admin.get("/settings/sessions?person=Grace&ended=true").text
    assert stranger.get("/account").status_code == 303
    assert "kept out" in admin.act(f"{person.group()}/disable").text
    assert "may sign in again" in admin.act(f"{person.group()}/enable").text
    assert "/sign-in/link/" in admin.act(f"{person.group()}/reset").text


def test_the_last_admin_stays_one(signed_in: SignedIn) -> None:
    admin = signed_in(Role.ADMIN, name="Ada")
    person = re.search(r"/settings/people/per_\w+", admin.get("/settings/people").text)
    assert person
    assert admin.act(f"{person.group()}/roles", roles="support").status_code == 409
    assert admin.act(f"{person.group()}/roles").status_code == 422
    assert admin.act(f"{person.group()}/roles", roles="king").status_code == 422


def test_a_key_is_shown_once_with_what_it_may_and_is_revoked(console: Console, signed_in: SignedIn) -> None:
    admin = signed_in(Role.ADMIN)
    shown = admin.post("/settings/keys", data={"csrf": admin.csrf, "name": "helpdesk", "may": ["see", "decide"]}).text
    secret = re.search(r"<code>(bbk_[\w-]+)", shown)
    assert secret
    key = who_has(console.shop.desk, secret.group(1))
    assert key is not None
    assert key.powers == {Power.SEE, Power.DECIDE}
    listed = admin.get("/settings/keys?made_by=admin").text
    assert "helpdesk" in listed
    assert secret.group(1) not in listed
    assert "opens nothing any more" in admin.act("/settings/keys/revoke", name="helpdesk").text
    assert "No API key is in use." in admin.get("/settings/keys").text
    assert "revoked" in admin.get("/settings/keys?revoked=true").text
    assert who_has(console.shop.desk, secret.group(1)) is None
    assert admin.act("/settings/keys", name="x", may="fly").status_code == 422


def test_a_mode_wants_a_reason_and_auto_a_confirmation(console: Console, signed_in: SignedIn) -> None:
    ops = signed_in(Role.OPS, name="Olga")
    for fields in ({"mode": "assist"}, {"mode": "auto", "why": "x"}, {"mode": "reckless", "why": "x"}):
        assert ops.act("/settings/modes/default", **fields).status_code == 422
    assert "is in mode shadow" in ops.act("/settings/modes/default", mode="shadow", why="a quiet week").text
    ops.act("/settings/modes/default", mode="auto", why="we trust it", sure="yes")
    [row] = current_modes(console.shop.desk)
    assert (row.mode, row.changed_by, row.why) == (Mode.AUTO, "Olga", "we trust it")


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.APPROVER, Role.OPS, Role.FINANCE])
def test_who_may_not_manage_sees_modes_and_nothing_of_people(signed_in: SignedIn, role: Role) -> None:
    somebody = signed_in(role)
    assert "It decides" in somebody.get("/settings").text
    for path in (
        "/settings/people",
        "/settings/keys",
        "/settings/sessions",
        "/settings/people/per_00000000000000000000000000",
    ):
        assert somebody.get(path).status_code == 403
    for path in ("/settings/people", "/settings/keys", "/settings/keys/revoke"):
        assert somebody.act(path, name="x", roles="admin", may="see").status_code == 403
    if role is not Role.OPS:
        assert somebody.act("/settings/modes/default", mode="off", why="x").status_code == 403
        assert 'action="/settings/modes/default"' not in somebody.get("/settings/modes").text
