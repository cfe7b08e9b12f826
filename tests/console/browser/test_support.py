"""Support's day in a real browser: from the queue to decided by keys alone, two on one case, a queue that updates."""

import re

from playwright.sync_api import Page, expect

from billingbot.core.access.powers import Role
from billingbot.flows.access import sign_in
from billingbot.flows.casework.review import claim, deny
from tests.console.conftest import BrowserPage, Console
from tests.console.work import in_review
from tests.flows.test_answering import disputed


def test_from_sign_in_to_decided_by_keys_alone(console: Console, browser_page: BrowserPage) -> None:
    shop = console.shop
    first, second = in_review(shop, 2)
    console.session(Role.SUPPORT, name="Ann")
    page = browser_page()
    page.goto(sign_in.link_path(sign_in.make_link(shop.desk, "Ann", by="tests")))
    page.keyboard.press("Tab")
    page.locator("form button").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/$"))
    page.keyboard.press("g")
    page.keyboard.press("q")
    page.wait_for_url(re.compile(r"/queue$"))
    page.keyboard.press("n")
    page.wait_for_url(re.compile(r"/cases/case_"))
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    expect(page.locator("#messages").get_by_text("is on its way back")).to_be_visible()
    expect(page.get_by_role("button", name="Give me the next one")).to_be_focused()
    for _ in range(3):  # as the money moves, the page is read anew, more than once
        shop.work()
        shop.deliver()
    expect(page.get_by_role("heading", name="Refunded")).to_be_visible()
    expect(page.locator("#messages").get_by_text("is on its way back")).to_be_visible()
    expect(page.get_by_role("button", name="Give me the next one")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Advice: Refund 49.00 USD")).to_be_visible()
    page.keyboard.press("n")
    page.keyboard.type("called, and agrees")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#messages").get_by_text("Noted.")).to_be_visible()
    page.keyboard.press("d")
    page.keyboard.type("the customer changed their mind")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Denied by a person")).to_be_visible()
    assert {shop.case(case_id).outcome for case_id in (first, second)} == {"refunded", "denied"}


def test_two_browsers_race_on_one_case_and_the_slower_loses_nothing_it_typed(
    console: Console, browser_page: BrowserPage
) -> None:
    shop = console.shop
    [case_id] = in_review(shop)
    ann, ben = browser_page(Role.SUPPORT, name="Ann"), browser_page(Role.SUPPORT, name="Ben")
    for page in (ann, ben):
        page.goto(f"/cases/{case_id}")
    expect(ann.get_by_text("Ben is looking")).to_be_visible()
    ben.keyboard.press("d")
    ben.keyboard.type("they used it, I saw the hits")
    ben.get_by_role("textbox", name=re.compile("Reply to the customer")).focus()
    expect(ann.get_by_text("Ben is writing")).to_be_visible()
    ann.keyboard.press("a")
    ann.keyboard.press("Enter")
    expect(ann.locator("#messages").get_by_text("is on its way back")).to_be_visible()
    expect(ben.get_by_text("Approved: 49.00 USD by Ann")).to_be_visible()
    ben.get_by_role("button", name="Deny", exact=True).last.click()
    expect(ben.get_by_role("heading", name="It has changed meanwhile")).to_be_visible()
    expect(ben.get_by_label("Reason to deny")).to_have_value("they used it, I saw the hits")
    shop.work()
    shop.assert_paid_once(shop.case(case_id).charge_id or "")


def at_row(page: Page) -> str:
    return str(page.locator("#list tr.at").get_attribute("data-row"))


def test_the_queue_updates_itself_and_does_not_move_under_the_cursor(
    console: Console, browser_page: BrowserPage
) -> None:
    shop = console.shop
    opened = in_review(shop, 3)
    page = browser_page(Role.SUPPORT, name="Ann")
    page.goto("/queue")
    rows = page.locator("#list tr[data-row]")
    expect(rows).to_have_count(3)
    page.keyboard.press("j")
    page.keyboard.press("j")
    chosen = at_row(page)
    [gone, *_] = [case_id for case_id in opened if case_id != chosen]
    claim(shop.desk, shop.person(chosen, "Ben"))
    expect(page.locator(f"tr[data-row={chosen}]")).to_contain_text("Ben")
    deny(shop.desk, shop.person(gone, "Ben"), reason="it was used", reply=None)
    expect(rows).to_have_count(2)
    [new] = in_review(shop)
    expect(page.locator("#fresh")).to_have_text("1 new case — show")
    expect(rows).to_have_count(2)
    assert at_row(page) == chosen
    expect(page.get_by_role("link", name=re.compile("^Waiting"))).to_contain_text("3")
    page.locator("#fresh").click()
    expect(page.locator(f"tr[data-row={new}]")).to_be_visible()
    page.wait_for_load_state("load")
    page.keyboard.press("j")
    page.keyboard.press("j")  # the first row is with Ben
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Advice: Refund 49.00 USD")).to_be_visible()
    assert [shop.case(case_id).assignee for case_id in [*opened, new]].count("Ann") == 1


def test_the_list_of_disputes_updates_itself_and_does_not_move_under_the_cursor(
    console: Console, browser_page: BrowserPage
) -> None:
    shop = console.shop
    _, _, first = disputed(shop)
    page = browser_page(Role.SUPPORT, name="Ann")
    page.goto("/disputes")
    rows = page.locator("#list tr[data-row]")
    expect(rows).to_have_count(1)
    page.keyboard.press("j")
    disputed(shop)
    expect(page.locator("#fresh")).to_have_text("1 new dispute — show")
    expect(rows).to_have_count(1)
    shop.stripe.move_dispute(first, "lost")
    shop.deliver()
    shop.work()
    expect(page.locator("#list tr.gone")).to_have_count(1)
    assert at_row(page) == f"default/{first}"
    page.locator("#fresh").click()
    expect(page.locator("#list tr.gone")).to_have_count(0)
    expect(rows).to_have_count(1)
