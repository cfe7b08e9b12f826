"""Backfill: reads what Stripe says happened, and takes in whatever of it never arrived, oldest first."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.backfill import (
    DAILY,
    DOWN_AFTER,
    FIRST_SLICE_SECONDS,
    QUIET_AFTER,
    REACH,
    Backfill,
    BackfillReason,
    BackfillState,
    next_slice_seconds,
    regular_span,
    whole_seconds,
)
from billingbot.core.errors import InputError
from billingbot.core.ids import Kind
from billingbot.core.job import Actor, Job
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.notice import Notice, NoticeKind
from billingbot.core.signals import Envelope
from billingbot.flows.desk import Account, Desk, Step, step
from billingbot.flows.notify import tell
from billingbot.flows.receive import take_in
from billingbot.gateway.past_events import PAGE, TYPE_QUERIES, snapshot_of
from billingbot.store import backfills, database, inbox, jobs, ticks
from billingbot.store.database import transaction

# Pages of one query that are kept in memory at a time: a thousand events for both, some megabytes. A slice with more
# is read again in halves.
_MOST_PAGES: Final = 5
_ROOM: Final = _MOST_PAGES * PAGE * len(TYPE_QUERIES)
# Of a single second, which cannot be halved, as many as a list may have.
_PAGES_OF_A_SECOND: Final = 1000
_ALIVE: Final = "alive"

log = structlog.get_logger(__name__)


def ask(desk: Desk, account: str, since: datetime, until: datetime | None, *, by: str) -> Backfill:
    """Begins a pass over a span that a person names, to be read by the workers.

    InputError for an unknown account, a span that is empty or ends in the future, or one that begins more than 29
    days ago: Stripe keeps events for 30.
    """
    desk.require(Power.RUN)
    desk.account(account)
    person(by)
    with step(desk) as this:
        now = database.now(this.db)
        end = min(until or now, now)
        if since < now - REACH:
            raise InputError("since", f"expected at most {REACH.days} days ago: Stripe keeps events for 30")
        if until is not None and until > now:
            raise InputError("until", "expected a time that is not in the future")
        if whole_seconds(since) >= whole_seconds(end):
            raise InputError("since", "expected a time before the end of the span")
        backfills.mark(this.db, account)
        return _begin(this, account, whole_seconds(since), whole_seconds(end), BackfillReason.ASKED, by)


def keep_up(desk: Desk) -> int:
    """Begins a pass for each account that is due for one: daily, after a downtime, or after a long silence.

    Meant to be called every minute by whoever keeps the schedule: a gap between two calls is a downtime.
    """
    begun = 0
    with step(desk) as this:
        now, seen_alive = database.now(this.db), ticks.beat(this.db, _ALIVE)
        was_down = seen_alive is not None and now - seen_alive > DOWN_AFTER
        for account in desk.accounts:
            read_to = backfills.mark(this.db, account)
            reason = _reason(this, account, read_to, now, was_down=was_down)
            if reason is None:
                continue
            since, until = regular_span(read_to, now, reason)
            if since > read_to:
                log.warning("backfill.out_of_reach", account=account, lost_from=str(read_to), lost_to=str(since))
            _begin(this, account, since, until, reason, "billingbot")
            begun += 1
    return begun


def backfill(desk: Desk, job: Job) -> None:
    """Reads one slice of the pass and takes in what was missing; comes right back for the next.

    A crash costs one slice: what it had stored is stored together with how far the pass has come.
    """
    with transaction(desk.db) as connection:
        pass_ = backfills.get(connection, job.subject)
        if pass_.state is BackfillState.DONE:
            jobs.finish(connection, job)
            return
    account = desk.account(pass_.account)
    pass_, found = _slice(desk, job, account, pass_)
    with step(desk) as this:
        after = _book(this, pass_, found)
        if after.state is BackfillState.DONE:
            _end(this, after)
            jobs.finish(this.db, job)
        else:
            jobs.go_on(this.db, job)
            this.bells.append(job.id)


@dataclass(slots=True)
class _Found:
    """What Stripe lists for one slice."""

    envelopes: list[Envelope] = field(default_factory=list)
    unreadable: int = 0


def _slice(desk: Desk, job: Job, account: Account, pass_: Backfill) -> tuple[Backfill, _Found]:
    """The next slice, halved until it fits into memory."""
    while True:
        found = _read(desk, job, account, pass_)
        if found is not None:
            return pass_, found
        pass_ = replace(pass_, slice_seconds=max(1, pass_.slice_seconds // 2))


def _read(desk: Desk, job: Job, account: Account, pass_: Backfill) -> _Found | None:
    """All that is listed for the slice; None where there is more than may be kept at a time."""
    found = _Found()
    is_a_second = pass_.slice_end - pass_.read_to <= timedelta(seconds=1)
    for types in TYPE_QUERIES:
        after: str | None = None
        for _ in range(_PAGES_OF_A_SECOND if is_a_second else _MOST_PAGES):
            with transaction(desk.db) as connection:
                jobs.renew(connection, job)  # a page may take as long as Stripe's patience with us
            page = account.stripe.past_events(types=types, since=pass_.read_to, until=pass_.slice_end, after=after)
            found.envelopes += page.envelopes
            found.unreadable += len(page.unreadable)
            for unreadable in page.unreadable:
                log.warning("backfill.unreadable", account=account.name, event=unreadable.event_id, why=unreadable.says)
            after = page.next
            if after is None:
                break
        if after is not None:
            return None
    return found


def _book(this: Step, pass_: Backfill, found: _Found) -> Backfill:
    """Takes in what is new of a slice, in Stripe's order as far as it has one, and books it."""
    known_as_thin = {
        snapshot_of(body)
        for body in inbox.thin_bodies(
            this.db, pass_.account, [envelope.object_id for envelope in found.envelopes if envelope.object_id]
        )
    }
    candidates = [envelope for envelope in found.envelopes if envelope.event_id not in known_as_thin]
    candidates.sort(key=lambda envelope: (envelope.created, envelope.event_id))
    missing = Counter(envelope.type for envelope in take_in(this, candidates))
    return backfills.advance(
        this.db,
        pass_,
        slice_seconds=next_slice_seconds(pass_.slice_seconds, len(found.envelopes), room=_ROOM),
        missing=missing,
        known=len(found.envelopes) - missing.total(),
        unreadable=found.unreadable,
    )


def _end(this: Step, done: Backfill) -> None:
    asked = done.reason is BackfillReason.ASKED  # whoever names a span may leave out what lies before it
    backfills.move_mark(this.db, done.account, done.until, from_=done.since if asked else None)
    body = {
        "reason": done.reason,
        "since": done.since,
        "until": done.until,
        "missing": done.missing,
        "known": done.known,
        "unreadable": done.unreadable,
    }
    this.record(
        Draft(kind=EntryKind.EVENTS_BACKFILLED, account=done.account, subject=done.id, actor=done.asked_by, body=body)
    )
    if done.is_alarming:
        tell(this, _notice(done))
    level = 30 if done.missing or done.unreadable else 20
    log.log(level, "backfill.done", account=done.account, reason=done.reason, missing=done.missing, known=done.known,
            unreadable=done.unreadable)  # fmt: skip


def _notice(done: Backfill) -> Notice:
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(done.missing_types.items()))
    return Notice(
        kind=NoticeKind.EVENTS_MISSED,
        account=done.account,
        subject=done.id,
        headline=f"{done.missing} events of Stripe never arrived, though no downtime is known",
        body=f"They happened between {done.since:%Y-%m-%d %H:%M} and {done.until:%Y-%m-%d %H:%M} UTC, and are taken in"
        f" now: {kinds}. Is the webhook endpoint enabled at Stripe, with our secret and all types?",
    )


def _reason(this: Step, account: str, read_to: datetime, now: datetime, *, was_down: bool) -> BackfillReason | None:
    if was_down:
        return BackfillReason.DOWNTIME
    if now - read_to < QUIET_AFTER or backfills.is_running(this.db, account):
        return None
    if now - read_to >= DAILY:
        return BackfillReason.DAILY
    last = inbox.last_received_at(this.db, account)
    return BackfillReason.QUIET if last is None or now - last >= QUIET_AFTER else None


def _begin(this: Step, account: str, since: datetime, until: datetime, reason: BackfillReason, by: str) -> Backfill:
    wanted = Backfill(
        id=this.new_id(Kind.BACKFILL),
        account=account,
        since=since,
        until=until,
        read_to=since,
        slice_seconds=FIRST_SLICE_SECONDS,
        reason=reason,
        asked_by=by,
        state=BackfillState.RUNNING,
        missing=0,
        known=0,
        unreadable=0,
        missing_types={},
        began_at=database.now(this.db),
        finished_at=None,
    )
    backfills.begin(this.db, wanted)
    this.enqueue(Actor.BACKFILL, wanted.id)
    return wanted
