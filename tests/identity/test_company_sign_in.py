"""The company's own sign-in, against a provider that signs real tokens: who comes in, and what proves nobody."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pyotp
import pytest
import sqlalchemy as sa
from joserfc.jwk import OctKey, RSAKey

from billingbot.bootstrap.settings import ConfigFile, read_file
from billingbot.bootstrap.sign_in import read_company_sign_in
from billingbot.core.access.errand import Errand
from billingbot.core.access.powers import Role
from billingbot.core.errors import ConfigError
from billingbot.flows.access import people
from billingbot.flows.desk import CompanySignIn, Desk
from billingbot.identity.oidc import Oidc
from billingbot.web.app import make_app
from tests.calls import tls, visitor
from tests.engines.shared import Database
from tests.identity.provider import CLIENT, SECRET, Provider
from tests.web.street import close_desk, endpoints, open_desk, served


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    with served(made.app()) as url:
        made.issuer = url
        yield made


@pytest.fixture
def desk(database: Database, provider: Provider) -> Iterator[Desk]:
    """A desk where the groups of example.com make roles."""
    oidc = Oidc(
        issuer=provider.issuer, client_id=CLIENT, client_secret=SECRET, scopes="openid email", groups_claim="groups"
    )
    roles = {"refund-support": Role.SUPPORT, "refund-admins": Role.ADMIN}
    way = CompanySignIn(name="Example", provider=oidc, domains=frozenset({"example.com"}), roles=roles)
    opened = replace(open_desk(database.app_url), oidc=way)
    yield opened
    oidc.close()
    close_desk(opened)


@pytest.fixture
def browser(desk: Desk) -> Iterator[httpx.Client]:
    """Somebody's browser before the console."""
    with served(make_app(desk, endpoints())) as url, visitor(url) as client:
        yield client


def _come_in(browser: httpx.Client, to: str = "/search") -> httpx.Response:
    """Through the provider and back; the answer of our door."""
    away = browser.get("/sign-in/oidc", params={"next": to})
    assert away.status_code == 303, away.text
    back = httpx.get(away.headers["location"], verify=tls())
    return browser.get(back.headers["location"])


def test_a_person_comes_in_with_the_roles_of_their_groups(
    browser: httpx.Client, provider: Provider, desk: Desk
) -> None:
    assert "Example" in browser.get("/sign-in").text
    came = _come_in(browser)
    assert (came.status_code, came.headers["location"]) == (303, "/search")
    page = browser.get("/account").text
    assert "Ada Lovelace" in page
    assert "<dd>support</dd>" in page
    provider.user["groups"] = ["refund-admins", "others"]
    provider.user["name"] = "Ada King"
    _come_in(browser)
    [ada] = people.everybody(desk)
    assert (ada.name, ada.roles, ada.email) == ("Ada Lovelace", (Role.ADMIN,), "ada@example.com")


def test_somebody_who_was_added_here_is_known_by_their_confirmed_address(
    browser: httpx.Client, provider: Provider, desk: Desk
) -> None:
    people.add(desk, name="Ada", email="ADA@example.com", roles=[Role.FINANCE], by="tests")
    assert _come_in(browser).status_code == 303
    provider.user["email"] = "ada.king@example.com"  # the subject is who it is; addresses change
    assert _come_in(browser).status_code == 303
    [ada] = people.everybody(desk)
    assert (ada.name, ada.roles) == ("Ada", (Role.SUPPORT,))
    provider.user.update(sub="mallory", email="ada@example.com")
    assert _come_in(browser).status_code == 403


SPOILT = {
    "wrong nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "expired": {"exp": int(time.time()) - 3600},
    "for somebody else": {"aud": "another-client"},
    "by another issuer": {"iss": "https://evil.example"},
    "issued tomorrow": {"iat": int(time.time()) + 86_400, "exp": int(time.time()) + 90_000},
    "unknown domain": {"email": "ada@evil.example"},
    "domain by suffix": {"email": "ada@notexample.com"},
    "address not confirmed": {"email_verified": False},
    "no address": {"email": None},
    "no group of ours": {"groups": ["others"]},
    "no groups": {"groups": None},
}


@pytest.mark.parametrize("fault", SPOILT)
def test_an_answer_that_proves_nobody_lets_nobody_in(
    browser: httpx.Client, provider: Provider, desk: Desk, fault: str
) -> None:
    provider.claims = SPOILT[fault]
    refused = _come_in(browser)
    assert refused.status_code == 403, refused.text
    assert browser.get("/account").status_code == 303
    assert people.everybody(desk) == []


@pytest.mark.parametrize("how", ["unsigned", "another key", "shared secret"])
def test_a_token_that_the_provider_did_not_sign_lets_nobody_in(
    browser: httpx.Client, provider: Provider, desk: Desk, how: str
) -> None:
    if how == "another key":
        provider.stranger = RSAKey.generate_key(2048, {"kid": "first"})
    else:
        provider.alg = "none" if how == "unsigned" else "HS256"
    if how == "shared secret":  # our client secret is known to both sides: no proof of anybody
        provider.stranger = OctKey.import_key(SECRET)  # type: ignore[assignment] # any key that signs
    assert _come_in(browser).status_code == 403
    assert people.everybody(desk) == []


def test_rolled_keys_are_asked_for_anew(browser: httpx.Client, provider: Provider) -> None:
    assert _come_in(browser).status_code == 303
    provider.roll()
    assert _come_in(browser).status_code == 303


def test_an_answer_counts_once_in_the_browser_that_asked_for_it(browser: httpx.Client, provider: Provider) -> None:
    provider.forgets_codes = False  # most do not take a code twice; ours to see to all the same
    away = browser.get("/sign-in/oidc")
    kept = dict(browser.cookies)
    back = httpx.get(away.headers["location"], verify=tls()).headers["location"]
    assert httpx.get(back, verify=tls()).status_code == 403  # another browser: somebody was sent a link
    forged = re.sub(r"state=[\w-]+", "state=another", back)
    assert browser.get(forged).status_code == 403
    assert browser.get(back).status_code == 303
    browser.cookies.clear()
    browser.cookies.update(kept)
    assert browser.get(back).status_code == 403
    assert _come_in(browser).status_code == 303


def test_who_sets_out_and_never_comes_back_leaves_nothing_here(browser: httpx.Client, desk: Desk) -> None:
    for _ in range(3):
        assert browser.get("/sign-in/oidc", params={"next": "/search"}).status_code == 303
    with desk.db.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM sign_in_steps")).scalar_one() == 0


def test_an_errand_that_took_too_long_or_was_changed_on_the_way_begins_again(browser: httpx.Client) -> None:
    def told(errand: Errand, *, cookie: str | None = None) -> str:
        browser.cookies.clear()
        browser.cookies.set("billingbot_errand", cookie or errand.cookie)
        answer = browser.get("/sign-in/oidc/back", params={"state": errand.state, "code": "none"})
        assert answer.status_code == 403
        return answer.text

    now = int(time.time())
    in_time = Errand(secret="s", set_out_at=now - 500, to="/search")  # made up
    assert "the provider answers 400" in told(in_time)  # asked, and it knows no such code
    for set_out_at in (now - 700, now + 100):
        assert "took too long" in told(replace(in_time, set_out_at=set_out_at))
    assert "took too long" in told(in_time, cookie=replace(in_time, to="/settings").cookie)
    assert "took too long" in told(in_time, cookie=replace(in_time, set_out_at=now).cookie)
    for broken in ("x", "1.s", "1.s.%%%", f"{now}..L3NlYXJjaA==", f"x.s.{'L' * 3000}", "1.s._w=="):
        assert "took too long" in told(in_time, cookie=broken)


def test_next_leads_nowhere_but_here(browser: httpx.Client, provider: Provider) -> None:
    assert _come_in(browser, to="https://evil.example").headers["location"] == "/"


def test_groups_take_no_last_admin_away(browser: httpx.Client, provider: Provider, desk: Desk) -> None:
    provider.user["groups"] = ["refund-admins"]
    _come_in(browser)
    provider.user["groups"] = ["refund-support"]
    refused = _come_in(browser)
    assert (refused.status_code, "you are the last one here" in refused.text) == (403, True)
    assert people.find(desk, "Ada Lovelace").roles == (Role.ADMIN,)
    people.add(desk, name="Grace", email=None, roles=[Role.ADMIN], by="tests")
    assert _come_in(browser).status_code == 303
    assert people.find(desk, "Ada Lovelace").roles == (Role.SUPPORT,)


def test_a_second_factor_of_ours_is_asked_for_unless_the_providers_counts(browser: httpx.Client, desk: Desk) -> None:
    _come_in(browser)
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    with desk.db.begin() as connection:
        connection.execute(sa.text("UPDATE people SET totp_secret = :secret"), {"secret": secret})
    browser.cookies.clear()
    asked = _come_in(browser)
    assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in/code?next=%2Fsearch")
    assert browser.get("/search").status_code == 303
    named = [cookie.partition("=")[0] for cookie in asked.headers.get_list("set-cookie")]
    assert sorted(named) == ["billingbot_errand", "billingbot_step"]  # of two of one name a browser keeps the last
    ended = browser.post("/sign-in/code", data={"code": pyotp.TOTP(secret).now(), "next": "/search"})
    assert (ended.status_code, ended.headers["location"]) == (303, "/search")
    assert browser.get("/search").status_code == 200
    assert desk.oidc is not None
    trusting = replace(desk, oidc=replace(desk.oidc, proves_second_factor=True))
    with served(make_app(trusting, endpoints())) as url, visitor(url) as another:
        assert _come_in(another).headers["location"] == "/search"


def test_who_is_kept_out_stays_out(browser: httpx.Client, provider: Provider, desk: Desk) -> None:
    _come_in(browser)
    people.add(desk, name="Grace", email=None, roles=[Role.ADMIN], by="tests")
    people.disable(desk, "Ada Lovelace", by="tests")
    assert _come_in(browser).status_code == 403


def test_a_provider_that_is_away_is_told_as_that(browser: httpx.Client, desk: Desk) -> None:
    assert desk.oidc is not None
    desk.oidc.provider.issuer = "http://127.0.0.1:9"
    away = browser.get("/sign-in/oidc")
    assert away.status_code == 503


def _configured(tmp_path: Path, lines: str) -> ConfigFile:
    path = tmp_path / "billingbot.toml"
    path.write_text(lines, encoding="utf-8")
    return read_file(path)


_SECTION = """
[sign_in]
passwords = false
[sign_in.oidc]
issuer = "https://login.example.com"
client_id = "billingbot"
client_secret_env = "OIDC_TESTS_SECRET"
domains = ["Example.com"]
"""


def test_it_is_configured_by_the_file_and_its_secret_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="expected OIDC_TESTS_SECRET in the environment"):
        read_company_sign_in(_configured(tmp_path, _SECTION))
    monkeypatch.setenv("OIDC_TESTS_SECRET", SECRET)
    found = read_company_sign_in(_configured(tmp_path, _SECTION))
    assert found is not None
    assert (found.domains, found.roles, found.provider.issuer) == (
        frozenset({"example.com"}),
        None,
        "https://login.example.com",
    )
    with pytest.raises(ConfigError, match="issuer: expected an address that begins with https://"):
        read_company_sign_in(_configured(tmp_path, _SECTION.replace("https://", "http://")))
    with pytest.raises(ConfigError, match="roles_claim and roles together"):
        read_company_sign_in(_configured(tmp_path, _SECTION + 'roles_claim = "groups"\n'))
    with pytest.raises(ConfigError, match="domains"):
        _configured(tmp_path, _SECTION.replace('["Example.com"]', "[]"))


def test_without_groups_only_who_was_added_comes_in(provider: Provider, desk: Desk) -> None:
    assert desk.oidc is not None
    plain = replace(desk, oidc=replace(desk.oidc, roles=None), passwords=False)
    with served(make_app(plain, endpoints())) as url, visitor(url) as browser:
        assert "Password" not in browser.get("/sign-in").text
        assert browser.post("/sign-in", data={"who": "Ada", "password": "x"}).status_code == 403
        assert "nobody has added you" in _come_in(browser).text
        people.add(desk, name="Ada", email="ada@example.com", roles=[Role.FINANCE], by="tests")
        assert _come_in(browser).status_code == 303
    assert people.find(desk, "Ada").roles == (Role.FINANCE,)
