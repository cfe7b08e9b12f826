"""Settings in a real browser: each page looked at."""

from billingbot.core.access.powers import Role
from billingbot.flows.switch import create_key
from tests.console.browser.looks import look, see
from tests.console.conftest import BrowserPage, Console
from tests.flows.test_privacy import EMAIL


def test_settings(console: Console, browser_page: BrowserPage) -> None:
    create_key(console.shop.desk, "product", by="tests")
    console.shop.charged_trial(email=EMAIL)
    console.shop.deliver()
    page = browser_page(Role.ADMIN, name="Ada")
    page.goto("/settings")
    page.get_by_label("Name, as the ledger").fill("Grace")
    page.get_by_role("checkbox", name="support").check()
    page.get_by_role("button", name="Add and show the link").press("Enter")
    page.get_by_role("heading", name="The link for Grace").wait_for()
    look(page, "settings-link")
    for name in ("people", "sessions", "keys", "modes", "privacy"):
        look(page, f"settings-{name}", f"/settings/{name}")
    page.get_by_label("Their e-mail address").fill(EMAIL)
    page.get_by_role("button", name="Look").click()
    page.get_by_role("heading", name="Looking").wait_for()
    see(page, "settings-privacy-looking")
    console.shop.work()
    page.get_by_role("heading", name="Kept of").wait_for()  # by itself, as the page asks
    look(page, "settings-privacy-found")
    page.goto("/settings/people")
    page.get_by_role("link", name="Grace").click()
    page.get_by_role("button", name="Keep out").click()
    page.get_by_role("heading", name="Keep Grace out?").wait_for()
    look(page, "settings-person-kept-out")
    page.get_by_role("dialog").get_by_role("button", name="Keep out").click()
    page.get_by_text("Grace is kept out").wait_for()
