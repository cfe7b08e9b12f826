"""`billingbot jobs`: what waits, what failed and why; running failed jobs again, or putting them away."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from billingbot.cli.output import (
    After,
    AsJson,
    Limit,
    money,
    more,
    progress,
    say,
    show_json,
    show_page,
    show_pairs,
    show_table,
    warn,
)
from billingbot.cli.reading import instant
from billingbot.cli.session import By, desk, me, read
from billingbot.core.errors import InputError
from billingbot.core.job import Actor, JobState

if TYPE_CHECKING:
    from billingbot.flows.replay import Preview
    from billingbot.store.jobs import FailedFilter

Part = TypeVar("Part")

app = typer.Typer(no_args_is_help=True, add_completion=False)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Only these, job_...")]
OfActor = Annotated[Actor | None, typer.Option(help="Only this kind of work.")]
OfError = Annotated[str | None, typer.Option("--error", help="Only where the last failure was of this class.")]
OfAccount = Annotated[str | None, typer.Option(help="Only this account's.")]
Since = Annotated[str | None, typer.Option(help="Given up at or after: ISO 8601 with a zone.")]
Until = Annotated[str | None, typer.Option(help="Given up before: ISO 8601 with a zone.")]
Why = Annotated[str, typer.Option(help="Why; its digest stands in the ledger.")]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]

# So many jobs between two moves of the progress bar: each is a commit of some milliseconds.
_AT_A_TIME = 20


@app.callback()
def _jobs() -> None:
    """Steps of work, as Postgres remembers them."""


@app.command("list")
def list_(
    *,
    state: Annotated[JobState | None, typer.Option(help="Only these; `failed` waits for a person.")] = None,
    actor: Annotated[Actor | None, typer.Option(help="Only this kind of work.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this case, refund or event of ours.")] = None,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Jobs, newest first."""
    from billingbot.store import views

    wanted = views.JobFilter(state=state, actor=actor, subject=subject)
    page = read(lambda connection: views.job_list(connection, wanted, after=after, limit=limit))
    if as_json:
        show_page(page.items, page.next)
        return
    rows = ((one.id, one.actor, one.subject, one.state, one.attempts, one.run_at, one.last_error) for one in page.items)
    show_table(("id", "actor", "about", "state", "attempts", "due", "last error"), rows)
    more(page.next)


@app.command()
def show(job: Annotated[str, typer.Argument(help="The job, job_...")], *, as_json: AsJson = False) -> None:
    """One job with every failure and its traceback."""
    from billingbot.store import views

    page = read(lambda connection: views.job_page(connection, job))
    if as_json:
        show_json(page)
        return
    show_pairs(
        [
            ("job", page.job.id),
            ("actor", page.job.actor),
            ("about", page.job.subject),
            ("state", page.job.state),
            ("attempts", page.job.attempts),
            ("due", page.job.run_at),
            ("held until", page.job.lease_until),
            ("finished", page.job.finished_at),
            ("case", page.case_id),
            ("event", f"{page.event.type} {page.event.event_id}" if page.event else None),
            ("last error", page.job.last_error),
        ]
    )
    for failure in page.failures:
        say("", f"Attempt {failure.attempt} at {failure.at:%Y-%m-%d %H:%M:%S}Z: {failure.error_class}: {failure.error}")
        say(*(f"  {line}" for line in failure.traceback.splitlines()))


@app.command()
def replay(
    *,
    jobs: Ids = None,
    actor: OfActor = None,
    error: OfError = None,
    account: OfAccount = None,
    since: Since = None,
    until: Until = None,
    name: Annotated[str, typer.Option(help="What it is for: under one name a job is replayed once.")] = "",
    why: Why = "",
    by: By = me(),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what it would do.")] = False,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Runs failed jobs again, after showing what that would do and what money it may move.

    Stopped halfway, the same command goes on with the rest.
    """
    from billingbot.flows import replay as replaying

    wanted = _wanted(jobs, actor, error, account, since, until)
    if not dry_run:
        replaying.check(name=name, by=by, why=why)
    with desk(for_account=True) as at:
        previews = replaying.preview(at, wanted)
        if not as_json:
            _show(previews)
        done = None
        if previews and not dry_run:
            _ask_first(f"Run {_jobs_of(len(previews))} again?", yes=yes)
            parts = _in_parts("replaying", previews, lambda part: replaying.replay(at, part, name=name, by=by, why=why))
            done = replaying.Replayed(
                count=sum(part.count for part in parts),
                already=sum(part.already for part in parts),
                left=sum(part.left for part in parts),
            )
    if as_json:
        from billingbot.web.api.jobs import ReplayAnswer

        show_json(ReplayAnswer.of(previews, done))
    elif done is not None:
        say(f"{_jobs_of(done.count)} ready again as {name!r}; {done.already} were before, {done.left} need a person.")


@app.command()
def dismiss(
    *,
    why: Why,
    jobs: Ids = None,
    actor: OfActor = None,
    error: OfError = None,
    account: OfAccount = None,
    since: Since = None,
    until: Until = None,
    by: By = me(),
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Puts failed jobs away for good; they stay readable with `jobs list --state dismissed`."""
    from billingbot.flows import replay as replaying

    wanted = _wanted(jobs, actor, error, account, since, until)
    replaying.check(by=by, why=why)
    with desk(for_account=True) as at:
        previews = replaying.preview(at, wanted)
        if not as_json:
            _show(previews)
        if previews:
            _ask_first(f"Put {_jobs_of(len(previews))} away for good?", yes=yes)
        count = sum(_in_parts("dismissing", previews, lambda part: replaying.dismiss(at, part, by=by, why=why)))
    if as_json:
        show_json({"count": count})
    elif previews:
        say(f"{_jobs_of(count)} put away.")


def _wanted(
    jobs: list[str] | None,
    actor: Actor | None,
    error: str | None,
    account: str | None,
    since: str | None,
    until: str | None,
) -> "FailedFilter":
    from billingbot.store.jobs import FailedFilter

    return FailedFilter(
        ids=tuple(jobs) if jobs else None,
        actor=actor,
        error_class=error,
        account=account,
        since=instant("--since", since) if since else None,
        until=instant("--until", until) if until else None,
    )


def _in_parts(what: str, previews: "Sequence[Preview]", act: "Callable[[FailedFilter], Part]") -> "list[Part]":
    """Acts on exactly the jobs that were shown, a few at a time."""
    from billingbot.store.jobs import FailedFilter

    ids = [told.job.id for told in previews]
    done = []
    with progress(what, total=len(ids)) as bar:
        for start in range(0, len(ids), _AT_A_TIME):
            part = tuple(ids[start : start + _AT_A_TIME])
            done.append(act(FailedFilter(ids=part)))
            bar.forward(len(part))
    return done


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
