"""Every kind of break is planted, found, and settled or handed to a person; and nothing is ever paid for it."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from billingbot.core.books.breaks import Pass, PassState
from billingbot.core.case import CaseState
from billingbot.core.errors import InputError
from billingbot.core.job import Actor
from billingbot.flows.casework.review import ask_again, deny
from billingbot.flows.reconcile import reconcile_whole, start_due
from tests.flows.shop import Shop


def agree(shop: Shop, **how: Any) -> Pass:
    """One pass by hand, to its end; what is minutes old counts already."""
    window = {"until": datetime.now(UTC) + timedelta(hours=1), **how}
    return reconcile_whole(shop.desk, "default", by="tests", pace=timedelta(0), **window)


def breaks(shop: Shop) -> list[Any]:
    return shop.rows("SELECT * FROM breaks ORDER BY kind, object_id")


def kinds(shop: Shop) -> list[tuple[str, str]]:
    return [(row.kind, row.state) for row in breaks(shop)]


def told(shop: Shop) -> list[str]:
    return [row.kind for row in shop.rows("SELECT kind FROM ledger_entries WHERE kind LIKE 'break.%' ORDER BY seq")]


def change(shop: Shop, statement: str, **values: Any) -> None:
    """Somebody changes the tables past us."""
    with shop.owner.begin() as connection:
        connection.execute(sa.text(statement), values)


def forget(shop: Shop, *refund_ids: str) -> None:
    """Stripe has these refunds no more."""
    box = shop.sandbox.state
    with box.lock:
        for refund_id in refund_ids:
            box.tables["refund"].drop(refund_id)


def import_trials(shop: Shop) -> None:
    """The trials that began since are read in, as happens every few minutes."""
    change(shop, "UPDATE history_imports SET caught_up_at = caught_up_at - interval '6 minutes'")
    shop.do("import_history")
    shop.work(only=Actor.IMPORT_HISTORY)


def charges_at_once(shop: Shop, count: int) -> list[str]:
    """So many trials that turned into a charge on the same day."""
    trials = [shop.start_trial() for _ in range(count)]
    shop.end_trials()
    return [shop.last_charge(trial) for trial in trials]


def refunded(shop: Shop, **how: Any) -> tuple[str, str]:
    """A charge that was refunded by the policy, with all its news delivered; and its refund at Stripe."""
    _, charge = shop.charged_trial(**how)
    shop.ask(charge, unused=True)
    shop.work()
    shop.deliver()
    shop.work()
    [refund] = shop.refunds_at_stripe(charge)
    return charge, refund["id"]


def test_books_that_agree_have_no_breaks_however_often_they_are_compared(shop: Shop) -> None:
    refunded(shop)
    shop.charged_trial()
    shop.deliver()
    shop.work()
    first, second = agree(shop), agree(shop)
    assert breaks(shop) == []
    assert (first.state, second.state) == (PassState.WHOLE, PassState.WHOLE)
    assert first.tally.seen >= 3  # two charges and a refund


def test_a_dashboard_refund_that_nobody_told_of_is_adopted(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.deliver()
    shop.work()
    shop.stripe.post("/refunds", charge=charge, amount=1000)
    shop.skip_events()
    done = agree(shop)
    assert [(row.origin, row.state, row.amount_minor) for row in shop.refunds_of(charge)] == [
        ("external", "succeeded", 1000)
    ]
    assert kinds(shop) == [("refund_unknown_to_us", "settled")]
    assert (done.tally.found, done.tally.settled, done.tally.to_person) == (1, 1, 0)
    assert told(shop) == ["break.settled"]
    agree(shop)
    assert len(breaks(shop)) == 1
    assert told(shop) == ["break.settled"]
    assert len(shop.refunds_at_stripe(charge)) == 1


def test_a_refund_that_failed_weeks_later_is_found_by_the_deep_look_and_reopens_its_case(shop: Shop) -> None:
    charge, refund = refunded(shop)
    shop.stripe.turn_refund(refund, "failed")
    shop.skip_events()
    agree(shop)
    assert kinds(shop) == [("status", "settled")]
    assert [row.state for row in shop.refunds_of(charge)] == ["failed"]
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, "refund-failed")


def test_a_refund_that_stripe_does_not_have_goes_to_a_person_once(shop: Shop) -> None:
    charge, refund = refunded(shop)
    forget(shop, refund)
    agree(shop)
    assert ("refund_missing_at_stripe", "case") in kinds(shop)
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason, case.priority) == (CaseState.REVIEW, "refund-missing-at-stripe", "high")
    agree(shop)
    [again] = shop.cases_of(charge)
    assert again.version == case.version
    assert shop.refunds_at_stripe(charge) == []


def test_a_charge_that_is_gone_as_well_is_told_of_and_reopens_nothing(shop: Shop) -> None:
    """The key of another account would make every refund look missing: no case is opened for that."""
    charge, refund = refunded(shop)
    forget(shop, refund)
    with shop.sandbox.state.lock:
        shop.sandbox.state.tables["charge"].drop(charge)
    agree(shop)
    [found] = breaks(shop)
    assert (found.kind, found.state) == ("refund_missing_at_stripe", "open")
    assert "another account" in found.how
    assert [case.outcome for case in shop.cases_of(charge)] == ["refunded"]
    assert [row.kind for row in shop.rows("SELECT kind FROM notices")] == ["reconcile_break"]


def test_a_refund_that_is_back_at_stripe_settles_its_break(shop: Shop) -> None:
    charge, refund = refunded(shop)
    table = shop.sandbox.state.tables["refund"]
    kept = table.rows[refund]
    forget(shop, refund)
    with shop.sandbox.state.lock:
        held = shop.sandbox.state.tables["charge"].rows[charge]
        shop.sandbox.state.tables["charge"].drop(charge)
    agree(shop)
    with shop.sandbox.state.lock:
        shop.sandbox.state.tables["charge"].add(held)
        table.add(kept)
    agree(shop)
    assert kinds(shop) == [("refund_missing_at_stripe", "settled")]
    assert told(shop) == ["break.settled"]


def test_an_amount_that_differs_goes_to_a_person_and_stays_settled_once_dealt_with(shop: Shop) -> None:
    charge, _ = refunded(shop)
    change(shop, "UPDATE refunds SET amount_minor = 4800")
    agree(shop)
    assert kinds(shop) == [("amount", "case")]  # and no second break of the charge's sum
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, "refund-amount-differs")
    deny(shop.desk, shop.person(case.id), reason="looked into", reply=None)
    agree(shop)
    assert kinds(shop) == [("amount", "settled")]
    agree(shop)
    assert kinds(shop) == [("amount", "settled")]
    assert told(shop) == ["break.handed_over", "break.settled"]


def test_a_currency_that_differs_goes_to_a_person(shop: Shop) -> None:
    charge, _ = refunded(shop)
    change(shop, "UPDATE refunds SET currency = 'eur'")
    agree(shop)
    assert kinds(shop) == [("currency", "case")]
    assert [case.reason for case in shop.cases_of(charge)] == ["refund-amount-differs"]


def test_a_call_without_an_answer_is_looked_up_and_taken_over_where_stripe_has_it(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.stripe.fault("lost_answer", method="POST", path="/v1/refunds")
    shop.work(only=Actor.ASSESS)
    shop.work(only=Actor.SUBMIT)
    assert [row.state for row in shop.refunds_of(charge)] == ["unknown"]
    shop.skip_events()
    shop.age(timedelta(hours=13))
    agree(shop)
    assert [row.state for row in shop.refunds_of(charge)] == ["succeeded"]
    assert kinds(shop) == [("status", "settled")]
    shop.restart()
    shop.assert_paid_once(charge)


def test_a_call_without_an_answer_and_without_a_trace_is_put_before_a_person_past_its_key(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.ask(charge, unused=True)
    shop.stripe.fault("lost_request", method="POST", path="/v1/refunds")
    shop.work(only=Actor.ASSESS)
    shop.work(only=Actor.SUBMIT)
    agree(shop)
    assert breaks(shop) == []  # its own job still has the key's life
    shop.age(timedelta(hours=13))
    agree(shop)
    assert kinds(shop) == [("outcome_unknown_past_key", "case")]
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason, case.priority) == (CaseState.REVIEW, "outcome-unknown", "high")
    assert shop.refunds_at_stripe(charge) == []  # reconcile sends nothing

    shop.restart()  # the refund's own job proves it absent and pays under a new key
    shop.deliver()
    shop.work()
    agree(shop)
    assert kinds(shop) == [("outcome_unknown_past_key", "settled")]
    assert len(shop.refunds_at_stripe(charge)) == 1


def test_two_refunds_under_one_intent_reach_a_person_and_are_never_mended_by_themselves(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    case_id = shop.ask(charge, unused=True).case.id
    shop.work(only=Actor.ASSESS)
    [intent] = shop.refunds_of(charge)
    for _ in range(2):
        shop.stripe.post("/refunds", charge=charge, amount=1000, metadata={"billingbot_refund": intent.id})
    change(shop, "UPDATE refunds SET amount_minor = 1000")
    shop.skip_events()
    agree(shop)
    shop.work()  # the case may just be assessed anew: then the next pass hands over
    agree(shop)
    assert ("second_refund", "case") in kinds(shop)
    assert shop.case(case_id).state is CaseState.REVIEW
    assert shop.case(case_id).reason == "refunded-twice"
    agree(shop)
    assert ("second_refund", "case") in kinds(shop)
    assert sorted(row.origin for row in shop.refunds_of(charge)) == ["external", "policy"]


def test_a_row_that_the_ledger_does_not_tell_of_goes_to_a_person(shop: Shop) -> None:
    charge, refund = refunded(shop)
    change(shop, "ALTER TABLE ledger_entries DISABLE TRIGGER USER")
    change(shop, "DELETE FROM ledger_entries WHERE kind = 'refund.changed'")
    agree(shop)
    assert kinds(shop) == [("ledger_missing_entry", "case")]
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason) == (CaseState.REVIEW, "ledger-missing-entry")
    assert [row["id"] for row in shop.refunds_at_stripe(charge)] == [refund]


def test_an_external_refund_without_a_case_gets_one_that_only_a_person_can_move(shop: Shop) -> None:
    """Nobody asked for it: whatever else happens to the charge, the machine never pays in a case of this kind."""
    _, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge, amount=1000)
    shop.deliver()
    shop.work()
    change(shop, "UPDATE refunds SET amount_minor = 900")
    agree(shop)
    [case] = shop.cases_of(charge)
    assert (case.state, case.reason, case.priority) == (CaseState.REVIEW, "refund-amount-differs", "high")
    ask_again(shop.desk, shop.person(case.id), why="let us see")
    shop.work()
    assert (shop.case(case.id).state, shop.case(case.id).reason) == (CaseState.REVIEW, "nobody-asked")
    assert len(shop.refunds_at_stripe(charge)) == 1


def test_a_trial_end_charge_that_no_event_told_of_is_noticed_and_asks_for_nothing(shop: Shop) -> None:
    trial, charge = shop.charged_trial()
    shop.skip_events()
    import_trials(shop)
    shop.stripe.advance(days=20)  # a renewal, which is no conversion
    shop.skip_events()
    agree(shop)
    assert kinds(shop) == [("charge_unknown", "settled")]
    [noticed] = shop.rows("SELECT * FROM conversions")
    assert (noticed.charge_id, noticed.subscription_id) == (charge, trial.subscription)
    assert shop.rows("SELECT 1 FROM cases") == []
    assert len(agree(shop).id) > 0
    assert len(breaks(shop)) == 1


def test_a_charge_whose_sum_differs_though_its_refunds_agree_goes_to_a_person(shop: Shop) -> None:
    charge, _ = refunded(shop)
    with shop.sandbox.state.lock:
        shop.sandbox.state.tables["charge"].rows[charge]["amount_refunded"] = 4000
    agree(shop)
    assert kinds(shop) == [("charge_refunded_amount", "case")]


def test_an_old_charge_whose_refund_was_missed_is_read_refund_by_refund(shop: Shop) -> None:
    """The refund is older than the window, the charge says that there is one."""
    _, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge, amount=700)
    shop.skip_events()
    found = shop.refunds_at_stripe(charge)[0]
    with shop.sandbox.state.lock:
        shop.sandbox.state.tables["refund"].rows[found["id"]]["created"] -= 90 * 86_400
    agree(shop)
    assert kinds(shop) == [("refund_unknown_to_us", "settled")]


def test_a_dispute_that_no_event_told_of_is_acted_on_as_if_one_had(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    dispute = shop.stripe.dispute(charge)["id"]
    shop.skip_events()
    agree(shop)
    assert kinds(shop) == [("dispute_unknown", "settled")]
    shop.work()
    [case] = shop.cases_of(charge)
    assert case.state is CaseState.REVIEW
    assert [row.external_ref for row in shop.rows("SELECT external_ref FROM requests")] == [dispute]

    with shop.sandbox.state.lock:  # and moves months later, when no window shows it any more
        shop.sandbox.state.tables["dispute"].rows[dispute]["created"] -= 90 * 86_400
    shop.stripe.move_dispute(dispute, "lost")
    shop.skip_events()
    agree(shop)
    assert ("dispute_status", "settled") in kinds(shop)
    assert [row.status for row in shop.rows("SELECT status FROM disputes")] == ["lost"]
    shop.work()
    assert shop.refunds_at_stripe(charge) == []


def test_a_dispute_that_an_event_told_of_is_no_break(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.dispute(charge, status="warning_needs_response")
    for _ in range(2):  # the full refund that follows closes the inquiry, which is news again
        shop.deliver()
        shop.work()
    agree(shop)
    assert breaks(shop) == []


def test_an_object_that_cannot_be_read_hides_no_other(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    _, other = shop.charged_trial()
    for each in (charge, other):
        shop.stripe.post("/refunds", charge=each, amount=500)
    shop.deliver()
    shop.work(only=Actor.IMPORT_HISTORY)
    broken = shop.refunds_at_stripe(charge)[0]["id"]
    with shop.sandbox.state.lock:
        shop.sandbox.state.tables["refund"].rows[broken]["amount"] = "five"
    with pytest.raises(Exception, match="amount"):
        shop.desk.account("default").stripe.refund(broken)
    agree(shop)
    assert ("refund_unknown_to_us", "settled") in kinds(shop)
    assert ("unreadable", "open") in kinds(shop)
    with shop.sandbox.state.lock:
        shop.sandbox.state.tables["refund"].rows[broken]["amount"] = 500
    agree(shop)
    assert {state for _, state in kinds(shop)} == {"settled"}


def test_small_pages_find_the_same_as_large_ones_and_count_everything_once(shop: Shop) -> None:
    charges = charges_at_once(shop, 5)
    for charge in charges:
        shop.stripe.post("/refunds", charge=charge, amount=100)
    shop.skip_events()
    import_trials(shop)
    done = agree(shop, rows=2)
    assert done.tally.found == done.tally.settled == 10  # five refunds, five conversions
    assert kinds(shop).count(("refund_unknown_to_us", "settled")) == 5
    assert done.tally.seen == 5 + len(shop.stripe.objects("charge"))


class KilledError(BaseException):
    """The process dies here."""


def test_a_pass_that_is_killed_at_any_page_goes_on_there_and_ends_the_same(shop: Shop) -> None:
    for charge in charges_at_once(shop, 2):
        shop.stripe.post("/refunds", charge=charge, amount=100)
    import_trials(shop)
    shop.skip_events()
    since = datetime.now(UTC) - timedelta(days=60)
    window = {"since": since, "until": datetime.now(UTC) + timedelta(hours=1)}
    deaths = 0

    def die(_: Pass) -> None:
        raise KilledError

    while True:
        try:
            done = agree(shop, rows=1, moved=die, **window)
        except KilledError:
            deaths += 1
            [left] = shop.rows("SELECT state FROM reconcile_passes")
            if left.state == "whole":
                break
        else:
            raise AssertionError(f"not killed: {done}")
    assert deaths > 6
    assert kinds(shop).count(("refund_unknown_to_us", "settled")) == 2
    [row] = shop.rows("SELECT * FROM reconcile_passes")
    assert (row.found, row.settled) == (4, 4)
    assert agree(shop).tally.found == 0


def test_two_passes_at_once_come_to_the_same_as_one(shop: Shop) -> None:
    charges = charges_at_once(shop, 4)
    for charge in charges:
        shop.stripe.post("/refunds", charge=charge, amount=100)
    shop.stripe.dispute(charges[0], status="warning_needs_response")
    shop.skip_events()
    threads = [threading.Thread(target=agree, args=(shop,), kwargs={"rows": 1}) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shop.rows("SELECT 1 FROM refunds WHERE origin = 'external'")) == 4
    assert {state for _, state in kinds(shop)} == {"settled"}
    assert told(shop).count("break.settled") == len(breaks(shop))
    assert shop.rows("SELECT count(*) AS n FROM requests")[0].n == 1
    assert shop.ledger_flaws() == []


def test_a_webhook_that_tells_the_same_at_the_same_time_changes_nothing(shop: Shop) -> None:
    charges = charges_at_once(shop, 4)
    shop.deliver()
    shop.work()
    for charge in charges:
        shop.stripe.post("/refunds", charge=charge, amount=100)
    shop.deliver()
    passing = threading.Thread(target=agree, args=(shop,), kwargs={"rows": 1})
    passing.start()
    shop.work()
    passing.join()
    adopted = shop.rows("SELECT * FROM refunds WHERE origin = 'external'")
    assert len(adopted) == 4
    assert len(shop.rows("SELECT 1 FROM ledger_entries WHERE kind = 'refund.adopted'")) == 4
    assert {state for _, state in kinds(shop)} <= {"settled"}


def test_a_rate_limit_is_waited_for_and_nothing_is_skipped(shop: Shop) -> None:
    _, charge = shop.charged_trial()
    shop.stripe.post("/refunds", charge=charge, amount=100)
    shop.skip_events()
    shop.stripe.fault("rate_limit", method="GET", path="/v1/refunds", times=4)  # more than a read tries by itself
    agree(shop)
    assert ("refund_unknown_to_us", "settled") in kinds(shop)


def test_the_schedule_begins_one_pass_and_wakes_it_again_when_it_was_left_behind(shop: Shop) -> None:
    assert start_due(shop.desk) == 1
    assert start_due(shop.desk) == 0
    [row] = shop.rows("SELECT * FROM reconcile_passes")
    assert row.deep
    shop.forget_failures()
    change(shop, "DELETE FROM jobs")
    change(shop, "UPDATE reconcile_passes SET advanced_at = now() - interval '6 minutes'")
    assert start_due(shop.desk) == 1
    shop.work()
    [row] = shop.rows("SELECT * FROM reconcile_passes")
    assert row.state == "whole"
    assert start_due(shop.desk) == 1
    shop.work()
    [first, second] = shop.rows("SELECT * FROM reconcile_passes ORDER BY id")
    assert not second.deep
    assert second.since == first.until - timedelta(days=1)


def test_a_pass_waits_until_the_trials_are_read_in_for_the_first_time(shop: Shop) -> None:
    change(shop, "UPDATE history_imports SET finished_at = NULL")
    assert start_due(shop.desk) == 0


def test_nobody_is_asked_to_compare_what_ends_before_it_begins(shop: Shop) -> None:
    with pytest.raises(InputError, match="since"):
        agree(shop, since=datetime.now(UTC) + timedelta(days=1))
