"""The front page and the notices in a real browser: in light, in dark, and on a phone."""

from billingbot.core.access.powers import Role
from billingbot.core.mode import Mode
from tests.console.browser.looks import assert_accessible, keep_picture
from tests.console.browser.test_ops import looked_at
from tests.console.conftest import BrowserPage, Console
from tests.console.failing import failed_payments


def test_the_front_page_is_one_screen_and_rings(console: Console, browser_page: BrowserPage) -> None:
    shop = console.shop
    page = browser_page(Role.APPROVER)
    for _ in range(3):
        shop.ask(shop.charged_trial()[1])
    shop.work()
    failed_payments(shop, 2)
    shop.set_mode(Mode.ASSIST)
    for age in ("2 hours", "20 hours", "2 days"):
        case = shop.ask(shop.charged_trial()[1]).case
        shop.work()
        shop.rows(
            "UPDATE cases SET opened_at = opened_at - CAST(:age AS interval),"
            " due_at = clock_timestamp() + interval '3 hours' - CAST(:age AS interval) WHERE id = :id RETURNING id",
            age=age,
            id=case.id,
        )
    shop.usage.down = True
    shop.ask(shop.charged_trial()[1])
    shop.work()
    shop.do("deadlines")
    shop.do("watch")
    page.goto("/")
    page.locator(".bell-count").wait_for()
    looked_at(page, "front")
    page.locator(".bell").click()
    page.get_by_role("button", name="I have seen them").wait_for()
    looked_at(page, "notices")
    page.get_by_role("button", name="I have seen them").click()
    page.get_by_role("button", name="I have seen them").wait_for(state="detached")

    phone = browser_page(Role.OPS, phone=True)
    phone.goto("/")
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert_accessible(phone)
    keep_picture(phone, "front-phone")
