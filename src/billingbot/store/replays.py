"""Replay runs: what was to be run again under a name, how far that has come, and who is at it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.errors import LeaseLostError, NotFoundError
from billingbot.core.job import LEASE
from billingbot.core.replay import ItemState, ReplayRun, RunState
from billingbot.store.schema import replay_items, replay_runs

_NOW = sa.func.clock_timestamp()
_IS_HELD: Final = sa.and_(replay_runs.c.token.is_not(None), replay_runs.c.lease_until >= _NOW)

# What a run has set going: each case or refund once at the amount that was foretold; where nobody knew one, what has
# become of the case since.
_SPENT: Final = sa.text("""
SELECT currency, sum(amount_minor)::bigint AS amount_minor FROM (
    SELECT DISTINCT ON (subject) currency, amount_minor FROM replay_items
    WHERE run = :run AND state = 'replayed' AND effect = 'may_pay' AND amount_minor IS NOT NULL
    UNION ALL
    SELECT r.currency, r.amount_minor FROM refunds r
    WHERE :with_unknown AND r.origin = 'policy' AND r.state NOT IN ('withdrawn', 'refused')
        AND r.intended_at >= (SELECT began_at FROM replay_runs WHERE name = :run)
        AND r.case_id IN (SELECT subject FROM replay_items
            WHERE run = :run AND state = 'replayed' AND effect = 'may_pay' AND amount_minor IS NULL)
) AS each GROUP BY currency
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One job of a run, as it was foretold."""

    job_id: str
    subject: str
    effect: str
    why: str
    amount_minor: int | None
    currency: str | None


def write(connection: Connection, run: ReplayRun, items: Sequence[Item]) -> bool:
    """Writes a new run with its jobs. False where one of this name is there already."""
    written = connection.execute(
        insert(replay_runs)
        .values(
            name=run.name,
            state=run.state,
            started_by=run.started_by,
            why=run.why,
            rate=run.rate,
            confirmed=json.dumps(dict(run.confirmed), sort_keys=True),
            confirmed_unknown=run.confirmed_unknown,
            is_capped=run.is_capped,
            of_events=run.of_events,
        )
        .on_conflict_do_nothing()
        .returning(replay_runs.c.name)
    ).one_or_none()
    if written is None:
        return False
    rows = [{name: getattr(item, name) for name in Item.__slots__} for item in items]
    if rows:
        connection.execute(
            replay_items.insert(), [{**row, "run": run.name, "state": ItemState.WAITING} for row in rows]
        )
    return True


def find(connection: Connection, name: str) -> ReplayRun | None:
    """The run of this name, if there is one."""
    row = connection.execute(_runs().where(replay_runs.c.name == name)).one_or_none()
    return _run(connection, row) if row else None


def get(connection: Connection, name: str) -> ReplayRun:
    """The run of this name. Raises NotFoundError."""
    found = find(connection, name)
    if found is None:
        raise NotFoundError(f"replay {name}: there is none")
    return found


def latest(connection: Connection, *, limit: int) -> Sequence[ReplayRun]:
    """The newest runs."""
    rows = connection.execute(_runs().order_by(replay_runs.c.began_at.desc(), replay_runs.c.name).limit(limit)).all()
    return [_run(connection, row) for row in rows]


def waiting(connection: Connection, name: str) -> Sequence[str]:
    """The jobs of a run whose turn has not come, oldest first."""
    found = connection.execute(_waiting(name))
    return found.scalars().all()


def hold(connection: Connection, name: str, token: str) -> bool:
    """Takes the run for one lease. False where it is not running, or another process is at it."""
    return _change(
        connection,
        [
            replay_runs.c.name == name,
            replay_runs.c.state == RunState.RUNNING,
            sa.not_(sa.func.coalesce(_IS_HELD, False)),
        ],
        {"token": token, "lease_until": _NOW + LEASE},
    )


def keep(connection: Connection, name: str, token: str) -> ReplayRun:
    """The run, held on to for one more lease and locked. LeaseLostError where another process took it over."""
    if not _change(
        connection, [replay_runs.c.name == name, replay_runs.c.token == token], {"lease_until": _NOW + LEASE}
    ):
        raise LeaseLostError(f"replay {name}: another process took it over")
    return get(connection, name)


def next_job(connection: Connection, name: str) -> str | None:
    """The job whose turn it is; None where all are done."""
    found: str | None = connection.execute(_waiting(name).limit(1)).scalar_one_or_none()
    return found


def close_item(connection: Connection, name: str, item: Item, state: ItemState) -> None:
    """Books what became of one job."""
    values = {field: getattr(item, field) for field in ("effect", "why", "amount_minor", "currency")}
    connection.execute(
        replay_items.update()
        .where(replay_items.c.run == name, replay_items.c.job_id == item.job_id)
        .values(**values, state=state, done_at=_NOW)
    )


def spent(connection: Connection, name: str, *, with_unknown: bool) -> dict[str, int]:
    """What the run has set going, minor units by currency; `with_unknown` also of cases whose amount nobody knew."""
    rows = connection.execute(_SPENT, {"run": name, "with_unknown": with_unknown})
    return {row.currency: row.amount_minor for row in rows}


def unknown_spent(connection: Connection, name: str) -> int:
    """How many jobs were replayed that may pay what nobody knew."""
    count: int = connection.execute(
        sa.select(sa.func.count(sa.distinct(replay_items.c.subject))).where(
            replay_items.c.run == name,
            replay_items.c.state == ItemState.REPLAYED,
            replay_items.c.effect == "may_pay",
            replay_items.c.amount_minor.is_(None),
        )
    ).scalar_one()
    return count


def is_counted(connection: Connection, name: str, subject: str) -> bool:
    """Whether the run has set this case or refund going already, by another job about it."""
    counted = sa.exists().where(
        replay_items.c.run == name,
        replay_items.c.subject == subject,
        replay_items.c.state == ItemState.REPLAYED,
        replay_items.c.effect == "may_pay",
    )
    return bool(connection.execute(sa.select(counted)).scalar_one())


def let_go(connection: Connection, name: str, token: str) -> None:
    """Gives the hold back; the run stays as it is, for whoever goes on."""
    _change(
        connection, [replay_runs.c.name == name, replay_runs.c.token == token], {"token": None, "lease_until": None}
    )


def end(connection: Connection, name: str, state: RunState, *, why: str | None) -> None:
    """Ends a run: done, or stopped with its reason."""
    _change(
        connection,
        [replay_runs.c.name == name],
        {
            "state": state,
            "stopped_why": why,
            "stop_asked_by": None,
            "token": None,
            "lease_until": None,
            "ended_at": _NOW,
        },
    )


def ask_stop(connection: Connection, name: str, by: str) -> None:
    """Notes that the process that is at it should stop."""
    _change(connection, [replay_runs.c.name == name], {"stop_asked_by": by})


def resume(connection: Connection, name: str, *, confirmed: Mapping[str, int], unknown: int, is_capped: bool) -> None:
    """A run goes on, within what somebody has confirmed now for the whole of it."""
    _change(
        connection,
        [replay_runs.c.name == name],
        {
            "state": RunState.RUNNING,
            "confirmed": json.dumps(dict(confirmed), sort_keys=True),
            "confirmed_unknown": unknown,
            "is_capped": is_capped,
            "stop_asked_by": None,
            "stopped_why": None,
            "ended_at": None,
        },
    )


def lock(connection: Connection, name: str) -> ReplayRun:
    """The run, locked until the transaction ends. Raises NotFoundError."""
    connection.execute(sa.select(replay_runs.c.name).where(replay_runs.c.name == name).with_for_update())
    return get(connection, name)


def _waiting(name: str) -> sa.Select[Any]:
    return (
        sa.select(replay_items.c.job_id)
        .where(replay_items.c.run == name, replay_items.c.state == ItemState.WAITING)
        .order_by(replay_items.c.job_id)
    )


def _runs() -> sa.Select[Any]:
    own = ("is_held", "counts")
    columns = [replay_runs.c[name] for name in ReplayRun.__slots__ if name not in own]
    return sa.select(*columns, sa.func.coalesce(_IS_HELD, False).label("is_held"))


def _run(connection: Connection, row: sa.Row[Any]) -> ReplayRun:
    counted = connection.execute(
        sa.select(replay_items.c.state, sa.func.count())
        .where(replay_items.c.run == row.name)
        .group_by(replay_items.c.state)
    )
    began_at: datetime = row.began_at
    own = {
        "state": RunState(row.state),
        "confirmed": json.loads(row.confirmed),
        "began_at": began_at,
        "counts": {ItemState(state): count for state, count in counted.all()},
    }
    return ReplayRun(**{**row._mapping, **own})


def _change(connection: Connection, where: Sequence[sa.ColumnElement[bool]], values: Mapping[str, object]) -> bool:
    return connection.execute(replay_runs.update().where(*where).values(**values)).rowcount == 1
