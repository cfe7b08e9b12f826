"""`billingbot notices`: what people were told, whether it arrived, and a test of every destination."""

from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.listing import OfAccount, show_list
from billingbot.cli.output import After, AsJson, Limit, progress
from billingbot.cli.session import By, me, read, whole_desk
from billingbot.core.notice import NoticeKind, NoticeState

if TYPE_CHECKING:
    from billingbot.store.views import NoticeLine

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _notices() -> None:
    """What people should hear of: alarms, approvals that are wanted, deadlines."""


@app.command("list")
def list_(
    *,
    kind: Annotated[NoticeKind | None, typer.Option(help="Only this kind.")] = None,
    state: Annotated[NoticeState | None, typer.Option(help="Only these; `kept` had no destination.")] = None,
    account: OfAccount = None,
    subject: Annotated[str | None, typer.Option(help="Only about this case, refund or job of ours.")] = None,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Notices, newest first. `--json` shows their whole text and each destination."""
    from billingbot.store import views

    wanted = views.NoticeFilter(kind=kind, state=state, account=account, subject=subject)
    page = read(lambda connection: views.notice_list(connection, wanted, after=after, limit=limit))
    columns = ("id", "told", "kind", "account", "about", "headline", "state", "not taken by")
    show_list(columns, _row, page.items, following=page.next, as_json=as_json)


def _row(one: "NoticeLine") -> tuple[object, ...]:
    refusals = ", ".join(f"{to.route} ({to.why})" for to in one.deliveries if to.why is not None)
    return one.id, one.told_at, one.kind, one.account, one.subject, one.headline, one.state, refusals


@app.command("test")
def try_(*, by: By = me(), as_json: AsJson = False) -> None:
    """Sends a test to every destination of the configuration, now. Exit code 1 where one did not take it."""
    from billingbot.flows.notify import try_routes

    with whole_desk() as desk, progress("Sending"):
        found = try_routes(desk, by=by)
    told = [{"route": name, "sent": why is None, "why": why} for name, why in found]
    show_list(("destination", "sent", "why not"), lambda one: tuple(one.values()), told, as_json=as_json)
    if any(why is not None for _, why in found):
        raise typer.Exit(1)
