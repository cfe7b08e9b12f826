"""The queue: cases are handed out one by one, put off and brought back, and given the charge that was meant."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from billingbot.core.access.powers import Role, powers_of
from billingbot.core.case import Case, CaseState, Doing
from billingbot.core.errors import ConflictError, ForbiddenError, InputError
from billingbot.core.mode import Mode
from billingbot.core.request import NamedBy
from billingbot.flows.access import people
from billingbot.flows.casework.answer_customer import write_reply
from billingbot.flows.casework.mention import saw
from billingbot.flows.casework.name_charge import name_charge
from billingbot.flows.casework.queue import claim_all, claim_next, drop_view, release_all, save_view
from billingbot.flows.casework.reassign import reassign
from billingbot.flows.casework.review import Act, approve, claim, deny, note, release
from billingbot.flows.casework.snooze import snooze, wake
from billingbot.store import queue_views, visits
from tests.faults.test_races import at_once
from tests.flows.shop import Shop


def in_review(shop: Shop, count: int = 1) -> list[str]:
    """Cases that wait for a person, since nothing leaves by itself in this mode."""
    shop.set_mode(Mode.ASSIST)
    trials = [shop.start_trial() for _ in range(count)]
    shop.end_trials()
    opened = [shop.ask(shop.last_charge(trial), unused=True).case.id for trial in trials]
    shop.work()
    assert {shop.case(case_id).state for case_id in opened} == {CaseState.REVIEW}
    return opened


def due(shop: Shop, case_id: str, at: datetime, priority: str = "normal") -> None:
    shop.write(
        "UPDATE cases SET due_at = :at, priority = :priority WHERE id = :id", at=at, priority=priority, id=case_id
    )


def kinds(shop: Shop, case_id: str) -> list[str]:
    return [row.kind for row in shop.rows("SELECT kind FROM ledger_entries WHERE subject = :c ORDER BY seq", c=case_id)]


def test_the_next_case_is_the_one_due_first_then_the_most_urgent(shop: Shop) -> None:
    first, second, third = in_review(shop, 3)
    soon = datetime.now(UTC) + timedelta(hours=3)
    due(shop, first, soon + timedelta(hours=1))
    due(shop, second, soon)
    due(shop, third, soon, "urgent")
    taken = [claim_next(shop.desk, by="kim") for _ in range(4)]
    assert [case and case.id for case in taken] == [third, second, first, None]
    assert {case.assignee for case in taken if case} == {"kim"}
    assert kinds(shop, first)[-1] == "case.claimed"


def test_people_who_ask_at_once_get_a_case_each(shop: Shop) -> None:
    opened = in_review(shop, 4)
    asked = [lambda name=f"person {at}": claim_next(shop.desk, by=name) for at in range(6)]
    taken = [case for case in at_once(*asked) if isinstance(case, Case)]
    assert sorted(case.id for case in taken) == sorted(opened)
    assert len({case.assignee for case in taken}) == 4


def test_a_case_with_a_first_approval_goes_to_whoever_may_give_the_second(shop: Shop) -> None:
    [case_id] = in_review(shop)
    shop.allow(second_approval_above={"usd": 100})
    approve(shop.desk, shop.person(case_id, "kim"), reason="as the policy says")
    support = replace(shop.desk, powers=powers_of([Role.SUPPORT]))
    assert claim_next(shop.desk, by=" KIM ") is None
    assert claim_next(support, by="lou") is None
    taken = claim_next(shop.desk, by="lou")
    assert taken is not None
    assert taken.id == case_id


def test_several_are_taken_and_given_back_at_once_and_what_others_have_stays_theirs(shop: Shop) -> None:
    opened = in_review(shop, 3)
    claim(shop.desk, shop.person(opened[0], "lou"))
    handled = claim_all(shop.desk, "kim", [*opened, opened[1]])
    assert handled.done == tuple(opened[1:])
    [(refused, why)] = handled.refused
    assert refused == opened[0]
    assert "lou has it already" in why
    assert release_all(shop.desk, "kim", opened[1:]).done == tuple(opened[1:])
    assert [shop.case(case_id).assignee for case_id in opened] == ["lou", None, None]
    with pytest.raises(InputError, match="1 to 100 cases"):
        claim_all(shop.desk, "kim", [])


def test_who_may_not_decide_takes_nothing_and_puts_nothing_off(shop: Shop) -> None:
    [case_id] = in_review(shop)
    reader = replace(shop.desk, powers=powers_of([Role.FINANCE]))
    act = shop.person(case_id)
    with pytest.raises(ForbiddenError, match="decide"):
        claim_next(reader, by="kim")
    with pytest.raises(ForbiddenError, match="decide"):
        claim_all(reader, "kim", [case_id])
    with pytest.raises(ForbiddenError, match="decide"):
        snooze(reader, act, datetime.now(UTC) + timedelta(minutes=5))
    with pytest.raises(ForbiddenError, match="decide"):
        name_charge(reader, act, "ch_1")
    with pytest.raises(ForbiddenError, match="decide"):
        write_reply(reader, act, subject="Your refund", text="No.")
    assert shop.case(case_id).assignee is None


def test_a_case_put_off_keeps_its_due_time_is_not_handed_out_and_comes_back_by_itself(shop: Shop) -> None:
    [case_id] = in_review(shop)
    before = shop.case(case_id)
    until = datetime.now(UTC) + timedelta(hours=1)
    asleep = snooze(shop.desk, shop.person(case_id), until)
    assert (asleep.snoozed_until, asleep.due_at, asleep.assignee) == (until, before.due_at, None)
    assert claim_next(shop.desk, by="lou") is None
    shop.write("UPDATE cases SET snoozed_until = now() - interval '1 s'")
    back = claim_next(shop.desk, by="lou")
    assert back is not None
    assert back.snoozed_until is None
    assert kinds(shop, case_id)[-2:] == ["case.snoozed", "case.claimed"]


def test_nobody_puts_a_case_off_past_its_deadline_or_the_banks_or_into_the_past(shop: Shop) -> None:
    [case_id] = in_review(shop)
    now = datetime.now(UTC)
    due(shop, case_id, now + timedelta(hours=4))
    with pytest.raises(InputError, match="before the case is due"):
        snooze(shop.desk, shop.person(case_id), now + timedelta(hours=5))
    with pytest.raises(InputError, match="in the future"):
        snooze(shop.desk, shop.person(case_id), now - timedelta(seconds=5))
    with pytest.raises(InputError, match="with its zone"):
        snooze(shop.desk, shop.person(case_id), datetime(2027, 1, 1))  # noqa: DTZ001 # what is refused
    charge = shop.case(case_id).charge_id or ""
    shop.stripe.dispute(charge)
    shop.deliver()
    shop.work()
    due(shop, case_id, now + timedelta(days=90))
    shop.write("UPDATE disputes SET due_by = :at WHERE charge_id = :c", at=now + timedelta(days=2), c=charge)
    with pytest.raises(InputError, match="before the case is due"):
        snooze(shop.desk, shop.person(case_id), now + timedelta(days=3))
    assert snooze(shop.desk, shop.person(case_id), now + timedelta(days=1)).snoozed_until is not None


def test_another_request_wakes_a_case_and_so_does_a_person(shop: Shop) -> None:
    [case_id] = in_review(shop)
    later = datetime.now(UTC) + timedelta(hours=2)
    snooze(shop.desk, shop.person(case_id), later)
    shop.ask(shop.case(case_id).charge_id or "", unused=True)
    assert shop.case(case_id).snoozed_until is None
    snooze(shop.desk, shop.person(case_id), later)
    assert wake(shop.desk, shop.person(case_id)).snoozed_until is None
    assert wake(shop.desk, shop.person(case_id)).snoozed_until is None
    assert kinds(shop, case_id).count("case.woken") == 1


def test_a_decision_ends_the_sleep(shop: Shop) -> None:
    [case_id] = in_review(shop)
    snooze(shop.desk, shop.person(case_id), datetime.now(UTC) + timedelta(hours=2))
    denied = deny(shop.desk, shop.person(case_id), reason="it was used", reply=None)
    assert (denied.state, denied.snoozed_until) == (CaseState.CLOSED, None)
    with pytest.raises(ConflictError, match="not waiting for a person"):
        snooze(shop.desk, shop.person(case_id), datetime.now(UTC) + timedelta(hours=2))


def ambiguous(shop: Shop) -> tuple[str, list[str]]:
    """A case whose request names a customer with two charges, and those."""
    trial = shop.start_trial()
    shop.subscribe(trial.customer)
    shop.end_trials()
    charges = [charge["id"] for charge in shop.stripe.get("/charges", customer=trial.customer)["data"]]
    case_id = shop.ask(trial.customer, named_by=NamedBy.CUSTOMER, unused=True).case.id
    shop.work()
    case = shop.case(case_id)
    assert (case.state, case.charge_id, len(charges)) == (CaseState.REVIEW, None, 2)
    return case_id, charges


def test_a_person_names_the_charge_that_was_meant_and_the_case_goes_on_with_it(shop: Shop) -> None:
    case_id, [charge, other] = ambiguous(shop)
    named = name_charge(shop.desk, shop.person(case_id), charge)
    assert (named.id, named.state, named.charge_id) == (case_id, CaseState.ASSESSING, charge)
    shop.work()
    assert shop.case(case_id).state is not CaseState.ASSESSING
    assert "case.charge_named" in kinds(shop, case_id)
    assert shop.refunds_at_stripe(other) == []
    assert shop.ledger_flaws() == []


def test_naming_a_charge_that_has_a_case_joins_the_two(shop: Shop) -> None:
    shop.set_mode(Mode.ASSIST)
    case_id, [charge, _] = ambiguous(shop)
    open_case = shop.ask(charge, unused=True).case.id
    shop.work()
    joined = name_charge(shop.desk, shop.person(case_id), charge)
    assert joined.id == open_case
    left = shop.case(case_id)
    assert (left.state, left.joined_case_id, left.outcome) == (CaseState.CLOSED, open_case, "joined")
    assert len(shop.rows("SELECT 1 FROM requests WHERE case_id = :c", c=open_case)) == 2
    assert shop.work() == 0


def test_two_cases_named_the_same_charge_at_once_become_one(shop: Shop) -> None:
    shop.set_mode(Mode.ASSIST)
    case_id, [charge, _] = ambiguous(shop)
    again = shop.ask(shop.stripe.get(f"/charges/{charge}")["customer"], named_by=NamedBy.CUSTOMER).case.id
    shop.work()
    acts = [shop.person(one) for one in (case_id, again)]
    at_once(*[lambda act=act: name_charge(shop.desk, act, charge) for act in acts])
    shop.work()
    assert len([case for case in shop.cases_of(charge) if case.state is not CaseState.CLOSED]) == 1
    assert sorted(row.outcome or "" for row in shop.rows("SELECT outcome FROM cases")) == ["", "joined"]


def test_a_charge_that_stripe_does_not_know_or_a_case_that_has_one_is_refused(shop: Shop) -> None:
    case_id, [charge, other] = ambiguous(shop)
    with pytest.raises(InputError, match="Stripe knows no ch_nowhere"):
        name_charge(shop.desk, shop.person(case_id), "ch_nowhere")
    with pytest.raises(InputError, match="a charge id"):
        name_charge(shop.desk, shop.person(case_id), "sub_1")
    shop.set_mode(Mode.ASSIST)
    name_charge(shop.desk, shop.person(case_id), charge)
    shop.work()
    with pytest.raises(ConflictError, match="is about"):
        name_charge(shop.desk, shop.person(case_id), other)


def test_a_reply_is_worded_by_a_person_and_its_digest_alone_is_in_the_ledger(shop: Shop) -> None:
    [case_id] = in_review(shop)
    deny(shop.desk, shop.person(case_id), reason="it was used", reply=None)
    written = write_reply(shop.desk, shop.person(case_id), subject=" About  your refund ", text="We cannot.")
    assert (written.reply, written.reply_subject) == ("We cannot.", "About your refund")
    again = write_reply(shop.desk, shop.person(case_id), subject="About your refund", text="We cannot.")
    assert again.version == written.version
    assert kinds(shop, case_id)[-1] == "case.reply_written"
    bodies = shop.rows("SELECT convert_from(body, 'utf8') AS body FROM ledger_entries")
    assert not [row for row in bodies if "We cannot" in row.body]
    with pytest.raises(ConflictError, match="has changed since you looked"):
        write_reply(shop.desk, Act(case_id=case_id, by="kim", version=1), subject="x", text="y")
    for subject, text in (("", "words"), ("x" * 201, "words"), ("fine", " ")):
        with pytest.raises(InputError):
            write_reply(shop.desk, shop.person(case_id), subject=subject, text=text)


def test_lists_of_the_queue_are_kept_by_name_and_open_for_whoever_has_their_address(shop: Shop) -> None:
    saved = save_view(shop.desk, "kim", name=" Large  ones ", query="amount_from=500&currency=usd")
    again = save_view(shop.desk, "kim", name="Large ones", query="amount_from=900&currency=usd")
    save_view(shop.desk, "lou", name="Large ones", query="overdue=yes")
    with shop.desk.db.begin() as connection:
        assert [(view.id, view.query) for view in queue_views.of_owner(connection, "kim")] == [(saved.id, again.query)]
        assert queue_views.get(connection, saved.id).owner == "kim"
    with pytest.raises(Exception, match="none of yours"):
        drop_view(shop.desk, "lou", saved.id)
    drop_view(shop.desk, "kim", saved.id)
    with shop.desk.db.begin() as connection:
        assert queue_views.of_owner(connection, "kim") == []


def test_who_looks_at_a_case_is_known_until_they_have_been_silent_for_a_while(shop: Shop) -> None:
    with shop.desk.db.begin() as connection:
        visits.here(connection, "case_1", "kim", Doing.LOOKING)
        visits.here(connection, "case_1", "lou", Doing.WRITING)
        visits.here(connection, "case_2", "lou", Doing.LOOKING)
        visits.gone(connection, "case_2", "lou")
    with shop.desk.db.begin() as connection:
        there = visits.at_cases(connection, ["case_1", "case_2"])
        assert {case: [(one.person, one.doing) for one in people] for case, people in there.items()} == {
            "case_1": [("kim", "looking"), ("lou", "writing")]
        }
    shop.write("UPDATE case_visits SET seen_at = now() - :ago WHERE person = 'kim'", ago=visits.GONE_AFTER)
    with shop.desk.db.begin() as connection:
        assert [one.person for one in visits.at_cases(connection, ["case_1"])["case_1"]] == ["lou"]
    shop.write("UPDATE case_visits SET seen_at = now() - interval '1 h' WHERE person = 'kim'")
    with shop.desk.db.begin() as connection:
        visits.here(connection, "case_1", "lou", Doing.LOOKING)
    assert len(shop.rows("SELECT 1 FROM case_visits")) == 1


def test_a_case_given_back_is_handed_out_again(shop: Shop) -> None:
    [case_id] = in_review(shop)
    assert claim_next(shop.desk, by="kim") is not None
    release(shop.desk, shop.person(case_id))
    taken = claim_next(shop.desk, by="lou")
    assert taken is not None
    assert taken.id == case_id


def staff(shop: Shop, **roles: Role) -> None:
    for name, role in roles.items():
        people.add(shop.desk, name=name, email=None, roles=[role], by="tests")


def test_a_case_is_given_to_a_colleague_who_may_decide_and_to_nobody_else(shop: Shop) -> None:
    [case_id] = in_review(shop)
    staff(shop, Lou=Role.SUPPORT, Fin=Role.FINANCE)
    given = reassign(shop.desk, shop.person(case_id), "lou")
    assert given.assignee == "Lou"
    assert kinds(shop, case_id)[-1] == "case.reassigned"
    assert reassign(shop.desk, shop.person(case_id), "Lou").version == given.version
    with pytest.raises(InputError, match="Fin may not"):
        reassign(shop.desk, shop.person(case_id), "Fin")
    with pytest.raises(InputError, match="nobody called 'Max'"):
        reassign(shop.desk, shop.person(case_id), "Max")


def test_whoever_a_note_names_finds_it_and_the_notice_names_nobody(shop: Shop) -> None:
    [case_id] = in_review(shop)
    staff(shop, Lou=Role.SUPPORT, kim=Role.SUPPORT, Max=Role.OPS)
    note(shop.desk, shop.person(case_id), "@lou, is this the customer of last week? @kim @nobody lou@example.com")
    rows = shop.rows("SELECT person, case_id, seen_at FROM mentions")
    assert [(row.person, row.case_id, row.seen_at) for row in rows] == [("Lou", case_id, None)]
    [notice] = shop.rows("SELECT * FROM notices WHERE kind = 'mentioned'")
    assert notice.subject == case_id
    assert "lou" not in (notice.headline + notice.body).casefold()
    saw(shop.desk, case_id, by="Max")
    assert shop.rows("SELECT 1 FROM mentions WHERE seen_at IS NULL")
    saw(shop.desk, case_id, by="Lou")
    assert not shop.rows("SELECT 1 FROM mentions WHERE seen_at IS NULL")


def test_the_second_approval_takes_the_power_to_check(shop: Shop) -> None:
    [case_id] = in_review(shop)
    shop.allow(second_approval_above={"usd": 100})
    approve(shop.desk, shop.person(case_id, "kim"), reason="as the policy says")
    support = replace(shop.desk, powers=powers_of([Role.SUPPORT]))
    with pytest.raises(ForbiddenError, match="approver or admin"):
        approve(support, shop.person(case_id, "lou"), reason="me too")
    approver = replace(shop.desk, powers=powers_of([Role.APPROVER]))
    assert approve(approver, shop.person(case_id, "lou"), reason="me too").state is CaseState.REFUNDING
