"""Signing in in a real browser, from the invitation to the second factor, by keys alone; each page looked at."""

import pyotp

from billingbot.core.access.powers import Role
from billingbot.flows.access import people, sign_in
from billingbot.store.database import now
from tests.console.browser.looks import look
from tests.console.conftest import BrowserPage, Console

GOOD = "correct horse battery"


def test_from_the_invitation_to_the_second_factor(console: Console, browser_page: BrowserPage) -> None:
    desk = console.shop.desk
    people.add(desk, name="Ada", email="ada@example.com", roles=[Role.APPROVER], by="tests")
    page = browser_page()
    page.goto(sign_in.link_path(sign_in.make_link(desk, "Ada", by="tests")))
    look(page, "sign-in-link")
    page.get_by_role("button", name="Sign in").press("Enter")
    page.get_by_label("New password").fill(GOOD)
    page.get_by_label("Once more").fill(GOOD)
    look(page, "first-password")
    page.keyboard.press("Enter")
    page.get_by_text("The password is set.").wait_for()
    page.get_by_role("button", name="Set up a second factor").press("Enter")
    secret = page.locator("p", has_text="Secret:").locator("code").inner_text()
    look(page, "second-factor")

    def code(steps: int) -> str:
        with desk.db.begin() as connection:
            return pyotp.TOTP(secret).at(int(now(connection).timestamp()) + 30 * steps)

    page.get_by_label("Code", exact=True).fill(code(-1))
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="The second factor is set up").wait_for()
    look(page, "recovery-codes")
    page.goto("/account")
    look(page, "account")
    page.get_by_role("button", name="Sign out").press("Enter")
    page.get_by_role("heading", name="Sign in").wait_for()
    look(page, "sign-in")
    page.keyboard.type("ada@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type(GOOD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="The code").wait_for()
    look(page, "sign-in-code")
    page.keyboard.type(code(0))
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Overview").wait_for()
