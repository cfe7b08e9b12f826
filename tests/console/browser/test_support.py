"""Support's day in a real browser: from the queue to decided by keys alone, two on one case, a queue that updates."""

import re

import pytest
from playwright.sync_api import Page, expect

from billingbot.core.access.powers import Role
from billingbot.core.case import CaseState
from billingbot.flows.access import sign_in
from billingbot.flows.casework.review import claim, deny
from tests.console.browser.looks import assert_accessible, keep_picture
from tests.console.conftest import BrowserPage, Console
from tests.console.work import all_kinds, in_review
from tests.flows.test_answering import disputed


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_queue_and_every_kind_of_case_are_accessible(
    console: Console, browser_page: BrowserPage, dark: bool
) -> None:
    work = all_kinds(console.shop)
    page = browser_page(Role.SUPPORT, Role.APPROVER, name="Ann", dark=dark)
    look = "dark" if dark else "light"
    for name, path in (
        ("queue", "/queue"),
        ("case", f"/cases/{work.plain}"),
        ("case-repeated", f"/cases/{work.repeated}"),
        ("case-ambiguous", f"/cases/{work.ambiguous}"),
    ):
        page.goto(path)
        assert_accessible(page)
        keep_picture(page, f"support-{name}-{look}")
    page.goto(f"/cases/{work.plain}")
    page.keyboard.press("a")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_accessible(page)
    keep_picture(page, f"support-approve-{look}")


def test_a_case_fits_a_phone(console: Console, browser_page: BrowserPage) -> None:
    [case_id] = in_review(console.shop)
    page = browser_page(Role.APPROVER, phone=True)
    for name, path in (("queue", "/queue"), ("case", f"/cases/{case_id}")):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        assert_accessible(page)
        keep_picture(page, f"support-{name}-phone")


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
    states = sorted(shop.case(case_id).state for case_id in (first, second))
    assert states == [CaseState.CLOSED, CaseState.REFUNDING]


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
    expect(ben.locator("#changed")).to_contain_text("Approved: 49.00 USD by Ann")
    ben.get_by_role("button", name="Deny", exact=True).last.click()
    expect(ben.get_by_role("heading", name="Somebody was faster")).to_be_visible()
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
