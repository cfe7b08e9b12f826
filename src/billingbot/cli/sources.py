"""`billingbot sources`: asks every usage and support source about one customer, as a decision would."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from billingbot.cli.output import AsJson, cell, progress, say, show_json, show_section, warn
from billingbot.cli.reading import instant
from billingbot.cli.session import one_account, whole_desk
from billingbot.core.evidence.usage import Subject, SupportReport, UsageReport, merged, shortfall

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _sources() -> None:
    """Where usage and support facts come from."""


@app.command()
def check(
    *,
    customer: Annotated[
        str | None, typer.Option(help="A customer, cus_...; without one, a customer that nobody knows is asked about.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Since when use is asked for: ISO 8601 with a zone. Default: 30 days ago.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Which account, where there are several.")] = None,
    as_json: AsJson = False,
) -> None:
    """Asks all configured sources, and prints what each one says and for which time it can speak.

    Exit code 1 where one gives no answer.
    """
    from billingbot.flows.sources import ask_sources

    began = instant("--since", since) if since else None
    with whole_desk() as at, progress("Asking the sources"):
        told = ask_sources(at, one_account(at, account), customer=customer, since=began)
    if told.warning:
        warn(told.warning)
    subject, usage, support = told.subject, told.usage, told.support
    if as_json:
        show_json({"customer": subject.customer_id, "since": subject.since, "usage": usage, "support": support})
    else:
        _show(subject, usage, support, told.now)
    if not told.all_answered:
        raise typer.Exit(1)


def _show(subject: Subject, usage: Sequence[UsageReport], support: Sequence[SupportReport], now: datetime) -> None:
    say(f"Customer {subject.customer_id}, since {cell(subject.since)}.")
    if not usage:
        say("No usage source is configured: whether anything was used stays unknown, and nothing is paid by itself.")
    columns = ("source", "used", "events", "first", "last", "tag", "API", "can speak for", "lacks")
    rows = (
        (
            report.source,
            report.saw_use if report.answered else None,
            report.events,
            report.first_at,
            report.last_at,
            report.tag_installed_at,
            report.api_connected_at,
            _covers(report),
            shortfall(report, since=subject.since, now=now),
        )
        for report in usage
    )
    show_section("Usage", columns, rows)
    asked = (
        (
            report.source,
            report.cancellation_asked_at,
            _covers(report),
            shortfall(report, since=subject.since, now=now),
        )
        for report in support
    )
    show_section("Support", ("source", "asked to cancel", "can speak for", "lacks"), asked)


def _covers(report: UsageReport | SupportReport) -> str | None:
    return "; ".join(f"{cell(span.start)} to {cell(span.end)}" for span in merged(report.coverage)) or None
