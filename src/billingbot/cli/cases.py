"""`billingbot cases`: the human queue, and everything about a case."""

from pathlib import Path
from typing import Annotated

import typer

from billingbot.cli import case_links, casework
from billingbot.cli.casework import CaseId, shown
from billingbot.cli.listing import OfAccount, OfCharge, OfCustomer, show_list
from billingbot.cli.output import After, AsJson, Limit, money, say, show_json, warn
from billingbot.cli.reading import instant
from billingbot.cli.session import desk, read
from billingbot.core.case import Case, CaseState
from billingbot.core.decision import Priority

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _cases() -> None:
    """The human queue. Names in the ledger come from --as, or from the user of this machine."""


@app.command("list")
def list_(
    *,
    state: Annotated[CaseState, typer.Option(help="Cases in this state.")] = CaseState.REVIEW,
    all_: Annotated[bool, typer.Option("--all", help="Cases in every state.")] = False,
    account: OfAccount = None,
    assignee: Annotated[str | None, typer.Option(help="Only in this person's hands.")] = None,
    unassigned: Annotated[bool, typer.Option("--unassigned", help="Only in nobody's hands.")] = False,
    snoozed: Annotated[
        bool | None, typer.Option("--snoozed/--awake", help="Only put off now, or only not. Default: both.")
    ] = None,
    charge: OfCharge = None,
    customer: OfCustomer = None,
    reason: Annotated[str | None, typer.Option(help="Only for this reason.")] = None,
    priority: Annotated[Priority | None, typer.Option(help="Only of this priority.")] = None,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """The queue, most urgent first; with --state or --all other cases, newest first."""
    from billingbot.store import views

    wanted = views.CaseFilter(
        state=None if all_ else state,
        account=account,
        assignee=assignee,
        unassigned=unassigned,
        snoozed=snoozed,
        charge_id=charge,
        customer_id=customer,
        reason=reason,
        priority=priority,
    )
    page = read(lambda connection: views.queue(connection, wanted, after=after, limit=limit))
    columns = ("id", "state", "priority", "due", "amount", "reason", "advice", "customer", "with")
    show_list(columns, _row, page.items, following=page.next, shown=shown, as_json=as_json)


@app.command()
def show(case: CaseId, *, as_json: AsJson = False) -> None:
    """Everything about a case: what was asked, decided, paid and noted, and when."""
    from billingbot.cli.case_page import show_case
    from billingbot.flows.casework.review import blockers_of
    from billingbot.store import views
    from billingbot.store.database import transaction

    with desk() as at:
        with transaction(at.db) as connection:
            page = views.case_page(connection, case)
        blockers = blockers_of(at, page.case) if page.case.state is CaseState.REVIEW else ()
    if as_json:
        from billingbot.web.api.shown import CasePageShown

        show_json(CasePageShown.of(page, blockers))
        return
    show_case(page, blockers)


@app.command()
def explain(
    case: CaseId,
    *,
    at: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="The verdict it stood on then, from its stored facts: 2026-03-01T09:00:00Z."),
    ] = None,
    policy: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Also decide the same facts by this version or digest.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Why it was decided so, in plain words, and what would have changed it.

    Decides again from what is stored, and says whether the same bytes come out. Exit code 1 where they do not.
    """
    from billingbot.store import views

    then = instant("--at", at) if at else None
    told = read(lambda connection: views.explanation(connection, case, at=then, under=policy))
    if as_json:
        show_json(told)
    else:
        say(f"Case {told.case_id}, decided {told.decided_at:%Y-%m-%d %H:%M:%S}Z", "", *told.lines, "")
        if told.under is not None:
            same = "the same" if told.under.same else "otherwise"
            say(f"Under {told.under.policy_id} {told.under.policy_version}: {same}.", "", *told.under.lines, "")
    if told.reproduces:
        if not as_json:
            say("Decided again from what is stored: the same, byte for byte.")
        return
    warn(
        f"Case {told.case_id}: what is stored does NOT give the stored verdict again. Somebody or something changed it."
    )
    raise typer.Exit(1)


@app.command()
def file(
    case: CaseId,
    *,
    output: Annotated[Path | None, typer.Option(help="The PDF; without it, stdout.")] = None,
) -> None:
    """The case file for an auditor, as PDF: evidence, decision, approvals, refund, settlement, ledger entries."""
    from billingbot.cli.saving import save
    from billingbot.flows.books.case_file import case_file

    with desk() as here:
        save([case_file(here, case)], output, "Writing the case file")


def _row(case: Case) -> tuple[object, ...]:
    return (
        case.id,
        case.state,
        case.priority,
        case.due_at,
        money(case.amount_minor, case.currency),
        case.outcome if case.state is CaseState.CLOSED else case.reason,
        case.recommendation,
        case.customer_id,
        case.assignee,
    )


casework.add_to(app)
case_links.add_to(app)
