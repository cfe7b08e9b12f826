"""Large refunds need two people, never the same one, whatever they race for and however they write their name."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from billingbot.core.access.person import person_key
from billingbot.core.access.powers import Role, powers_of
from billingbot.core.case import CaseState
from billingbot.core.errors import ConflictError, ForbiddenError
from billingbot.core.mode import Mode
from billingbot.flows.casework.review import Act, approve, ask_again, claim, deny
from billingbot.store import views
from tests.faults.test_races import at_once
from tests.flows.shop import Shop

LARGE = 100_001


def waiting(shop: Shop, *, amount: int = LARGE, currency: str = "usd") -> tuple[str, str]:
    """The charge and the case of a refund that the policy grants and the limit on automatic ones holds back."""
    _, charge = shop.charged_trial(amount=amount, currency=currency)
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    assert shop.case(case_id).state is CaseState.REVIEW
    return charge, case_id


def kinds(shop: Shop, case_id: str) -> list[str]:
    query = "SELECT kind FROM ledger_entries WHERE subject = :c AND kind LIKE 'case.%approved' ORDER BY seq"
    return [row.kind for row in shop.rows(query, c=case_id)]


def test_the_first_approval_pays_nothing_and_the_second_by_somebody_else_pays(shop: Shop) -> None:
    charge, case_id = waiting(shop)
    claim(shop.desk, shop.person(case_id, "kim"))
    first = approve(shop.desk, shop.person(case_id, "kim"), reason="as the policy says")
    shop.work()
    assert (first.state, first.assignee) == (CaseState.REVIEW, None)
    shop.assert_not_paid(charge)
    assert [row.kind for row in shop.rows("SELECT kind FROM notices")] == ["second_approval_wanted"]
    with shop.desk.db.begin() as connection:
        page = views.case_page(connection, case_id)
    assert page.first_approval is not None
    assert page.first_approval.maker == "kim"

    approve(shop.desk, shop.person(case_id, "lou"), reason="looked at it too")
    shop.work()
    shop.assert_paid_once(charge, amount=LARGE)
    assert kinds(shop, case_id) == ["case.first_approved", "case.approved"]
    [row] = shop.rows("SELECT a.*, r.stripe_refund_id FROM approvals a JOIN refunds r ON r.id = a.refund_id")
    assert (row.maker, row.checker, row.stripe_refund_id is not None) == ("kim", "lou", True)


def test_the_second_approval_is_only_for_those_who_may_check(shop: Shop) -> None:
    charge, case_id = waiting(shop)
    support = replace(shop.desk, powers=powers_of([Role.SUPPORT]))
    approve(support, shop.person(case_id, "kim"), reason="as the policy says")
    with pytest.raises(ForbiddenError, match=r"^check: not allowed; it takes the role approver or admin"):
        approve(support, shop.person(case_id, "lou"), reason="looked at it too")
    shop.work()
    shop.assert_not_paid(charge)
    approver = replace(shop.desk, powers=powers_of([Role.APPROVER]))
    approve(approver, shop.person(case_id, "lou"), reason="looked at it too")
    shop.work()
    shop.assert_paid_once(charge, amount=LARGE)


def test_one_api_key_never_gives_both_words_whatever_names_it_writes(shop: Shop) -> None:
    charge, case_id = waiting(shop)
    helpdesk, other = replace(shop.desk, through="key:one"), replace(shop.desk, through="key:two")
    approve(helpdesk, shop.person(case_id, "kim"), reason="as the policy says")
    with pytest.raises(ForbiddenError, match="both words would come through one API key"):
        approve(helpdesk, shop.person(case_id, "lou"), reason="somebody else, says the same key")
    shop.work()
    shop.assert_not_paid(charge)
    with pytest.raises(sa.exc.IntegrityError, match="two_ways"), shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE approvals SET checker_through = 'key:one'")
    approve(other, shop.person(case_id, "lou"), reason="looked at it too")
    shop.work()
    shop.assert_paid_once(charge, amount=LARGE)
    [row] = shop.rows("SELECT maker_through, checker_through FROM approvals")
    assert (row.maker_through, row.checker_through) == ("key:one", "key:two")


@pytest.mark.parametrize("name", ["kim", " Kim", "KIM ", "k i m", "ｋｉｍ"])
def test_nobody_is_the_second_person_by_writing_their_name_another_way(shop: Shop, name: str) -> None:
    if name != "kim":
        assert person_key(name) == person_key("kim")
        return
    charge, case_id = waiting(shop)
    approve(shop.desk, shop.person(case_id, "kim"), reason="as the policy says")
    for again in ("kim", " Kim", "KIM "):
        with pytest.raises(ConflictError, match="from somebody else"):
            approve(shop.desk, shop.person(case_id, again), reason="me again")
    shop.work()
    shop.assert_not_paid(charge)


def test_the_database_itself_refuses_one_person_for_both(shop: Shop) -> None:
    _, case_id = waiting(shop)
    approve(shop.desk, shop.person(case_id, "kim"), reason="as the policy says")
    with pytest.raises(sa.exc.IntegrityError, match="ck_approvals_checked"), shop.owner.begin() as connection:
        connection.exec_driver_sql("UPDATE approvals SET checker = 'lou', checker_key = 'lou'")
    approve(shop.desk, shop.person(case_id, "lou"), reason="looked at it too")
    for key in ("kim", "another key"):
        with pytest.raises(sa.exc.IntegrityError, match="two_people"), shop.owner.begin() as connection:
            connection.execute(sa.text("UPDATE approvals SET checker = ' KIM', checker_key = :key"), {"key": key})


def test_up_to_the_amount_one_person_is_enough(shop: Shop) -> None:
    charge, case_id = waiting(shop, amount=LARGE - 1)
    assert approve(shop.desk, shop.person(case_id), reason="as the policy says").state is CaseState.REFUNDING
    shop.work()
    shop.assert_paid_once(charge, amount=LARGE - 1)


def test_in_a_currency_that_nobody_has_weighed_every_refund_needs_two(shop: Shop) -> None:
    charge, case_id = waiting(shop, amount=100, currency="sek")
    approve(shop.desk, shop.person(case_id, "kim"), reason="as the policy says")
    shop.work()
    shop.assert_not_paid(charge)
    shop.allow(second_approval_above=None)
    assert approve(shop.desk, shop.person(case_id, "kim"), reason="no rule of two").state is CaseState.REFUNDING


def test_two_people_who_approve_at_once_are_two_and_pay_once(shop: Shop) -> None:
    charge, case_id = waiting(shop)
    acts = [Act(case_id=case_id, by=name) for name in ("kim", "lou")]
    at_once(*[lambda act=act: approve(shop.desk, act, reason="yes") for act in acts])  # type: ignore[misc] # bound now
    shop.work()
    shop.assert_paid_once(charge, amount=LARGE)


def test_of_two_who_saw_the_same_version_the_second_is_told_to_look_again(shop: Shop) -> None:
    charge, case_id = waiting(shop)
    acts = [shop.person(case_id, name) for name in ("kim", "lou")]
    ended = at_once(*[lambda act=act: approve(shop.desk, act, reason="yes") for act in acts])  # type: ignore[misc] # bound now
    assert sorted(type(one).__name__ for one in ended) == ["Case", "ConflictError"]
    shop.work()
    shop.assert_not_paid(charge)


def test_one_person_many_times_at_once_is_one_approval(shop: Shop) -> None:
    charge, case_id = waiting(shop)
    ended = at_once(*[lambda: approve(shop.desk, Act(case_id=case_id, by="kim"), reason="yes")] * 5)
    assert sorted(type(one).__name__ for one in ended) == ["Case", *["ConflictError"] * 4]
    shop.work()
    shop.assert_not_paid(charge)
    assert len(shop.rows("SELECT 1 FROM approvals")) == 1


def test_a_denial_after_the_first_approval_stands(shop: Shop) -> None:
    charge, case_id = waiting(shop)
    approve(shop.desk, shop.person(case_id, "kim"), reason="as the policy says")
    deny(shop.desk, shop.person(case_id, "lou"), reason="it is fraud", reply=None)
    shop.work()
    shop.assert_not_paid(charge)
    assert [row.ended_by for row in shop.rows("SELECT ended_by FROM approvals")] == ["denied"]


def test_an_approval_of_a_case_that_was_decided_anew_counts_no_longer(shop: Shop) -> None:
    charge, case_id = waiting(shop)
    approve(shop.desk, shop.person(case_id, "kim"), reason="as the policy says")
    ask_again(shop.desk, shop.person(case_id, "lou"), "is it still so?")
    shop.work()
    assert approve(shop.desk, shop.person(case_id, "lou"), reason="still so").state is CaseState.REVIEW
    shop.work()
    shop.assert_not_paid(charge)
    with pytest.raises(ConflictError, match="lou has approved it"):
        approve(shop.desk, shop.person(case_id, "lou"), reason="again")


def test_an_approval_of_another_amount_counts_no_longer(shop: Shop) -> None:
    charge, case_id = waiting(shop, amount=2 * LARGE)
    approve(shop.desk, shop.person(case_id, "kim"), reason="as the policy says")
    shop.stripe.post("/refunds", charge=charge, amount=100)
    second = approve(shop.desk, shop.person(case_id, "lou"), reason="what is left")
    assert second.state is CaseState.REVIEW
    assert [row.ended_by for row in shop.rows("SELECT ended_by FROM approvals ORDER BY id")] == ["another_amount", None]


def test_facts_that_changed_between_the_approvals_still_rule(shop: Shop) -> None:
    charge, case_id = waiting(shop)
    approve(shop.desk, shop.person(case_id, "kim"), reason="as the policy says")
    shop.stripe.dispute(charge)
    with pytest.raises(ForbiddenError, match="open-chargeback"):
        approve(shop.desk, shop.person(case_id, "lou"), reason="me too")
    shop.set_mode(Mode.SHADOW)
    with pytest.raises(ForbiddenError, match="mode: is shadow"):
        approve(shop.desk, shop.person(case_id, "lou"), reason="me too")
