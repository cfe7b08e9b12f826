"""SQL sources against a real PostgreSQL: one read-only query, bounded in time."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from tests.engines.shared import Database, plain
from tests.evidence.people import EMAIL, NOW, SINCE, subject
from tests.evidence.records import NoPushes

from billingbot.core.evidence.usage import Span, UsageReport, shortfall
from billingbot.evidence.build import build_usage_sources
from billingbot.evidence.config import UsageSql, read_evidence_config
from billingbot.evidence.sources import GuardedUsage
from billingbot.evidence.sql import SqlQuestion, usage_by_sql, usage_engine

SEEN = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
Ask = Callable[..., UsageReport]


def section(query: str, settings: str = "") -> UsageSql:
    text = f"[[usage]]\ntype = 'sql'\nname = 'calls'\ndatabase_url_env = 'URL'\nquery = '''{query}'''\n{settings}"
    (parsed,) = read_evidence_config(text, file="b.toml").usage
    assert isinstance(parsed, UsageSql)
    return parsed


@pytest.fixture
def engine(database: Database) -> Iterator[sa.Engine]:
    made = usage_engine(plain(database.owner_url))
    yield made
    made.dispose()


@pytest.fixture
def ask(engine: sa.Engine, database: Database) -> Ask:
    """Asks the query about Dana; `calls` holds what the product recorded."""
    with psycopg.connect(plain(database.owner_url)) as connection:
        connection.execute("CREATE TABLE calls (customer text, email text, at timestamptz, n int)")
        connection.execute("INSERT INTO calls VALUES ('cus_dana', %s, %s, 2)", (EMAIL, SEEN))
        connection.execute("INSERT INTO calls VALUES ('cus_dana', '', %s, 3)", (SEEN,))

    def report(query: str, settings: str = "", **about: object) -> UsageReport:
        configured = section(query, settings)
        question = SqlQuestion(engine=engine, query=configured.query, timeout_seconds=configured.timeout_seconds)
        calls = GuardedUsage(
            name="calls",
            max_age=timedelta(minutes=5),
            read=lambda who, now: usage_by_sql(configured, question, who, now),
        )
        found = calls.report(subject(**about), now=NOW)  # type: ignore[arg-type] - the tests name real fields
        assert EMAIL not in (found.why or "")
        return found

    return report


def test_a_row_becomes_a_report(ask: Ask) -> None:
    report = ask(
        "SELECT sum(n) AS events, min(at) AS first_at, max(at) AS last_at, "
        ":since::timestamptz AS coverage_from, :until::timestamptz AS coverage_to "
        "FROM calls WHERE customer = :customer_id".replace(":until", f"'{NOW.isoformat()}'")
    )
    assert (report.answered, report.events, report.first_at, report.last_at) == (True, 5, SEEN, SEEN)
    assert report.coverage == (Span(start=SINCE, end=NOW),)


def test_nobody_counted_is_unused_where_the_owner_vouches_for_the_coverage(ask: Ask) -> None:
    query = "SELECT count(*) AS events, max(at) AS last_at FROM calls WHERE customer = :customer_id"
    report = ask(query, 'covers = "always"', customer_id="cus_idle")
    assert (report.answered, report.events, report.last_at, report.saw_use) == (True, 0, None, False)
    assert shortfall(report, since=SINCE, now=NOW) is None


def test_every_parameter_carries_the_customer_as_a_value_and_never_as_sql(ask: Ask) -> None:
    hostile = "'; DROP TABLE calls; --"
    query = (
        "SELECT :email = :metadata_ws AND :account = 'main' AND :subscription_id = 'sub_1' AND NOT :livemode "
        "AND :customer_id LIKE 'cus%' AND :since::timestamptz < now() AS used"
    )
    assert ask(query, email=hostile, metadata={"ws": hostile}).used is True
    assert ask("SELECT count(*) AS events FROM calls WHERE customer = :customer_id").events == 2


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT true AS used WHERE :customer_id = 'x'", "the query returned no row for this customer"),
        ("SELECT n AS events FROM calls WHERE customer = :customer_id", "the query returned several rows"),
        ("SELECT 1 AS used WHERE :customer_id <> ''", "used: expected true or false, got a number"),
        ("SELECT 'no' AS used WHERE :customer_id <> ''", "used: expected true or false, got text"),
        ("SELECT NULL::boolean AS used WHERE :customer_id <> ''", "used: expected true or false, got nothing"),
        ("SELECT 1.5 AS events WHERE :customer_id <> ''", "events: expected a whole number"),
        ("SELECT at::timestamp AS last_at FROM calls WHERE email = :email", "last_at: expected a time with a zone"),
        ("SELECT at::date AS last_at FROM calls WHERE email = :email", "last_at: expected a time"),
        ("SELECT 0 AS event WHERE :customer_id <> ''", "unknown column event; expected some of"),
        ("SELECT 0 AS events, 1 AS events WHERE :customer_id <> ''", "the query returns a column twice"),
        ("SELECT 0 AS events, now() AS coverage_to WHERE :customer_id <> ''", "expected both coverage_from and"),
        ("SELECT now() AS coverage_from, now() AS coverage_to WHERE :email <> ''", "says nothing about usage"),
        ("SELECT used FROM nowhere WHERE :customer_id <> ''", "the query failed (UndefinedTable, SQLSTATE 42P01)"),
        ("SELECT :email::int AS events", "the query failed (InvalidTextRepresentation, SQLSTATE 22P02)"),
        ("SELEKT :email", "the query failed (SyntaxError, SQLSTATE 42601)"),
        ("DELETE FROM calls WHERE email = :email", "the query failed (ReadOnlySqlTransaction, SQLSTATE 25006)"),
        ("SELECT 1 AS events WHERE :email <> ''; DELETE FROM calls", "the query failed (SyntaxError"),
        ("SET LOCAL work_mem = :customer_id", "the query failed (SyntaxError"),
        ("SELECT true AS used WHERE :metadata_ws <> ''", "customer has no metadata ws"),
    ],
)
def test_what_is_not_one_row_of_known_columns_is_no_answer_and_says_why(ask: Ask, query: str, why: str) -> None:
    report = ask(query)
    assert not report.answered
    assert (report.why or "").startswith(why), report.why


def test_a_function_that_writes_is_refused_too(ask: Ask, database: Database) -> None:
    with psycopg.connect(plain(database.owner_url), autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION spoil(text) RETURNS boolean LANGUAGE sql AS "
            "'DELETE FROM calls WHERE customer = $1 RETURNING true'"
        )
    report = ask("SELECT spoil(:customer_id) AS used")
    assert report.why == "the query failed (ReadOnlySqlTransaction, SQLSTATE 25006)"


def test_an_absent_row_is_unused_only_where_the_owner_says_so(ask: Ask) -> None:
    query = "SELECT true AS used FROM calls WHERE customer = :customer_id LIMIT 1"
    report = ask(query, 'not_found = "unused"\ncovers = "always"', customer_id="cus_idle")
    assert (report.answered, report.saw_use) == (True, False)
    assert shortfall(report, since=SINCE, now=NOW) is None


def test_coverage_is_not_stated_twice(ask: Ask) -> None:
    query = "SELECT true AS used, now() AS coverage_from, now() AS coverage_to WHERE :email <> ''"
    assert (ask(query, 'covers = "always"').why or "").startswith('expected either covers = "always"')


def test_a_slow_query_is_cancelled_in_time_and_the_next_one_works(ask: Ask) -> None:
    began = time.monotonic()
    report = ask("SELECT pg_sleep(30) IS NULL AS used WHERE :email <> ''", "timeout_seconds = 0.3")
    assert time.monotonic() - began < 3
    assert report.why == "the database cannot be asked (QueryCanceled, SQLSTATE 57014)"
    assert ask("SELECT true AS used WHERE :email <> ''").used


def test_a_connection_lost_in_the_pool_is_replaced(ask: Ask, database: Database) -> None:
    assert ask("SELECT true AS used WHERE :email <> ''").used
    with psycopg.connect(plain(database.owner_url), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'billingbot' AND pid <> pg_backend_pid()"
        )
    assert ask("SELECT true AS used WHERE :email <> ''").used


def built_report(url: str) -> UsageReport:
    text = (
        '[[usage]]\ntype = "sql"\nname = "calls"\ndatabase_url_env = "URL"\n'
        "query = \"SELECT true AS used WHERE :email <> ''\""
    )
    (calls,) = build_usage_sources(read_evidence_config(text, file="b.toml"), {"URL": url}, Path(), NoPushes())
    return calls.report(subject(), now=NOW)


@pytest.mark.parametrize("url", ["postgresql://u:s3cret@127.0.0.1:1/d", "postgres://u:s3cret@nowhere.invalid/d"])
def test_a_database_that_is_not_there_is_no_answer_and_its_password_stays_hidden(url: str) -> None:
    report = built_report(url)
    assert (report.answered, report.why) == (False, "the database cannot be asked (OperationalError)")


def test_a_database_that_never_speaks_is_given_up_in_time(silent_port: int) -> None:
    began = time.monotonic()
    report = built_report(f"postgresql://u:s3cret@127.0.0.1:{silent_port}/d?sslmode=disable")
    assert time.monotonic() - began < 8
    assert not report.answered
    assert "s3cret" not in (report.why or "")
