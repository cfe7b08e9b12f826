"""Deadlines of disputes: each reminder once, the case that follows the bank's time, what was missed, and the end."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from billingbot.core.case import Case, CaseState
from billingbot.core.decision import Priority
from billingbot.core.disputes.deadlines import DisputeTerms
from billingbot.core.disputes.life import Answering
from billingbot.core.job import Actor
from billingbot.core.mode import Mode
from billingbot.core.refund_terms import CancelWhen
from billingbot.flows.cancel import settled_by_hand
from billingbot.flows.casework import review, snooze
from billingbot.flows.reconcile import reconcile_whole
from billingbot.store.schema import cases, dispute_alarms, disputes
from tests.flows.shop import Shop, in_days
from tests.flows.test_disputes import listed
from tests.flows.test_settling import read_anew, set_status

HOUR = 3600


@pytest.fixture
def used(shop: Shop) -> tuple[Shop, str]:
    """A charge that the policy would not refund: the product was used."""
    trial, charge = shop.charged_trial()
    shop.usage.used_by.add(trial.customer)
    return shop, charge


def heard(shop: Shop) -> None:
    """What Stripe has told since is acted on, and whatever the clock brings."""
    shop.deliver()
    shop.work()
    shop.hurry()
    shop.work()
    shop.do("dispute_deadlines")
    shop.work()
    shop.do("answered_cases")


def told(shop: Shop) -> list[str]:
    kinds = ("deadline_near", "deadline_untaken", "deadline_missed", "dispute_lost", "dispute_won")
    return [row.kind for row in shop.rows("SELECT kind FROM notices ORDER BY id") if row.kind in kinds]


def pass_time(shop: Shop, *, hours: float) -> None:
    """As if it were that much later: every deadline lies that much nearer, at Stripe and in our books."""
    box = shop.sandbox.state
    with box.lock:
        for dispute in box.tables["dispute"].rows.values():
            dispute["evidence_details"]["due_by"] -= int(hours * HOUR)
    by = timedelta(hours=hours)
    with shop.owner.begin() as connection:
        for table, *columns in (
            (dispute_alarms, "due_by"),
            (disputes, "due_by", "followed_due_by", "next_alarm_at"),
            (cases, "due_at"),
        ):
            connection.execute(table.update().values({name: table.c[name] - by for name in columns}))
    shop.do("dispute_deadlines")
    shop.work()


def move_deadline(shop: Shop, dispute: str, due_by: int) -> None:
    box = shop.sandbox.state
    with box.lock:
        box.tables["dispute"].rows[dispute]["evidence_details"]["due_by"] = due_by


def only_case(shop: Shop, charge: str) -> Case:
    [case] = shop.cases_of(charge)
    return case


def due_of(case: Case) -> datetime:
    assert case.due_at is not None
    return case.due_at


def test_a_chargeback_is_due_before_the_bank_is_and_each_reminder_comes_once(used: tuple[Shop, str]) -> None:
    shop, charge = used
    due_by = in_days(5)
    shop.stripe.dispute(charge, due_by=due_by)
    heard(shop)
    case = only_case(shop, charge)
    assert (case.state, case.priority) == (CaseState.REVIEW, Priority.URGENT)
    assert int(due_of(case).timestamp()) == due_by - 48 * HOUR
    assert told(shop) == []

    pass_time(shop, hours=50)  # 70 left
    assert told(shop) == ["deadline_near"]
    for _ in range(3):  # other schedulers, restarts, events that come again
        shop.do("dispute_deadlines")
        heard(shop)
    assert told(shop) == ["deadline_near"]

    pass_time(shop, hours=47)  # 23 left, and nobody has it
    assert told(shop) == ["deadline_near", "deadline_near", "deadline_untaken"]
    review.claim(shop.desk, shop.person(case.id))
    pass_time(shop, hours=20)  # 3 left
    assert told(shop)[3:] == ["deadline_near"]
    pass_time(shop, hours=4)
    pass_time(shop, hours=4)
    assert told(shop)[4:] == ["deadline_missed"]
    assert len(shop.rows("SELECT 1 FROM ledger_entries WHERE kind = 'dispute.missed'")) == 1
    assert [row.missed for row in shop.rows("SELECT missed_at IS NOT NULL AS missed FROM disputes")] == [True]
    assert shop.refunds_at_stripe(charge) == []


def test_a_dispute_that_comes_late_is_told_once_at_its_nearest_distance(used: tuple[Shop, str]) -> None:
    shop, charge = used
    shop.stripe.dispute(charge, due_by=in_days(0.4))
    heard(shop)
    assert told(shop) == ["deadline_near", "deadline_untaken"]


def test_the_case_follows_a_deadline_that_stripe_moves_whoever_has_it(used: tuple[Shop, str]) -> None:
    shop, charge = used
    dispute = shop.stripe.dispute(charge, due_by=in_days(1))["id"]
    heard(shop)
    case = only_case(shop, charge)
    review.claim(shop.desk, shop.person(case.id))
    before = told(shop)

    later = in_days(9)
    move_deadline(shop, dispute, later)
    shop.stripe.post(f"/disputes/{dispute}", metadata={"seen": "yes"})  # whatever Stripe tells of it
    heard(shop)
    moved = only_case(shop, charge)
    assert (int(due_of(moved).timestamp()), moved.assignee) == (later - 48 * HOUR, "kim")
    assert told(shop) == before
    pass_time(shop, hours=7 * 24)  # the new deadline has reminders of its own
    assert told(shop) == [*before, "deadline_near"]


def test_a_case_that_somebody_put_off_wakes_for_its_deadline(used: tuple[Shop, str]) -> None:
    shop, charge = used
    shop.stripe.dispute(charge, due_by=in_days(4))
    heard(shop)
    case = only_case(shop, charge)
    snooze.snooze(shop.desk, shop.person(case.id), due_of(case))
    assert only_case(shop, charge).snoozed_until is not None
    pass_time(shop, hours=30)
    assert told(shop) == ["deadline_near"]
    assert only_case(shop, charge).snoozed_until is None


def test_nobody_is_reminded_where_the_bank_takes_no_answer(used: tuple[Shop, str]) -> None:
    shop, charge = used
    shop.stripe.dispute(charge, due_by=0)
    heard(shop)
    assert told(shop) == []
    assert shop.rows("SELECT next_alarm_at FROM disputes WHERE next_alarm_at IS NOT NULL") == []
    assert only_case(shop, charge).state is CaseState.REVIEW  # it is there, by the policy's own time


def test_an_answer_that_stripe_sends_by_itself_stops_the_reminders_and_the_case_sinks(used: tuple[Shop, str]) -> None:
    shop, charge = used
    dispute = shop.stripe.dispute(charge, due_by=in_days(5))["id"]
    heard(shop)
    box = shop.sandbox.state
    with box.lock:
        details = box.tables["dispute"].rows[dispute]["evidence_details"]
        details.update(submission_count=1, submission_method="smart_disputes")
    shop.stripe.move_dispute(dispute, "under_review")
    heard(shop)
    pass_time(shop, hours=100)
    assert told(shop) == []
    case = only_case(shop, charge)
    assert case.state is CaseState.REVIEW
    assert due_of(case).timestamp() > in_days(60)
    [line] = listed(shop, open=True)
    assert (line.answering, line.dispute.submission_method) == (Answering.WITH_BANK, "smart_disputes")


def test_a_case_that_somebody_has_sinks_too_once_an_answer_is_with_the_bank(used: tuple[Shop, str]) -> None:
    shop, charge = used
    dispute = shop.stripe.dispute(charge, due_by=in_days(5))["id"]
    heard(shop)
    review.claim(shop.desk, shop.person(only_case(shop, charge).id))
    shop.stripe.post(f"/disputes/{dispute}", evidence={"uncategorized_text": "by hand, in the Dashboard"})
    heard(shop)
    case = only_case(shop, charge)
    assert (case.assignee, case.priority) == ("kim", Priority.NORMAL)
    assert due_of(case).timestamp() > in_days(60)


def test_stripe_being_away_silences_no_reminder(used: tuple[Shop, str]) -> None:
    shop, charge = used
    shop.stripe.dispute(charge, due_by=in_days(4))
    heard(shop)
    shop.stripe.fault("bad_gateway", path="/v1/disputes")
    pass_time(shop, hours=30)
    assert told(shop) == ["deadline_near"]


@pytest.mark.parametrize("held", [False, True])
def test_a_case_that_only_the_bank_had_asked_for_closes_with_its_dispute(used: tuple[Shop, str], *, held: bool) -> None:
    shop, charge = used
    dispute = shop.stripe.dispute(charge, due_by=in_days(5))["id"]
    heard(shop)
    if held:
        review.claim(shop.desk, shop.person(only_case(shop, charge).id))
    shop.stripe.move_dispute(dispute, "won")
    heard(shop)
    case = only_case(shop, charge)
    assert (case.state, case.outcome) == (CaseState.CLOSED, "dispute-won")
    assert told(shop) == ["dispute_won"]
    assert shop.refunds_at_stripe(charge) == []
    shop.assert_at_rest(charge)


def test_a_case_that_a_customer_asked_for_too_stays_when_the_dispute_is_won(used: tuple[Shop, str]) -> None:
    shop, charge = used
    shop.ask(charge, unused=True)
    shop.work()
    dispute = shop.stripe.dispute(charge, due_by=in_days(5))["id"]
    heard(shop)
    shop.stripe.move_dispute(dispute, "won")
    heard(shop)
    case = only_case(shop, charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, "used")  # the customer still waits for a word


@pytest.mark.parametrize("ended", ["lost", "won"])
def test_an_appeal_after_the_end_has_a_case_of_its_own_once_with_the_banks_time(
    used: tuple[Shop, str], ended: str
) -> None:
    shop, charge = used
    dispute = shop.stripe.dispute(charge, due_by=in_days(5))["id"]
    heard(shop)
    shop.stripe.move_dispute(dispute, ended)
    heard(shop)
    assert only_case(shop, charge).state is CaseState.CLOSED

    due_by = in_days(6)
    shop.stripe.move_dispute(dispute, "appeal_needs_response", due_by=due_by)
    heard(shop)
    [appeal] = [case for case in shop.cases_of(charge) if case.state is CaseState.REVIEW]
    assert (appeal.priority, int(due_of(appeal).timestamp())) == (Priority.URGENT, due_by - 48 * HOUR)

    review.deny(shop.desk, shop.person(appeal.id), reason="we let it go", reply=None)
    shop.stripe.post(f"/disputes/{dispute}", metadata={"seen": "yes"})
    heard(shop)
    assert [case.state for case in shop.cases_of(charge)] == [CaseState.CLOSED] * 2


def test_a_status_that_nobody_knows_with_a_deadline_is_put_before_a_person(used: tuple[Shop, str]) -> None:
    shop, charge = used
    due_by = in_days(5)
    dispute = shop.stripe.dispute(charge, due_by=due_by)["id"]
    with shop.sandbox.state.lock:
        shop.sandbox.state.tables["dispute"].rows[dispute]["status"] = "quantum_needs_response"
    heard(shop)
    case = only_case(shop, charge)
    assert (case.state, case.priority) == (CaseState.REVIEW, Priority.URGENT)
    assert int(due_of(case).timestamp()) == due_by - 48 * HOUR


def test_a_late_win_is_ledgered_with_its_money_and_told(used: tuple[Shop, str]) -> None:
    shop, charge = used
    dispute = shop.stripe.dispute(charge, due_by=in_days(5))["id"]
    heard(shop)
    shop.stripe.move_dispute(dispute, "lost")
    heard(shop)
    assert only_case(shop, charge).state is CaseState.CLOSED
    shop.stripe.move_dispute(dispute, "won")
    heard(shop)
    assert told(shop) == ["dispute_lost", "dispute_won"]
    [notice] = shop.rows("SELECT headline FROM notices WHERE kind = 'dispute_won'")
    assert notice.headline.startswith("won after it was lost")
    [entry] = shop.rows(
        "SELECT convert_from(body, 'UTF8') AS body FROM ledger_entries"
        " WHERE kind = 'dispute.changed' ORDER BY seq DESC LIMIT 1"
    )
    for part in ('"from":"lost"', '"outcome":"won"', '"reinstated_minor":4900', '"fees_minor":0'):
        assert part in entry.body
    assert shop.refunds_at_stripe(charge) == []
    shop.assert_at_rest(charge)


def test_a_dispute_that_is_lost_past_its_deadline_while_nobody_looked_counts_as_missed(used: tuple[Shop, str]) -> None:
    shop, charge = used
    dispute = shop.stripe.dispute(charge, due_by=in_days(5))["id"]
    heard(shop)
    box = shop.sandbox.state
    with box.lock:  # all of us were away when the time was over
        box.tables["dispute"].rows[dispute]["evidence_details"]["due_by"] = in_days(-1)
    shop.stripe.move_dispute(dispute, "lost")
    heard(shop)
    assert told(shop) == ["deadline_missed", "dispute_lost"]


# ---------------------------------------------------------------- inquiries


def inquire(shop: Shop, charge: str) -> str:
    return str(shop.stripe.dispute(charge, status="warning_needs_response", due_by=in_days(6))["id"])


def test_an_inquiry_that_the_policy_would_refund_is_refunded_at_once_and_closes(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    dispute = inquire(shop, charge)
    heard(shop)
    heard(shop)
    shop.assert_paid_once(charge)
    assert shop.stripe.get(f"/disputes/{dispute}")["status"] == "warning_closed"
    assert told(shop) == []


def test_an_inquiry_about_a_case_that_somebody_has_makes_it_urgent_and_leaves_it_to_them(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.usage.down = True
    case_id = shop.ask(charge, unused=True).case.id
    shop.work()
    review.claim(shop.desk, shop.person(case_id))
    shop.usage.down = False
    inquire(shop, charge)
    heard(shop)
    case = shop.case(case_id)
    assert (case.state, case.assignee, case.priority) == (CaseState.REVIEW, "kim", Priority.URGENT)
    assert due_of(case).timestamp() <= in_days(4)
    assert shop.refunds_at_stripe(charge) == []
    review.approve(shop.desk, shop.person(case_id), reason="unused")
    heard(shop)
    shop.assert_paid_once(charge)
    assert trial.customer


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.ASSIST])
def test_an_inquiry_is_put_before_a_person_where_the_machine_may_not_pay(shop: Shop, mode: Mode) -> None:
    shop.set_mode(mode)
    _, charge = shop.charged_trial()
    inquire(shop, charge)
    heard(shop)
    case = only_case(shop, charge)
    assert (case.state, case.reason, case.recommendation) == (CaseState.REVIEW, "limit-mode", "refund")
    assert due_of(case).timestamp() <= in_days(4)
    assert shop.refunds_at_stripe(charge) == []


# ---------------------------------------------------------------- money that went back twice


def test_a_dispute_that_is_lost_after_our_refund_succeeded_is_a_break_with_a_person(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.refund_outcome(charge=charge, status="pending")
    shop.ask(charge, unused=True)
    shop.work()
    [refund] = shop.refunds_at_stripe(charge)
    dispute = shop.stripe.dispute(charge, due_by=in_days(5))["id"]
    set_status(shop, refund["id"], "succeeded")  # it had been paid when the bank acted
    read_anew(shop)
    heard(shop)
    shop.stripe.move_dispute(dispute, "lost")
    heard(shop)
    heard(shop)
    [found] = shop.rows("SELECT * FROM breaks")
    assert (found.kind, found.object_id, found.state) == ("returned_twice", dispute, "case")
    case = shop.case(found.case_id)
    assert (case.state, case.reason) == (CaseState.REVIEW, "returned-twice")
    assert case.charge_id == charge
    headlines = [row.headline for row in shop.rows("SELECT headline FROM notices WHERE kind = 'reconcile_break'")]
    assert headlines == [f"a customer has the money twice: refunded, and through dispute {dispute}"]
    heard(shop)
    assert shop.case(found.case_id).state is CaseState.REVIEW  # it is not taken for a case that the bank has answered
    assert len(shop.refunds_at_stripe(charge)) == 1


def test_what_we_missed_of_an_old_dispute_is_found_by_the_comparison_even_a_late_win(used: tuple[Shop, str]) -> None:
    shop, charge = used
    dispute = shop.stripe.dispute(charge, due_by=in_days(5))["id"]
    heard(shop)
    shop.stripe.move_dispute(dispute, "lost")
    heard(shop)
    shop.stripe.move_dispute(dispute, "won")
    shop.skip_events()
    with shop.owner.begin() as connection:  # far behind every window
        connection.exec_driver_sql("UPDATE disputes SET created_at = created_at - interval '90 days'")
    box = shop.sandbox.state
    with box.lock:
        box.tables["dispute"].rows[dispute]["created"] -= 90 * 24 * HOUR
    shop.work(only=Actor.IMPORT_HISTORY)
    reconcile_whole(shop.desk, "default", by="tests", pace=timedelta(0))
    [row] = shop.rows("SELECT status, outcome FROM disputes")
    assert (row.status, row.outcome) == ("won", "won")
    assert told(shop)[-1] == "dispute_won"


# ---------------------------------------------------------------- the subscription


def cancelling(shop: Shop, when: CancelWhen) -> None:
    shop.desk = replace(shop.desk, disputes=DisputeTerms(cancel_subscription=when))


def cancellations_of(shop: Shop, charge: str) -> list[tuple[str, str | None]]:
    rows = shop.rows("SELECT state, dispute_id FROM cancellations WHERE charge_id = :c ORDER BY id", c=charge)
    return [(row.state, row.dispute_id) for row in rows]


@pytest.mark.parametrize(("when", "status"), [(CancelWhen.NOW, "canceled"), (CancelWhen.PERIOD_END, "active")])
def test_a_chargeback_ends_the_subscription_where_the_configuration_says_so(
    shop: Shop, when: CancelWhen, status: str
) -> None:
    cancelling(shop, when)
    trial, charge = shop.charged_trial()
    dispute = shop.stripe.dispute(charge, due_by=in_days(9))["id"]
    for _ in range(2):
        heard(shop)
    subscription = shop.stripe.get(f"/subscriptions/{trial.subscription}")
    assert (subscription["status"], subscription["cancel_at_period_end"]) == (status, when is CancelWhen.PERIOD_END)
    assert cancellations_of(shop, charge) == [("done", dispute)]
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, "open-chargeback")
    assert shop.ledger_flaws() == []


def test_nothing_ends_a_subscription_as_shipped_nor_for_an_inquiry(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.stripe.dispute(charge, due_by=in_days(9))
    heard(shop)
    assert cancellations_of(shop, charge) == []
    cancelling(shop, CancelWhen.NOW)
    other, asked = shop.charged_trial()
    shop.usage.used_by.add(other.customer)
    shop.stripe.dispute(asked, status="warning_needs_response", due_by=in_days(9))
    heard(shop)
    assert cancellations_of(shop, asked) == []
    assert shop.stripe.get(f"/subscriptions/{trial.subscription}")["status"] == "active"


def test_a_dispute_that_was_won_before_the_call_ends_no_subscription(shop: Shop) -> None:
    cancelling(shop, CancelWhen.NOW)
    trial, charge = shop.charged_trial()
    dispute = shop.stripe.dispute(charge, due_by=in_days(9))["id"]
    shop.deliver()
    shop.work(only=Actor.INTERPRET)
    shop.work(only=Actor.ASSESS)
    assert cancellations_of(shop, charge) == [("intended", dispute)]
    shop.stripe.move_dispute(dispute, "won")
    shop.work(only=Actor.CANCEL)
    assert cancellations_of(shop, charge) == [("withdrawn", dispute)]
    assert shop.stripe.get(f"/subscriptions/{trial.subscription}")["status"] == "active"


def test_where_the_machine_may_not_act_people_hear_that_the_subscription_runs_on(shop: Shop) -> None:
    cancelling(shop, CancelWhen.NOW)
    shop.set_mode(Mode.ASSIST)
    trial, charge = shop.charged_trial()
    dispute = shop.stripe.dispute(charge, due_by=in_days(9))["id"]
    heard(shop)
    assert cancellations_of(shop, charge) == [("handed_over", dispute)]
    [notice] = shop.rows("SELECT headline FROM notices WHERE kind = 'subscription_not_cancelled'")
    assert notice.headline == f"charged back, and subscription {trial.subscription} was not cancelled"
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, "open-chargeback")  # the bank's answer comes first
    [row] = shop.rows("SELECT id FROM cancellations")
    settled_by_hand(shop.desk, row.id, by="kim")
    assert shop.rows("SELECT 1 FROM cancellations WHERE waits_for IS NOT NULL") == []
    assert shop.case(case.id).state is CaseState.REVIEW
