"""Signing in through the pages: password, second factor, what the cookies say, and where `next` may lead."""

import re

import pyotp
import pytest

from billingbot.core.access.powers import Role
from billingbot.flows.access import people, sign_in
from billingbot.store.database import now
from tests.console.conftest import Client, Console, SignedIn

GOOD = "correct horse battery"


def _invited(console: Console, client: Client) -> None:
    """Ada opens her link, and is asked for her first password."""
    desk = console.shop.desk
    people.add(desk, name="Ada", email="ada@example.com", roles=[Role.SUPPORT], by="tests")
    came = client.post(sign_in.link_path(sign_in.make_link(desk, "Ada", by="tests")))
    assert came.headers["location"] == "/account/password"
    page = client.get("/account/password")
    assert "Your first password" in page.text
    client.csrf = re.search(r'name="csrf" value="(\w+)"', page.text).group(1)  # type: ignore[union-attr] # it is there
    assert client.act("/account/password", new=GOOD, again=GOOD).headers["location"].startswith("/account?said=")


def test_an_invited_person_sets_a_password_and_comes_back_by_it(console: Console, stranger: Client) -> None:
    _invited(console, stranger)
    assert stranger.act("/sign-out").status_code == 303
    assert stranger.get("/account").status_code == 303
    wrong = stranger.post("/sign-in", data={"who": "ada@example.com", "password": "a guess", "next": "/search?q=1"})
    unknown = stranger.post("/sign-in", data={"who": "bob@example.com", "password": "a guess", "next": "/search?q=1"})
    assert wrong.status_code == unknown.status_code == 403
    assert wrong.text.replace("ada@", "bob@") == unknown.text
    came = stranger.post("/sign-in", data={"who": "ada@example.com", "password": GOOD, "next": "/search?q=1"})
    assert (came.status_code, came.headers["location"]) == (303, "/search?q=1")
    assert re.search(r"httponly; max-age=\d+; path=/; samesite=lax", came.headers["set-cookie"].lower())


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""])
def test_next_leads_nowhere_but_here(console: Console, stranger: Client, to: str) -> None:
    _invited(console, stranger)
    came = stranger.post("/sign-in", data={"who": "Ada", "password": GOOD, "next": to})
    assert came.headers["location"] == "/"
    assert "evil" not in stranger.get("/sign-in", params={"next": to}).text


def test_a_second_factor_is_set_up_asked_for_and_dropped(console: Console, stranger: Client) -> None:
    _invited(console, stranger)
    offer = stranger.act("/account/second-factor").text
    secret, step = (
        re.search(found, offer).group(1) for found in (r"Secret: <code>(\w+)", r'name="step" value="([^"]+)"')
    )  # type: ignore[union-attr] # they are there
    assert "<svg" in offer

    def code(steps: int) -> str:
        with console.shop.desk.db.begin() as connection:
            return pyotp.TOTP(secret).at(int(now(connection).timestamp()) + 30 * steps)

    mistyped = stranger.act("/account/second-factor/confirm", step=step, code="000000")
    assert (mistyped.status_code, secret in mistyped.text) == (422, True)
    codes = re.findall(
        r"<li><code>([\w-]+)", stranger.act("/account/second-factor/confirm", step=step, code=code(-1)).text
    )
    assert len(codes) == 10
    stranger.act("/sign-out")
    asked = stranger.post("/sign-in", data={"who": "Ada", "password": GOOD, "next": "/search"})
    assert asked.headers["location"] == "/sign-in/code?next=%2Fsearch"
    assert stranger.get("/search").status_code == 303
    assert stranger.post("/sign-in/code", data={"code": "000000", "next": "/search"}).status_code == 403
    came = stranger.post("/sign-in/code", data={"code": code(0), "next": "/search"})
    assert (came.status_code, came.headers["location"]) == (303, "/search")
    assert "billingbot_step" not in stranger.cookies
    page = stranger.get("/account").text
    stranger.csrf = re.search(r'name="csrf" value="(\w+)"', page).group(1)  # type: ignore[union-attr] # it is there
    assert stranger.act("/account/second-factor/drop", code=codes[0]).status_code == 303


def test_whoever_guesses_too_often_has_to_wait(console: Console, stranger: Client) -> None:
    told = [stranger.post("/sign-in", data={"who": "Ada", "password": "x"}).status_code for _ in range(11)]
    assert told == [403] * 10 + [429]


def test_over_https_the_cookies_are_bound_to_this_host(console: Console, stranger: Client) -> None:
    from dataclasses import replace

    from billingbot.web.app import make_app
    from tests.web.street import endpoints, served

    desk = replace(console.shop.desk, public_url="https://desk.example.com")
    secret = sign_in.first_link(desk, by="tests")
    assert secret
    with served(make_app(desk, endpoints())) as url:
        came = stranger.post(f"{url}{sign_in.link_path(secret)}", data={"name": "Ada"})
    assert came.headers["set-cookie"].startswith("__Host-billingbot_session=")
    assert "secure" in came.headers["set-cookie"].lower()


def test_a_session_begins_under_a_new_secret_whatever_the_browser_brought(console: Console, stranger: Client) -> None:
    _invited(console, stranger)
    own = stranger.cookies["billingbot_session"]
    planted = {"Cookie": "billingbot_session=planted; billingbot_step=planted"}
    came = stranger.post("/sign-in", data={"who": "Ada", "password": GOOD}, headers=planted)
    begun = came.headers["set-cookie"].partition(";")[0].removeprefix("billingbot_session=")
    assert begun not in {own, "planted", ""}
    assert stranger.get("/account", headers=planted).status_code == 303


def test_sign_in_forms_from_another_site_do_nothing(stranger: Client) -> None:
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
    ):
        assert stranger.post("/sign-in", data={"who": "x", "password": "x"}, headers=headers).status_code == 403
        assert "came from another site" in stranger.post("/sign-in", headers=headers).text


def test_an_account_shows_its_sessions_and_ends_others(signed_in: SignedIn) -> None:
    here, there = signed_in(Role.FINANCE), signed_in(Role.FINANCE)
    other = re.search(r"/account/sessions/(ses_\w+)/end", here.get("/account").text)
    assert other
    assert "That session has ended." in here.act(f"/account/sessions/{other.group(1)}/end").text
    assert there.get("/account", follow_redirects=False).status_code == 303


def test_reading_changes_from_the_next_page_on(signed_in: SignedIn) -> None:
    somebody = signed_in(Role.SUPPORT)
    somebody.act("/account/reading", locale="de_AT", zone="Europe/Vienna", theme="dark")
    page = somebody.get("/account").text
    assert 'lang="de-AT" data-theme="dark"' in page
    assert somebody.act("/account/reading", locale="xx", zone="UTC", theme="dark").status_code == 422
    assert somebody.act("/account/reading", locale="en", zone="UTC", theme="neon").status_code == 422
