"""`billingbot jobs replay` and `dismiss`: running failed jobs again under a name, or putting them away."""

from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.listing import OfAccount, show_list
from billingbot.cli.output import AsJson, Limit, progress, say, show_json
from billingbot.cli.reading import ago_if_told
from billingbot.cli.replaying import (
    DryRun,
    Expect,
    Name,
    Rate,
    Replay,
    Sure,
    Why,
    ask_first,
    expected,
    jobs_of,
    show,
    state_of,
    tell,
)
from billingbot.cli.session import By, desk, me, read
from billingbot.core.errors import InputError
from billingbot.core.job import Actor
from billingbot.core.replay import DEFAULT_RATE, ItemState, ReplayRun, RunState

if TYPE_CHECKING:
    from billingbot.store.jobs import FailedFilter

Ids = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Only these, job_...; or: stop NAME")]
OnlyIds = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Only these, job_...")]
OfCase = Annotated[str | None, typer.Option(help="Only about this case or its refunds.")]
OfActor = Annotated[Actor | None, typer.Option(help="Only this kind of work.")]
OfError = Annotated[str | None, typer.Option("--error", help="Only where the last failure was of this class.")]
Since = Annotated[str | None, typer.Option(help="Given up at or after: ISO 8601 with a zone, or 90m, 36h, 7d ago.")]
Until = Annotated[str | None, typer.Option(help="Given up before: the same.")]


def replay(
    *,
    jobs: Ids = None,
    actor: OfActor = None,
    error: OfError = None,
    account: OfAccount = None,
    case: OfCase = None,
    since: Since = None,
    until: Until = None,
    name: Name = "",
    why: Why = "",
    by: By = me(),
    rate: Rate = DEFAULT_RATE,
    expect_total: Expect = None,
    dry_run: DryRun = False,
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
    most = expected(expect_total)
    if not dry_run:
        from billingbot.flows.replay.replay import check

        check(name=name, by=by, why=why)
    with desk(for_account=True) as at:
        Replay(at, name=name, why=why, by=by, rate=rate, expected=most, yes=yes, quiet=as_json).whole(
            wanted, dry_run=dry_run
        )


def replays(*, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Replays by their names, newest first, and how far each is."""
    from billingbot.store import replays as stored

    found = read(lambda connection: stored.latest(connection, limit=limit))
    columns = ("name", "state", "jobs", *ItemState, "started by", "why it stopped")
    show_list(columns, _row, found, shown=_shown, as_json=as_json)


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
    from billingbot.flows.replay import replay as replaying

    wanted = _wanted(jobs, actor=actor, error=error, account=account, case=case, since=since, until=until)
    replaying.check(by=by, why=why)
    with desk(for_account=True) as at:
        with progress("looking"):
            found = replaying.survey(at, wanted)
        if not as_json:
            show(found)
        if found.count:
            ask_first(f"Put {jobs_of(found.count)} away for good?", yes=yes)
        with progress("putting away", total=found.count) as bar:
            count = replaying.dismiss(at, found.of(wanted), by=by, why=why, moved=bar.forward)
    if as_json:
        show_json({"count": count})
    elif found.count:
        say(f"{jobs_of(count)} put away.")


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
        since=ago_if_told("--since", since),
        until=ago_if_told("--until", until),
    )


def _row(run: ReplayRun) -> tuple[object, ...]:
    counts = (run.count(state) for state in ItemState)
    return run.name, state_of(run), run.total, *counts, run.started_by, run.stopped_why


def _shown(run: ReplayRun) -> object:
    from billingbot.web.api.jobs import RunShown

    return RunShown.of(run)


def _stop(words: list[str], *, by: str, as_json: bool) -> None:
    from billingbot.flows.replay import replay_runs

    if len(words) != 1:
        raise InputError("NAME", "expected the name of one replay: jobs replay stop NAME")
    with desk(for_account=True) as at:
        run = replay_runs.stop(at, words[0], by=by)
    if as_json:
        show_json(_shown(run))
    elif run.state is RunState.RUNNING:
        say(f"{run.name!r} stops before its next job.")
    else:
        tell(run)
