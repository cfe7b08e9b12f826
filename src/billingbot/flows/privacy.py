"""Privacy: showing what is kept of a customer, and erasing what can go, piece by piece, each piece in the ledger.

Whoever dies in between leaves whole pieces done and the rest findable: the digests by which everything is found go
last. Running it again does what is left, and nothing twice.
"""

from collections.abc import Callable, Collection, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from billingbot.core.access.person import mail_address, person
from billingbot.core.access.powers import Power
from billingbot.core.errors import InputError
from billingbot.core.evidence.history import normalise_email
from billingbot.core.ids import Kind
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.privacy import Held, customer_of, shown_event
from billingbot.flows.desk import Desk, step
from billingbot.store import privacy, searches
from billingbot.store.database import transaction
from billingbot.store.privacy import Customer, OneCase, OneDispute, Slice
from billingbot.store.searches import Finds

# Rows of the inbox in one look: ten megabytes of events or so, read within a second.
SLICE: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is held of somebody, and where it is."""

    held: Held
    customers: Set[Customer]
    events: Sequence[str]


def preview(desk: Desk, email: str, *, moved: Callable[[], object] = lambda: None) -> Found:
    """What is held of whoever has this address, and how much of it stays until it ends. Changes nothing.

    `moved` is called at each stretch of the inbox, which is looked through twice.
    """
    desk.require(Power.MANAGE)
    email = address_of(email)
    customers, cases, disputes = _find(desk, email, moved)
    with transaction(desk.db) as connection:
        held = [privacy.held_by(connection, case) for case in cases if not case.is_open]
        rest = Held(
            purchases=privacy.purchases(connection, customers),
            comments=privacy.comments(connection, customers),
            digests=privacy.digests(connection, customers),
        )
    events = [inbox_id for found in _slices(desk, email, customers, moved) for inbox_id, _, _ in found.rows]
    texts = Held(disputes=sum(not one.is_open for one in disputes), events=len(events))
    whole = sum([*held, texts, rest], _under_way(cases, disputes))
    return Found(held=whole, customers=customers, events=events)


def show(desk: Desk, email: str, *, by: str, moved: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """Everything that is kept of whoever has this address; that it was looked at stands in the ledger."""
    desk.require(Power.MANAGE)
    email = address_of(email)
    customers, cases, disputes = _find(desk, email, moved)
    rows = [row for found in _slices(desk, email, customers, moved) for row in found.rows]
    return _shown(desk, desk.new_id(Kind.ERASURE), customers, cases, disputes, rows, by=by)


def shown_again(desk: Desk, search_id: str, email: str, finds: Finds, *, by: str) -> dict[str, Any]:
    """The same of what a search found, without looking through the inbox again."""
    desk.require(Power.MANAGE)
    with transaction(desk.db) as connection:
        cases = list(privacy.cases_of(connection, email, finds.customers))
        disputes = privacy.disputes_of(connection, cases)
        rows = privacy.events_of(connection, finds.events)
    return _shown(desk, search_id, finds.customers, cases, disputes, rows, by=by)


def _shown(  # all that was found
    desk: Desk,
    subject: str,
    customers: Collection[Customer],
    cases: Sequence[OneCase],
    disputes: Sequence[OneDispute],
    rows: Sequence[tuple[str, str, bytes]],
    *,
    by: str,
) -> dict[str, Any]:
    events = [{"id": inbox_id, "account": account, "event": shown_event(body)} for inbox_id, account, body in rows]
    with step(desk) as this:
        kept: dict[str, Any] = {
            "customers": [{"account": account, "customer": customer} for account, customer in sorted(customers)],
            **privacy.shown(this.db, cases, customers),
            "disputes": [privacy.texts_of(this.db, one) for one in disputes],
            "events": events,
            "digests": privacy.digests(this.db, customers),
        }
        body = {"cases": len(cases), "events": len(events)}
        kind = EntryKind.PERSONAL_DATA_SHOWN
        this.record(Draft(kind=kind, account="", subject=subject, actor=person(by), body=body))
    return kept


def erase(
    desk: Desk, email: str, *, by: str, search_id: str | None = None, moved: Callable[[], object] = lambda: None
) -> Held:
    """Erases what can go of whoever has this address; what was erased, and what stays until it ends.

    Cases first, then answers to banks, then events, and last the digests by which all of it is found. Where a search
    was agreed to, it books each piece.
    """
    desk.require(Power.MANAGE)
    email, erasure = address_of(email), search_id or desk.new_id(Kind.ERASURE)
    customers, cases, disputes = _find(desk, email, moved)
    done = _under_way(cases, disputes)
    for case in cases:
        if not case.is_open:
            done += _piece(desk, erasure, by, case.id, partial(privacy.erase_case, case=case))
            moved()
    for one in disputes:
        if not one.is_open:
            done += _piece(desk, erasure, by, one.id, partial(_erase_dispute, one=one))
            moved()
    for found in _slices(desk, email, customers, moved):
        if found.rows:
            done += _piece(desk, erasure, by, erasure, partial(_erase_events, found=found))
    if done.open_cases or done.open_disputes:
        return done  # what is left must still be found when it ends
    return done + _piece(desk, erasure, by, erasure, partial(_erase_the_rest, customers=customers))


def _piece(desk: Desk, erasure: str, by: str, subject: str, work: Callable[[Connection], Held]) -> Held:
    """One commit: the erasing and its entry, or neither."""
    with step(desk) as this:
        held = work(this.db)
        if not held.is_nothing and not held.open_cases:
            body = {"erasure": erasure, **held.counted()}
            kind = EntryKind.PERSONAL_DATA_ERASED
            this.record(Draft(kind=kind, account="", subject=subject, actor=person(by), body=body))
            searches.book(this.db, erasure, held)
    return held


def _erase_dispute(db: Connection, one: OneDispute) -> Held:
    privacy.erase_dispute(db, one)
    return Held(disputes=1)


def _erase_events(db: Connection, found: Slice) -> Held:
    return Held(events=privacy.erase_events(db, found))


def _erase_the_rest(db: Connection, customers: set[Customer]) -> Held:
    return Held(
        purchases=privacy.erase_purchases(db, customers),
        comments=privacy.erase_comments(db, customers),
        digests=privacy.erase_digests(db, customers),
    )


def _find(desk: Desk, email: str, moved: Callable[[], object]) -> tuple[set[Customer], list[OneCase], list[OneDispute]]:
    with transaction(desk.db) as connection:
        customers = privacy.customers_of(connection, email)
    for found in _slices(desk, email, (), moved):
        customers |= {(account, who) for _, account, body in found.rows if (who := customer_of(body)) is not None}
    with transaction(desk.db) as connection:
        cases = list(privacy.cases_of(connection, email, customers))
        return customers, cases, list(privacy.disputes_of(connection, cases))


def _slices(
    desk: Desk, email: str, customers: "set[Customer] | tuple[()]", moved: Callable[[], object]
) -> Iterator[Slice]:
    after = ""
    while True:
        with transaction(desk.db) as connection:
            found = privacy.events_holding(connection, email, customers, after=after, limit=SLICE)
        if found.up_to is None:
            return
        yield found
        moved()
        after = found.up_to


def _under_way(cases: list[OneCase], disputes: list[OneDispute]) -> Held:
    return Held(open_cases=sum(case.is_open for case in cases), open_disputes=sum(one.is_open for one in disputes))


def address_of(email: str) -> str:
    """The address in its one spelling. InputError where it is none."""
    found = mail_address(email)
    if normalise_email(found) is None:
        raise InputError("email", "expected an address such as ada@example.com")
    return found
