"""The queue at the console's door: lists by address, taking cases, keeping lists, and who may what."""

import re

import pytest

from billingbot.core.access.powers import Role
from billingbot.core.case import Doing
from billingbot.flows.access import people
from billingbot.flows.casework.review import claim, deny, note
from billingbot.flows.casework.snooze import snooze
from billingbot.store import visits
from tests.console.conftest import Client, Console, SignedIn
from tests.console.work import all_kinds, in_review


def listed(page: str) -> list[str]:
    return re.findall(r'data-row="(case_\w+)"', page)


def tabs(page: str) -> dict[str, str]:
    return dict(re.findall(r">(\w[\w ]*) <span class=\"count\">([\d,+]+)</span>", page))


def test_the_queue_is_sorted_by_due_time_and_its_filters_are_its_address(console: Console, signed_in: SignedIn) -> None:
    shop, support = console.shop, signed_in(Role.SUPPORT)
    work = all_kinds(shop)
    claim(shop.desk, shop.person(work.repeated, "Support-Lou"))
    everything = support.get("/queue").text
    assert listed(everything)[:2] == [work.used, work.disputed]
    assert len(listed(everything)) == 7
    assert tabs(everything) == {
        "Waiting": "7", "Mine": "0", "Unassigned": "6", "Overdue": "1", "Put off": "0", "Closed today": "0"
    }  # fmt: skip
    assert "25,145.00" in everything
    for query, expected in (
        ("who=nobody&overdue=yes", [work.used]),
        ("disputed=yes", [work.disputed]),
        ("reason=repeat-trial", [work.repeated]),
        ("priority=urgent", [work.disputed]),
        ("amount_from=1000&currency=usd", [work.large]),
        ("account=default&reason=evidence-incomplete", [work.blind]),
        ("currency=eur", []),
        ("who=mine", []),
    ):
        assert listed(support.get(f"/queue?{query}").text) == expected, query
    assert "bank: " in everything
    shop.rows("UPDATE disputes SET status = 'under_review', submission_count = 1 RETURNING dispute_id")
    assert "bank: " not in support.get("/queue").text, "a bank that has its answer sets no deadline"


@pytest.mark.parametrize(
    "query",
    [
        "amount_from=10",
        "amount_from=much&currency=usd",
        "who=somebody",
        "priority=later",
        "after=x",
        "currency=EURO",
    ],
)
def test_an_address_that_means_nothing_says_what_was_expected(signed_in: SignedIn, query: str) -> None:
    answer = signed_in(Role.SUPPORT).get(f"/queue?{query}")
    assert answer.status_code == 422
    assert "expected" in answer.text or "match" in answer.text or "Input should" in answer.text


def test_what_is_put_off_and_what_was_closed_today_have_tabs_of_their_own(
    console: Console, signed_in: SignedIn
) -> None:
    shop, support = console.shop, signed_in(Role.SUPPORT)
    first, second, third = in_review(shop, 3)
    due_at = shop.case(first).due_at
    assert due_at is not None
    snooze(shop.desk, shop.person(first), due_at)
    deny(shop.desk, shop.person(second), reason="it was used", reply=None)
    assert listed(support.get("/queue").text) == [third]
    assert listed(support.get("/queue?show=snoozed").text) == [first]
    assert listed(support.get("/queue?show=closed").text) == [second]


def test_pages_follow_each_other_without_a_gap(console: Console, signed_in: SignedIn) -> None:
    shop, support = console.shop, signed_in(Role.FINANCE)
    in_review(shop, 3)
    # The same cases many times over: what a page shows is read from their rows alone.
    shop.write(
        "INSERT INTO cases (id, account, livemode, state, priority, due_at, amount_minor, currency)"
        " SELECT 'case_' || lpad(n::text, 26, '0'), 'default', false, 'review', 'normal',"
        " CASE WHEN n % 3 = 0 THEN NULL ELSE now() + make_interval(hours => n % 7) END, 100, 'eur'"
        " FROM generate_series(1, 120) n"
    )
    seen: list[str] = []
    address = "/queue"
    for _ in range(5):
        page = support.get(address).text
        seen += listed(page)
        following = re.search(r'href="(/queue\?[^"]*after=[^"]+)" rel="next"', page)
        if following is None:
            break
        address = following.group(1).replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 123


def test_the_next_case_is_opened_and_nothing_more_is_said_kindly(console: Console, signed_in: SignedIn) -> None:
    support = signed_in(Role.SUPPORT)
    [case_id] = in_review(console.shop)
    came = support.post("/queue/next", data={"csrf": support.csrf}, follow_redirects=False)
    assert (came.status_code, came.headers["location"]) == (303, f"/cases/{case_id}")
    assert console.shop.case(case_id).assignee == "support"
    assert "Nothing waits that you could take" in support.act("/queue/next").text


def test_several_are_taken_at_once_and_the_page_says_of_which_it_could_not(
    console: Console, signed_in: SignedIn
) -> None:
    shop, support = console.shop, signed_in(Role.SUPPORT)
    opened = in_review(shop, 3)
    claim(shop.desk, shop.person(opened[0], "Lou"))
    answer = support.post("/queue/claim", data={"csrf": support.csrf, "case": opened, "back": "who=anybody"})
    assert "Yours now: 2." in answer.text
    assert "Lou has it already" in answer.text
    released = support.post("/queue/release", data={"csrf": support.csrf, "case": opened[1:]})
    assert "Back in the queue: 2." in released.text


def test_lists_are_kept_opened_by_whoever_has_the_address_and_forgotten(console: Console, signed_in: SignedIn) -> None:
    support, finance = signed_in(Role.SUPPORT), signed_in(Role.FINANCE)
    work = all_kinds(console.shop)
    kept = support.act("/queue/views", name="Large ones", query="amount_from=1000&currency=usd")
    assert "Kept as “Large ones”" in kept.text
    assert listed(kept.text) == [work.large]
    [view] = console.shop.rows("SELECT id FROM queue_views")
    assert listed(finance.get(f"/queue/views/{view.id}").text) == [work.large]
    assert finance.act(f"/queue/views/{view.id}/drop").status_code == 404
    support.act(f"/queue/views/{view.id}/drop")
    assert support.get(f"/queue/views/{view.id}").status_code == 404


def test_who_only_reads_is_shown_no_button_and_refused_where_they_ask(console: Console, signed_in: SignedIn) -> None:
    finance: Client = signed_in(Role.FINANCE)
    [case_id] = in_review(console.shop)
    page = finance.get("/queue").text
    assert case_id in page
    assert "Give me the next one" not in page
    assert "Claim" not in page
    assert finance.act("/queue/next").status_code == 403
    assert finance.post("/queue/claim", data={"csrf": finance.csrf, "case": [case_id]}).status_code == 403


def test_the_list_says_who_has_a_case_open_and_the_tab_who_is_asked_for(console: Console, signed_in: SignedIn) -> None:
    shop, support = console.shop, signed_in(Role.SUPPORT)
    [case_id] = in_review(shop)
    people.add(shop.desk, name="Anna", email=None, roles=[Role.SUPPORT], by="tests")
    with shop.desk.db.begin() as connection:
        visits.here(connection, case_id, "Anna", Doing.WRITING)
        visits.here(connection, case_id, "support", Doing.LOOKING)
    rows = support.get("/queue/rows").text
    assert "Anna writes" in rows
    assert "support looks" not in rows
    note(shop.desk, shop.person(case_id, "Anna"), "@support please look <b>closely</b>")
    assert "1 new" in support.get("/queue").text
    told = support.get("/mentions").text
    assert "please look &lt;b&gt;closely&lt;/b&gt;" in told
