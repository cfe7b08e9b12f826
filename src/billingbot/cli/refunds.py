"""`billingbot refunds`: what was paid or tried, with clause, attempts and keys."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.listing import OfAccount, OfCase, OfCharge, OfCustomer, show_list
from billingbot.cli.output import After, AsJson, Limit, money, show_json, show_pairs, show_section
from billingbot.cli.reading import instant
from billingbot.cli.saving import save
from billingbot.cli.session import desk, read
from billingbot.core.form import Form
from billingbot.core.refund import Origin, RefundState

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from billingbot.store.views import RefundLine

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _refunds() -> None:
    """Refunds of ours, and those made elsewhere that we adopted."""


@app.command("list")
def list_(
    *,
    state: Annotated[RefundState | None, typer.Option(help="Only in this state.")] = None,
    origin: Annotated[Origin | None, typer.Option(help="Only by the policy, a person, or made elsewhere.")] = None,
    account: OfAccount = None,
    case: OfCase = None,
    charge: OfCharge = None,
    customer: OfCustomer = None,
    currency: Annotated[str | None, typer.Option(help="Only in this currency, such as usd.")] = None,
    clause: Annotated[str | None, typer.Option(help="Only by this clause of the policy.")] = None,
    since: Annotated[str | None, typer.Option(help="Intended at or after: ISO 8601 with a zone.")] = None,
    until: Annotated[str | None, typer.Option(help="Intended before: ISO 8601 with a zone.")] = None,
    after: After = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Refunds, newest first."""
    from billingbot.store import views

    wanted = views.RefundFilter(
        state=state,
        origin=origin,
        account=account,
        case_id=case,
        charge_id=charge,
        customer_id=customer,
        currency=currency.lower() if currency else None,
        clause=clause,
        since=instant("--since", since) if since else None,
        until=instant("--until", until) if until else None,
    )
    page = read(lambda connection: views.refund_log(connection, wanted, after=after, limit=limit))
    columns = ("id", "amount", "state", "clause", "decided by", "charge", "attempts", "intended")
    show_list(columns, _row, page.items, following=page.next, shown=_shown, as_json=as_json)


@app.command()
def show(refund: Annotated[str, typer.Argument(help="The refund, rfd_...")], *, as_json: AsJson = False) -> None:
    """One refund with every attempt and its key."""
    line = read(lambda connection: _line(connection, refund))
    if as_json:
        show_json(_shown(line))
        return
    paid = line.refund
    show_pairs(
        [
            ("refund", paid.id),
            ("amount", money(paid.amount_minor, paid.currency)),
            ("state", paid.state),
            ("why", paid.why),
            ("charge", paid.charge_id),
            ("customer", line.customer_id),
            ("at Stripe", paid.stripe_refund_id),
            ("account", f"{paid.account}, {'live' if paid.livemode else 'test'} mode"),
            ("case", paid.case_id),
            ("clause", paid.clause),
            ("decided by", f"{paid.decided_by} ({paid.origin})"),
            ("intended", paid.intended_at),
            ("settled", paid.settled_at),
        ]
    )
    attempts = ((one.number, one.outcome, one.answer, one.sends, one.last_sent_at, one.key) for one in line.attempts)
    show_section("Attempts", ("number", "outcome", "answer", "sends", "last sent", "key"), attempts)


@app.command()
def export(
    *,
    format_: Annotated[Form, typer.Option("--format", help="How it is written.")] = Form.CSV,
    output: Annotated[Path | None, typer.Option(help="The file; without it, stdout.")] = None,
    month: Annotated[str | None, typer.Option(help="Of this month, such as 2026-03, in the zone of the books.")] = None,
    since: Annotated[str | None, typer.Option(help="Intended at or after: ISO 8601 with a zone.")] = None,
    until: Annotated[str | None, typer.Option(help="Intended before: ISO 8601 with a zone.")] = None,
    account: OfAccount = None,
    currency: Annotated[str | None, typer.Option(help="Only in this currency, such as usd.")] = None,
    clause: Annotated[str | None, typer.Option(help="Only by this clause of the policy.")] = None,
    person: Annotated[str | None, typer.Option(help="Only decided or approved by this one.")] = None,
    state: Annotated[RefundState | None, typer.Option(help="Only in this state.")] = None,
    origin: Annotated[Origin | None, typer.Option(help="Only by the policy, a person, or made elsewhere.")] = None,
) -> None:
    """The refund log as CSV, XLSX or Parquet, with decider, evidence and settlement; columns as in docs/finance.md."""
    from billingbot.core.books.month import Month
    from billingbot.flows.books.exports import refunds_sheet
    from billingbot.papers.sheets import written
    from billingbot.store.views.finance import LogFilter

    with desk() as here:
        zone, named = here.books.zone, Month.parse(month) if month else None
        wanted = LogFilter(
            since=instant("--since", since) if since else named.begins(zone) if named else None,
            until=instant("--until", until) if until else named.ends(zone) if named else None,
            account=account,
            currency=currency.lower() if currency else None,
            clause=clause,
            person=person,
            state=state,
            origin=origin,
        )
        save(written(refunds_sheet(here, wanted, format_), format_), output, "Writing the refunds")


def _row(line: "RefundLine") -> tuple[object, ...]:
    refund = line.refund
    return (
        refund.id,
        money(refund.amount_minor, refund.currency),
        refund.state,
        refund.clause,
        refund.decided_by,
        refund.charge_id,
        len(line.attempts),
        refund.intended_at,
    )


def _shown(line: "RefundLine") -> object:
    from billingbot.web.api.shown import RefundShown

    return RefundShown.of(line)


def _line(connection: "Connection", refund_id: str) -> "RefundLine":
    """The refund with its attempts. Raises NotFoundError."""
    from billingbot.store import refunds, views

    charge_id = refunds.get(connection, refund_id).charge_id
    # A charge has few refunds: Stripe lets none exceed it, and one at a time may be on its way.
    found = views.refund_log(connection, views.RefundFilter(charge_id=charge_id), limit=1000)
    return next(line for line in found.items if line.refund.id == refund_id)
