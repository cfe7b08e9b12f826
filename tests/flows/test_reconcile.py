"""Every kind of break is planted, found, and settled or handed to a person; and nothing is ever paid for it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from billingbot.core.breaks import Pass, PassState
from billingbot.core.case import CaseState
from billingbot.flows.reconcile import reconcile_whole
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
