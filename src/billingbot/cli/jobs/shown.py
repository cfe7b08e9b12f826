"""`billingbot jobs list` and `show`: what waits, what failed and why."""

from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.listing import OfAccount, show_list
from billingbot.cli.output import After, AsJson, Limit, say, show_json, show_pairs
from billingbot.cli.reading import ago_if_told
from billingbot.cli.session import read
from billingbot.core.job import Actor, JobState

if TYPE_CHECKING:
    from billingbot.store.views.jobs import JobLine


def list_(
    *,
    state: Annotated[JobState | None, typer.Option(help="Only these; `failed` waits for a person.")] = None,
    actor: Annotated[Actor | None, typer.Option(help="Only this kind of work.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this case, refund or event of ours.")] = None,
    case: Annotated[str | None, typer.Option(help="Only about this case or its refunds.")] = None,
    error: Annotated[str | None, typer.Option("--error", help="Only where the last failure was of this class.")] = None,
    account: OfAccount = None,
    since: Annotated[
        str | None, typer.Option(help="Made at or after: ISO 8601 with a zone, or 90m, 36h, 7d ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Made before: the same.")] = None,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Jobs, newest first."""
    from billingbot.store import views

    wanted = views.JobFilter(
        state=state,
        actor=actor,
        subject=subject,
        error_class=error,
        account=account,
        case=case,
        since=ago_if_told("--since", since),
        until=ago_if_told("--until", until),
    )
    page = read(lambda connection: views.job_list(connection, wanted, after=after, limit=limit))
    columns = ("id", "actor", "about", "state", "attempts", "due", "last error")
    show_list(columns, _row, page.items, following=page.next, as_json=as_json)


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


def _row(job: "JobLine") -> tuple[object, ...]:
    return job.id, job.actor, job.subject, job.state, job.attempts, job.run_at, job.last_error
