"""`billingbot cases`: the human queue, and what people do with a case."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.case_links import add_to
from billingbot.cli.output import After, AsJson, Limit, money, more, say, show_json, show_page, show_table, warn
from billingbot.cli.reading import instant
from billingbot.cli.session import By, desk, me, read, whole_desk
from billingbot.core.case import Case, CaseState
from billingbot.core.decision import Priority

if TYPE_CHECKING:
    from billingbot.flows.casework.review import Act

app = typer.Typer(no_args_is_help=True, add_completion=False)
add_to(app)

CaseId = Annotated[str, typer.Argument(metavar="CASE", help="The case, case_...")]
Seen = Annotated[
    int | None, typer.Option("--version", min=1, help="The version you saw: refused where it has changed since.")
]
Why = Annotated[str, typer.Option(help="Why; kept with the case, its digest in the ledger.")]


@app.callback()
def _cases() -> None:
    """The human queue. Names in the ledger come from --as, or from the user of this machine."""


@app.command("list")
def list_(
    *,
    state: Annotated[CaseState, typer.Option(help="Cases in this state.")] = CaseState.REVIEW,
    all_: Annotated[bool, typer.Option("--all", help="Cases in every state.")] = False,
    account: Annotated[str | None, typer.Option(help="Only this account's.")] = None,
    assignee: Annotated[str | None, typer.Option(help="Only in this person's hands.")] = None,
    unassigned: Annotated[bool, typer.Option("--unassigned", help="Only in nobody's hands.")] = False,
    charge: Annotated[str | None, typer.Option(help="Only of this charge.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only of this customer.")] = None,
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
        charge_id=charge,
        customer_id=customer,
        reason=reason,
        priority=priority,
    )
    page = read(lambda connection: views.queue(connection, wanted, after=after, limit=limit))
    if as_json:
        from billingbot.web.api.shown import CaseShown

        show_page([CaseShown.of(case) for case in page.items], page.next)
        return
    show_table(
        ("id", "state", "priority", "due", "amount", "reason", "advice", "customer", "with"),
        (
            (
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
            for case in page.items
        ),
    )
    more(page.next)


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


@app.command()
def claim(case: CaseId, version: Seen = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Takes the case into your hands."""
    from billingbot.flows.casework import review

    with desk() as at:
        done = review.claim(at, _act(case, by, version))
    _tell(done, f"{done.id} is with {done.assignee}.", as_json=as_json)


@app.command()
def release(case: CaseId, version: Seen = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Puts the case back into the queue."""
    from billingbot.flows.casework import review

    with desk() as at:
        done = review.release(at, _act(case, by, version))
    _tell(done, f"{done.id} is in nobody's hands.", as_json=as_json)


@app.command()
def approve(case: CaseId, why: Why, version: Seen = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Has the charge refunded in full, after reading it afresh. Needs a mode that lets money move."""
    from billingbot.flows.casework import review

    with whole_desk() as at:
        done = review.approve(at, _act(case, by, version), reason=why)
    amount = money(done.amount_minor, done.currency)
    if done.state is CaseState.REVIEW:
        said = f"{done.id}: {amount} is above what one person may approve; one more is wanted, from somebody else."
    else:
        said = f"{done.id}: {amount} is on its way back."
    _tell(done, said, as_json=as_json)


@app.command()
def deny(
    case: CaseId,
    why: Why,
    reply: Annotated[
        str | None, typer.Option(help="The text for the customer. Default: the policy's, where it advised to decline.")
    ] = None,
    version: Seen = None,
    by: By = me(),
    *,
    as_json: AsJson = False,
) -> None:
    """Closes the case without a refund, and prints the reply for the customer."""
    from billingbot.flows.casework import review

    with desk() as at:
        done = review.deny(at, _act(case, by, version), reason=why, reply=reply)
    _tell(done, f"{done.id} is closed without a refund.", as_json=as_json)
    if done.reply and not as_json:
        say("", "For the customer:", "", done.reply)


@app.command()
def send(case: CaseId, version: Seen = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Sends the case's reply to its customer by e-mail, once. Needs [mail] in the configuration."""
    from billingbot.flows.casework import letters

    with whole_desk() as at:  # whether and how mail leaves stands in the workers' configuration
        letter = letters.send(at, _act(case, by, version))
    if as_json:
        show_json({"letter": letter.id, "case": letter.case_id, "state": letter.state, "subject": letter.subject})
        return
    say(f"{letter.id} is on its way: {letter.subject}")


@app.command()
def note(
    case: CaseId,
    text: Annotated[str, typer.Argument(help="The note.")],
    by: By = me(),
) -> None:
    """Writes a note on the case; it changes nothing else."""
    from billingbot.flows.casework import review

    with desk() as at:
        review.note(at, _act(case, by, None), text)
    say(f"Noted on {case}.")


@app.command()
def reassess(case: CaseId, why: Why, version: Seen = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Has the facts gathered and the case decided anew."""
    from billingbot.flows.casework import review

    with desk() as at:
        done = review.ask_again(at, _act(case, by, version), why)
    _tell(done, f"{done.id} is being assessed anew.", as_json=as_json)


def _act(case: str, by: str, version: int | None) -> "Act":
    from billingbot.flows.casework.review import Act

    return Act(case_id=case, by=by, version=version)


def _tell(case: Case, sentence: str, *, as_json: bool) -> None:
    if not as_json:
        say(sentence)
        return
    from billingbot.web.api.shown import CaseShown

    show_json({"case": CaseShown.of(case)})
