"""Settings in a real browser: each page looked at by axe in light and dark, and kept as a picture."""

import pytest

from billingbot.core.access.powers import Role
from billingbot.flows.switch import create_key
from tests.console.browser.looks import assert_accessible, keep_picture
from tests.console.conftest import BrowserPage, Console
from tests.flows.test_privacy import EMAIL


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_settings_are_accessible(console: Console, browser_page: BrowserPage, dark: bool) -> None:
    look = "dark" if dark else "light"
    create_key(console.shop.desk, "product", by="tests")
    console.shop.charged_trial(email=EMAIL)
    console.shop.deliver()
    page = browser_page(Role.ADMIN, name="Ada", dark=dark)
    page.goto("/settings")
    page.get_by_label("Name, as the ledger").fill("Grace")
    page.get_by_role("checkbox", name="support").check()
    page.get_by_role("button", name="Add and show the link").press("Enter")
    page.get_by_role("heading", name="The link for Grace").wait_for()
    assert_accessible(page)
    for name in ("people", "keys", "modes", "privacy"):
        page.goto(f"/settings/{name}")
        assert_accessible(page)
        keep_picture(page, f"settings-{name}-{look}")
    page.get_by_label("Their e-mail address").fill(EMAIL)
    page.get_by_role("button", name="Look").click()
    page.get_by_role("heading", name="Looking").wait_for()
    assert_accessible(page)
    console.shop.work()
    page.get_by_role("heading", name="Kept of").wait_for()  # by itself, as the page asks
    assert_accessible(page)
    keep_picture(page, f"settings-privacy-found-{look}")
    page.goto("/settings/people")
    page.get_by_role("link", name="Grace").click()
    page.get_by_role("button", name="Keep out").click()
    page.get_by_role("heading", name="Keep Grace out?").wait_for()
    assert_accessible(page)
    keep_picture(page, f"settings-person-{look}")
    page.get_by_role("dialog").get_by_role("button", name="Keep out").click()
    page.get_by_text("Grace is kept out").wait_for()


def test_settings_fit_a_phone(browser_page: BrowserPage) -> None:
    page = browser_page(Role.ADMIN, name="Ada", phone=True)
    for name in ("people", "keys", "modes"):
        page.goto(f"/settings/{name}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
