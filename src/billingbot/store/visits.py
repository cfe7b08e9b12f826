"""Visits: who has which case open right now, across all web processes, so that two on one case see each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.case import Doing
from billingbot.store.schema import case_visits

# A page says every ten seconds that it is still open: two may get lost before somebody counts as gone.
GONE_AFTER: Final = timedelta(seconds=25)
_NOW: Final = sa.func.clock_timestamp()
_HERE: Final = case_visits.c.seen_at > _NOW - GONE_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody who has a case open."""

    case_id: str
    person: str
    doing: Doing
    seen_at: datetime


def here(connection: Connection, case_id: str, person: str, doing: Doing) -> None:
    """Notes that this person has the case open; rows of those who went long ago go on the way."""
    statement = insert(case_visits).values(case_id=case_id, person=person, doing=doing)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["case_id", "person"], set_={"doing": doing.value, "seen_at": _NOW}
        )
    )
    connection.execute(case_visits.delete().where(case_visits.c.seen_at < _NOW - 4 * GONE_AFTER))


def gone(connection: Connection, case_id: str, person: str) -> None:
    """Notes that this person has closed the page."""
    connection.execute(case_visits.delete().where(case_visits.c.case_id == case_id, case_visits.c.person == person))


def at_cases(connection: Connection, case_ids: Sequence[str]) -> Mapping[str, tuple[Visitor, ...]]:
    """Who has each of these cases open, by name; cases that nobody has open are not there."""
    if not case_ids:
        return {}
    query = sa.select(case_visits).where(case_visits.c.case_id.in_(case_ids), _HERE)
    found: dict[str, tuple[Visitor, ...]] = {}
    for row in connection.execute(query.order_by(case_visits.c.person)):
        visitor = Visitor(case_id=row.case_id, person=row.person, doing=Doing(row.doing), seen_at=row.seen_at)
        found[row.case_id] = (*found.get(row.case_id, ()), visitor)
    return found
