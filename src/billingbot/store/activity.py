"""Activity that the product pushes to us: tag hits and API calls per customer, and the time it can speak for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.evidence.usage import Span, merged
from billingbot.store import database
from billingbot.store.schema import activity, activity_coverage

_NOW = sa.func.clock_timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """Tag hits or API calls of one customer; `in_place_at` says the tag or API key was installed then."""

    customer_id: str
    kind: str
    events: int
    first_at: datetime | None
    last_at: datetime | None
    in_place_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What one push source has told about one customer, and all that it covers."""

    hits: tuple[Hits, ...]
    coverage: tuple[Span, ...]


def add(connection: Connection, account: str, source: str, hits: Sequence[Hits]) -> None:
    """Adds the hits to what is known: counts grow, first and last widen."""
    for hit in sorted(hits, key=lambda hit: (hit.customer_id, hit.kind)):  # one lock order for racing pushes
        row = {"account": account, "source": source, **{name: getattr(hit, name) for name in Hits.__slots__}}
        statement = insert(activity).values(row)
        new = statement.excluded
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["account", "source", "customer_id", "kind"],
                set_={
                    "events": activity.c.events + new.events,
                    "first_at": sa.func.least(activity.c.first_at, new.first_at),
                    "last_at": sa.func.greatest(activity.c.last_at, new.last_at),
                    "in_place_at": sa.func.least(activity.c.in_place_at, new.in_place_at),
                    "updated_at": _NOW,
                },
            )
        )


def cover(connection: Connection, account: str, source: str, spans: Sequence[Span]) -> None:
    """Adds time that the source can speak for; spans that touch become one."""
    database.advisory_lock(connection, f"coverage:{account}:{source}")
    wanted = merged([*coverage(connection, account, source), *spans])
    connection.execute(
        activity_coverage.delete().where(activity_coverage.c.account == account, activity_coverage.c.source == source)
    )
    for span in wanted:
        row = {"account": account, "source": source, "start_at": span.start, "end_at": span.end}
        connection.execute(activity_coverage.insert().values(row))


def coverage(connection: Connection, account: str, source: str) -> tuple[Span, ...]:
    """The time this source can speak for."""
    rows = connection.execute(
        sa.select(activity_coverage.c.start_at, activity_coverage.c.end_at)
        .where(activity_coverage.c.account == account, activity_coverage.c.source == source)
        .order_by(activity_coverage.c.start_at)
    )
    return tuple(Span(start=row.start_at, end=row.end_at) for row in rows)


def of_customer(connection: Connection, account: str, source: str, customer_id: str) -> Pushed:
    """What this source pushed about one customer."""
    rows = connection.execute(
        sa.select(*(activity.c[name] for name in Hits.__slots__)).where(
            activity.c.account == account, activity.c.source == source, activity.c.customer_id == customer_id
        )
    )
    return Pushed(hits=tuple(Hits(**row._mapping) for row in rows), coverage=coverage(connection, account, source))


def counted(connection: Connection, account: str, customer_id: str) -> Mapping[str, Sequence[Hits]]:
    """What each push source has counted of one customer, by kind."""
    rows = connection.execute(
        sa.select(activity.c.source, *(activity.c[name] for name in Hits.__slots__))
        .where(activity.c.account == account, activity.c.customer_id == customer_id)
        .order_by(activity.c.source, activity.c.kind)
    )
    found: dict[str, list[Hits]] = {}
    for row in rows:
        found.setdefault(row.source, []).append(Hits(**{name: row._mapping[name] for name in Hits.__slots__}))
    return found
