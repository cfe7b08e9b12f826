"""Fixtures of the console's tests: a shop with a console before it, people who are signed in, and a real browser."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from billingbot.core.access.powers import Role
from billingbot.flows.access import people, sign_in
from billingbot.web.app import make_app
from billingbot.web.console.visit import COOKIE
from tests.calls import tls
from tests.console.browser.looks import DESK, PHONE, WATCH
from tests.flows.conftest import shop as shop  # noqa: PLC0414  # pytest finds the fixture by this name
from tests.flows.shop import Shop
from tests.web.street import endpoints, served

CHROMIUM: Final = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
# As root Chromium wants no sandbox; the rest keeps it from calling home, which fails slowly without a network.
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Client(httpx.Client):
    """Somebody's browser without a screen: posts carry the mark of the session, as the pages' forms do."""

    csrf: str = ""

    def act(self, path: str, **fields: str) -> httpx.Response:
        """Sends a form."""
        return self.post(path, data={"csrf": self.csrf, **fields})


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """The running console of a shop."""

    shop: Shop
    url: str
    app: FastAPI

    def session(self, *roles: Role, name: str) -> str:
        """Signs somebody in who has these roles; the secret of the session's cookie."""
        desk = self.shop.desk
        known = {person.name for person in people.everybody(desk)}
        if name not in known:
            people.add(desk, name=name, email=None, roles=roles, by="tests")
        return sign_in.by_link(desk, sign_in.make_link(desk, name, by="tests")).secret


@pytest.fixture
def console(shop: Shop) -> Iterator[Console]:
    """A console before the shop, on a real server."""
    app = make_app(shop.desk, endpoints())
    with served(app) as url:
        yield Console(shop=shop, url=url, app=app)


@pytest.fixture
def stranger(console: Console) -> Iterator[Client]:
    """Nobody whom we know."""
    with Client(base_url=console.url, timeout=30, verify=tls()) as client:
        yield client


SignedIn = Callable[..., Client]


@pytest.fixture
def signed_in(console: Console) -> Iterator[SignedIn]:
    """`signed_in(Role.SUPPORT)`: a client who came in through the door with these roles."""
    with ExitStack() as stack:

        def come(*roles: Role, name: str | None = None) -> Client:
            secret = console.session(*roles, name=name or "-".join(roles))
            client = stack.enter_context(Client(base_url=console.url, timeout=30, verify=tls(), follow_redirects=True))
            client.cookies.set(COOKIE, secret)
            found = re.search(r'"X-CSRF-Token": "(\w+)"', client.get("/").text)
            assert found, "every page carries the mark"
            client.csrf = found.group(1)
            return client

        yield come


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real browser, where this machine has one.

    For one module at a time: while Playwright runs, its event loop counts as running in this thread, and no other
    test could start one.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (install the package `chromium` to run the browser tests)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        yield browser
        browser.close()


BrowserPage = Callable[..., Page]


@pytest.fixture
def browser_page(console: Console, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserPage]:
    """`browser_page(Role.OPS)`: a page of a browser of their own. What its console complains of fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(*roles: Role, name: str | None = None, dark: bool = False, phone: bool = False) -> Page:
        size = PHONE if phone else DESK
        context = chromium.new_context(
            base_url=console.url, viewport=size, color_scheme="dark" if dark else "light", reduced_motion="reduce"
        )
        contexts.append(context)
        if roles:
            secret = console.session(*roles, name=name or "-".join(roles))
            context.add_cookies([{"name": COOKIE, "value": secret, "url": console.url}])
        context.add_init_script(WATCH)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda fault: complaints.append(str(fault)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    # A refusal that a test asked for is told as an error too; everything else is one.
    real = [said for said in complaints if not re.search(r"status of (4\d\d|503)", said)]
    assert not real, real
