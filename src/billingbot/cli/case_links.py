"""`billingbot cases links`, `unlink`, `relink`: who looks like the customer of a case, and what is no link."""

from typing import Annotated

import typer

from billingbot.cli.casework import CaseId
from billingbot.cli.output import AsJson, say, show_json, show_section, show_table
from billingbot.cli.session import By, desk, me, read
from billingbot.core.evidence.history import LinkKind
from billingbot.store.views.links import CaseLinks

Other = Annotated[str, typer.Option("--customer", help="The other customer, cus_...")]
Of = Annotated[
    str | None, typer.Option("--from", help="The one of the two who is not the case's own customer. Default: that one.")
]
What = Annotated[LinkKind, typer.Option(help="By what they are linked.")]
Why = Annotated[str, typer.Option(help="Why; kept beside the mark, its digest in the ledger.")]


def links(case: CaseId, *, as_json: AsJson = False) -> None:
    """Who looks like this customer, by what, and since when."""
    from billingbot.store.views.links import case_links

    _show(read(lambda connection: case_links(connection, case)), as_json=as_json)


def unlink(
    case: CaseId,
    customer: Other,
    kind: What,
    why: Why,
    by: By = me(),
    *,
    from_: Of = None,
    for_everybody: Annotated[
        bool, typer.Option("--for-everybody", help="What the two share links nobody: a card that many have.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Marks a link as wrong. It stays so, in later cases too; the case itself is not decided anew."""
    from billingbot.flows.casework import unlink as verbs
    from billingbot.flows.casework.review import Act
    from billingbot.store.views.links import case_links

    with desk() as at:
        between = verbs.Between(kind=kind, other=customer, customer=from_)
        verbs.unlink(at, Act(case_id=case, by=by), between, why=why, for_everybody=for_everybody)
    _show(read(lambda connection: case_links(connection, case)), as_json=as_json)
    if not as_json:
        say("", f"To have it decided without this link: billingbot cases reassess {case} --why ...")
        say("Limits on automatic refunds to one card or mailbox hold as before; beyond them a person approves.")


def relink(
    case: CaseId, customer: Other, kind: What, why: Why, by: By = me(), *, from_: Of = None, as_json: AsJson = False
) -> None:
    """Takes back that a link is wrong."""
    from billingbot.flows.casework import unlink as verbs
    from billingbot.flows.casework.review import Act
    from billingbot.store.views.links import case_links

    with desk() as at:
        between = verbs.Between(kind=kind, other=customer, customer=from_)
        verbs.relink(at, Act(case_id=case, by=by), between, why=why)
    _show(read(lambda connection: case_links(connection, case)), as_json=as_json)


def add_to(app: typer.Typer) -> None:
    """Puts the commands beside the others of a case."""
    for command in (links, unlink, relink):
        app.command()(command)


def _show(found: CaseLinks, *, as_json: bool) -> None:
    if as_json:
        from billingbot.web.api.links import LinksShown

        show_json(LinksShown.of(found))
        return
    around = found.around
    if around is None:
        say(f"{found.case_id}: no customer is known of it.")
        return
    show_table(
        ("customer", "links away", "trials", "first trial", "refunds"),
        (
            (
                one.customer_id,
                "weak signs only" if one.distance is None else one.distance,
                one.past.trials,
                one.past.first_trial_at,
                one.past.refunds,
            )
            for one in around.people
        ),
    )
    rows = [(link.kind, link.strength, link.one, link.other, link.since, link.reason) for link in around.links]
    show_section("Links", ("by", "strength", "one", "other", "since", "why"), rows)
    if around.left_out or around.weakly_left_out:
        say("", f"{around.left_out} more are linked, {around.weakly_left_out} more share weak signs alone.")
    marks = [
        (mark.kind, mark.one or "everybody", mark.other or "everybody", mark.marked_at, mark.marked_by, mark.why)
        for mark in found.marks
    ]
    show_section("Marked as no link", ("by", "one", "other", "when", "who", "why"), marks)
