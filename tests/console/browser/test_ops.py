"""Ops in a real browser: from a failing group to a replay that ends, with the money told before."""

from playwright.sync_api import Page

from billingbot.core.powers import Role
from tests.console.browser.looks import assert_accessible, keep_picture
from tests.console.conftest import BrowserPage, Console
from tests.console.failing import failed_payments


def looked_at(page: Page, name: str) -> None:
    """The page holds in light and in dark."""
    for tone in ("dark", "light"):
        page.emulate_media(color_scheme=tone)  # type: ignore[arg-type]  # two of its three words
        assert_accessible(page)
        keep_picture(page, f"{name}-{tone}")


def test_from_a_failing_group_to_a_replay_that_ends(console: Console, browser_page: BrowserPage) -> None:
    shop = console.shop
    failed_payments(shop, 3)
    page = browser_page(Role.OPS)
    page.goto("/jobs")
    looked_at(page, "jobs-failing")
    page.get_by_role("link", name="StripeUnavailableError").click()
    page.get_by_role("table", name="Jobs").get_by_role("link").first.wait_for()
    looked_at(page, "jobs-list")

    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Submit").wait_for()
    assert page.get_by_text("sent = account.stripe.refund(intent)").first.is_visible()
    assert not page.get_by_text("raise mapped(message) from exc").first.is_visible(), "others' calls are folded"
    page.get_by_text("2 calls in httpx").first.click()
    assert page.get_by_text("raise mapped(message) from exc").first.is_visible()
    looked_at(page, "job")

    page.go_back()
    page.get_by_role("link", name="Replay…").wait_for()
    page.keyboard.press("r")
    page.get_by_role("button", name="Replay 3 jobs, may pay 147.00 USD").wait_for()
    looked_at(page, "replay-preview")
    page.keyboard.press("r")
    page.get_by_label("Why").fill("Stripe is back")
    page.get_by_label("Name").fill("incident of today")
    page.get_by_label("may be paid").check()
    looked_at(page, "replay-confirm")
    page.get_by_role("button", name="Replay and pay up to 147.00 USD").click()
    page.get_by_text("waits for a worker").wait_for()
    shop.work()
    page.get_by_text("3 of 3").wait_for()
    page.locator("#run .state.done").first.wait_for()
    looked_at(page, "replay-done")
    assert len(shop.stripe.get("/refunds", limit=100)["data"]) == 3

    page.goto("/replays")
    looked_at(page, "replays")
