"""Asks another PostgreSQL about one customer's usage: one read-only query, bounded in time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from billingbot.core.errors import InputError
from billingbot.core.evidence.usage import Subject
from billingbot.evidence.config import UsageSql, metadata_name, query_binds, query_text
from billingbot.evidence.reading import (
    COVERAGE_FIELDS,
    USAGE_FIELDS,
    NotThereError,
    UnansweredError,
    UnreachableError,
    UsageReading,
    always,
    read_usage,
)
from billingbot.evidence.template import subject_value

# A healthy database accepts within milliseconds; three seconds leave time for a lost packet or two.
_CONNECT_SECONDS: Final = 3
# Half of a worker's eight threads: a guest on somebody else's database takes few of its connections.
_POOL_SIZE: Final = 4
# Ten seconds without an acknowledgement: the other machine is gone, and no statement timeout would tell.
_SILENCE_MILLISECONDS: Final = 10_000
_COLUMNS: Final = frozenset({*USAGE_FIELDS, *COVERAGE_FIELDS})


def usage_engine(url: str) -> sa.Engine:
    """An engine for the database at `url`, connected when it is first used and pooled from then on.

    InputError (without the address, which holds a password) where it is no PostgreSQL address.
    """
    expected = "expected a PostgreSQL address (postgresql://user:password@host/database)"
    try:
        address = sa.make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url))
    except (SQLAlchemyError, ValueError):
        raise InputError("database_url_env", expected) from None
    if address.drivername != "postgresql+psycopg":
        raise InputError("database_url_env", expected)
    return sa.create_engine(
        address,
        pool_size=_POOL_SIZE,
        max_overflow=0,
        pool_timeout=_CONNECT_SECONDS,
        pool_pre_ping=True,
        # Prepared statements break behind a transaction pooler, and one query per case gains nothing from them.
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "tcp_user_timeout": _SILENCE_MILLISECONDS,
            "application_name": "billingbot",
            "prepare_threshold": None,
        },
        execution_options={"postgresql_readonly": True},
        hide_parameters=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlQuestion:
    """One query on one database."""

    engine: sa.Engine = field(repr=False)
    query: str
    timeout_seconds: float

    def row(self, subject: Subject) -> Mapping[str, object]:
        """The one row about the customer.

        NotThereError for no row, UnreachableError where the database cannot be asked in time, UnansweredError
        for several rows or a query that fails: it names SQLSTATE, never the message, which may quote a value.
        """
        values = {name: _value(subject, name) for name in query_binds(self.query)}
        try:
            return self._one(values)
        except (OperationalError, InterfaceError) as fault:
            raise UnreachableError(f"the database cannot be asked ({_state(fault)})") from None
        except PoolTimeoutError:
            raise UnreachableError(f"no free connection within {_CONNECT_SECONDS} s") from None
        except DBAPIError as fault:
            raise UnansweredError(f"the query failed ({_state(fault)})") from None

    def _one(self, values: Mapping[str, object]) -> Mapping[str, object]:
        milliseconds = str(max(1, round(self.timeout_seconds * 1000)))
        with self.engine.connect() as connection:
            connection.execute(
                sa.text("SELECT set_config('statement_timeout', :milliseconds, true)"),
                {"milliseconds": milliseconds},
            )
            result = connection.execute(query_text(self.query), values)
            if not result.returns_rows:
                raise UnansweredError("the query returns no rows by its nature; expected a SELECT")
            columns = list(result.keys())
            _check_columns(columns)
            rows = result.fetchmany(2)
        if not rows:
            raise NotThereError("the query returned no row for this customer")
        if len(rows) > 1:
            raise UnansweredError("the query returned several rows for this customer; expected one")
        return dict(zip(columns, rows[0], strict=True))


def usage_by_sql(section: UsageSql, question: SqlQuestion, subject: Subject, now: datetime) -> UsageReading:
    """What the query says about the customer's usage. UnansweredError where it says nothing usable."""
    try:
        row = question.row(subject)
    except NotThereError:
        if section.not_found == "unknown":
            raise
        return UsageReading(coverage=always(now))
    if section.covers and row.keys() & set(COVERAGE_FIELDS):
        raise UnansweredError('expected either covers = "always" or columns for the coverage, not both')
    reading = read_usage(row, now=now)
    return replace(reading, coverage=always(now)) if section.covers else reading


def _check_columns(columns: list[str]) -> None:
    """A mistyped column must not look like "never used", so every one has to be known."""
    if unknown := sorted(set(columns) - _COLUMNS):
        raise UnansweredError(f"unknown column {unknown[0]}; expected some of {', '.join(sorted(_COLUMNS))}")
    if len(set(columns)) != len(columns):
        raise UnansweredError("the query returns a column twice")
    if len(set(columns) & set(COVERAGE_FIELDS)) == 1:
        raise UnansweredError("expected both coverage_from and coverage_to, or neither")


def _value(subject: Subject, bind: str) -> object:
    match bind:
        case "livemode":
            return subject.livemode
        case "since":
            return subject.since
        case "customer_id" | "email" | "subscription_id" | "account":
            return subject_value(subject, bind)
        case _:
            return subject_value(subject, metadata_name(bind))


def _state(fault: DBAPIError) -> str:
    sqlstate = getattr(fault.orig, "sqlstate", None)
    return f"{type(fault.orig).__name__}{f', SQLSTATE {sqlstate}' if sqlstate else ''}"
