"""`billingbot mode`: what billingbot may do by itself, and who said so."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from billingbot.cli.output import AsJson, cell, say, show_json, show_page, show_table
from billingbot.cli.session import By, desk, me, one_account
from billingbot.core.errors import InputError
from billingbot.core.mode import MEANS, Mode

app = typer.Typer(invoke_without_command=True, add_completion=False)

Why = Annotated[str, typer.Option(help="Why it changes; it stands in the ledger.")]
Which = Annotated[str | None, typer.Option("--account", help="Which account, where there are several.")]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before auto.")]


@app.callback()
def _mode(context: typer.Context, *, as_json: AsJson = False) -> None:
    """What billingbot may do by itself. Alone, shows it."""
    if context.invoked_subcommand is None:
        _show(as_json=as_json)


@app.command()
def show(*, as_json: AsJson = False) -> None:
    """The mode of every account, who set it, when and why."""
    _show(as_json=as_json)


@app.command("set")
def set_(
    mode: Annotated[Mode, typer.Argument(help="The new mode.")],
    why: Why,
    account: Which = None,
    by: By = me(),
    *,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Sets the mode. It counts at once, for every refund that has not left yet."""
    _set(mode, why=why, account=account, by=by, yes=yes, as_json=as_json)


def _shorthand(mode: Mode) -> Callable[..., None]:
    def command(why: Why, account: Which = None, by: By = me(), *, yes: Sure = False, as_json: AsJson = False) -> None:
        _set(mode, why=why, account=account, by=by, yes=yes, as_json=as_json)

    command.__doc__ = f"Sets the mode to {mode}: {MEANS[mode]}."
    return command


for _each in Mode:
    app.command(_each.value)(_shorthand(_each))


def _show(*, as_json: bool) -> None:
    from billingbot.flows.switch import current_modes

    with desk(for_account=True) as at:
        found = current_modes(at)
    if as_json:
        show_page(found)
        return
    rows = ((row.account, row.mode, MEANS[row.mode], row.changed_by, row.changed_at, row.why) for row in found)
    show_table(("account", "mode", "which means", "set by", "at", "why"), rows)
    for row in found:
        if row.breaker_open_since is not None:
            since = cell(row.breaker_open_since)
            say(f"The breaker of account {row.account} is open since {since}: billingbot breaker show")


def _set(mode: Mode, *, why: str, account: str | None, by: str, yes: bool, as_json: bool) -> None:
    from billingbot.flows.switch import set_mode

    if not why.strip():
        raise InputError("--why", "expected the reason, in a few words")
    with desk(for_account=True) as at:
        name = one_account(at, account)
        if mode is Mode.AUTO and not yes:
            _ask_first(name)
        row = set_mode(at, name, mode, by=by, why=why)
    if as_json:
        show_json(row)
        return
    say(f"Account {row.account} is in mode {row.mode}: {MEANS[row.mode]}.")


def _ask_first(account: str) -> None:
    if not sys.stdin.isatty():
        raise InputError("--yes", "expected, where nobody can be asked, since auto lets refunds leave by themselves")
    typer.confirm(f"In mode auto, refunds of account {account} leave without a person. Go on?", abort=True, err=True)
