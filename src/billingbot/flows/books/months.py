"""Months: closing one by reading what Stripe moved, drawing its statement, and a person's signature under it."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.books.drawing import draw
from billingbot.core.books.month import Closing, Month, MonthState
from billingbot.core.books.settlement import TYPES
from billingbot.core.books.statement import Frame
from billingbot.core.errors import ConflictError, InputError, NotFoundError
from billingbot.core.ids import Kind
from billingbot.core.job import Actor, Job
from billingbot.core.ledger import Draft, EntryKind
from billingbot.flows.desk import Account, Desk, step
from billingbot.flows.patience import bear_with
from billingbot.gateway.lists import MOST, Span
from billingbot.store import balance, database, jobs, months
from billingbot.store.database import transaction

# As for comparisons: ten pages a second, so that refunds never wait for bookkeeping.
PACE: Final = timedelta(milliseconds=100)
# A third of the job's lease; then it makes room and comes right back.
WORK: Final = timedelta(seconds=20)


def close(desk: Desk, account: str, month: str, *, by: str) -> Closing:
    """Has the workers read the month from Stripe and draw its statement, for the first time or again.

    A month that has not ended is drawn as it stands, and cannot be signed. InputError for an unknown account, no
    month, or one to come; ConflictError where it is signed.
    """
    desk.require(Power.SIGN)
    wanted = _wanted(desk, account, month, by=by)
    with step(desk) as this:
        if wanted.since > database.now(this.db):
            raise InputError("month", "expected a month that has begun")
        began = months.begin(this.db, wanted)
        this.enqueue(Actor.CLOSE_MONTH, began.id)
    return began


def close_whole(
    desk: Desk, account: str, month: str, *, by: str, moved: Callable[[Closing], None] = lambda _: None
) -> Closing:
    """As `close`, and waits for it; `moved` is told after each page. Raises what a page raises, once patience ends."""
    at = close(desk, account, month, by=by)
    own, faults = desk.account(account), 0
    while at.state is MonthState.READING:
        faults = bear_with(partial(_page, desk, own, at), faults)
        with transaction(desk.db) as connection:
            at = months.get(connection, at.id)
        moved(at)
    return at


def carry_on(desk: Desk, job: Job) -> None:
    """Brings the closing that the job names on, page by page, with its lease renewed; safe to run twice."""
    with transaction(desk.db) as connection:
        at = months.get(connection, job.subject)
        if at.state is not MonthState.READING or jobs.has_elder(connection, job):
            jobs.finish(connection, job)
            return
        until = database.now(connection) + WORK
    account = desk.account(at.account)
    while True:
        _page(desk, account, at)
        with transaction(desk.db) as connection:
            jobs.renew(connection, job)
            at, now = months.get(connection, at.id), database.now(connection)
            is_over = at.state is not MonthState.READING
            if is_over:
                jobs.finish(connection, job)
            elif now > until:
                jobs.postpone(connection, job, timedelta(0))
        if is_over:
            return
        if now > until:
            desk.bell.ring([job.id])
            return
        time.sleep(PACE.total_seconds())


def sign(desk: Desk, account: str, month: str, *, digest: str, by: str, why: str | None = None) -> Closing:
    """A person's word under a statement: the month is frozen, and the ledger keeps the statement's digest.

    `digest` is that of the statement which the person saw. InputError without a reason for one with breaks;
    ConflictError where it was drawn anew since, the month had not ended when it was read, is signed already, or does
    not follow the signed month before it; NotFoundError where it was never drawn.
    """
    desk.require(Power.SIGN)
    person(by)
    with step(desk) as this:
        at = months.find(this.db, account, month, lock=True)
        if at is None:
            raise NotFoundError(f"month {month} of {account}: it was never closed")
        _may_sign(at, digest, months.signed(this.db, account))
        if at.breaks and not (why or "").strip():
            raise InputError("why", f"expected a reason to sign with {at.breaks} breaks")
        statement = months.statement(this.db, at.id)
        if statement is None:
            raise NotFoundError(f"month {month} of {account}: it has no statement")
        seq, head = months.head(this.db)
        months.sign(this.db, at, statement, by=by, why=why, seq=seq, head=head)
        body = {
            "month": at.month,
            "zone": at.zone,
            "statement": at.digest,
            "breaks": at.breaks,
            "head_seq": seq,
            "head_hash": head,
            "why": why,
        }
        this.record(Draft(kind=EntryKind.MONTH_SIGNED, account=account, subject=at.id, actor=by, body=body))
        return months.get(this.db, at.id)


def _may_sign(at: Closing, digest: str, signed: Sequence[Closing]) -> None:
    name = f"month {at.month} of {at.account}"
    if at.state is MonthState.SIGNED:
        raise ConflictError(f"{name}: {at.signed_by} signed it already")
    if at.state is not MonthState.DRAWN or at.drawn_at is None:
        raise ConflictError(f"{name}: its statement is not drawn")
    if at.digest != digest:
        raise ConflictError(f"{name}: the statement was drawn anew; read it again")
    # What was read before the end may lack what came after it, however late the statement itself was drawn.
    if at.began_at < at.until:
        raise ConflictError(f"{name}: it had not ended when it was read for the statement; close it again")
    before = [Month.parse(one.month) for one in signed]
    if before and before[-1].next() != Month.parse(at.month):
        raise ConflictError(f"{name}: the last signed month is {before[-1]}; {before[-1].next()} comes next")


def _wanted(desk: Desk, account: str, month: str, *, by: str) -> Closing:
    desk.account(account)
    found, zone = Month.parse(month), desk.books.zone
    return Closing(
        id=desk.new_id(Kind.CLOSING),
        account=account,
        month=str(found),
        zone=zone,
        since=found.begins(zone),
        until=found.ends(zone),
        state=MonthState.READING,
        type=TYPES[0],
        cursor=None,
        transactions=0,
        unreadable=0,
        asked_by=person(by),
        began_at=found.begins(zone),
        advanced_at=found.begins(zone),
        drawn_at=None,
        digest=None,
        breaks=None,
        signed_by=None,
        signed_at=None,
        ledger_seq=None,
        ledger_hash=None,
        why=None,
    )


def _page(desk: Desk, account: Account, at: Closing) -> None:
    """One page of Stripe's list, kept with its place; behind the last one the statement."""
    if at.type is None:
        _draw(desk, at)
        return
    span = Span(since=_whole_second(at.since), until=_whole_second(at.until))
    page = account.stripe.transactions_created(at.type, span, after=at.cursor, limit=MOST)
    kind = at.type if page.next is not None else _following(at.type)
    with transaction(desk.db) as connection:
        read, unreadable = len(page.items), len(page.unreadable)
        if months.advance(connection, at, kind=kind, cursor=page.next, read=read, unreadable=unreadable):
            balance.keep(connection, account.name, page.items)


def _draw(desk: Desk, at: Closing) -> None:
    with step(desk) as this:
        signed = months.signed(this.db, at.account)
        last = next((one for one in reversed(signed) if one.month < at.month), None)
        before = months.statement(this.db, last.id) if last else None
        first = signed[0].since if signed else None
        frame = Frame(
            account=at.account,
            month=at.month,
            zone=at.zone,
            since=at.since,
            until=at.until,
            follows=last.digest if last else None,
        )
        drawn = draw(frame, months.records(this.db, at, before=before, first_since=first))
        name = months.keep(this.db, at, drawn)
        body = {"month": at.month, "zone": at.zone, "statement": name, "breaks": len(drawn.breaks)}
        this.record(Draft(kind=EntryKind.MONTH_CLOSED, account=at.account, subject=at.id, actor=at.asked_by, body=body))


def _following(kind: str) -> str | None:
    after = TYPES.index(kind) + 1
    return TYPES[after] if after < len(TYPES) else None


def _whole_second(at: datetime) -> datetime:
    return at.replace(microsecond=0)
