"""The frame of every page, in a real browser: keys, accessibility, light and dark, and a phone."""

import pytest

from billingbot.core.access.powers import Role
from tests.console.browser.looks import assert_accessible, keep_picture
from tests.console.conftest import BrowserPage


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_frame_is_accessible(browser_page: BrowserPage, dark: bool) -> None:
    page = browser_page(Role.ADMIN, dark=dark)
    page.goto("/")
    assert_accessible(page)
    keep_picture(page, f"overview-{'dark' if dark else 'light'}")


def test_it_fits_a_phone(browser_page: BrowserPage) -> None:
    page = browser_page(Role.APPROVER, phone=True)
    page.goto("/search")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert_accessible(page)
    keep_picture(page, "search-phone")


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
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.get_by_role("heading", name="Overview").wait_for()
