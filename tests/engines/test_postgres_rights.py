"""Who may do what in a private PostgreSQL: the application little, strangers nothing, the server less than root."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.engines.shared import plain

from billingbot.engines.account import unprivileged_account
from billingbot.engines.postgres import RunningPostgres, start_postgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to drop")


@pytest.fixture(scope="module")
def running(data_dir: Path) -> Iterator[RunningPostgres]:
    with start_postgres(data_dir, fsync=False) as started:
        yield started


def _ask(url: str, question: str) -> object:
    with psycopg.connect(plain(url), connect_timeout=5) as connection:
        row = connection.execute(question).fetchone()
    return None if row is None else row[0]


def _tell(url: str, order: str) -> None:
    with psycopg.connect(plain(url), connect_timeout=5) as connection:
        connection.execute(order)


@pytest.mark.parametrize(
    "order",
    [
        "CREATE TABLE public.mine ()",
        "ALTER TABLE owned ADD COLUMN more int",
        "DROP TABLE owned",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine ()",
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "SET ROLE billingbot_owner",
        "ALTER SYSTEM SET fsync = off",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_the_application_cannot(running: RunningPostgres, order: str) -> None:
    _tell(running.owner_url, "CREATE TABLE IF NOT EXISTS owned ()")
    with psycopg.connect(plain(running.app_url), autocommit=True) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("billingbot",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(order)


def test_the_application_has_the_rights_that_migrations_grant(running: RunningPostgres) -> None:
    _tell(running.owner_url, "CREATE TABLE IF NOT EXISTS granted (number int)")
    _tell(running.owner_url, "GRANT SELECT, INSERT ON granted TO billingbot_app")
    _tell(running.app_url, "INSERT INTO granted VALUES (1)")
    assert _ask(running.app_url, "SELECT count(*) FROM granted") == 1


def test_nobody_enters_without_the_password(running: RunningPostgres) -> None:
    right = plain(running.app_url)
    password = right.split(":")[2].partition("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(right.replace(password, "guessed"))


def test_the_log_quotes_neither_rows_nor_statements(running: RunningPostgres, data_dir: Path) -> None:
    _tell(running.owner_url, "CREATE TABLE people (email text UNIQUE)")
    _tell(running.owner_url, "INSERT INTO people VALUES ('ada@example.com')")
    with pytest.raises(psycopg.errors.UniqueViolation, match="ada@example"):
        _tell(running.owner_url, "INSERT INTO people VALUES ('ada@example.com')")
    log = (data_dir / "postgres" / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "ada@example.com" not in log


def test_secrets_are_neither_shown_nor_readable_to_others(running: RunningPostgres, data_dir: Path) -> None:
    password = running.app_url.split(":")[2].partition("@")[0]
    assert password not in repr(running)
    assert password not in "".join(running.process.args)  # type: ignore[arg-type]  # all of them are str
    assert (data_dir / "postgres" / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert (data_dir / "postgres" / "cluster").stat().st_mode & 0o777 == 0o700


@as_root
def test_root_drops_its_rights(running: RunningPostgres) -> None:
    account = unprivileged_account()
    assert account is not None
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    assert f"Uid:\t{account.uid}\t{account.uid}\t{account.uid}\t{account.uid}" in status
    assert "Groups:\t \n" in status
