"""Backtests that were asked for here: what they try, how far they are, and what came of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.errors import NotFoundError
from billingbot.core.trying import Backtest, BacktestState
from billingbot.store.schema import backtests

_NOW = sa.func.clock_timestamp()
_COLUMNS: Final = [backtests.c[name] for name in Backtest.__slots__]


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The policies of a backtest as they were when it was asked for."""

    new: str
    against: str | None


def begin(connection: Connection, wanted: Backtest, texts: Texts) -> None:
    """Writes a backtest that is to be run; its time of beginning is Postgres's own."""
    own = ("began_at", "ended_at")
    row = {name: getattr(wanted, name) for name in Backtest.__slots__ if name not in own}
    connection.execute(backtests.insert().values(**row, new_source=texts.new, against_source=texts.against))


def get(connection: Connection, backtest_id: str) -> Backtest:
    """The backtest. Raises NotFoundError."""
    row = connection.execute(sa.select(*_COLUMNS).where(backtests.c.id == backtest_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"backtest {backtest_id}: there is none")
    return _backtest(row)


def texts(connection: Connection, backtest_id: str) -> Texts:
    """What it tries and against what."""
    row = connection.execute(
        sa.select(backtests.c.new_source, backtests.c.against_source).where(backtests.c.id == backtest_id)
    ).one()
    return Texts(new=row.new_source, against=row.against_source)


def latest(connection: Connection, *, limit: int) -> Sequence[Backtest]:
    """The newest of them."""
    rows = connection.execute(sa.select(*_COLUMNS).order_by(backtests.c.began_at.desc()).limit(limit))
    return [_backtest(row) for row in rows]


def result(connection: Connection, backtest_id: str) -> bytes | None:
    """What came of it, as it was stored; None where it has not ended well (yet)."""
    found: bytes | None = connection.execute(
        sa.select(backtests.c.result).where(backtests.c.id == backtest_id)
    ).scalar_one_or_none()
    return found


def flips(connection: Connection, backtest_id: str) -> bytes | None:
    """Its flips as they were stored; None as above."""
    found: bytes | None = connection.execute(
        sa.select(backtests.c.flips).where(backtests.c.id == backtest_id)
    ).scalar_one_or_none()
    return found


def advance(connection: Connection, backtest_id: str, *, total: int, done: int) -> bool:
    """Books how far it is. True where somebody asked it to stop, or it has ended otherwise."""
    row = connection.execute(
        backtests.update()
        .where(backtests.c.id == backtest_id, backtests.c.state == BacktestState.RUNNING)
        .values(cases_total=total, cases_done=done)
        .returning(backtests.c.stop_asked)
    ).one_or_none()
    return row is None or bool(row.stop_asked)


def ask_stop(connection: Connection, backtest_id: str) -> None:
    """Notes that it should stop."""
    connection.execute(backtests.update().where(backtests.c.id == backtest_id).values(stop_asked=True))


def end(
    connection: Connection,
    backtest_id: str,
    state: BacktestState,
    *,
    why: str | None = None,
    result: bytes | None = None,
    flips: bytes | None = None,
) -> None:
    """Ends one that is running, with what came of it."""
    connection.execute(
        backtests.update()
        .where(backtests.c.id == backtest_id, backtests.c.state == BacktestState.RUNNING)
        .values(state=state, why=why, result=result, flips=flips, ended_at=_NOW)
    )


def seconds(found: Backtest) -> float:
    """How long it took, in seconds; zero while it runs."""
    return (found.ended_at - found.began_at) / timedelta(seconds=1) if found.ended_at else 0.0


def _backtest(row: sa.Row[Any]) -> Backtest:
    return Backtest(**{**row._mapping, "state": BacktestState(row.state)})
