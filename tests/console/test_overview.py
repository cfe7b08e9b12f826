"""The front page and the notices: today's money, what is not well, and what each person has not seen."""

import sqlalchemy as sa

from billingbot.core.access.powers import Role
from billingbot.core.mode import Mode
from tests.console.conftest import Console, SignedIn
from tests.console.failing import failed_payments
from tests.console.test_ops import text


def test_a_day_is_told_in_one_screen(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    shop.ask(shop.charged_trial()[1])
    shop.work()
    shop.set_mode(Mode.ASSIST)
    waiting = shop.ask(shop.charged_trial()[1]).case
    shop.work()
    shop.do("watch")
    told = text(signed_in(Role.SUPPORT).get("/"))
    assert "Everything answers, and nothing is failing" in told
    assert "49.00 USD 1 refund, by the machine" in told
    assert "1 case waits for a person, none overdue" in told
    assert "Median decision time is" in told
    assert f"/cases/{waiting.id}" in signed_in(Role.SUPPORT).get("/").text
    assert "default assist" in told
    assert "Second approvals wanted" not in told
    assert "Second approvals wanted 0" in text(signed_in(Role.APPROVER).get("/"))


def test_what_is_not_well_is_said_with_the_way_to_it(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    failed_payments(shop, 2)
    shop.usage.down = True
    shop.ask(shop.charged_trial()[1])
    shop.work()
    page = signed_in(Role.OPS).get("/")
    told = text(page)
    assert "The scheduler is silent" in told
    assert "tag-hits is silent since" in told
    assert "2 jobs have failed and wait for a person, the last with: no answer (ReadTimeout)" in told
    assert 'href="/jobs"' in page.text


def test_an_empty_house_says_so(console: Console, signed_in: SignedIn) -> None:
    told = text(signed_in(Role.FINANCE).get("/"))
    assert "No case waits for a person" in told
    assert "No case was decided this month yet" in told
    assert "Nothing is due." in told


def test_notices_ring_for_each_person_until_they_have_seen_them(console: Console, signed_in: SignedIn) -> None:
    shop = console.shop
    ops, finance = signed_in(Role.OPS), signed_in(Role.FINANCE)
    shop.set_mode(Mode.ASSIST)
    case, _ = [shop.ask(shop.charged_trial()[1]).case for _ in range(2)]
    shop.work()
    shop.rows("UPDATE cases SET due_at = clock_timestamp() + interval '1 hour' RETURNING id")
    shop.do("deadlines")
    rung = int(text(ops.get("/notices/bell")).removesuffix(" not seen"))
    # The queue itself tells of cases that were opened, and whoever comes later has missed nothing.
    assert rung == len(shop.rows("SELECT id FROM notices WHERE kind <> 'case_opened'")) == 2
    assert text(signed_in(Role.SUPPORT).get("/notices/bell")) == ""
    page = ops.get("/notices")
    assert f'href="/cases/{case.id}"' in page.text
    assert "No destination is configured" in text(page)
    assert "2 notices: deadline near" in text(page), "several of a kind within minutes are one row"
    newest = page.text.partition('name="seen_to" value="')[2].partition('"')[0]
    assert "not seen" not in text(ops.act("/notices/seen", seen_to=newest))
    assert text(ops.get("/notices/bell")) == ""
    assert text(finance.get("/notices/bell")) == f"{rung} not seen"
    assert ops.act("/notices/seen", seen_to="everything").status_code == 422
    assert ops.act("/notices/test").status_code == 422, "no destination"
    assert finance.act("/notices/test").status_code == 403
    assert "case opened" in text(ops.get("/notices?kind=case_opened"))


def test_the_bell_says_no_more_than_ninety_nine(console: Console, signed_in: SignedIn) -> None:
    ops = signed_in(Role.OPS)
    with console.shop.owner.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO notices (id, kind, account, subject, headline, body, state)"
                " SELECT 'ntc_01zzzzzzzzzzzzzzzzzzzzz' || lpad(n::text, 3, '0'), 'job_failed', '', 'x', 'h', 'b',"
                " 'kept' FROM generate_series(1, 120) AS n"
            )
        )
    assert text(ops.get("/notices/bell")) == "99+ not seen"
