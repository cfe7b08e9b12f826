"""Ops in a real browser: from a failing group to a replay that ends, with the money told before."""

from urllib.parse import urlsplit

from billingbot.core.access.powers import Role
from tests.console.browser.looks import look
from tests.console.conftest import BrowserPage, Console
from tests.console.failing import failed_payments


def test_from_a_failing_group_to_a_replay_that_ends(console: Console, browser_page: BrowserPage) -> None:
    shop = console.shop
    failed_payments(shop, 3)
    page = browser_page(Role.OPS)
    page.goto("/jobs")
    look(page, "jobs-failing")
    page.get_by_role("link", name="StripeUnavailableError").click()
    page.get_by_role("table", name="Jobs").get_by_role("link").first.wait_for()
    look(page, "jobs-list")

    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Pay a refund").wait_for()
    assert page.get_by_text("sent = account.stripe.refund(intent)").first.is_visible()
    assert not page.get_by_text("raise mapped(message) from exc").first.is_visible(), "others' calls are folded"
    page.get_by_text("2 calls in httpx").first.click()
    assert page.get_by_text("raise mapped(message) from exc").first.is_visible()
    look(page, "job")

    page.go_back()
    page.get_by_role("link", name="Replay or put away…").wait_for()
    page.keyboard.press("r")
    page.get_by_role("button", name="Replay 3 jobs, may pay 147.00 USD").wait_for()
    look(page, "replay-preview")
    page.keyboard.press("r")
    page.locator("#confirm").get_by_label("Why").fill("Stripe is back")
    page.get_by_label("Name").fill("incident of today")
    page.get_by_label("may be paid").check()
    look(page, "replay-confirm")
    page.get_by_role("button", name="Replay and pay up to 147.00 USD").click()
    page.get_by_text("waits for a worker").wait_for()
    shop.work()
    page.get_by_text("3 of 3").wait_for()
    page.locator("#run .state.done").first.wait_for()
    look(page, "replay-done")
    assert len(shop.stripe.get("/refunds", limit=100)["data"]) == 3

    page.goto("/replays")
    look(page, "replays")


def test_what_ops_look_at_beside_jobs_holds_too(console: Console, browser_page: BrowserPage) -> None:
    shop = console.shop
    trial, charge = shop.charged_trial()
    shop.deliver()
    shop.work()
    shop.usage.down = True
    shop.ask(charge)
    shop.work()
    shop.usage.down = False
    shop.do("watch")
    page = browser_page(Role.OPS)
    unasked: dict[str, bool] = {}
    page.on(
        "request",
        lambda one: (
            unasked.update({urlsplit(one.url).path: "x-unasked" in one.headers})
            if "hx-request" in one.headers
            else None
        ),
    )
    page.goto("/jobs/load")
    look(page, "load")
    page.goto("/events?type=invoice.paid")
    page.get_by_role("table", name="Events").get_by_role("link").first.click()
    page.get_by_text("As Stripe sent it").wait_for()
    look(page, "event")
    page.goto("/sources")
    page.get_by_label("About").fill(trial.customer)
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("table", name="What the sources say").wait_for()
    # What a page asks by itself is no sign of life, what somebody clicked is: sessions end by it.
    assert (unasked["/notices/bell"], unasked["/sources/ask"]) == (True, False)
    look(page, "sources")
    page.goto("/reconcile")
    page.keyboard.press("b")
    page.get_by_role("button", name="Compare now", exact=True).last.click()
    page.get_by_text("A pass has begun").wait_for()
    shop.work()
    page.reload()
    look(page, "reconcile")
