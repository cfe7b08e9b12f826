"""Closing a month: what Stripe moved is read, tied to our books and the ledger, drawn, and signed by a person."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from billingbot.core.access.powers import Role, powers_of
from billingbot.core.books.journal import Books
from billingbot.core.books.month import Closing, Month, MonthState
from billingbot.core.books.settlement import Movement
from billingbot.core.books.statement import BreakName, CurrencyLine, Statement
from billingbot.core.errors import ConflictError, ForbiddenError, InputError, NotFoundError
from billingbot.core.job import Actor
from billingbot.flows.books import months
from billingbot.flows.desk import Desk
from billingbot.gateway.client import StripeGateway
from billingbot.store import months as closings
from billingbot.store.database import transaction
from tests.flows.shop import Shop


def refunded(shop: Shop, **how: object) -> str:
    """A charge that was refunded some five weeks ago by Stripe's clock: in a month that has ended."""
    [charge] = refunded_in_one_month(shop, how)
    return charge


def refunded_in_one_month(shop: Shop, *customers: Mapping[str, object]) -> list[str]:
    """The same for several, all at one instant of Stripe's clock: whatever the day, one month has them."""
    trials = [shop.start_trial(**{"trial_period_days": 3, **how}) for how in customers]  # type: ignore[arg-type] # as the shop takes them
    shop.stripe.advance(days=4)
    charges = [shop.last_charge(trial) for trial in trials]
    for charge in charges:
        shop.ask(charge)
        shop.deliver()
        shop.work()
    return charges


def month_at_stripe(shop: Shop) -> Month:
    return Month.of(datetime.fromtimestamp(shop.stripe.now(), UTC), "UTC")


def settle(shop: Shop) -> None:
    shop.deliver()
    shop.work()
    shop.do("settlements")
    shop.work()


def statement_of(shop: Shop, closing: Closing) -> Statement:
    with transaction(shop.desk.db) as connection:
        found = closings.statement(connection, closing.id)
        begun = closings.beginning(connection, closing.id, rows=1)
    assert found is not None
    assert begun == closings.Begun(statement=replace(found, rows=found.rows[:1]), rows=len(found.rows)), "as shown"
    return found


def close(shop: Shop, month: Month) -> tuple[Closing, Statement]:
    """The month closed by the workers, and its statement."""
    began = months.close(shop.desk, "default", str(month), by="fin")
    shop.work()
    with transaction(shop.desk.db) as connection:
        closing = closings.get(connection, began.id)
    return closing, statement_of(shop, closing)


def in_dollars(statement: Statement) -> CurrencyLine:
    [line] = [line for line in statement.lines if line.currency == "usd"]
    return line


def test_what_a_refund_did_to_the_balance_is_read_and_kept(shop: Shop) -> None:
    shop.stripe.settle("eur", "usd", "1.0834")
    charge = refunded(shop, currency="eur")
    settle(shop)
    [row] = shop.rows("SELECT * FROM balance_transactions")
    [at_stripe] = shop.refunds_at_stripe(charge)
    assert (row.movement, row.source, row.amount_minor, row.currency) == ("refund", at_stripe["id"], -5309, "usd")
    assert (str(row.exchange_rate), row.fee_minor) == ("1.0834", 0)
    assert row.available_on > row.created_at
    assert shop.do("settlements") == 0


def test_refunds_of_years_ago_are_read_by_a_job_that_goes_on_where_it_was_cut_off(shop: Shop) -> None:
    for _ in range(3):
        refunded(shop)
    settle(shop)
    shop.write("DELETE FROM balance_transactions")
    shop.write("UPDATE refunds SET settlement_of = NULL")
    shop.do("settlements")
    shop.stripe.fault("rate_limit", path="/v1/balance_transactions", times=None)
    shop.work()
    assert shop.rows("SELECT * FROM balance_transactions") == []
    shop.stripe.clear_faults()
    shop.hurry()
    shop.work()
    assert len(shop.rows("SELECT * FROM balance_transactions")) == 3
    assert shop.rows("SELECT * FROM jobs WHERE state = 'ready'") == []


def test_a_refund_that_fails_later_has_its_return_read_too(shop: Shop) -> None:
    charge = refunded(shop)
    settle(shop)
    shop.stripe.turn_refund(shop.refunds_at_stripe(charge)[0]["id"], "failed", "expired_or_canceled_card")
    settle(shop)
    rows = shop.rows("SELECT movement, amount_minor FROM balance_transactions ORDER BY movement")
    assert [tuple(row) for row in rows] == [("refund", -4900), ("returned", 4900)]


def test_a_month_ties_ledger_refunds_and_stripe_to_the_cent(shop: Shop) -> None:
    shop.stripe.settle("eur", "usd", "1.0834")
    *_, failing = refunded_in_one_month(shop, {}, {"currency": "eur"}, {})
    shop.stripe.turn_refund(shop.refunds_at_stripe(failing)[0]["id"], "failed")
    disputed = shop.last_charge(shop.start_trial(trial_period_days=None))
    dispute = shop.stripe.dispute(disputed)["id"]
    shop.stripe.move_dispute(dispute, "lost")
    month = month_at_stripe(shop)
    shop.deliver()
    shop.work()
    closing, statement = close(shop, month)
    assert (closing.state, closing.breaks) == (MonthState.DRAWN, 0), statement.breaks
    line = in_dollars(statement)
    assert (line.refunds.count, line.refunds.minor) == (3, -4900 - 5309 - 4900)
    assert (line.returned.minor, line.withdrawn.minor, line.dispute_fees_minor) == (4900, -4900, -1500)
    assert line.closing_minor == -4900 - 5309 - 4900 - 1500
    assert {(tie.what, tie.currency): tie.ledger_minor for tie in statement.ties} == {
        (Movement.REFUND, "usd"): 9800,
        (Movement.REFUND, "eur"): 4900,
        (Movement.RETURNED, "usd"): 4900,
    }


def test_what_stripe_knows_and_we_do_not_is_a_named_break_until_it_is_adopted(shop: Shop) -> None:
    trial = shop.start_trial(trial_period_days=3)
    shop.stripe.advance(days=4)
    made = shop.stripe.post("/refunds", charge=shop.last_charge(trial), amount=1000)
    month = month_at_stripe(shop)
    _, statement = close(shop, month)
    [found] = statement.breaks
    assert found.name is BreakName.STRIPE_ALONE
    assert made["id"] in found.told
    shop.deliver()
    shop.work()
    closing, statement = close(shop, month)
    assert (closing.breaks, statement.breaks) == (0, ())


def test_a_refund_whose_ledger_entry_tells_another_amount_is_a_break(shop: Shop) -> None:
    charge = refunded(shop)
    shop.write("UPDATE refunds SET amount_minor = 4800 WHERE charge_id = :c", c=charge)
    _, statement = close(shop, month_at_stripe(shop))
    assert {one.name for one in statement.breaks} == {BreakName.AMOUNT_DIFFERS, BreakName.LEDGER_DIFFERS}


def test_signing_freezes_the_month_and_the_ledger_keeps_its_digest_and_its_own_head(shop: Shop) -> None:
    refunded(shop)
    month = month_at_stripe(shop)
    closing, _ = close(shop, month)
    assert closing.digest is not None
    signed = months.sign(shop.desk, "default", str(month), digest=closing.digest, by="fin")
    assert (signed.state, signed.signed_by) == (MonthState.SIGNED, "fin")
    [entry] = shop.rows("SELECT * FROM ledger_entries WHERE kind = 'month.signed'")
    assert closing.digest in bytes(entry.body).decode()
    assert (signed.ledger_seq, signed.ledger_hash) == (entry.seq - 1, entry.previous_hash)
    with pytest.raises(ConflictError, match="it is signed"):
        months.close(shop.desk, "default", str(month), by="fin")
    with pytest.raises(ConflictError, match="signed it already"):
        months.sign(shop.desk, "default", str(month), digest=closing.digest, by="kim")
    assert shop.ledger_flaws() == []


def test_what_is_learnt_after_the_signature_is_an_adjustment_of_the_next_month(shop: Shop) -> None:
    refunded(shop)
    month = month_at_stripe(shop)
    closing, statement = close(shop, month)
    assert closing.digest is not None
    months.sign(shop.desk, "default", str(month), digest=closing.digest, by="fin")
    late = refunded_at_the_same_time(shop)
    following, after = close(shop, month.next())
    [row] = after.adjustments
    assert (row.source, row.belongs_to, row.net_minor) == (late, str(month), -500)
    assert after.follows == closing.digest
    assert in_dollars(after).opening_minor == in_dollars(statement).closing_minor
    assert in_dollars(after).closing_minor == in_dollars(statement).closing_minor - 500
    assert following.state is MonthState.DRAWN
    assert statement_of(shop, closing) == statement


def refunded_at_the_same_time(shop: Shop) -> str:
    """A transaction that Stripe lists late, dated in the month that was signed; the refund's id at Stripe."""
    [known] = shop.rows("SELECT * FROM balance_transactions")
    shop.write(
        "INSERT INTO balance_transactions (account, id, movement, type, category, source, amount_minor, fee_minor,"
        " currency, created_at, available_on, status) VALUES ('default', 'txn_late', 'refund', 'refund', 'refund',"
        " 're_late', -500, 0, 'usd', :at, :at, 'available')",
        at=known.created_at,
    )
    return "re_late"


def test_a_signature_is_for_the_statement_that_was_read(shop: Shop) -> None:
    refunded(shop)
    month = month_at_stripe(shop)
    first, _ = close(shop, month)
    refunded_by_hand = shop.last_charge(shop.start_trial(trial_period_days=None))
    shop.stripe.post("/refunds", charge=refunded_by_hand, amount=700)
    second, _ = close(shop, month)
    assert first.digest is not None
    assert second.digest is not None
    with pytest.raises(ConflictError, match="drawn anew"):
        months.sign(shop.desk, "default", str(month), digest=first.digest, by="fin")
    with pytest.raises(InputError, match="a reason to sign with 1 breaks"):
        months.sign(shop.desk, "default", str(month), digest=second.digest, by="fin")
    signed = months.sign(
        shop.desk, "default", str(month), digest=second.digest, by="fin", why="made by hand, booked there"
    )
    assert signed.breaks == 1


def test_months_are_signed_in_their_order_and_once_they_have_ended(shop: Shop) -> None:
    this_month = Month.of(datetime.now(UTC), "UTC")
    closing, _ = close(shop, this_month)
    assert closing.digest is not None
    with pytest.raises(ConflictError, match="had not ended"):
        months.sign(shop.desk, "default", str(this_month), digest=closing.digest, by="fin")
    with pytest.raises(InputError, match="a month that has begun"):
        months.close(shop.desk, "default", str(this_month.next()), by="fin")
    three_back = this_month.previous().previous().previous()
    first, _ = close(shop, three_back)
    assert first.digest is not None
    months.sign(shop.desk, "default", str(three_back), digest=first.digest, by="fin")
    skipped, _ = close(shop, this_month.previous())
    assert skipped.digest is not None
    with pytest.raises(ConflictError, match=f"{three_back.next()} comes next"):
        months.sign(shop.desk, "default", str(this_month.previous()), digest=skipped.digest, by="fin")
    with pytest.raises(NotFoundError, match="never closed"):
        months.sign(shop.desk, "default", "2020-01", digest="sha256:x", by="fin")


def test_a_month_that_ended_while_it_was_read_is_read_again_before_it_is_signed(shop: Shop) -> None:
    refunded(shop)
    month = month_at_stripe(shop)
    drawn, _ = close(shop, month)
    assert drawn.digest is not None
    # The pages were read in the month's last seconds, and the statement drawn in the first ones of the next.
    shop.write("UPDATE months SET began_at = until - interval '5 seconds'")
    with pytest.raises(ConflictError, match="had not ended when"):
        months.sign(shop.desk, "default", str(month), digest=drawn.digest, by="fin")


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.APPROVER, Role.OPS])
def test_only_finance_closes_and_signs(shop: Shop, role: Role) -> None:
    theirs: Desk = replace(shop.desk, powers=powers_of([role]))
    with pytest.raises(ForbiddenError):
        months.close(theirs, "default", "2026-03", by="kim")
    with pytest.raises(ForbiddenError):
        months.sign(theirs, "default", "2026-03", digest="sha256:x", by="kim")


def test_a_worker_that_dies_while_reading_leaves_a_place_from_which_the_next_goes_on(shop: Shop) -> None:
    refunded(shop)
    month = month_at_stripe(shop)
    shop.stripe.fault("rate_limit", path="/v1/balance_transactions", times=None)
    began = months.close(shop.desk, "default", str(month), by="fin")
    shop.work()
    with transaction(shop.desk.db) as connection:
        cut_off = closings.get(connection, began.id)
    assert cut_off.state is MonthState.READING
    shop.stripe.clear_faults()
    shop.hurry()
    shop.work()
    with transaction(shop.desk.db) as connection:
        whole = closings.get(connection, began.id)
    assert (whole.state, whole.breaks) == (MonthState.DRAWN, 0)


def test_by_hand_it_is_waited_for(shop: Shop) -> None:
    refunded(shop)
    told: list[MonthState] = []
    closing = months.close_whole(
        shop.desk, "default", str(month_at_stripe(shop)), by="fin", moved=lambda at: told.append(at.state)
    )
    assert (closing.state, told[-1]) == (MonthState.DRAWN, MonthState.DRAWN)
    shop.work(only=Actor.CLOSE_MONTH)
    assert shop.rows("SELECT * FROM jobs WHERE state = 'ready'") == []


def test_the_month_is_that_of_the_books_zone(shop: Shop) -> None:
    shop.desk = replace(shop.desk, books=Books(zone="Pacific/Auckland"))
    refunded(shop)
    closing, _ = close(shop, Month.parse("2026-03"))
    assert closing.since == datetime(2026, 2, 28, 11, tzinfo=UTC)
    assert closing.until - closing.since == timedelta(days=31)


def test_an_account_that_stripe_does_not_let_us_read_fails_without_a_statement(shop: Shop) -> None:
    gateway = StripeGateway("default", "rk_test_shop", False, api_base="http://127.0.0.1:9")
    shop.replace_gateway(gateway)
    began = months.close(shop.desk, "default", "2026-03", by="fin")
    shop.work()
    shop.write("UPDATE jobs SET attempts = 99 WHERE actor = 'close_month'")
    shop.hurry()
    shop.work()
    with transaction(shop.desk.db) as connection:
        assert closings.get(connection, began.id).state is MonthState.FAILED
