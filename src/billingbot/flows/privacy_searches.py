"""Searches: looking for a customer's personal data, showing what was found, and erasing it once somebody agreed.

A worker does the looking and the erasing, since the whole inbox is read for either. Whom it is about stands in one
row alone, sealed where there is a key, and goes with the end of the search; the job, the ledger and the address of the
page name the search.
"""

from collections.abc import Callable
from typing import Any, Final

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.errors import ConflictError
from billingbot.core.ids import Kind
from billingbot.core.job import Actor, Job
from billingbot.core.privacy import FOUND_LASTS, Search, SearchState
from billingbot.flows import privacy
from billingbot.flows.desk import Desk, step
from billingbot.store import jobs, searches
from billingbot.store import privacy as stored
from billingbot.store.database import transaction

_FORGET: Final = "/forget"
# Both looking and erasing read the inbox to find the customers first, and then once more with their ids.
_READINGS: Final = 2


def look(desk: Desk, email: str, *, by: str) -> str:
    """Has a worker look for what is kept of whoever has this address; the search's id. InputError for no address."""
    desk.require(Power.MANAGE)
    address = privacy.address_of(email)
    with step(desk) as this:
        search_id = this.new_id(Kind.ERASURE)
        searches.begin(this.db, search_id, kept_address=desk.seal.close(address), asked_by=person(by))
        this.enqueue(Actor.PERSONAL_DATA, search_id)
        this.enqueue(Actor.PERSONAL_DATA, search_id + _FORGET, delay=FOUND_LASTS)
    return search_id


def agree(desk: Desk, search_id: str, *, by: str) -> None:
    """Has a worker erase what was found, and can go. NotFoundError; ConflictError where nothing is shown (any more)."""
    desk.require(Power.MANAGE)
    with step(desk) as this:
        _still_found(searches.get(this.db, search_id, lock=True))
        searches.agree(this.db, search_id, by=person(by))
        this.enqueue(Actor.PERSONAL_DATA, search_id)


def drop(desk: Desk, search_id: str) -> None:
    """Forgets the address of a search, and what it found. NotFoundError; ConflictError while something is done."""
    desk.require(Power.MANAGE)
    with transaction(desk.db) as connection:
        _still_found(searches.get(connection, search_id, lock=True))
        searches.end(connection, search_id, SearchState.DROPPED)


def whose(desk: Desk, search_id: str) -> str | None:
    """The address that is looked for; None once it is forgotten."""
    desk.require(Power.MANAGE)
    with transaction(desk.db) as connection:
        kept = searches.address(connection, search_id)
    return None if kept is None else desk.seal.open(kept)


def show(desk: Desk, search_id: str, *, by: str) -> dict[str, Any]:
    """Everything that was found, for the customer; that it was looked at stands in the ledger. As for `agree`."""
    desk.require(Power.MANAGE)
    with transaction(desk.db) as connection:
        _still_found(searches.get(connection, search_id))
        kept, finds = searches.address(connection, search_id), searches.finds(connection, search_id)
    if kept is None or finds is None:
        raise ConflictError(f"search {search_id}: has ended")
    return privacy.shown_again(desk, search_id, desk.seal.open(kept), finds, by=by)


def carry_on(desk: Desk, job: Job) -> None:
    """Looks, or erases what was agreed to, or forgets what nobody agreed to. Safe to repeat from wherever it broke."""
    search_id, _, forget = job.subject.partition("/")
    with transaction(desk.db) as connection:
        search, kept = searches.get(connection, search_id), searches.address(connection, search_id)
    if forget:
        if search.state is SearchState.FOUND:
            drop(desk, search_id)
    elif kept is not None and search.state is SearchState.LOOKING:
        found = privacy.preview(desk, desk.seal.open(kept), moved=_progress(desk, job, search_id))
        finds = searches.Finds(customers=found.customers, events=found.events)
        with transaction(desk.db) as connection:
            searches.found(connection, search_id, found.held, finds)
    elif kept is not None and search.state is SearchState.ERASING:
        by, moved = search.agreed_by or search.asked_by, _progress(desk, job, search_id)
        left = privacy.erase(desk, desk.seal.open(kept), by=by, search_id=search_id, moved=moved)
        with transaction(desk.db) as connection:
            searches.stays(connection, search_id, left)
            searches.end(connection, search_id, SearchState.ERASED)
    with step(desk) as this:
        jobs.finish(this.db, job)


def _progress(desk: Desk, job: Job, search_id: str) -> Callable[[], None]:
    """What to call at each stretch: it books how far it is, and keeps the job's lease."""
    with transaction(desk.db) as connection:
        total, done = stored.rows_of_inbox(connection) * _READINGS, 0

    def moved() -> None:
        nonlocal done
        done += privacy.SLICE
        with transaction(desk.db) as connection:
            jobs.renew(connection, job)
            searches.advance(connection, search_id, total=total, done=done)

    return moved


def _still_found(search: Search) -> None:
    if search.state is not SearchState.FOUND:
        raise ConflictError(f"search {search.id}: is {search.state}; look again")
