"""Shadows: which candidate runs beside the live policy, and what it said of each case."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.backtest import Side
from billingbot.core.shadow import Shadow
from billingbot.store.schema import decisions, policies, shadow_verdicts, shadows

_NOW: Final = sa.func.clock_timestamp()


class Undecided(NamedTuple):
    """A live verdict that the shadow has not looked at yet."""

    id: str
    facts: bytes


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
    query = (
        sa.select(decisions.c.id, decisions.c.facts)
        .where(
            decisions.c.purpose == "assess",
            decisions.c.decided_at >= shadow.started_at,
            ~sa.exists().where(
                shadow_verdicts.c.shadow_id == shadow.id, shadow_verdicts.c.decision_id == decisions.c.id
            ),
        )
        .order_by(decisions.c.decided_at)
        .limit(limit)
    )
    return [Undecided(*row) for row in connection.execute(query)]


def write(connection: Connection, shadow_id: str, verdicts: Iterable[ShadowVerdict]) -> None:
    """Keeps what the shadow says; again is the same."""
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


def _select() -> sa.Select[Any]:
    named = [shadows.c[name] for name in Shadow.__slots__ if name not in {"policy_id", "version"}]
    joined = shadows.join(policies, policies.c.digest == shadows.c.digest)
    return sa.select(policies.c.policy_id, policies.c.version, *named).select_from(joined)
