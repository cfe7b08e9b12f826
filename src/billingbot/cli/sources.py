"""`billingbot sources`: asks every usage and support source about one customer, as a decision would."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from billingbot.cli.output import AsJson, cell, progress, say, show_json, show_section, warn
from billingbot.cli.reading import instant
from billingbot.cli.session import one_account, whole_desk
from billingbot.core.errors import StripeFaultError
from billingbot.core.usage import Subject, SupportReport, UsageReport, merged, shortfall

if TYPE_CHECKING:
    from billingbot.flows.desk import Desk

app = typer.Typer(no_args_is_help=True, add_completion=False)

# A trial of a month is the longest that is common: a source that covers it covers most questions.
_SINCE: Final = timedelta(days=30)
# Nobody is called this: asking still shows who answers, how fast, and for which time they can speak.
_NOBODY: Final = "cus_billingbot_check"


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
    from billingbot.evidence.sources import gather_support, gather_usage
    from billingbot.store import database
    from billingbot.store.database import transaction

    began = instant("--since", since) if since else None
    with whole_desk() as at, progress("Asking the sources"):
        with transaction(at.db) as connection:
            now = database.now(connection)
        subject = _subject(at, one_account(at, account), customer, began or now - _SINCE)
        usage, support = gather_usage(at.usage, subject, now), gather_support(at.support, subject, now)
    if as_json:
        show_json({"customer": subject.customer_id, "since": subject.since, "usage": usage, "support": support})
    else:
        _show(subject, usage, support, now)
    reports: tuple[UsageReport | SupportReport, ...] = (*usage, *support)
    if not all(report.answered for report in reports):
        raise typer.Exit(1)


def _subject(desk: "Desk", account: str, customer: str | None, since: datetime) -> Subject:
    """Whom the sources are asked about, with address and metadata from Stripe where it knows the customer."""
    known, chosen = None, desk.account(account)
    if customer is not None:
        try:
            known = chosen.stripe.customer(customer)
        except StripeFaultError as fault:
            warn(f"Stripe does not tell the customer's address and metadata: {fault}")
    return Subject(
        account=account,
        livemode=chosen.livemode,
        customer_id=customer or _NOBODY,
        email=known.email if known else None,
        subscription_id=None,
        metadata=known.metadata if known else (),
        since=since,
    )


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
