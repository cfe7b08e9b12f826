"""`billingbot jobs replay` and `dismiss`: running failed jobs again under a name, or putting them away."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.output import AsJson, Limit, money, progress, say, show_json, show_page, show_table, warn
from billingbot.cli.reading import amount, instant_or_ago
from billingbot.cli.session import By, desk, me, read
from billingbot.core.errors import InputError
from billingbot.core.job import Actor
from billingbot.core.replay import DEFAULT_RATE, FASTEST_RATE, ItemState, ReplayRun, RunState

if TYPE_CHECKING:
    from billingbot.flows.desk import Desk
    from billingbot.flows.replay import Preview, Totals
    from billingbot.store.jobs import FailedFilter

Ids = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Only these, job_...; or: stop NAME")]
OnlyIds = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Only these, job_...")]
OfCase = Annotated[str | None, typer.Option(help="Only about this case or its refunds.")]
Expect = Annotated[
    list[str] | None,
    typer.Option(metavar="AMOUNT", help="The most that it may pay, such as 'USD 4900.00'; one for each currency."),
]
OfActor = Annotated[Actor | None, typer.Option(help="Only this kind of work.")]
OfError = Annotated[str | None, typer.Option("--error", help="Only where the last failure was of this class.")]
OfAccount = Annotated[str | None, typer.Option(help="Only this account's.")]
Since = Annotated[str | None, typer.Option(help="Given up at or after: ISO 8601 with a zone, or 90m, 36h, 7d ago.")]
Until = Annotated[str | None, typer.Option(help="Given up before: the same.")]
Why = Annotated[str, typer.Option(help="Why; its digest stands in the ledger.")]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]

# So many jobs between two moves of the progress bar: each is a commit of some milliseconds.
_AT_A_TIME = 20


def replay(
    *,
    jobs: Ids = None,
    actor: OfActor = None,
    error: OfError = None,
    account: OfAccount = None,
    case: OfCase = None,
    since: Since = None,
    until: Until = None,
    name: Annotated[str, typer.Option(help="What it is for: under one name a replay runs once.")] = "",
    why: Why = "",
    by: By = me(),
    rate: Annotated[int, typer.Option(min=1, max=FASTEST_RATE, help="Jobs a second, at the most.")] = DEFAULT_RATE,
    expect_total: Expect = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what it would do.")] = False,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Runs failed jobs again, after showing what that would do and what money it may move.

    Stopped or interrupted, the same command goes on with the rest; `replay stop NAME` stops it from elsewhere. It
    stops by itself before it would pay more than was confirmed.
    """
    if jobs and jobs[0] == "stop":
        _stop(jobs[1:], by=by, as_json=as_json)
        return
    wanted = _wanted(jobs, actor=actor, error=error, account=account, case=case, since=since, until=until)
    expected = _expected(expect_total)
    if not dry_run:
        from billingbot.flows.replay import check

        check(name=name, by=by, why=why)
    with desk(for_account=True) as at:
        begin = _Begin(at, name=name, why=why, by=by, rate=rate, expected=expected, yes=yes, quiet=as_json)
        previews = begin.previews(wanted, dry_run=dry_run)
        if not as_json:
            _show(previews)
        run = None if dry_run else begin.run(previews)
    if as_json:
        from billingbot.web.api.jobs import ReplayAnswer

        show_json(ReplayAnswer.of(previews, run))
    elif run is not None:
        _tell(run)
    if run is not None and run.state is not RunState.DONE:
        raise typer.Exit(1)


def replays(*, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Replays by their names, newest first, and how far each is."""
    from billingbot.store import replays as stored

    found = read(lambda connection: stored.latest(connection, limit=limit))
    if as_json:
        from billingbot.web.api.jobs import RunShown

        show_page([RunShown.of(run) for run in found])
        return
    rows = (
        (run.name, _state(run), run.total, *(run.count(state) for state in ItemState), run.started_by, run.stopped_why)
        for run in found
    )
    show_table(("name", "state", "jobs", *ItemState, "started by", "why it stopped"), rows)


def dismiss(
    *,
    why: Why,
    jobs: OnlyIds = None,
    actor: OfActor = None,
    error: OfError = None,
    account: OfAccount = None,
    case: OfCase = None,
    since: Since = None,
    until: Until = None,
    by: By = me(),
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Puts failed jobs away for good; they stay readable with `jobs list --state dismissed`."""
    from billingbot.flows import replay as replaying

    wanted = _wanted(jobs, actor=actor, error=error, account=account, case=case, since=since, until=until)
    replaying.check(by=by, why=why)
    with desk(for_account=True) as at:
        previews = replaying.preview(at, wanted)
        if not as_json:
            _show(previews)
        if previews:
            _ask_first(f"Put {_jobs_of(len(previews))} away for good?", yes=yes)
        count = _dismissed(at, previews, by=by, why=why)
    if as_json:
        show_json({"count": count})
    elif previews:
        say(f"{_jobs_of(count)} put away.")


def _wanted(
    jobs: list[str] | None,
    *,
    actor: Actor | None,
    error: str | None,
    account: str | None,
    case: str | None,
    since: str | None,
    until: str | None,
) -> "FailedFilter":
    from billingbot.store.jobs import FailedFilter

    return FailedFilter(
        ids=tuple(jobs) if jobs else None,
        actor=actor,
        error_class=error,
        account=account,
        case=case,
        since=instant_or_ago("--since", since) if since else None,
        until=instant_or_ago("--until", until) if until else None,
    )


def _dismissed(at: "Desk", previews: "Sequence[Preview]", *, by: str, why: str) -> int:
    """Puts away exactly the jobs that were shown, a few at a time."""
    from billingbot.flows.replay import dismiss as put_away
    from billingbot.store.jobs import FailedFilter

    ids, count = [told.job.id for told in previews], 0
    with progress("dismissing", total=len(ids)) as bar:
        for start in range(0, len(ids), _AT_A_TIME):
            part = tuple(ids[start : start + _AT_A_TIME])
            count += put_away(at, FailedFilter(ids=part), by=by, why=why)
            bar.forward(len(part))
    return count


class _Begin:
    """One replay from its name to its end, at a terminal."""

    def __init__(
        self,
        at: "Desk",
        *,
        name: str,
        why: str,
        by: str,
        rate: int,
        expected: "Totals | None",
        yes: bool,
        quiet: bool,
    ) -> None:
        self._at, self._name, self._why, self._by, self._rate = at, name, why, by, rate
        self._expected, self._yes, self._quiet = expected, yes, quiet
        self._earlier: ReplayRun | None = None

    def previews(self, wanted: "FailedFilter", *, dry_run: bool) -> "tuple[Preview, ...]":
        """What is to be run: the chosen jobs, or what is left of the replay that has this name already."""
        from billingbot.flows import replay_runs
        from billingbot.flows.replay import preview
        from billingbot.store import replays as stored
        from billingbot.store.database import transaction

        if self._name:
            with transaction(self._at.db) as connection:
                self._earlier = stored.find(connection, self._name)
        if self._earlier is None:
            return preview(self._at, wanted)
        if not self._quiet:
            warn(f"{self._name!r} is there already, {_state(self._earlier)}: what is left of it")
        left = replay_runs.remaining(self._at, self._name)
        return left if dry_run or self._earlier.state is not RunState.DONE else ()

    def run(self, previews: "tuple[Preview, ...]") -> ReplayRun | None:
        """Runs them, once somebody has agreed; None where there is nothing to run."""
        from billingbot.flows import replay_runs
        from billingbot.flows.replay import totals
        from billingbot.store.jobs import FailedFilter

        if self._earlier is None:
            if not previews:
                return None
            _ask_first(f"Run {_jobs_of(len(previews))} again?", yes=self._yes)
            replay_runs.start(
                self._at,
                FailedFilter(ids=tuple(told.job.id for told in previews)),
                name=self._name,
                by=self._by,
                why=self._why,
                rate=self._rate,
                confirmed=self._expected or totals(previews),
                is_capped=self._expected is not None,
            )
        elif self._earlier.state is RunState.DONE:
            return self._earlier
        else:
            _ask_first(f"Go on with {_jobs_of(len(previews))}?", yes=self._yes)
            replay_runs.resume(self._at, self._name, by=self._by, expected=self._expected)
        return self._drive(len(previews))

    def _drive(self, count: int) -> ReplayRun:
        from billingbot.flows import replay_runs

        try:
            with progress("replaying", total=count) as bar:
                return replay_runs.drive(self._at, self._name, pause=_sleep, moved=bar.forward)
        except KeyboardInterrupt:
            return replay_runs.let_go(self._at, self._name, by=self._by)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _stop(words: list[str], *, by: str, as_json: bool) -> None:
    from billingbot.flows import replay_runs

    if len(words) != 1:
        raise InputError("NAME", "expected the name of one replay: jobs replay stop NAME")
    with desk(for_account=True) as at:
        run = replay_runs.stop(at, words[0], by=by)
    if as_json:
        from billingbot.web.api.jobs import RunShown

        show_json(RunShown.of(run))
    elif run.state is RunState.RUNNING:
        say(f"{run.name!r} stops before its next job.")
    else:
        _tell(run)


def _state(run: ReplayRun) -> str:
    return "interrupted" if run.state is RunState.RUNNING and not run.is_held else str(run.state)


def _tell(run: ReplayRun) -> None:
    why = f" ({run.stopped_why})" if run.stopped_why else ""
    counts = {state: run.count(state) for state in ItemState}
    say(
        f"{run.name!r} is {_state(run)}{why}: {_jobs_of(counts[ItemState.REPLAYED])} ready again, "
        f"{counts[ItemState.LEFT]} need a person, {counts[ItemState.GONE]} had been seen to, "
        f"{counts[ItemState.WAITING]} wait."
    )


def _expected(amounts: list[str] | None) -> "Totals | None":
    from billingbot.flows.replay import Totals

    if not amounts:
        return None
    return Totals(amounts=tuple(amount("--expect-total", text) for text in amounts), unknown=0)


def _show(previews: "Sequence[Preview]") -> None:
    from billingbot.flows.replay import Effect, totals

    if not previews:
        say("No such job has failed.")
        return
    rows = (
        (
            told.job.id,
            told.job.actor,
            told.effect,
            money(told.amount_minor, told.currency),
            told.why,
            told.job.last_error,
        )
        for told in previews
    )
    show_table(("id", "actor", "a replay", "amount", "because", "last error"), rows)
    counts = ((effect, sum(told.effect is effect for told in previews)) for effect in Effect)
    warn(", ".join(f"{count} {effect.replace('_', ' ')}" for effect, count in counts if count))
    sums = totals(previews)
    if sums.amounts or sums.unknown:
        told = [str(amount) for amount in sums.amounts]
        told += [f"{sums.unknown} of an amount not known yet"] if sums.unknown else []
        warn(f"Money that a replay may move: {', '.join(told)}")


def _ask_first(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("--yes", "expected, where nobody can be asked")
    typer.confirm(question, abort=True, err=True)


def _jobs_of(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
