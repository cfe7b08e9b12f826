"""Shadows: which candidate runs beside the live policy, and what it said of each case."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.backtest import Side
from billingbot.core.shadow import Shadow
from billingbot.store.schema import decisions, policies, shadow_verdicts, shadows

# A verdict is written with its time before its transaction commits: one that is older than what was seen already may
# still appear. No transaction of ours lives for an hour.
COMMITS_WITHIN: Final = timedelta(hours=1)
_NOW: Final = sa.func.clock_timestamp()


class Undecided(NamedTuple):
    """A live verdict that the shadow has not looked at yet."""

    id: str
    facts: bytes
    decided_at: datetime


class ShadowVerdict(NamedTuple):
    """What the shadow says to the facts of one live verdict; `side` is None where they cannot be read."""

    decision_id: str
    side: Side | None
    amount_minor: int | None
    currency: str | None


def running(connection: Connection, *, lock: bool = False) -> Shadow | None:
    """The shadow that runs, if one does, locked until the transaction ends where asked."""
    query = _select().where(shadows.c.stopped_at.is_(None))
    row = connection.execute(query.with_for_update(of=shadows) if lock else query).one_or_none()
    return Shadow(**row._mapping) if row else None


def last(connection: Connection) -> Shadow | None:
    """The shadow that runs, else the one that was started last."""
    row = connection.execute(_select().order_by(shadows.c.started_at.desc()).limit(1)).one_or_none()
    return Shadow(**row._mapping) if row else None


def start(connection: Connection, shadow_id: str, *, digest: str, by: str, why: str) -> bool:
    """Starts a shadow whose text is stored; False where one runs already."""
    values = {"id": shadow_id, "digest": digest, "started_by": by, "why": why}
    done = connection.execute(insert(shadows).values(values).on_conflict_do_nothing().returning(shadows.c.id))
    return done.one_or_none() is not None


def stop(connection: Connection, shadow_id: str, *, by: str) -> None:
    """Ends it; what it said stays."""
    connection.execute(shadows.update().where(shadows.c.id == shadow_id).values(stopped_by=by, stopped_at=_NOW))


def undecided(connection: Connection, shadow: Shadow, *, limit: int) -> Sequence[Undecided]:
    """Live verdicts since it started that it has not looked at, oldest first."""
    query = sa.select(decisions.c.id, decisions.c.facts, decisions.c.decided_at).where(_unseen(shadow))
    rows = connection.execute(query.order_by(decisions.c.decided_at).limit(limit))
    return [Undecided(*row) for row in rows]


def waiting(connection: Connection, shadow: Shadow) -> int:
    """How many live verdicts it has not looked at."""
    query = sa.select(sa.func.count()).select_from(decisions).where(_unseen(shadow))
    return int(connection.execute(query).scalar_one())


def _unseen(shadow: Shadow) -> sa.ColumnElement[bool]:
    # From a little before where it has come to, so that the question costs the same after a year as on the first day.
    since = max(shadow.started_at, (shadow.followed_to or shadow.started_at) - COMMITS_WITHIN)
    seen = sa.exists().where(shadow_verdicts.c.shadow_id == shadow.id, shadow_verdicts.c.decision_id == decisions.c.id)
    return sa.and_(decisions.c.purpose == "assess", decisions.c.decided_at >= since, ~seen)


def write(
    connection: Connection, shadow_id: str, verdicts: Iterable[ShadowVerdict], *, followed_to: datetime | None
) -> None:
    """Keeps what the shadow says, and how far it has come; again is the same."""
    rows = [
        {
            "shadow_id": shadow_id,
            "decision_id": one.decision_id,
            **{name: getattr(one.side, name, None) for name in ("outcome", "rule", "reason", "recommendation")},
            "amount_minor": one.amount_minor,
            "currency": one.currency,
        }
        for one in verdicts
    ]
    if rows:
        connection.execute(insert(shadow_verdicts).on_conflict_do_nothing(), rows)
        connection.execute(shadows.update().where(shadows.c.id == shadow_id).values(followed_to=followed_to))


def _select() -> sa.Select[Any]:
    named = [shadows.c[name] for name in Shadow.__slots__ if name not in {"policy_id", "version"}]
    joined = shadows.join(policies, policies.c.digest == shadows.c.digest)
    return sa.select(policies.c.policy_id, policies.c.version, *named).select_from(joined)
