"""Connections to Postgres: one engine per process, with our own limits and the least role."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from psycopg import errors as pg
from sqlalchemy import Connection, Engine, event

from billingbot.core.errors import RetryLaterError

APP_ROLE = "billingbot_app"
"""May read and write rows, may not touch tables, and may only append to the ledger."""

# Statements of ours take milliseconds: five seconds means something is stuck. Locks are held for one short
# transaction, so four seconds means another worker is stuck. Ten idle seconds mean a process was stopped mid-way.
# Each statement is planned for the values that it is asked with: half of our indexes are for one state of a row, and a
# plan for any value cannot use them. The driver prepares what it sends often, and after some ten times of the same
# Postgres would make such a plan: the queue of a million cases took 16 ms ten times over, and 250 from then on.
_SESSION = (
    "-c statement_timeout=5s -c lock_timeout=4s -c idle_in_transaction_session_timeout=10s "
    "-c plan_cache_mode=force_custom_plan -c timezone=UTC -c synchronous_commit=on"
)


def make_engine(url: str, *, pool_size: int = 10) -> Engine:
    """An engine for the application: limited in time, in the role `billingbot_app` where it exists.

    `pool_size` is one connection for each thread that may work at a time.
    """
    engine = sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,  # a restarted Postgres costs one ping, not one job
        connect_args={"options": _SESSION, "connect_timeout": 5, "application_name": "billingbot"},
        isolation_level="READ COMMITTED",  # every race is decided by a row lock or a unique index
        hide_parameters=True,  # an error that quotes a row must not carry its texts and addresses into logs
    )
    event.listen(engine, "connect", _take_least_role)
    return engine


def now(connection: Connection) -> datetime:
    """The time by Postgres, the only clock that counts across processes and machines."""
    at: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return at


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One short transaction. RetryLaterError where Postgres is away, or another transaction stood in the way."""
    with to_be_retried(), engine.begin() as connection:
        yield connection


@contextmanager
def to_be_retried() -> Iterator[None]:
    """RetryLaterError for what goes wrong in here since Postgres is away, or another transaction stood in the way."""
    try:
        yield
    except sa.exc.TimeoutError as fault:
        raise RetryLaterError("postgres: every connection of this process is in use") from fault
    except sa.exc.OperationalError as fault:
        raise RetryLaterError(f"postgres: {_sentence(fault)}") from fault
    except sa.exc.DBAPIError as fault:
        if fault.connection_invalidated or isinstance(
            fault.orig,
            pg.SerializationFailure | pg.DeadlockDetected | pg.AdminShutdown | pg.IdleInTransactionSessionTimeout,
        ):
            raise RetryLaterError(f"postgres: {_sentence(fault)}") from fault
        raise


def advisory_lock(connection: Connection, name: str) -> None:
    """Holds the named lock until the transaction ends: one at a time, across all processes."""
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def _sentence(fault: sa.exc.DBAPIError) -> str:
    """The first line of what Postgres said: the rest may quote a row."""
    return str(fault.orig).partition("\n")[0]


def _take_least_role(dbapi_connection: Any, _record: Any) -> None:
    with dbapi_connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s AND pg_has_role(oid, 'MEMBER'))"
            " AND current_user <> %s",
            (APP_ROLE, APP_ROLE),
        )
        if cursor.fetchone()[0]:
            cursor.execute(f"SET ROLE {APP_ROLE}")
    dbapi_connection.commit()
