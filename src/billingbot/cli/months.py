"""`billingbot months`: closing a month, its statement, and a person's signature."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.listing import OfAccount, show_list
from billingbot.cli.output import AsJson, money, progress, say, show_json, show_pairs, show_section
from billingbot.cli.saving import save
from billingbot.cli.session import By, desk, me, one_account, read, whole_desk
from billingbot.core.form import Form

if TYPE_CHECKING:
    from billingbot.core.books.month import Closing
    from billingbot.core.books.statement import Statement
    from billingbot.flows.desk import Desk

app = typer.Typer(no_args_is_help=True, add_completion=False)

MonthName = Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2026-03, in the zone of the books.")]
AccountName = Annotated[str | None, typer.Option("--account", help="Whose month, where there are several accounts.")]


@app.callback()
def _months() -> None:
    """Month close: ledger, refunds and Stripe tied to the cent. Names come from --as, or from this machine's user."""


@app.command("list")
def list_(*, account: OfAccount = None, as_json: AsJson = False) -> None:
    """The months that were closed, newest first."""
    from billingbot.store import months

    found = read(lambda connection: months.of_account(connection, account))
    columns = ("month", "account", "state", "breaks", "drawn", "signed by", "digest")
    show_list(columns, _row, found, as_json=as_json)


def _row(one: "Closing") -> tuple[object, ...]:
    return one.month, one.account, one.state, one.breaks, one.drawn_at, one.signed_by, one.digest


@app.command()
def close(month: MonthName, *, account: AccountName = None, by: By = me(), as_json: AsJson = False) -> None:
    """Reads the month from Stripe and draws its statement; again where it is not signed. Resumable."""
    from billingbot.flows.books import months

    with whole_desk() as here, progress("Reading Stripe's balance transactions") as steps:
        at = months.close_whole(here, one_account(here, account), month, by=by, moved=lambda _: steps.forward())
        statement = _statement(here, at)
    _show(at, statement, as_json=as_json)


@app.command()
def show(month: MonthName, *, account: AccountName = None, as_json: AsJson = False) -> None:
    """The statement of a month: lines, ties, breaks, signature."""
    with desk(for_account=True) as here:
        at = _closing(here, month, account)
        statement = _statement(here, at)
    _show(at, statement, as_json=as_json)


@app.command()
def sign(
    month: MonthName,
    *,
    digest: Annotated[str, typer.Option(help="The digest of the statement that you read: months show tells it.")],
    account: AccountName = None,
    why: Annotated[str | None, typer.Option(help="A remark; wanted where breaks stand.")] = None,
    by: By = me(),
    as_json: AsJson = False,
) -> None:
    """Signs a statement: the month is frozen, later truths become adjustments of the next."""
    from billingbot.flows.books import months

    with desk(for_account=True) as here:
        signed = months.sign(here, one_account(here, account), month, digest=digest, by=by, why=why)
    if as_json:
        show_json(signed)
        return
    say(f"{signed.month} of {signed.account} is signed by {signed.signed_by}.",
        f"Ledger head: entry {signed.ledger_seq}, {signed.ledger_hash}")  # fmt: skip


@app.command()
def export(
    month: MonthName,
    *,
    account: AccountName = None,
    format_: Annotated[Form, typer.Option("--format", help="How it is written.")] = Form.CSV,
    journal: Annotated[bool, typer.Option("--journal", help="Journal entries instead of the rows.")] = False,
    output: Annotated[Path | None, typer.Option(help="The file; without it, stdout.")] = None,
) -> None:
    """A statement's rows, or its journal, as CSV, XLSX or Parquet; columns as in docs/finance.md."""
    from billingbot.core.errors import NotFoundError
    from billingbot.flows.books.exports import journal_sheet, statement_sheet
    from billingbot.papers.sheets import written

    with desk(for_account=True) as here:
        at = _closing(here, month, account)
        statement = _statement(here, at)
        codes = here.books.codes
    if statement is None:
        raise NotFoundError(f"month {month} of {at.account}: its statement is not drawn")
    sheet = journal_sheet(statement, codes) if journal else statement_sheet(statement)
    save(written(sheet, format_), output, "Writing the month")


def _closing(here: "Desk", month: str, account: str | None) -> "Closing":
    from billingbot.core.books.month import Month
    from billingbot.core.errors import NotFoundError
    from billingbot.store import months
    from billingbot.store.database import transaction

    name = one_account(here, account)
    with transaction(here.db) as connection:
        found = months.find(connection, name, str(Month.parse(month)))
    if found is None:
        raise NotFoundError(f"month {month} of {name}: it was never closed (billingbot months close {month})")
    return found


def _statement(here: "Desk", at: "Closing") -> "Statement | None":
    from billingbot.store import months
    from billingbot.store.database import transaction

    with transaction(here.db) as connection:
        return months.statement(connection, at.id)


def _show(at: "Closing", statement: "Statement | None", *, as_json: bool) -> None:
    if as_json:
        show_json({"closing": at, "statement": statement})
        return
    show_pairs(
        [
            ("month", at.month),
            ("account", at.account),
            ("zone", at.zone),
            ("state", at.state),
            ("breaks", at.breaks),
            ("digest", at.digest),
            ("drawn", at.drawn_at),
            ("signed by", at.signed_by),
            ("signed", at.signed_at),
            ("why", at.why),
        ]
    )
    if statement is None:
        return
    lines = (
        (
            line.currency.upper(),
            money(line.opening_minor, line.currency),
            money(line.refunds.minor, line.currency),
            money(line.returned.minor, line.currency),
            money(line.withdrawn.minor, line.currency),
            money(line.reinstated.minor, line.currency),
            money(line.refund_fees_minor + line.dispute_fees_minor, line.currency),
            money(line.adjustments.minor, line.currency),
            money(line.closing_minor, line.currency),
        )
        for line in statement.lines
    )
    names = ("balance", "opening", "refunds", "returned", "withdrawn", "reinstated", "fees", "adjusted", "closing")
    show_section("Statement", names, lines)
    ties = (
        (tie.what, *(money(one, tie.currency) for one in (tie.ledger_minor, tie.books_minor, tie.stripe_minor)))
        for tie in statement.ties
    )
    show_section("The three books", ("what", "ledger", "refunds", "Stripe"), ties)
    breaks = ((one.name, one.refund or one.object_id, one.told) for one in statement.breaks)
    show_section("Breaks", ("name", "of", "told"), breaks)
