"""Passing: when a comparison with Stripe begins, over which window, and how it gets from page to page to its end."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.books.breaks import STAGES, Pass, PassState, Stage, Tally
from billingbot.core.errors import InputError
from billingbot.core.ids import Kind
from billingbot.core.job import Actor, Job
from billingbot.core.notice import Notice, NoticeKind
from billingbot.flows.desk import Account, Desk, step
from billingbot.flows.notify import tell
from billingbot.flows.patience import bear_with
from billingbot.flows.reconcile.pages import PAGES
from billingbot.flows.reconcile.round import Round
from billingbot.gateway.lists import MOST
from billingbot.store import database, history, jobs, passes
from billingbot.store.database import transaction

PAGE: Final = MOST
# What is younger is left to its webhook, which takes seconds, and to the answer of our own call, which takes 25 s at
# the most; and a list read right after a write may miss it.
GRACE: Final = timedelta(minutes=5)
# A pass reads the last day again. A call that Stripe answered with a 500 may be rolled forward afterwards, under the
# `created` of its beginning; a day is how long Stripe remembers the call's key.
OVERLAP: Final = timedelta(days=1)
# The first pass of an account: as long as Stripe keeps events, the other way by which we might have heard.
FIRST: Final = timedelta(days=30)
# Banks return refunded money up to 30 days later (https://docs.stripe.com/refunds#failed-refunds), counted from when
# they got it, which may be days after the refund was made.
LATE_FAILURES: Final = timedelta(days=35)
# How often every refund of that time is compared: Stripe's hint that one failed late is a webhook, and this is the
# net below it. 35 days at a thousand refunds a day are 350 pages, half a minute.
DEEP_EVERY: Final = timedelta(days=1)
# Ten pages a second and no more: a tenth of what Stripe allows a live account, less than half of what it allows in
# test mode, so that refunds and assessments never wait for a comparison. https://docs.stripe.com/rate-limits
PACE: Final = timedelta(milliseconds=100)
# A job works on for this long and then makes room: a third of its lease, as one page may still take long.
WORK: Final = timedelta(seconds=20)
# A pass by hand that has not moved for so long was killed: the schedule takes it over.
SILENT: Final = timedelta(minutes=5)
# Passes begin by the hour and take minutes: one that is this old has failed again and again.
OVERDUE: Final = timedelta(hours=3)


def reconcile(desk: Desk, job: Job) -> None:
    """Brings the pass that the job names on, page by page, with its lease renewed; safe to run twice.

    Raises StripeFaultError kinds where Stripe cannot be read: the same page is read again later.
    """
    with transaction(desk.db) as connection:
        began = passes.get(connection, job.subject)
        if began.state is PassState.WHOLE or jobs.has_elder(connection, job):
            jobs.finish(connection, job)
            return
    account = desk.account(began.account)

    def alive() -> datetime:
        with transaction(desk.db) as connection:
            jobs.renew(connection, job)
            return database.now(connection)

    until = alive() + WORK
    while not _page(desk, account, began.id, alive, rows=PAGE):
        if alive() > until:
            with transaction(desk.db) as connection:
                jobs.postpone(connection, job, timedelta(0))
            desk.bell.ring([job.id])
            return
        time.sleep(PACE.total_seconds())
    with transaction(desk.db) as connection:
        jobs.finish(connection, job)


def reconcile_whole(
    desk: Desk,
    account: str,
    *,
    by: str,
    since: datetime | None = None,
    until: datetime | None = None,
    rows: int = PAGE,
    pace: timedelta = PACE,
    moved: Callable[[Pass], None] = lambda _: None,
) -> Pass:
    """Compares one account with Stripe from beginning to end, and waits for it; `moved` is told after each page.

    Without a window it is the one that the schedule would take. A pass over exactly this window that was cut short
    is gone on with. Raises InputError for a window that ends before it begins, and what a page raises once patience
    is at its end.
    """
    desk.require(Power.RUN)
    own = desk.account(account)
    at = _begin_by_hand(desk, own, by=by, since=since, until=until)
    faults = 0
    while at.state is PassState.RUNNING:
        faults = bear_with(partial(_page, desk, own, at.id, lambda: None, rows=rows), faults)
        with transaction(desk.db) as connection:
            at = passes.get(connection, at.id)
        moved(at)
        time.sleep(pace.total_seconds())
    return at


def ask(desk: Desk, account: str, *, by: str, since: datetime | None = None, until: datetime | None = None) -> Pass:
    """Has the workers compare one account with Stripe; windows and errors as in `reconcile_whole`."""
    desk.require(Power.RUN)
    person(by)
    at = _begin_by_hand(desk, desk.account(account), by=by, since=since, until=until)
    with step(desk) as this:
        this.enqueue(Actor.RECONCILE, at.id)
    return at


def start_due(desk: Desk) -> int:
    """Begins each account's next pass, and wakes those that were left behind; how many jobs that made.

    An account whose trials are still being read in for the first time waits: its trial-end charges could not be told.
    """
    made = 0
    for account in desk.accounts.values():
        with step(desk) as this:
            behind = passes.running(this.db, account.name, silent_for=SILENT)
            now = database.now(this.db)
            for one in behind:
                this.enqueue(Actor.RECONCILE, one.id)
                if now - one.began_at > OVERDUE:
                    tell(this, _overdue(one))
            progress = history.import_progress(this.db, account.name)
            if progress is not None and progress.finished_at is not None:
                began = _scheduled(
                    desk,
                    account,
                    now,
                    passes.last_whole(this.db, account.name),
                    passes.last_whole(this.db, account.name, deep=True),
                )
                if passes.begin(this.db, began, scheduled=True):
                    this.enqueue(Actor.RECONCILE, began.id)
            made += len(this.bells)
    return made


def _overdue(one: Pass) -> Notice:
    return Notice(
        kind=NoticeKind.RECONCILE_FAILING,
        account=one.account,
        subject=one.id,
        headline=f"the comparison with Stripe does not get on: {one.account}",
        body=f"Pass {one.id} began at {one.began_at:%Y-%m-%d %H:%M}Z and stands at its {one.stage}. See why:"
        " billingbot jobs list --actor reconcile.",
    )


# Clocks differ, and test clocks more so; a window that lies in the future compares nothing and would say "agree".
AHEAD: Final = timedelta(days=1)


def _begin_by_hand(desk: Desk, account: Account, *, by: str, since: datetime | None, until: datetime | None) -> Pass:
    with transaction(desk.db) as connection:
        now = database.now(connection)
        last = passes.last_whole(connection, account.name)
        if since is not None and until is not None:
            cut_short = passes.same_window(connection, account.name, since=since, until=until)
            if cut_short is not None:
                return cut_short
        if until is not None and until > now + AHEAD:
            raise InputError("until", "expected a time that is not in the future: nothing was made then")
        until = until or now - GRACE
        start = since or _since(last, until)
        if start >= until:
            raise InputError("since", f"expected a time before {until.isoformat()}")
        deep_since = start if since is not None else min(start, until - LATE_FAILURES)
        began = _new(
            desk, account, by=by, deep=since is None, refunds_since=deep_since, since=start, until=until, now=now
        )
        passes.begin(connection, began, scheduled=False)
    return began


def _scheduled(desk: Desk, account: Account, now: datetime, last: Pass | None, last_deep: Pass | None) -> Pass:
    until = now - GRACE
    since = _since(last, until)
    deep = last_deep is None or until - last_deep.until >= DEEP_EVERY
    refunds_since = min(since, until - LATE_FAILURES) if deep else since
    return _new(
        desk, account, by="billingbot", deep=deep, refunds_since=refunds_since, since=since, until=until, now=now
    )


def _since(last: Pass | None, until: datetime) -> datetime:
    return min(last.until, until) - OVERLAP if last else until - FIRST


def _new(
    desk: Desk,
    account: Account,
    *,
    by: str,
    deep: bool,
    refunds_since: datetime,
    since: datetime,
    until: datetime,
    now: datetime,
) -> Pass:
    return Pass(
        id=desk.new_id(Kind.RECONCILIATION),
        account=account.name,
        by=by,
        deep=deep,
        refunds_since=refunds_since,
        since=since,
        until=until,
        state=PassState.RUNNING,
        stage=STAGES[0],
        cursor=None,
        tally=Tally(),
        began_at=now,
        advanced_at=now,
        finished_at=None,
    )


def _page(desk: Desk, account: Account, pass_id: str, alive: Callable[[], object], *, rows: int) -> bool:
    """One page of the pass, and its place written down; True where the pass is whole."""
    with transaction(desk.db) as connection:
        of = passes.get(connection, pass_id)
    if of.state is PassState.WHOLE:
        return True
    at = Round(desk=desk, account=account, pass_id=of.id, of=of, alive=alive, rows=rows)
    read = PAGES[of.stage](at)
    stage = of.stage if read.next is not None else _following(of.stage)
    with transaction(desk.db) as connection:
        passes.advance(connection, of, stage=stage, cursor=read.next, tally=at.tally(read.seen))
        return passes.get(connection, pass_id).state is PassState.WHOLE


def _following(stage: Stage) -> Stage | None:
    after = STAGES.index(stage) + 1
    return STAGES[after] if after < len(STAGES) else None
