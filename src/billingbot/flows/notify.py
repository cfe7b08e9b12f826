"""Notify: what people should hear of is written with what caused it, and sent afterwards, outside any transaction."""

from datetime import timedelta

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.errors import InputError, RetryLaterError
from billingbot.core.ids import Kind, is_id
from billingbot.core.job import Actor, Job
from billingbot.core.notice import GROUPED_WITHIN, Notice, NoticeKind, message_of
from billingbot.flows.desk import Desk, Step, step
from billingbot.store import database, jobs, notices
from billingbot.store.database import transaction
from billingbot.telling.route import NotSentError, Route


def tell(this: Step, notice: Notice) -> None:
    """Writes a notice in the caller's transaction; people hear of it only if that commits.

    The first of a kind is sent at once, those that follow within minutes in one message.
    """
    notices.write(this.db, this.new_id(Kind.NOTICE), notice)
    last = notices.tried_last(this.db, notice.kind)
    wait = timedelta(0) if last is None else last + GROUPED_WITHIN - database.now(this.db)
    this.enqueue(Actor.NOTIFY, notice.kind, delay=max(timedelta(0), wait))


def notify(desk: Desk, job: Job) -> None:
    """Sends what waits of the kind that the job names, to every destination that asks for it.

    At least once, and never twice unless the process dies between sending and writing it down. RetryLaterError
    where a destination did not take it: the others have had theirs, and only that one is tried again.
    """
    kind = NoticeKind(job.subject)
    routes = [route for route in desk.routes if route.wants(kind)]
    faults = []
    for route in routes:
        if not _quiet(desk, route, kind):
            faults += _send(desk, job, route, kind)
    with step(desk) as this:
        notices.conclude(this.db, kind, [route.name for route in routes])
        if not faults:
            jobs.finish(this.db, job)
    if faults:
        raise RetryLaterError("; ".join(faults))


def try_routes(desk: Desk, *, by: str) -> list[tuple[str, str | None]]:
    """Sends a test to every destination, now; each one's name, and why it did not arrive, or None where it did.

    InputError where no destination is configured.
    """
    desk.require(Power.RUN)
    if not desk.routes:
        raise InputError("notifications", "expected at least one [[notifications]] in the configuration")
    notice = Notice(
        kind=NoticeKind.TEST,
        account="",
        subject="test",
        headline="this is a test",
        body=f"Notices arrive here. {by} asked for this test.",
    )
    return [(route.name, _try(route, [notice], desk.public_url)) for route in desk.routes]


def saw_notices(desk: Desk, seen_to: str, *, by: str) -> None:
    """This person has seen all notices up to the one of this id."""
    desk.require(Power.SEE)
    if not is_id(Kind.NOTICE, seen_to):
        raise InputError("seen_to", "expected the id of a notice")
    with transaction(desk.db) as connection:
        notices.mark_seen(connection, person(by), seen_to)


def _quiet(desk: Desk, route: Route, kind: NoticeKind) -> bool:
    """Whether this destination wants nothing now; then a job waits for the end of its quiet hours."""
    if route.quiet is None:
        return False
    with step(desk) as this:
        now = database.now(this.db)
        end = route.quiet.end_of(now)
        if end is not None:
            this.enqueue(Actor.NOTIFY, kind, delay=end - now)
    return end is not None


def _send(desk: Desk, job: Job, route: Route, kind: NoticeKind) -> list[str]:
    """Claims, sends, and writes down what became of it; the reason where it did not arrive."""
    with step(desk) as this:
        jobs.renew(this.db, job)
        claimed = notices.claim(this.db, kind, route.name)
    if not claimed:
        return []
    why = _try(route, [one.notice for one in claimed], desk.public_url)
    with step(desk) as this:
        notices.answered(this.db, [one.id for one in claimed], route.name, why=why)
    return [] if why is None else [f"{route.name}: {why}"]


def _try(route: Route, told: list[Notice], public_url: str | None) -> str | None:
    try:
        route.send(message_of(told, public_url=public_url))
    except NotSentError as fault:
        return str(fault)
    return None
