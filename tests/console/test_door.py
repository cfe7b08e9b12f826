"""The console's door: who comes in, what a form needs, and the headers of every page."""

import hashlib
import hmac
from dataclasses import replace

import pytest
import sqlalchemy as sa

from billingbot.core.access.powers import Role
from billingbot.flows.access import sign_in
from billingbot.web.app import make_app
from billingbot.web.console.visit import COOKIE
from tests.calls import tls
from tests.console.conftest import Client, Console, SignedIn
from tests.web.street import endpoints, served


def test_a_stranger_is_led_to_the_sign_in_page_and_back(stranger: Client) -> None:
    answer = stranger.get("/search?q=ch_1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=%2Fsearch%3Fq%3Dch_1"


def test_the_first_link_makes_an_admin_once(console: Console, stranger: Client) -> None:
    secret = sign_in.first_link(console.shop.desk, by="tests")
    assert secret
    asked = stranger.get(sign_in.link_path(secret))
    assert "Nobody is here yet" in asked.text
    came = stranger.post(sign_in.link_path(secret), data={"name": "Ada"})
    assert came.status_code == 303
    assert "httponly" in came.headers["set-cookie"].lower()
    assert "Ada" in stranger.get("/").text
    again = stranger.post(sign_in.link_path(secret), data={"name": "Ben"})
    assert again.status_code == 403


def test_a_form_without_the_sessions_mark_does_nothing(signed_in: SignedIn) -> None:
    somebody = signed_in(Role.SUPPORT)
    assert somebody.post("/sign-out", data={"csrf": "0" * 64}).status_code == 403
    assert somebody.get("/").status_code == 200
    somebody.act("/sign-out")
    assert somebody.get("/", follow_redirects=False).status_code == 303


def test_a_form_from_another_site_does_nothing(signed_in: SignedIn) -> None:
    somebody = signed_in(Role.ADMIN)
    from_elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert somebody.post("/sign-out", data={"csrf": somebody.csrf}, headers=from_elsewhere).status_code == 403


@pytest.mark.parametrize("path", ["/", "/search", "/nowhere", "/sign-in"])
def test_every_page_forbids_what_is_inline_or_from_elsewhere(signed_in: SignedIn, path: str) -> None:
    policy = signed_in(Role.ADMIN).get(path, headers={"Accept": "text/html"}).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_an_address_that_leads_nowhere_is_a_page_and_for_programs_json(signed_in: SignedIn) -> None:
    somebody = signed_in(Role.OPS)
    page = somebody.get("/nowhere", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "There is no page at this address" in page.text
    assert somebody.get("/api/v1/nowhere").json()["error"]["reason"] == "not_found"


def test_what_breaks_is_a_page_that_says_whether_money_moved(console: Console, signed_in: SignedIn) -> None:
    somebody = signed_in(Role.SUPPORT)
    console.shop.write("ALTER TABLE cases RENAME TO elsewhere")
    page = somebody.get("/queue")
    assert page.status_code == 500
    for told in ("It broke", "web.failed", "Nothing was changed and no money moved"):
        assert told in page.text
    act = somebody.act("/queue/next")
    assert (act.status_code, "may have been done" in act.text) == (500, True)


def test_who_may_not_is_told_who_may(signed_in: SignedIn) -> None:
    page = signed_in(Role.FINANCE).get("/settings/people")
    assert page.status_code == 403
    assert "It takes the role admin." in page.text


def test_a_stranger_is_not_told_where_the_database_is(console: Console) -> None:
    away = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:9/nothing")
    with (
        served(make_app(replace(console.shop.desk, db=away), endpoints())) as url,
        Client(base_url=url, verify=tls()) as client,
    ):
        client.cookies.set(COOKIE, "somebody")
        page = client.get("/queue")
    assert page.status_code == 503
    assert "you only looked" in page.text
    assert "127.0.0.1" not in page.text
    away.dispose()


def test_assets_are_kept_for_ever_under_names_that_change_with_their_bytes(signed_in: SignedIn) -> None:
    somebody = signed_in(Role.FINANCE)
    address = somebody.get("/").text.split('<link rel="stylesheet" href="')[1].split('"')[0]
    sheet = somebody.get(address)
    assert sheet.status_code == 200
    assert "immutable" in sheet.headers["cache-control"]
    assert somebody.get(address.replace("/static/", "/static/0")).status_code == 404


def test_no_link_puts_words_on_our_pages(signed_in: SignedIn) -> None:
    ann, ben = signed_in(Role.ADMIN, name="Ann"), signed_in(Role.ADMIN, name="Ben")
    assert "Call 555" not in ann.get("/search", params={"said": "Call 555"}).text
    sealed = hmac.new(ben.csrf.encode(), b"Call 555", hashlib.sha256).hexdigest() + "Call 555"
    assert "Call 555" not in ann.get("/search", params={"said": sealed}).text
    assert "Call 555" in ben.get("/search", params={"said": sealed}).text


@pytest.mark.parametrize("asks", [{"X-Unasked": "1"}, {"Accept": "text/event-stream"}])
def test_what_a_page_asks_by_itself_keeps_no_session_alive(
    console: Console, signed_in: SignedIn, asks: dict[str, str]
) -> None:
    somebody = signed_in(Role.ADMIN)
    with console.shop.desk.db.begin() as connection:
        connection.execute(sa.text("UPDATE sessions SET last_seen_at = last_seen_at - interval '5 minutes'"))

    def last_seen() -> object:
        with console.shop.desk.db.begin() as connection:
            return connection.execute(sa.text("SELECT last_seen_at FROM sessions")).scalar_one()

    before = last_seen()
    assert somebody.get("/search", headers=asks).status_code == 200
    assert last_seen() == before
    somebody.get("/search")
    assert last_seen() != before
