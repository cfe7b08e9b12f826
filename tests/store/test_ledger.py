"""The ledger's rows: only ever added to, one chain however many write, and a planted change is found."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from billingbot.core.ledger import Draft, EntryKind, flaws
from billingbot.store import ledger
from billingbot.store.database import transaction


def draft(subject: str) -> Draft:
    return Draft(
        kind=EntryKind.CASE_NOTED, account="default", subject=subject, actor="kim", body={"amount_minor": 4900}
    )


def write(db: Engine, *subjects: str) -> None:
    with transaction(db) as connection:
        ledger.append(connection, *map(draft, subjects))


def found_flaws(db: Engine) -> list[tuple[int, str]]:
    with transaction(db) as connection:
        return [(flaw.seq, flaw.what) for flaw in flaws(ledger.entries(connection))]


CHANGES = ["UPDATE ledger_entries SET actor = 'nobody'", "DELETE FROM ledger_entries", "TRUNCATE ledger_entries"]


@pytest.mark.parametrize("change", CHANGES)
def test_the_application_may_not_change_or_remove_an_entry(db: Engine, change: str) -> None:
    write(db, "case_1")
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"), db.begin() as connection:
        connection.exec_driver_sql(change)
    assert found_flaws(db) == []


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("role", ["owner", "superuser"])
def test_not_even_the_owner_may_change_or_remove_an_entry(
    db: Engine, request: pytest.FixtureRequest, role: str, change: str
) -> None:
    write(db, "case_1")
    engine: Engine = request.getfixturevalue(role)
    with pytest.raises(sa.exc.ProgrammingError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql(change)
    assert found_flaws(db) == []


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE ledger_entries SET actor = 'nobody' WHERE seq = 2",
        "UPDATE ledger_entries SET body = '{\"amount_minor\":1}' WHERE seq = 2",
        "UPDATE ledger_entries SET at = at - interval '1 day' WHERE seq = 2",
        "DELETE FROM ledger_entries WHERE seq = 2",
        "UPDATE ledger_entries SET seq = 99 WHERE seq = 2",
    ],
)
def test_a_change_planted_behind_the_triggers_is_found(db: Engine, superuser: Engine, tampering: str) -> None:
    write(db, "case_1", "case_2", "case_3")
    assert found_flaws(db) == []
    with superuser.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(tampering)
    assert found_flaws(db) != []


def test_many_who_write_at_once_make_one_chain_without_a_fork(db: Engine) -> None:
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda n: write(db, f"case_{n}", f"refund_{n}"), range(60)))

    with transaction(db) as connection:
        entries = list(ledger.entries(connection))
    assert [entry.seq for entry in entries] == list(range(1, 121))
    assert list(flaws(entries)) == []
    pairs = zip(entries[::2], entries[1::2], strict=True)  # what one transaction wrote stands together
    assert all(one.subject.split("_")[1] == two.subject.split("_")[1] for one, two in pairs)


def test_what_is_rolled_back_leaves_no_gap(db: Engine) -> None:
    write(db, "case_1")
    with db.connect() as connection:
        ledger.append(connection, draft("case_2"))
        connection.rollback()
    write(db, "case_3")
    with transaction(db) as connection:
        assert [(entry.seq, entry.subject) for entry in ledger.entries(connection)] == [(1, "case_1"), (2, "case_3")]
    assert found_flaws(db) == []
