"""Sources as they answered: the last word of each, and by the hour how often and how fast."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.evidence.usage import SupportReport, UsageReport, merged
from billingbot.store.schema import source_hours, source_states

_NOW = sa.func.clock_timestamp()
# A month shows whether a source has been getting slower; more is for who keeps metrics.
KEPT: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """A source as it last answered. `silent_since` is when the row of failures began that still lasts."""

    account: str
    source: str
    kind: str
    asked_at: datetime
    answered_at: datetime | None
    silent_since: datetime | None
    why: str | None
    took_ms: int
    covered_from: datetime | None
    covered_to: datetime | None
    max_age_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHour:
    """One hour of a source. `took_ms` is the sum over all questions, `most_ms` the slowest."""

    account: str
    source: str
    hour: datetime
    asked: int
    answered: int
    took_ms: int
    most_ms: int


def note(connection: Connection, account: str, reports: Sequence[UsageReport | SupportReport]) -> None:
    """Keeps what each of these sources answered just now."""
    for report in sorted(reports, key=lambda report: report.source):  # one lock order for workers at once
        _note_state(connection, account, report)
        _note_hour(connection, account, report)


def states(connection: Connection) -> tuple[SourceState, ...]:
    """Every source that was ever asked, by account and name."""
    rows = connection.execute(sa.select(source_states).order_by(source_states.c.account, source_states.c.source))
    return tuple(SourceState(**row._mapping) for row in rows)


def hours(connection: Connection, *, since: datetime) -> tuple[SourceHour, ...]:
    """The hours of all sources since then, oldest first."""
    rows = connection.execute(
        sa.select(source_hours).where(source_hours.c.hour >= since).order_by(source_hours.c.hour, source_hours.c.source)
    )
    return tuple(SourceHour(**row._mapping) for row in rows)


def forget_old(connection: Connection) -> None:
    """Drops the hours that nobody looks at any more."""
    connection.execute(source_hours.delete().where(source_hours.c.hour < _NOW - KEPT))


def _note_state(connection: Connection, account: str, report: UsageReport | SupportReport) -> None:
    spans = merged(report.coverage)
    row = insert(source_states).values(
        account=account,
        source=report.source,
        kind="usage" if isinstance(report, UsageReport) else "support",
        asked_at=_NOW,
        answered_at=_NOW if report.answered else None,
        silent_since=None if report.answered else _NOW,
        why=report.why,
        took_ms=report.took_ms,
        covered_from=spans[0].start if spans else None,
        covered_to=spans[-1].end if spans else None,
        max_age_seconds=int(report.max_age.total_seconds()),
    )
    new, old = row.excluded, source_states.c
    silent = None if report.answered else sa.func.coalesce(old.silent_since, new.silent_since)
    kept = {"kind", "asked_at", "why", "took_ms"} | (
        {"covered_from", "covered_to", "answered_at", "max_age_seconds"} if report.answered else set()
    )
    connection.execute(
        row.on_conflict_do_update(
            index_elements=["account", "source"],
            set_={**{name: new[name] for name in kept}, "silent_since": silent},
        )
    )


def _note_hour(connection: Connection, account: str, report: UsageReport | SupportReport) -> None:
    row = insert(source_hours).values(
        account=account,
        source=report.source,
        hour=sa.func.date_trunc("hour", _NOW),
        asked=1,
        answered=int(report.answered),
        took_ms=report.took_ms,
        most_ms=report.took_ms,
    )
    new, old = row.excluded, source_hours.c
    summed = {name: old[name] + new[name] for name in ("asked", "answered", "took_ms")}
    most = {"most_ms": sa.func.greatest(old.most_ms, new.most_ms)}
    connection.execute(row.on_conflict_do_update(index_elements=["account", "source", "hour"], set_={**summed, **most}))
