"""The frame of every page, in a real browser: its keys."""

from billingbot.core.access.powers import Role
from tests.console.browser.looks import look
from tests.console.conftest import BrowserPage


def test_keys_lead_to_the_search_and_to_pages_and_tell_what_they_do(browser_page: BrowserPage) -> None:
    page = browser_page(Role.SUPPORT)
    page.goto("/search")
    page.keyboard.press("/")
    page.keyboard.type("case_nobody")
    page.keyboard.press("Enter")
    page.get_by_text("Nothing was found.").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.get_by_role("dialog").get_by_text("next, previous row").is_visible()
    look(page, "keys")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.get_by_role("heading", name="Overview").wait_for()
