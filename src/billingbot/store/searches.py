"""Searches for a customer's personal data: what was asked for, how far they are, and what they found."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.errors import NotFoundError
from billingbot.core.privacy import Held, Search, SearchState
from billingbot.store.schema import personal_data_searches as searches

_NOW = sa.func.clock_timestamp()
_COLUMNS: Final = [searches.c[name] for name in Search.__slots__]
_ENDED: Final = (SearchState.ERASED, SearchState.DROPPED, SearchState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finds:
    """Whose data it is and where: customers by account, and events by their ids."""

    customers: Collection[tuple[str, str]]
    events: Collection[str]


def begin(connection: Connection, search_id: str, *, kept_address: str, asked_by: str) -> None:
    """Writes a search that is to be made."""
    row = {"id": search_id, "state": SearchState.LOOKING, "address": kept_address, "asked_by": asked_by}
    connection.execute(searches.insert().values(row))


def get(connection: Connection, search_id: str, *, lock: bool = False) -> Search:
    """The search. NotFoundError."""
    query = sa.select(*_COLUMNS).where(searches.c.id == search_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFoundError(f"search {search_id}: there is none")
    return _search(row)


def latest(connection: Connection, *, limit: int) -> Sequence[Search]:
    """The newest of them."""
    rows = connection.execute(sa.select(*_COLUMNS).order_by(searches.c.id.desc()).limit(limit))
    return [_search(row) for row in rows]


def address(connection: Connection, search_id: str) -> str | None:
    """The address as it is kept; None once the search has ended."""
    found: str | None = connection.execute(
        sa.select(searches.c.address).where(searches.c.id == search_id)
    ).scalar_one_or_none()
    return found


def finds(connection: Connection, search_id: str) -> Finds | None:
    """Where the data is; None before it was found and once the search has ended."""
    found = connection.execute(sa.select(searches.c.finds).where(searches.c.id == search_id)).scalar_one_or_none()
    if found is None:
        return None
    told = json.loads(found)
    return Finds(customers={(account, customer) for account, customer in told["customers"]}, events=told["events"])


def advance(connection: Connection, search_id: str, *, total: int, done: int) -> None:
    """Books how far it is."""
    connection.execute(
        searches.update()
        .where(searches.c.id == search_id)
        .values(rows_total=total, rows_done=sa.func.least(done, total))
    )


def found(connection: Connection, search_id: str, held: Held, finds: Finds) -> None:
    """Books what was found, for somebody to look at."""
    told = {"customers": sorted(finds.customers), "events": list(finds.events)}
    _move(connection, search_id, SearchState.FOUND, held=json.dumps(held.counted()), finds=json.dumps(told))


def agree(connection: Connection, search_id: str, *, by: str) -> None:
    """Somebody agreed that it goes."""
    _move(connection, search_id, SearchState.ERASING, agreed_by=by, rows_done=0)


def book(connection: Connection, search_id: str, held: Held) -> None:
    """Adds a piece to what is erased, in the transaction that erases it; nothing where no search asked for it."""
    before = connection.execute(
        sa.select(searches.c.erased).where(searches.c.id == search_id).with_for_update()
    ).scalar_one_or_none()
    told = json.dumps((Held(**json.loads(before or "{}")) + held).counted())
    connection.execute(searches.update().where(searches.c.id == search_id).values(erased=told))


def stays(connection: Connection, search_id: str, left: Held) -> None:
    """Books what stays until it ends."""
    book(connection, search_id, Held(open_cases=left.open_cases, open_disputes=left.open_disputes))


def end(connection: Connection, search_id: str, state: SearchState) -> None:
    """Ends it, and forgets whom it was about. An ended one stays as it ended."""
    _move(connection, search_id, state, address=None, finds=None, ended_at=_NOW)


def _move(connection: Connection, search_id: str, state: SearchState, **values: Any) -> None:
    going_on = (searches.c.id == search_id, searches.c.state.not_in(_ENDED))
    connection.execute(searches.update().where(*going_on).values(state=state, **values))


def _search(row: sa.Row[Any]) -> Search:
    held, erased = (Held(**json.loads(told)) if told is not None else None for told in (row.held, row.erased))
    return Search(**{**row._mapping, "state": SearchState(row.state), "held": held, "erased": erased})
