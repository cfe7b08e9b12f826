"""The front page and the notices in a real browser."""

from billingbot.core.access.powers import Role
from billingbot.core.mode import Mode
from tests.console.browser.looks import look
from tests.console.conftest import BrowserPage, Console
from tests.console.failing import failed_payments


def test_the_front_page_is_one_screen_and_rings(console: Console, browser_page: BrowserPage) -> None:
    shop = console.shop
    page = browser_page(Role.APPROVER)
    failed_payments(shop, 2)
    trials = [shop.start_trial() for _ in range(7)]
    shop.end_trials()
    charges = [shop.last_charge(trial) for trial in trials]
    for charge in charges[:3]:
        shop.ask(charge)
    shop.work()
    shop.set_mode(Mode.ASSIST)
    for charge, age in zip(charges[3:], ("2 hours", "20 hours", "2 days"), strict=False):
        case = shop.ask(charge).case
        shop.work()
        shop.write(
            "UPDATE cases SET opened_at = opened_at - CAST(:age AS interval),"
            " due_at = clock_timestamp() + interval '3 hours' - CAST(:age AS interval) WHERE id = :id",
            age=age,
            id=case.id,
        )
    shop.usage.down = True
    shop.ask(charges[6])
    shop.work()
    shop.do("deadlines")
    shop.do("watch")
    page.goto("/")
    page.locator(".bell-count").wait_for()
    look(page, "front")
    page.locator(".bell").click()
    page.get_by_role("button", name="I have seen them").wait_for()
    look(page, "notices")
    page.get_by_role("button", name="I have seen them").click()
    page.get_by_role("button", name="I have seen them").wait_for(state="detached")
