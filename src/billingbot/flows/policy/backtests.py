"""Backtests on request: asked for by a person, run by a worker, with a result that stays."""

import csv
import gzip
import heapq
import io
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, Final

import msgspec

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.backtest import Flip, Tally
from billingbot.core.backtest_report import Report, report
from billingbot.core.errors import ConflictError, InputError
from billingbot.core.form import safe_cell
from billingbot.core.ids import Kind
from billingbot.core.job import Actor, Job
from billingbot.core.ledger import Draft, EntryKind
from billingbot.core.mode import Mode
from billingbot.core.policy import Policy, load_policy
from billingbot.core.trying import Backtest, BacktestState
from billingbot.flows.desk import Desk, step
from billingbot.flows.policy.rehearse import Bench, Plan, Text
from billingbot.store import backtests, database, jobs
from billingbot.store.database import transaction
from billingbot.store.views.past import Wanted, handling, never_decided, stretches

FLIP_COLUMNS: Final = (
    "case",
    "account",
    "charge",
    "decided_at",
    "amount_minor",
    "currency",
    "before",
    "before_reason",
    "before_advice",
    "after",
    "after_reason",
    "after_advice",
    "rule",
    "change",
    "conditions",
    "facts",
    "person",
)
# What a page lists one by one: the largest. All of them, up to the other bound, are in the CSV.
_SHOWN_FLIPS: Final = 200
# Some fifteen megabytes packed: who flips more of the past has found that out without reading each of them.
_KEPT_FLIPS: Final = 250_000
# Well within the job's lease, and often enough for somebody who watches.
_TELL_EVERY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a backtest came to, as it is kept."""

    report: Report
    largest: tuple[Flip, ...]
    """Of the flips, those with the largest amounts."""
    never_decided: int
    """Cases opened in that time which no policy ever decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What somebody wants tried: policies that loaded, and which cases. Without `against`: what was decided then."""

    new: Policy
    against: Policy | None = None
    as_mode: Mode | None = None
    account: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def ask(desk: Desk, trial: Trial, *, by: str) -> Backtest:
    """Has a worker decide past cases again; nothing of theirs changes. InputError for an unknown account or a span
    that is empty."""
    desk.require(Power.PUBLISH)
    person(by)
    if trial.account is not None:
        desk.account(trial.account)
    if trial.since is not None and trial.until is not None and trial.until <= trial.since:
        raise InputError("until", "expected a time behind the beginning")
    with step(desk) as this:
        wanted = Backtest(
            id=this.new_id(Kind.BACKTEST),
            state=BacktestState.RUNNING,
            asked_by=by,
            new_name=_named(trial.new),
            against_name=_named(trial.against) if trial.against else None,
            as_mode=trial.as_mode,
            account=trial.account,
            since=trial.since,
            until=trial.until,
            cases_total=None,
            cases_done=0,
            stop_asked=False,
            why=None,
            began_at=database.now(this.db),
            ended_at=None,
        )
        against = trial.against.source if trial.against else None
        backtests.begin(this.db, wanted, backtests.Texts(new=trial.new.source, against=against))
        this.enqueue(Actor.BACKTEST, wanted.id)
        body = {"new": wanted.new_name, "policy_digest": trial.new.digest, "against": wanted.against_name}
        this.record(
            Draft(kind=EntryKind.BACKTEST_ASKED, account=trial.account or "", subject=wanted.id, actor=by, body=body)
        )
    return wanted


def stop(desk: Desk, backtest_id: str, *, by: str) -> Backtest:
    """Has a running one stop at its next stretch. NotFoundError; ConflictError where it has ended."""
    desk.require(Power.PUBLISH)
    person(by)
    with step(desk) as this:
        found = backtests.get(this.db, backtest_id)
        if found.state is not BacktestState.RUNNING:
            raise ConflictError(f"backtest {backtest_id}: is {found.state}")
        backtests.ask_stop(this.db, backtest_id)
        this.record(Draft(kind=EntryKind.BACKTEST_STOPPED, account="", subject=backtest_id, actor=by, body={}))
    return found


def run(desk: Desk, job: Job) -> None:
    """Decides the past again, a stretch at a time. A worker that dies leaves nothing but a number: it begins anew."""
    with transaction(desk.db) as connection:
        found, texts = backtests.get(connection, job.subject), backtests.texts(connection, job.subject)
    if found.state is BacktestState.RUNNING:
        done = _decided(desk, job, found, texts)
        with transaction(desk.db) as connection:
            if done is None:
                backtests.end(connection, found.id, BacktestState.STOPPED)
            else:
                result, flips = done
                content = gzip.compress(msgspec.json.encode(result))
                backtests.end(connection, found.id, BacktestState.DONE, result=content, flips=gzip.compress(flips))
    with step(desk) as this:
        jobs.finish(this.db, job)


def result_of(desk: Desk, backtest_id: str) -> Result | None:
    """What came of it; None where it has not ended well (yet). NotFoundError."""
    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        backtests.get(connection, backtest_id)
        content = backtests.result(connection, backtest_id)
    return msgspec.json.decode(gzip.decompress(content), type=Result) if content else None


def flips_of(desk: Desk, backtest_id: str) -> bytes | None:
    """Every flip as CSV; None as above. NotFoundError."""
    desk.require(Power.SEE)
    with transaction(desk.db) as connection:
        backtests.get(connection, backtest_id)
        content = backtests.flips(connection, backtest_id)
    return gzip.decompress(content) if content else None


def flip_row(flip: Flip) -> tuple[Any, ...]:
    """A flip as a row under FLIP_COLUMNS; no cell begins as a formula does."""
    row = (
        flip.case_id,
        flip.account,
        flip.charge_id,
        flip.decided_at.isoformat(),
        flip.amount_minor,
        flip.currency,
        flip.before.outcome,
        flip.before.reason,
        flip.before.recommendation,
        flip.after.outcome,
        flip.after.reason,
        flip.after.recommendation,
        flip.cause.rule,
        flip.cause.change,
        "; ".join(flip.cause.conditions),
        "; ".join(f"{name}={value}" for name, value in flip.facts.items()),
        flip.person,
    )
    return tuple(safe_cell(cell) if isinstance(cell, str) else cell for cell in row)


def _decided(desk: Desk, job: Job, found: Backtest, texts: backtests.Texts) -> tuple[Result, bytes] | None:
    """The result and the CSV of its flips; None where somebody stopped it."""
    wanted = Wanted(since=found.since, until=found.until, account=found.account)
    plan = Plan(
        database_url=desk.db.url.render_as_string(hide_password=False),
        wanted=wanted,
        new=_text(texts.new, found.new_name),
        against=_text(texts.against, found.against_name or "") if texts.against else None,
        as_mode=Mode(found.as_mode) if found.as_mode else None,
        processes=1,  # beside the day's work, not instead of it
    )
    with transaction(desk.db) as connection:
        cut = stretches(connection, wanted)
    total, done, told_at = sum(stretch.count for stretch in cut), 0, 0.0
    whole, kept = Tally(), _Kept()
    with closing(Bench(plan)) as bench:
        for stretch in cut:
            if monotonic() - told_at > _TELL_EVERY_SECONDS:
                told_at = monotonic()
                if _is_stopped(desk, job, found.id, total, done):
                    return None
            tally, flips = bench.stretch(stretch)
            whole.add(tally)
            for flip in flips:
                kept.add(flip)
            done += stretch.count
    if _is_stopped(desk, job, found.id, total, done):
        return None
    with transaction(desk.db) as connection:
        timed, undecided = handling(connection, wanted), never_decided(connection, wanted)
    told = report(whole, plan.new.load().limits, timed=timed.count, median_seconds=timed.median_seconds)
    return Result(report=told, largest=kept.largest(), never_decided=undecided), kept.csv()


def _is_stopped(desk: Desk, job: Job, backtest_id: str, total: int, done: int) -> bool:
    with transaction(desk.db) as connection:
        jobs.renew(connection, job)
        return backtests.advance(connection, backtest_id, total=total, done=done)


class _Kept:
    """Flips as they come: the largest of them, and all as CSV."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Flip]] = []
        self._count = 0
        self._text = io.StringIO()
        self._writer = csv.writer(self._text)
        self._writer.writerow(FLIP_COLUMNS)

    def add(self, flip: Flip) -> None:
        """Keeps it; of equal amounts the earlier is the larger."""
        self._count += 1
        entry = (flip.amount_minor or 0, -self._count, flip)
        (heapq.heappush if len(self._heap) < _SHOWN_FLIPS else heapq.heappushpop)(self._heap, entry)
        if self._count <= _KEPT_FLIPS:
            self._writer.writerow(flip_row(flip))

    def largest(self) -> tuple[Flip, ...]:
        """The largest first."""
        return tuple(flip for *_, flip in sorted(self._heap, reverse=True))

    def csv(self) -> bytes:
        """All that is kept."""
        return self._text.getvalue().encode()


def _named(policy: Policy) -> str:
    return f"{policy.id}@{policy.version}"


def _text(source: str, name: str) -> Text:
    policy = load_policy(source, filename=name)
    return Text(source=source, filename=name, id=policy.id, version=policy.version, digest=policy.digest)
