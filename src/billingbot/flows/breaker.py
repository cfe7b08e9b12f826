"""The breaker: stops automatic refunds of an account that come too fast or too often, until a person closes it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.breaker import BreakerLimits, Trip, TrippedBy, trip_of
from billingbot.core.case import Case
from billingbot.core.errors import ConflictError, InputError
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.mode import Mode
from billingbot.core.notice import Notice, NoticeKind
from billingbot.flows.desk import Desk, Step, step
from billingbot.flows.notify import tell
from billingbot.store import breakers, modes
from billingbot.store.breakers import Breaker
from billingbot.store.database import transaction

_BREAKER: Final = "billingbot"
"""Who set a mode that nobody set: a name that no person can take."""


class TrippedError(Exception):
    """Rolls back a refund that the breaker holds; `opens` where it is this refund that trips it.

    `closed_at` is when the breaker had last been closed, as it was counted.
    """

    def __init__(self, trip: Trip, *, opens: bool, closed_at: datetime | None) -> None:
        super().__init__(trip.by)
        self.trip = trip
        self.opens = opens
        self.closed_at = closed_at


def stay_below(this: Step, account: str, limits: BreakerLimits) -> None:
    """Raises TrippedError where the breaker is open, or where the refund just intended passes a threshold.

    To be called under the lock on what the account may spend, which is held until the transaction ends.
    """
    before = breakers.find(this.db, account)
    closed_at = before.closed_at if before else None
    if before is not None and before.is_open:
        raise TrippedError(_as_tripped(before), opens=False, closed_at=None)
    trip = trip_of(breakers.pace(this.db, account), limits)
    if trip is not None:
        raise TrippedError(trip, opens=True, closed_at=closed_at)


def trip(this: Step, case: Case, tripped: TrippedError) -> None:
    """Opens the breaker over this case: mode falls back to assist, it stands in the ledger, and people are told.

    Nothing happens where it is open already, or where a person has closed it since it was counted.
    """
    breakers.hold(this.db, case.account)
    now = breakers.find(this.db, case.account)
    if not tripped.opens or (now is not None and (now.is_open or now.closed_at != tripped.closed_at)):
        return
    found = breakers.open_(this.db, case.account, tripped.trip, case_id=case.id)
    body = {"by": found.tripped_by, "observed": found.observed, "allowed": found.allowed, "case": case.id}
    _record(this, EntryKind.BREAKER_OPENED, case.account, _BREAKER, body)
    if modes.current(this.db, case.account).mode is Mode.AUTO:
        _set_mode(this, case.account, Mode.ASSIST, before=Mode.AUTO, by=_BREAKER, why="the breaker opened")
    tell(this, _opened(found))


def close_breaker(desk: Desk, account: str, *, by: str, why: str) -> Breaker:
    """Closes the breaker and restores auto, unless a person has set another mode since; counting begins anew.

    InputError without a name or a reason, ConflictError where it is not open.
    """
    desk.require(Power.SWITCH)
    desk.account(account)
    person(by)
    if not why.strip():
        raise InputError("why", "expected the reason, in a few words")
    with step(desk) as this:
        breakers.hold(this.db, account)
        if breakers.find_open(this.db, account) is None:
            raise ConflictError(f"breaker of account {account}: is not open")
        closed = breakers.close(this.db, account, by=by, why=why)
        mode = modes.current(this.db, account)
        restored = mode.mode is Mode.ASSIST and mode.changed_by == _BREAKER
        _record(this, EntryKind.BREAKER_CLOSED, account, by, {"why": why, "restored": "auto" if restored else None})
        if restored:
            _set_mode(this, account, Mode.AUTO, before=Mode.ASSIST, by=by, why=f"the breaker was closed: {why}")
        tell(this, _closed(closed, "auto" if restored else mode.mode.value))
        return closed


def list_breakers(desk: Desk) -> Sequence[Breaker]:
    """Every breaker that ever tripped."""
    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        return breakers.all_breakers(connection)


def _as_tripped(open_one: Breaker) -> Trip:
    return Trip(by=TrippedBy(open_one.tripped_by), observed=open_one.said, allowed=open_one.allowed)


def _set_mode(this: Step, account: str, mode: Mode, *, before: Mode, by: str, why: str) -> None:
    modes.write(this.db, account, mode, by=by, why=why)
    _record(this, EntryKind.MODE_CHANGED, account, by, {"from": before, "to": mode, "why": why})


def _record(this: Step, kind: EntryKind, account: str, by: str, body: Mapping[str, object]) -> None:
    this.record(Draft(kind=kind, account=account, subject=account, actor=by, body=body))


def _opened(found: Breaker) -> Notice:
    return Notice(
        kind=NoticeKind.BREAKER_OPEN,
        account=found.account,
        subject=found.case_id or found.account,
        headline=f"automatic refunds stopped: {found.observed}, {found.allowed}",
        body="Mode is assist now, and refunds that have not left yet wait for people. Find out why there are so many,"
        f" then: billingbot breaker close --account {found.account} --why ...",
    )


def _closed(found: Breaker, mode: str) -> Notice:
    return Notice(
        kind=NoticeKind.BREAKER_CLOSED,
        account=found.account,
        subject=found.case_id or found.account,
        headline=f"the breaker was closed, and mode is {mode}",
        body="Refunds are counted from now on, against the same thresholds.",
    )
