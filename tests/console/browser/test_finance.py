"""Finance and disputes in a real browser: each role's main path, by keys."""

from dataclasses import replace

from billingbot.core.access.powers import Role
from billingbot.core.disputes.house_texts import HouseTexts
from billingbot.flows.access import people, sign_in
from tests.console.browser.looks import look
from tests.console.conftest import BrowserPage, Console
from tests.flows.test_answering import disputed, submissions
from tests.flows.test_months import month_at_stripe, refunded, settle


def test_finance_filters_drills_closes_downloads_and_signs(console: Console, browser_page: BrowserPage) -> None:
    refunded(console.shop)
    settle(console.shop)
    month = str(month_at_stripe(console.shop))
    page = browser_page(Role.FINANCE)
    page.goto("/refunds")
    page.get_by_label("that are").select_option("succeeded")
    page.wait_for_url("**/refunds?*state=succeeded*")
    page.get_by_role("link", name="Plots").click()
    page.locator("svg.chart a").first.click()
    page.wait_for_url("**/refunds?*day=*")
    page.get_by_role("link", name="the whole month").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Calls to Stripe").wait_for()
    page.goto("/months")
    page.locator("select[name=month]").select_option(month)
    page.get_by_role("button", name="Read it from Stripe").click()
    page.get_by_text("so far, kind 1 of 4").wait_for()
    console.shop.work()
    page.get_by_text("Ledger, refunds and Stripe agree to the cent.").wait_for()
    page.get_by_text("Download").click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Excel (XLSX)").click()
    assert waiting.value.suggested_filename == f"statement-default-{month}.xlsx"
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    page.get_by_role("dialog").get_by_text("The month is frozen").wait_for()
    page.get_by_role("button", name="Sign and freeze").click()
    page.get_by_text("is signed and frozen").wait_for()


# A person reads 240 words a minute; a minute and a half leaves the rest of two for the way there and the second look.
_WORDS_READ = 240 * 3 // 2
# What stands there to be read: not what is folded, nor what buttons say.
_READ = "it => [...it.querySelectorAll('.buttons, .actions')].map(one => one.hidden = true) && it.innerText"


def test_a_support_person_answers_a_chargeback_by_reading_it_and_a_few_keys(
    console: Console, browser_page: BrowserPage
) -> None:
    """In under two minutes: counted in pages, keys and words, since a busy machine tells no time."""
    texts = HouseTexts(
        product_description="A service that shows a website's advertisements.",
        refund_refusal={"discretion": "The account was used after it had been charged."},
        refund_policy="What was used is not refunded.\n" * 40,
        refund_policy_disclosure="The policy is shown at the checkout, above the button.",
        cancellation_policy="Whoever cancels before the period ends is not charged again.\n" * 40,
        cancellation_policy_disclosure="The policy is shown at the checkout, above the button.",
    )
    console.shop.desk = replace(console.shop.desk, texts=texts)
    _, _, dispute = disputed(console.shop, reason="general")
    people.add(console.shop.desk, name="Sam", email="sam@example.com", roles=[Role.SUPPORT], by="tests")
    page, keys, pages = browser_page(), 0, []
    page.on("framenavigated", lambda frame: pages.append(frame.url))

    def press(*names: str) -> None:
        nonlocal keys
        for name in names:
            page.keyboard.press(name)
            keys += 1

    page.goto(sign_in.link_path(sign_in.make_link(console.shop.desk, "Sam", by="tests")))
    page.get_by_role("button", name="Sign in").press("Enter")
    page.goto("/")  # a first sign-in asks for a password; from here on it is a day like any other
    page.get_by_role("heading", name="Next deadlines").wait_for()
    pages.clear()
    press("g", "d")
    page.get_by_role("heading", name="Disputes", exact=True).wait_for()
    press("j", "Enter")
    page.get_by_text("What the policy thinks").wait_for()
    words = page.locator(".document").evaluate(_READ).split()
    assert len(words) <= _WORDS_READ, f"{len(words)} words are to be read"
    look(page, "dispute-to-be-read")
    press("s")
    page.get_by_role("dialog").get_by_text("Sent once, cannot be changed.").wait_for()
    press("Enter")
    page.get_by_text("The answer is on its way to the bank.").wait_for()
    assert (keys, len(pages)) == (6, 3), pages  # the list, the dispute, and the dispute once it is sent
    console.shop.work()
    held = console.shop.stripe.get(f"/disputes/{dispute}")
    assert (held["status"], submissions(console.shop, dispute)) == ("under_review", 1)
    assert held["evidence"]["access_activity_log"].startswith("Activity of this customer's account")
    page.get_by_text("An answer is with the bank.").wait_for()  # the page tells it by itself
    page.get_by_text("The answer is on its way to the bank.").wait_for()
    assert (len(pages), page.locator("#on-its-way").count()) == (3, 0), "it asks no more"


def test_an_approver_edits_an_answer_in_place(console: Console, browser_page: BrowserPage) -> None:
    _, _, dispute = disputed(console.shop)
    page = browser_page(Role.APPROVER)
    page.goto(f"/disputes/{dispute}")
    article = page.locator("#uncategorized_text")
    article.get_by_text("Edit").click()
    article.get_by_role("textbox").fill("The account was used after the charge.")
    article.get_by_role("button", name="Say this").click()
    page.get_by_text("written by approver").wait_for()
