"""An admin in a real browser: a candidate is checked, tried on the past, and published for good."""

from billingbot.core.access.powers import Role
from billingbot.flows.policy.shadow import start_shadow
from tests.console.browser.looks import look, see
from tests.console.conftest import BrowserPage, Console
from tests.console.test_policy import stricter
from tests.flows.test_reconcile import charges_at_once
from tests.flows.test_shadow import strict


def test_an_admin_tries_a_policy_on_the_past_and_publishes_it(console: Console, browser_page: BrowserPage) -> None:
    shop = console.shop
    first, second = charges_at_once(shop, 2)
    shop.ask(first)
    shop.work()
    start_shadow(shop.desk, strict(shop), by="Ada", why="a lower limit")
    shop.ask(second)
    shop.work()
    shop.do("shadow")
    page = browser_page(Role.ADMIN)
    look(page, "policy-shadow", "/policy/shadow")
    page.goto("/policy/now")
    look(page, "policy-version")
    page.get_by_role("link", name="Publish").click()
    page.get_by_label("Text;").fill(stricter(shop))
    page.get_by_role("button", name="Check it").click()
    page.get_by_role("heading", name="to be published").wait_for()
    look(page, "policy-candidate")

    page.get_by_role("button", name="Backtest").click()
    page.locator("#backtest progress").wait_for()
    see(page, "policy-backtest-running")
    shop.work()
    page.get_by_role("heading", name="cases go another way").wait_for()
    look(page, "policy-backtest")

    page.keyboard.press("p")
    page.get_by_role("heading", name="to be published").wait_for()
    page.keyboard.press("p")
    page.get_by_label("Why it changes").fill("a lower limit")
    look(page, "policy-confirm")
    page.get_by_role("button", name="Publish strict for good").click()
    page.get_by_text("Version strict is published.").wait_for()
    look(page, "policy-backtests", "/policy/backtests")
    look(page, "policy-versions", "/policy")
    page.get_by_role("link", name="in words").first.click()
    page.get_by_role("heading", name="to strict").wait_for()
    look(page, "policy-diff")
