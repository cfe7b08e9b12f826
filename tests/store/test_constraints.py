"""What must never happen is refused by the database itself, and what happens at once is decided there."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from billingbot.core.errors import ConflictError
from billingbot.core.refund import Origin, RefundIntent, RefundState
from billingbot.store import cases, refunds
from billingbot.store.database import transaction

PAYEE = refunds.Payee(customer_id="cus_1", card_digest="card", email_digest="mail")


def intent(refund_id: str, charge_id: str = "ch_1", **other: object) -> RefundIntent:
    values: dict[str, object] = {
        "case_id": None,
        "account": "default",
        "livemode": False,
        "amount_minor": 4900,
        "currency": "usd",
        "state": RefundState.INTENDED,
        "origin": Origin.POLICY,
        "decision_id": None,
        "clause": None,
        "decided_by": "policy",
        "stripe_refund_id": None,
        "why": None,
        "intended_at": datetime.now(UTC),
        "settled_at": None,
    }
    return RefundIntent(id=refund_id, charge_id=charge_id, **(values | other))  # type: ignore[arg-type] # tests choose


def test_of_twenty_who_intend_to_refund_one_charge_one_does(db: Engine) -> None:
    def one(number: int) -> bool:
        try:
            with transaction(db) as connection:
                refunds.intend(connection, intent(f"rfd_{number}"), PAYEE)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(one, range(20))) == 1


def test_two_live_refunds_of_one_charge_are_refused_even_past_our_own_question(db: Engine, superuser: Engine) -> None:
    with transaction(db) as connection:
        refunds.intend(connection, intent("rfd_1"), PAYEE)
    copy = 'INSERT INTO refunds SELECT (jsonb_populate_record(r, \'{"id": "rfd_2"}\')).* FROM refunds r'
    with pytest.raises(sa.exc.IntegrityError, match="uq_refunds_live_charge"), superuser.begin() as connection:
        connection.exec_driver_sql(copy)


def test_a_refund_that_failed_makes_room_for_another(db: Engine) -> None:
    with transaction(db) as connection:
        refunds.intend(connection, intent("rfd_1"), PAYEE)
        refunds.set_state(connection, refunds.lock(connection, "rfd_1"), RefundState.WITHDRAWN)
        refunds.intend(connection, intent("rfd_2"), PAYEE)


def test_a_second_attempt_waits_until_the_first_can_no_longer_pay(db: Engine) -> None:
    with transaction(db) as connection:
        refunds.intend(connection, intent("rfd_1"), PAYEE)
        refunds.start_attempt(connection, "att_1", "rfd_1", 1, "key-1", {"amount": 4900})
    with pytest.raises(sa.exc.IntegrityError), transaction(db) as connection:
        refunds.start_attempt(connection, "att_2", "rfd_1", 2, "key-2", {"amount": 4900})


def test_of_twenty_who_open_a_case_for_one_charge_one_does_and_all_get_the_same(db: Engine) -> None:
    def one(number: int) -> tuple[str, bool]:
        with transaction(db) as connection:
            case, is_new = cases.open_case(
                connection, f"case_{number}", account="default", livemode=False, charge_id="ch_1"
            )
            return case.id, is_new

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(one, range(20)))
    assert len({case_id for case_id, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1


def move_back(connection: Connection, refund_id: str, instant: str) -> None:
    connection.exec_driver_sql(f"UPDATE refunds SET intended_at = {instant} WHERE id = '{refund_id}'")  # noqa: S608 - our own words


def test_the_days_budget_begins_at_midnight_utc_and_forgets_what_was_not_paid(db: Engine, superuser: Engine) -> None:
    midnight = "date_trunc('day', now(), 'UTC')"
    with transaction(db) as connection:
        for number in range(5):
            refunds.intend(connection, intent(f"rfd_{number}", f"ch_{number}"), PAYEE)
        refunds.intend(connection, intent("rfd_eur", "ch_eur", currency="eur", amount_minor=100), PAYEE)
        refunds.intend(connection, intent("rfd_kim", "ch_kim", origin=Origin.PERSON), PAYEE)
        refunds.set_state(connection, refunds.lock(connection, "rfd_0"), RefundState.WITHDRAWN)
    with superuser.begin() as connection:
        move_back(connection, "rfd_1", f"{midnight} - interval '1 microsecond'")
        move_back(connection, "rfd_2", midnight)

    with transaction(db) as connection:
        spent = refunds.spent_today(connection, "default", "usd")
    assert (spent.count, spent.amount_minor) == (4, 3 * 4900)  # three in dollars, one in euros


def test_refunds_to_the_same_people_are_counted_within_the_window(db: Engine, superuser: Engine) -> None:
    with transaction(db) as connection:
        refunds.intend(connection, intent("rfd_1"), PAYEE)
        refunds.intend(connection, intent("rfd_2", "ch_2"), PAYEE)
    with superuser.begin() as connection:
        move_back(connection, "rfd_2", "now() - interval '366 days'")

    def counted(connection: Connection, other_than: str) -> tuple[int, int, int]:
        year = timedelta(days=365)
        return refunds.automatic_refunds(connection, "default", PAYEE, within=year, other_than=other_than)

    with transaction(db) as connection:
        assert counted(connection, "ch_3") == (1, 1, 1)
        assert counted(connection, "ch_1") == (0, 0, 0)
