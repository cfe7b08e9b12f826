"""`billingbot events list` and `show`: what Stripe told us, and what became of it."""

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.listing import OfAccount, show_list
from billingbot.cli.output import (
    After,
    AsJson,
    Limit,
    plain,
    say,
    show_json,
    show_pairs,
    show_section,
)
from billingbot.cli.reading import ago_if_told
from billingbot.cli.session import read
from billingbot.core.job import JobState

if TYPE_CHECKING:
    from billingbot.store.views.events import ListedEvent

OfType = Annotated[str | None, typer.Option("--type", help="Only this type, such as charge.refunded.")]
About = Annotated[str | None, typer.Option("--object", help="Only about this object of Stripe's.")]
OfState = Annotated[JobState | None, typer.Option("--state", help="Only those whose newest job is in this state.")]
Since = Annotated[str | None, typer.Option(help="Stored at or after: ISO 8601 with a zone, or 90m, 36h, 7d ago.")]
Until = Annotated[str | None, typer.Option(help="Stored before: the same.")]


def list_(
    *,
    account: OfAccount = None,
    type_: OfType = None,
    about: About = None,
    state: OfState = None,
    since: Since = None,
    until: Until = None,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Stored events, newest first."""
    from billingbot.store.views.events import EventFilter, event_list

    wanted = EventFilter(
        account=account,
        type=type_,
        object_id=about,
        job_state=state,
        since=ago_if_told("--since", since),
        until=ago_if_told("--until", until),
    )
    page = read(lambda connection: event_list(connection, wanted, after=after, limit=limit))
    columns = ("id", "at Stripe", "type", "object", "account", "received", "job")
    show_list(columns, _row, page.items, following=page.next, as_json=as_json)


def show(
    event: Annotated[str, typer.Argument(help="Our id (inb_...) or Stripe's (evt_...).")],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Print the body alone, byte for byte as Stripe sent it.")] = False,
    as_json: AsJson = False,
) -> None:
    """One event: what it meant, its jobs, what came of it, and its body, which may hold personal data."""
    from billingbot.store.views.events import event_body, event_page

    body = read(lambda connection: event_body(connection, event))
    if raw:
        sys.stdout.buffer.write(body)
        return
    page = read(lambda connection: event_page(connection, event))
    if as_json:
        show_json({**plain(page), "body": json.loads(body)})
        return
    named = ", ".join(f"{name} {value}" for name, value in page.names.items() if value is not None)
    show_pairs(
        [
            ("event", page.event.id),
            ("at Stripe", page.event.event_id),
            ("type", f"{page.event.type}{' (thin)' if page.thin else ''}"),
            ("object", page.event.object_id),
            ("account", f"{page.event.account}, {'live' if page.livemode else 'test'} mode"),
            ("API version", page.api_version),
            ("happened", datetime.fromtimestamp(page.created, UTC)),
            ("received", page.event.received_at),
            ("means", f"{page.signal}: {named}" if page.signal else "nothing to us"),
        ]
    )
    jobs = ((job.id, job.state, job.attempts, job.run_at, job.finished_at, job.last_error) for job in page.jobs)
    show_section("Jobs", ("id", "state", "attempts", "due", "finished", "last error"), jobs)
    came = ((one.kind, one.id, one.state) for one in page.came_of_it)
    show_section("About the same object", ("what", "id", "state"), came)
    say("", "Body:", json.dumps(json.loads(body), indent=2, ensure_ascii=False))


def _row(event: "ListedEvent") -> tuple[object, ...]:
    return (
        event.id,
        event.event_id,
        event.type,
        event.object_id,
        event.account,
        event.received_at,
        event.job_state,
    )
