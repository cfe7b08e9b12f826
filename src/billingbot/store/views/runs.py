"""Reading replay runs: each job of one, what was foretold of it, and what has become of it since."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.job import Actor, JobState
from billingbot.core.replay import ItemState
from billingbot.store.schema import jobs, replay_items
from billingbot.store.views.paging import PAGE_ROWS, Page, checked_id, cut


@dataclass(frozen=True, slots=True, kw_only=True)
class RunItem:
    """One job of a run. Amount in minor units, None where nobody knew it; the job's state is that of now."""

    job_id: str
    actor: Actor
    subject: str
    state: ItemState
    effect: str
    why: str
    amount_minor: int | None
    currency: str | None
    done_at: datetime | None
    job_state: JobState
    last_error: str | None


def run_items(
    connection: Connection,
    name: str,
    *,
    state: ItemState | None = None,
    after: str | None = None,
    limit: int = PAGE_ROWS,
) -> Page[RunItem]:
    """The jobs of a run in the order in which their turn comes. InputError for a bad cursor."""
    own = ("actor", "job_state", "last_error")
    columns = [replay_items.c[field] for field in RunItem.__slots__ if field not in own]
    query: sa.Select[Any] = (
        sa.select(*columns, jobs.c.actor, jobs.c.state.label("job_state"), jobs.c.last_error)
        .join(jobs, jobs.c.id == replay_items.c.job_id)
        .where(replay_items.c.run == name)
        .order_by(replay_items.c.job_id)
        .limit(limit + 1)
    )
    if state is not None:
        query = query.where(replay_items.c.state == state)
    if after is not None:
        query = query.where(replay_items.c.job_id > checked_id(after))
    return cut(connection.execute(query).all(), limit, _item, lambda row: str(row.job_id))


def _item(row: sa.Row[Any]) -> RunItem:
    return RunItem(
        **{
            **row._mapping,
            "actor": Actor(row.actor),
            "state": ItemState(row.state),
            "job_state": JobState(row.job_state),
        }
    )
