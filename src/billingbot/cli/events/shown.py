"""`billingbot events list` and `show`: what Stripe told us, and what became of it."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from billingbot.cli.output import After, AsJson, Limit, more, show_json, show_page, show_pairs, show_section, show_table
from billingbot.cli.session import read


def list_(
    *,
    account: Annotated[str | None, typer.Option(help="Only this account's.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only this type, such as charge.refunded.")] = None,
    about: Annotated[str | None, typer.Option("--object", help="Only about this object of Stripe's.")] = None,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Stored events, newest first."""
    from billingbot.store.views.events import EventFilter, event_list

    wanted = EventFilter(account=account, type=type_, object_id=about)
    page = read(lambda connection: event_list(connection, wanted, after=after, limit=limit))
    if as_json:
        show_page(page.items, page.next)
        return
    rows = ((one.id, one.event_id, one.type, one.object_id, one.account, one.received_at) for one in page.items)
    show_table(("id", "at Stripe", "type", "object", "account", "received"), rows)
    more(page.next)


def show(
    event: Annotated[str, typer.Argument(help="Our id (inb_...) or Stripe's (evt_...).")], *, as_json: AsJson = False
) -> None:
    """One event, without its body, and the jobs that it became."""
    from billingbot.store.views.events import event_page

    page = read(lambda connection: event_page(connection, event))
    if as_json:
        show_json(page)
        return
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
        ]
    )
    jobs = ((job.id, job.state, job.attempts, job.run_at, job.finished_at, job.last_error) for job in page.jobs)
    show_section("Jobs", ("id", "state", "attempts", "due", "finished", "last error"), jobs)
