"""The front page: today's money, what waits, and the health of everything, in one screen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from billingbot.core.access.powers import Power
from billingbot.core.disputes.life import Answering
from billingbot.core.errors import RetryLaterError
from billingbot.core.policy.rules import Limits
from billingbot.store import sources
from billingbot.store.sources import SourceState
from billingbot.store.views.disputes import DisputeFilter, DisputeLine, dispute_list
from billingbot.store.views.front import Front, Pace, front
from billingbot.web.console.casework import because
from billingbot.web.console.door import ConsoleRoute
from billingbot.web.console.visit import Here, Visit
from billingbot.web.console.wording import reason, seconds_words, words

router = APIRouter(route_class=ConsoleRoute)

_DEADLINES: Final = 8
# What is with the bank stands among the open disputes as well, and awaits nothing of us.
_DISPUTES_READ: Final = 50
# The scheduler takes its sample each minute; three missed ones are no slow minute.
_SCHEDULER_LATE: Final = timedelta(minutes=4)
_JOBS_LATE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    """One thing that is not well: in words, where to look, and since when."""

    said: str
    href: str
    at: datetime | None = None
    is_grave: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deadline:
    """Something that is due: to a bank, or within the desk."""

    at: datetime
    href: str
    said: str
    amount_minor: int | None
    currency: str | None
    assignee: str | None


@router.get("/")
def overview(here: Here) -> Response:
    """Everything at a glance; a page that stands open keeps itself up to date."""
    accounts = tuple(sorted(here.desk.accounts))
    found = here.read(front, person=here.name, accounts=accounts, deadlines=_DEADLINES)
    disputes = here.read(dispute_list, DisputeFilter(open=True), limit=_DISPUTES_READ).items
    states = here.read(sources.states)
    limits = _limits(here)
    part = "hx-request" in here.request.headers
    return here.show(
        "overview/board.html" if part else "overview/page.html",
        front=found,
        today=_today(found, limits),
        count_max=limits.daily_count_max if limits else None,
        ages_title=_ages_title(here, found),
        ages_most=max((bar.cases for bar in found.ages), default=0),
        pace=_pace(found.this_month, found.last_month),
        deadlines=_deadlines(found, disputes),
        troubles=list(_troubles(here, found, states, limits)),
        sources=states,
        may_check=here.may(Power.CHECK),
    )


def _deadlines(found: Front, disputes: Sequence[DisputeLine]) -> list[_Deadline]:
    """The next deadlines, soonest first. A case whose bank waits is told of by the bank's deadline alone."""
    awaited = [line for line in disputes if line.answering in {Answering.AWAITED, Answering.MISSED}]
    due = [
        _Deadline(
            at=line.dispute.due_by,
            href=f"/disputes/{line.dispute.id}",
            said=words(line.kind),
            amount_minor=line.dispute.amount_minor,
            currency=line.dispute.currency,
            assignee=line.assignee,
        )
        for line in awaited
        if line.dispute.due_by is not None
    ]
    told = {line.case_id for line in awaited}
    due += [
        _Deadline(
            at=case.due_at,
            href=f"/cases/{case.id}",
            said=because(case.reason),
            amount_minor=case.amount_minor,
            currency=case.currency,
            assignee=case.assignee,
        )
        for case in found.next_cases
        if case.id not in told
    ]
    return sorted(due, key=lambda one: one.at)[:_DEADLINES]


def _limits(here: Visit) -> Limits | None:
    try:
        return here.desk.policy_for(None).limits
    except RetryLaterError:  # this release cannot read the version in force; the front page must still stand
        return None


def _today(found: Front, limits: Limits | None) -> list[dict[str, Any]]:
    return [
        {
            "account": one.account,
            "currency": one.currency,
            "refunds": one.refunds,
            "amount_minor": one.amount_minor,
            "automatic": one.automatic,
            "automatic_minor": one.automatic_minor,
            "limit_minor": limits.daily_amount_max.get(one.currency) if limits else None,
        }
        for one in sorted(found.today, key=lambda one: (one.account, -one.refunds, one.currency))
    ]


def _ages_title(here: Visit, found: Front) -> str:
    total = sum(bar.cases for bar in found.ages)
    overdue = sum(bar.overdue for bar in found.ages)
    number = here.reader.number
    if not total:
        return "No case waits for a person"
    title = f"{number(total)} {'case waits' if total == 1 else 'cases wait'} for a person"
    return title + (f", {number(overdue)} overdue" if overdue else ", none overdue")


def _pace(now: Pace, before: Pace) -> dict[str, Any]:
    """Two figures, and the change in words."""
    words = "No case was decided this month yet"
    if now.median_seconds is not None:
        words = f"Median decision time is {seconds_words(now.median_seconds)} this month"
        if before.median_seconds is not None:
            change = now.median_seconds - before.median_seconds
            if abs(change) < max(1.0, before.median_seconds * 0.05):
                words = f"Median decision time stayed at {seconds_words(now.median_seconds)}"
            else:
                moved = "fell" if change < 0 else "rose"
                was = seconds_words(before.median_seconds)
                words = f"Median decision time {moved} to {seconds_words(now.median_seconds)} from {was}"
    return {"words": words, "now": now, "before": before}


def _troubles(here: Visit, found: Front, states: Sequence[SourceState], limits: Limits | None) -> Iterator[_Word]:
    """What is not well, the gravest first; nothing where all is."""
    yield from _grave(here, found)
    if limits is None:
        yield _Word(said="This release cannot read the policy in force", href="/policy", is_grave=True)
    for state in states:
        if state.silent_since is not None:
            yield _Word(said=f"{state.source} is silent", href="/sources", at=state.silent_since)
    trouble = found.trouble
    if trouble.jobs_failed:
        said = (
            _some(here, trouble.jobs_failed, "job has failed and waits", "jobs have failed and wait") + " for a person"
        )
        said += f", the last with: {reason(trouble.last_error)}" if trouble.last_error else ""
        yield _Word(said=said, href="/jobs")
    if trouble.breaks:
        said = _some(here, trouble.breaks, "break", "breaks")
        yield _Word(said=f"{said} between our books and Stripe not settled", href="/reconcile")
    if trouble.notices_failed:
        said = _some(here, trouble.notices_failed, "notice", "notices")
        yield _Word(said=f"{said} did not arrive", href="/notices?state=failed")


def _some(here: Visit, count: int, one: str, many: str) -> str:
    return f"{here.reader.number(count)} {one if count == 1 else many}"


def _grave(here: Visit, found: Front) -> Iterator[_Word]:
    """What keeps money or work from moving."""
    trouble = found.trouble
    for account, breaker in found.breakers.items():
        said = f"The breaker of {account} is open: {breaker.observed}. Nothing is paid by itself there"
        yield _Word(said=said, href="/settings/modes", at=breaker.opened_at, is_grave=True)
    if trouble.refunds_unknown:
        said = _some(here, trouble.refunds_unknown, "refund of unknown outcome is", "refunds of unknown outcome are")
        said += " being asked for at Stripe"
        yield _Word(said=said, href="/refunds?state=unknown", is_grave=True)
    if trouble.scheduler_at is None or found.now - trouble.scheduler_at > _SCHEDULER_LATE:
        yield _Word(said="The scheduler is silent", href="/jobs/load", at=trouble.scheduler_at, is_grave=True)
    if trouble.oldest_due_seconds is not None and trouble.oldest_due_seconds > _JOBS_LATE_SECONDS:
        said = f"Jobs wait for a worker: the oldest for {seconds_words(trouble.oldest_due_seconds)}"
        yield _Word(said=said, href="/jobs?tab=due", is_grave=True)
