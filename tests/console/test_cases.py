"""The case page at the console's door: what it shows of each kind of case, and each act with what follows from it."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from billingbot.core.access.powers import Role
from billingbot.core.case import CaseState
from billingbot.core.mode import Mode
from billingbot.flows.casework.review import Act, approve, claim
from billingbot.telling.mail import Mail
from tests.console.conftest import Client, Console, SignedIn
from tests.console.work import all_kinds, in_review
from tests.faults.test_races import at_once
from tests.flows.shop import Shop


def seen(page: str) -> dict[str, str]:
    """What the page's forms carry: the version and the last entry that the person saw."""
    form = page.split('<form id="seen"')[1].split("</form>", maxsplit=1)[0]
    return dict(re.findall(r'name="(version|seq)" value="(\d+)"', form))


def act(client: Client, case_id: str, what: str, **fields: str) -> httpx.Response:
    """Opens the page and presses a button on it."""
    page = client.get(f"/cases/{case_id}").text
    return client.act(f"/cases/{case_id}/{what}", **seen(page), **fields)


def kinds(shop: Shop, case_id: str) -> list[str]:
    return [row.kind for row in shop.rows("SELECT kind FROM ledger_entries WHERE subject = :c ORDER BY seq", c=case_id)]


def test_each_kind_of_case_says_what_is_advised_and_what_stands_in_the_way(
    console: Console, signed_in: SignedIn
) -> None:
    work = all_kinds(console.shop)
    approver = signed_in(Role.APPROVER)
    plain = approver.get(f"/cases/{work.plain}").text
    assert "Advice: Refund 49.00 USD" in plain
    assert "Refund 49.00 USD and cancel the subscription" in plain
    assert "A trial that was never used" in plain
    assert "I never installed it" in plain
    assert 'class="covered"' in plain
    assert "Advice: Decline" in approver.get(f"/cases/{work.used}").text
    large = approver.get(f"/cases/{work.large}").text
    assert "Approve 24,900.00 USD, as the first of two" in large
    assert "a second person approves before money leaves" in large
    disputed = approver.get(f"/cases/{work.disputed}").text
    assert "A chargeback is open" in disputed
    assert "No answer to the bank went out in time" in disputed  # Stripe's clock stands before ours
    assert re.search(r'data-key="a"[^>]*disabled', disputed)
    assert re.search(r'class="button primary" href="/disputes/d[pu]_\w+" data-key="b"', disputed)
    repeated = approver.get(f"/cases/{work.repeated}").text
    assert "the same card" in repeated
    assert 'class="links"' in repeated
    blind = approver.get(f"/cases/{work.blind}").text
    assert "No advice: a person weighs it" in blind
    assert re.search(r'class="gap"><span class="state unknown">unknown</span> [^<]*timed out', blind)
    assert 'class="state unknown"' in blind
    assert "Which charge is meant?" in approver.get(f"/cases/{work.ambiguous}").text
    assert "mode” been auto, not assist" in approver.get(f"/cases/{work.plain}/flips").text
    # What came after the decision speaks louder than the rule that decided, and than the facts of then.
    console.shop.rows("UPDATE cases SET reason = 'could-not-pay' WHERE id = :id RETURNING id", id=work.plain)
    console.shop.rows(
        "UPDATE disputes SET charge_id = (SELECT charge_id FROM cases WHERE id = :id) RETURNING dispute_id",
        id=work.plain,
    )
    returned = approver.get(f"/cases/{work.plain}").text
    assert "the call to Stripe did not get through" in returned
    assert "A trial that was never used" not in returned.partition('aria-labelledby="asked"')[0]
    assert "A chargeback is open" in returned


def test_a_mode_in_which_nothing_leaves_is_said_before_anybody_presses(console: Console, signed_in: SignedIn) -> None:
    [case_id] = in_review(console.shop)
    console.shop.set_mode(Mode.SHADOW)
    page = signed_in(Role.SUPPORT).get(f"/cases/{case_id}").text
    assert "mode is shadow: no refund leaves" in page
    assert re.search(r'data-key="a"[^>]*disabled', page)


def test_an_approval_pays_once_and_the_next_case_is_one_key_away(console: Console, signed_in: SignedIn) -> None:
    shop, support = console.shop, signed_in(Role.SUPPORT)
    [case_id] = in_review(shop)
    answer = act(support, case_id, "approve", reason="as advised")
    assert "Approved: 49.00 USD is on its way back." in answer.text
    assert "Give me the next one" in answer.text
    shop.work()
    shop.assert_paid_once(shop.case(case_id).charge_id or "")
    told = support.get(f"/cases/{case_id}").text
    assert "Refunded" in told
    assert "Call 1 to Stripe, answered accepted" in told


def test_two_who_approve_at_once_pay_once_and_the_slower_is_told_what_happened(
    console: Console, signed_in: SignedIn
) -> None:
    shop = console.shop
    [case_id] = in_review(shop)
    people = [signed_in(Role.SUPPORT, name=name) for name in ("Ann", "Ben")]
    pages = [seen(one.get(f"/cases/{case_id}").text) for one in people]
    acts = [
        lambda one=one, carried=carried: one.act(f"/cases/{case_id}/approve", reason=f"says {one.csrf}", **carried)
        for one, carried in zip(people, pages, strict=True)
    ]
    answers = sorted((answer for answer in at_once(*acts)), key=lambda answer: answer.status_code)  # type: ignore[union-attr] # none raises
    assert [answer.status_code for answer in answers] == [200, 409]  # type: ignore[union-attr] # none raises
    slower = answers[1].text  # type: ignore[union-attr] # none raises
    assert "It has changed meanwhile" in slower
    assert "Approved: 49.00 USD" in slower
    assert "says " in slower
    shop.work()
    shop.assert_paid_once(shop.case(case_id).charge_id or "")


def test_a_large_refund_takes_a_second_person_with_the_role(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    [case_id] = in_review(shop, amount=249_00_00)
    ann, ben, cid = (
        signed_in(Role.SUPPORT, name="Ann"),
        signed_in(Role.SUPPORT, name="Ben"),
        signed_in(Role.APPROVER, name="Cid"),
    )
    assert "waits for a colleague" in act(ann, case_id, "approve", reason="as advised").text
    assert "You have approved it" in ann.get(f"/cases/{case_id}").text
    assert "takes the role approver or admin" in ben.get(f"/cases/{case_id}").text
    assert act(ben, case_id, "approve", reason="me too").status_code == 403
    assert "yours is the second approval" in cid.get(f"/cases/{case_id}").text
    act(cid, case_id, "approve", reason="looked at it too")
    shop.work()
    shop.assert_paid_once(shop.case(case_id).charge_id or "", amount=249_00_00)


def test_a_denial_closes_the_case_with_the_reply_that_was_written(console: Console, signed_in: SignedIn) -> None:
    shop, support = console.shop, signed_in(Role.SUPPORT)
    [case_id] = in_review(shop)
    answer = act(support, case_id, "deny", reason="it was used, says the shop", reply="Hello,\r\nwe cannot.")
    assert "closed without a refund" in answer.text
    case = shop.case(case_id)
    assert (case.state, case.outcome, case.reply) == (CaseState.CLOSED, "denied", "Hello,\nwe cannot.")
    assert act(support, case_id, "deny", reason="again").status_code == 409


def test_a_reply_is_previewed_kept_and_sent_once(console: Console, signed_in: SignedIn) -> None:
    shop, support = console.shop, signed_in(Role.SUPPORT)
    [case_id] = in_review(shop)
    act(support, case_id, "deny", reason="it was used", reply="We cannot.")
    preview = act(support, case_id, "reply", subject="About your refund", text="We <cannot>, sorry.")
    assert "We &lt;cannot&gt;, sorry." in preview.text
    assert "no [mail] is configured" in preview.text
    assert shop.case(case_id).reply == "We <cannot>, sorry."
    assert act(support, case_id, "send").status_code == 403
    console.app.state.desk = replace(shop.desk, mail=Mail(url="smtp://127.0.0.1:9", sender="desk@example.com"))
    assert "The reply is on its way." in act(support, case_id, "send").text
    assert act(support, case_id, "send").status_code == 409
    assert len(shop.rows("SELECT 1 FROM letters")) == 1
    assert "On its way" in support.get(f"/cases/{case_id}").text


def test_a_case_is_claimed_put_off_brought_back_given_away_and_put_back(console: Console, signed_in: SignedIn) -> None:
    shop, support = console.shop, signed_in(Role.SUPPORT)
    [case_id] = in_review(shop)
    console.session(Role.SUPPORT, name="Lou")
    act(support, case_id, "claim")
    assert shop.case(case_id).assignee == "support"
    until = datetime.now(UTC) + timedelta(hours=1)
    assert "Put off" in act(support, case_id, "snooze", until=until.isoformat()).text
    assert "comes back" in support.get(f"/cases/{case_id}").text
    far = (datetime.now(UTC) + timedelta(days=60)).strftime("%Y-%m-%dT%H:%M")
    assert act(support, case_id, "snooze", at=far).status_code == 422
    act(support, case_id, "wake")
    assert act(support, case_id, "assign", to="Max").status_code == 422
    assert "It is with Lou now." in act(support, case_id, "assign", to="lou").text
    act(support, case_id, "release")
    assert shop.case(case_id).assignee is None
    act(support, case_id, "reassess", reason="is it still so?")
    assert shop.case(case_id).state is CaseState.ASSESSING
    assert [kind.removeprefix("case.") for kind in kinds(shop, case_id)[2:]] == [
        "claimed", "snoozed", "woken", "reassigned", "released", "reassessed"
    ]  # fmt: skip


def test_a_note_stands_in_the_story_and_whoever_it_names_has_it_seen_by_opening_the_case(
    console: Console, signed_in: SignedIn
) -> None:
    shop, support, lou = console.shop, signed_in(Role.SUPPORT), signed_in(Role.SUPPORT, name="Lou")
    [case_id] = in_review(shop)
    act(support, case_id, "note", text="@Lou <script>alert(1)</script> is this the one of last week?")
    assert "1 new" in lou.get("/queue").text
    page = lou.get(f"/cases/{case_id}").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "1 new" in lou.get("/queue").text  # a page that was only loaded was not looked at
    assert lou.act(f"/cases/{case_id}/presence", version="1", seq="1").status_code == 200
    assert "1 new" not in lou.get("/queue").text


def test_a_note_on_a_disputed_charge_is_marked_for_the_bank_and_the_mark_taken_away(
    console: Console, signed_in: SignedIn
) -> None:
    shop, support = console.shop, signed_in(Role.SUPPORT)
    work = all_kinds(shop)
    act(support, work.disputed, "note", text="The customer wrote that it works well.")
    [note] = shop.rows("SELECT id FROM notes WHERE case_id = :c", c=work.disputed)
    assert "may be quoted to the bank</small>" in act(support, work.disputed, f"notes/{note.id}", for_bank="yes").text
    assert "may be quoted to the bank</small>" not in act(support, work.disputed, f"notes/{note.id}").text


def test_a_person_says_which_charge_was_meant(console: Console, signed_in: SignedIn) -> None:
    shop, support = console.shop, signed_in(Role.SUPPORT)
    work = all_kinds(shop)
    page = support.get(f"/cases/{work.ambiguous}").text
    [charge, _] = re.findall(r'name="charge" value="(\w+)"', page)
    act(support, work.ambiguous, "charge", charge=charge)
    shop.work()
    assert shop.case(work.ambiguous).charge_id == charge
    assert act(support, work.ambiguous, "charge", charge=charge).status_code == 409


def test_two_people_on_one_case_see_each_other_and_what_the_other_did(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    [case_id] = in_review(shop)
    ann, ben = signed_in(Role.SUPPORT, name="Ann"), signed_in(Role.FINANCE, name="Ben")
    carried = seen(ann.get(f"/cases/{case_id}").text)
    ben.act(f"/cases/{case_id}/presence", **carried)
    ann.act(f"/cases/{case_id}/presence", doing="writing", **carried)
    assert "Ann is writing" in ben.act(f"/cases/{case_id}/presence", **carried).text
    quiet = ann.act(f"/cases/{case_id}/presence", **carried).text
    assert "Ben is looking" in quiet
    assert "has changed" not in quiet
    claim(shop.desk, shop.person(case_id, "Cid"))
    assert "Claimed by Cid" in ann.act(f"/cases/{case_id}/presence", **carried).text


def test_two_who_share_a_card_are_said_not_to_be_one_person_and_it_is_taken_back(
    console: Console, signed_in: SignedIn
) -> None:
    shop, support = console.shop, signed_in(Role.SUPPORT)
    work = all_kinds(shop)
    page = support.get(f"/cases/{work.repeated}").text
    tie = re.findall(r'name="tie" value="(card [^"]+)"', page)[0]
    marked = act(support, work.repeated, "unlink", tie=tie, why="a family's card")
    assert "Marked as not the same person" in marked.text
    assert "a family&#39;s card" in marked.text
    assert "The mark is taken back" in act(support, work.repeated, "relink", tie=tie, why="it is, after all").text
    assert act(support, work.repeated, "unlink", tie="card x", why="?").status_code == 422


def test_who_may_not_decide_sees_everything_and_does_nothing(console: Console, signed_in: SignedIn) -> None:
    shop, finance = console.shop, signed_in(Role.FINANCE)
    [case_id] = in_review(shop)
    page = finance.get(f"/cases/{case_id}").text
    assert "You may look." in page
    for what, fields in {
        "claim": {}, "approve": {"reason": "x"}, "deny": {"reason": "x"}, "note": {"text": "x"},
        "reassess": {"reason": "x"}, "assign": {"to": "x"}, "charge": {"charge": "ch_1"}, "send": {},
    }.items():  # fmt: skip
        assert act(finance, case_id, what, **fields).status_code == 403, what
    assert shop.case(case_id).state is CaseState.REVIEW
    assert kinds(shop, case_id)[-1] == "case.decided"


def test_a_request_is_put_in_a_customers_name(console: Console, signed_in: SignedIn) -> None:
    shop, support = console.shop, signed_in(Role.SUPPORT)
    _, charge = shop.charged_trial()
    form = {"account": "default", "named_by": "charge", "named": charge, "unused": "yes", "text": "by phone"}
    page = support.act("/cases/new", **form).text
    assert "by phone" in page
    assert "being assessed" in page
    shop.work()
    assert [case.outcome for case in shop.cases_of(charge)] == ["refunded"]
    assert signed_in(Role.OPS).act("/cases/new", **form).status_code == 403
    assert support.act("/cases/new", **(form | {"named": "what?"})).status_code == 422


def test_the_explanation_holds_then_and_now_and_under_another_policy(console: Console, signed_in: SignedIn) -> None:
    [case_id] = in_review(console.shop)
    reader = signed_in(Role.FINANCE)
    page = reader.get(f"/cases/{case_id}/explanation")
    assert "the same again, byte for byte" in page.text
    under = reader.get(f"/cases/{case_id}/explanation", params={"policy": "2026-11"})
    assert "Under anytrack-refunds 2026-11: the same" in under.text
    assert reader.get(f"/cases/{case_id}/explanation", params={"at": "2020-01-01T00:00"}).status_code == 404
    assert reader.get(f"/cases/{case_id}/explanation", params={"at": "soon"}).status_code == 422


def test_a_charge_has_one_address_with_all_that_was_made_of_it(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    [case_id] = in_review(shop)
    charge = shop.case(case_id).charge_id or ""
    approve(shop.desk, Act(case_id=case_id, by="kim"), reason="as advised")
    shop.work()
    shop.deliver()
    shop.work()
    reader = signed_in(Role.FINANCE)
    page = reader.get(f"/charges/{charge}").text
    assert f"/cases/{case_id}" in page
    assert "Where the money was" in page
    assert "it is with us" in page
    assert "succeeded" in page
    assert "charge.succeeded" in page
    assert reader.get("/charges/ch_nowhere").status_code == 404


@pytest.mark.parametrize("path", ["/cases/case_nobody", "/cases/case_nobody/explanation", "/cases/case_nobody/flips"])
def test_a_case_that_there_is_not_is_said_to_be_none(signed_in: SignedIn, path: str) -> None:
    assert signed_in(Role.SUPPORT).get(path).status_code == 404
