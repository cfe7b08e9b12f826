"""`billingbot policy shadow`: a candidate beside the live policy on real traffic, and whether `auto` is earned."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.output import AsJson, say, show_json, show_section
from billingbot.cli.policy.named import named
from billingbot.cli.reading import day_or_instant
from billingbot.cli.session import By, desk, me, read

if TYPE_CHECKING:
    from billingbot.core.shadow import Agreement
    from billingbot.store.views import RuleWord, ShadowReport

shadow = typer.Typer(add_completion=False, invoke_without_command=True)

Candidate = Annotated[str, typer.Argument(metavar="POLICY", help="A policy file, or a published version.")]
Why = Annotated[str, typer.Option(help="Why; it stands in the ledger.")]


@shadow.callback()
def _shadow(
    context: typer.Context,
    *,
    since: Annotated[
        str | None, typer.Option(help="Count people's decisions from this day or time on. Default: all of them.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A candidate decides beside the live policy and pays nothing: agreement, money and flips so far.

    Also, with or without a candidate: how often people decided as the live policy advised, rule by rule.
    """
    if context.invoked_subcommand is not None:
        return
    from billingbot.store import views

    bound = day_or_instant("--since", since) if since else None
    report = read(views.shadow_report)
    people = read(lambda connection: views.live_against_people(connection, bound))
    if as_json:
        show_json({"shadow": report, "people": people})
        return
    if report is None:
        say("No candidate has run yet: billingbot policy shadow start POLICY --why ...", "")
    else:
        _show(report)
    _show_people("People and the live policy", people)


@shadow.command()
def start(policy: Candidate, why: Why, by: By = me(), *, as_json: AsJson = False) -> None:
    """Lets a candidate decide beside the live policy from now on; nothing it says is carried out."""
    from billingbot.flows.policy.shadow import start_shadow

    candidate = named(policy)
    with desk() as at:
        started = start_shadow(at, candidate, by=by, why=why)
    if as_json:
        show_json(started)
        return
    say(f"{started.policy_id} {started.version} decides beside the live policy. See it: billingbot policy shadow")


@shadow.command()
def stop(by: By = me(), *, as_json: AsJson = False) -> None:
    """Ends the candidate; what it said stays."""
    from billingbot.flows.policy.shadow import stop_shadow

    with desk() as at:
        stopped = stop_shadow(at, by=by)
    if as_json:
        show_json({"shadow": stopped.id, "version": stopped.version})
        return
    say(f"{stopped.policy_id} {stopped.version} decides beside the live policy no more.")


def _show(report: "ShadowReport") -> None:
    one = report.shadow
    until = f" until {one.stopped_at:%Y-%m-%d %H:%M}Z" if one.stopped_at else ""
    say(f"{one.policy_id} {one.version}, since {one.started_at:%Y-%m-%d %H:%M}Z{until}: {_told(report.agreement)}")
    if report.waiting:
        say(f"Not looked at yet: {report.waiting} verdicts.")
    if report.unreadable:
        say(f"Not readable: {report.unreadable} verdicts; nothing is said of them.")
    moved = (
        (each.live, each.live_rule, each.shadow, each.shadow_rule, each.cases, ", ".join(map(str, each.money)))
        for each in report.moved
    )
    show_section("Goes another way", ("live", "by", "candidate", "by", "cases", "money"), moved)
    flips = ((each.case_id, each.decided_at, each.live, each.shadow, each.amount) for each in report.flips)
    show_section("The newest of them", ("case", "decided", "live", "candidate", "amount"), flips)
    _show_people("People and the candidate", report.people)


def _show_people(title: str, people: "Sequence[RuleWord]") -> None:
    rows = (
        (one.rule, "pays by itself" if one.pays else "a person decides", _told(one.agreement), one.silent or None)
        for one in people
    )
    show_section(title, ("rule", "in auto", "people decided so", "without advice"), rows)
    if not people:
        say("", f"{title}: nobody has decided a case yet.")


def _told(agreement: "Agreement") -> str:
    if agreement.share is None:
        return "nothing to compare yet"
    low, high = agreement.interval
    return f"{agreement.same} of {agreement.of} the same, {agreement.share:.1%} (95 %: {low:.1%} to {high:.1%})"
