"""`billingbot breaker`: whether automatic refunds have been stopped and why, and closing the breaker again."""

from typing import Annotated

import typer

from billingbot.cli.output import AsJson, say, show_json, show_page, show_table
from billingbot.cli.session import By, desk, me, one_account

app = typer.Typer(invoke_without_command=True, add_completion=False)

Which = Annotated[str | None, typer.Option("--account", help="Which account, where there are several.")]
Why = Annotated[str, typer.Option(help="Why it may pay by itself again; it stands in the ledger.")]


@app.callback()
def _breaker(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Stops automatic refunds that come too fast, or too often. Alone, shows it."""
    if context.invoked_subcommand is None:
        _show(as_json=as_json)


@app.command()
def show(*, as_json: AsJson = False) -> None:
    """Every breaker that ever opened: what was observed, what the policy allows, and who closed it."""
    _show(as_json=as_json)


@app.command()
def close(why: Why, account: Which = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Closes the breaker and restores mode auto, unless somebody has set another mode since."""
    from billingbot.flows.breaker import close_breaker
    from billingbot.store import modes
    from billingbot.store.database import transaction

    with desk(for_account=True) as at:
        name = one_account(at, account)
        closed = close_breaker(at, name, by=by, why=why)
        with transaction(at.db) as connection:
            mode = modes.current(connection, name).mode
    if as_json:
        show_json(closed)
        return
    say(f"The breaker of account {name} is closed, and the account is in mode {mode}. Refunds are counted from now on.")


def _show(*, as_json: bool) -> None:
    from billingbot.flows.breaker import list_breakers

    with desk(for_account=True) as at:
        found = list_breakers(at)
    if as_json:
        show_page(found)
        return
    if not found:
        say("No breaker has ever opened.")
        return
    columns = ("account", "since", "observed", "allowed", "case", "closed", "closed by", "why")
    fields = ("account", "opened_at", "observed", "allowed", "case_id", "closed_at", "closed_by", "why")
    show_table(columns, ([getattr(one, name) for name in fields] for one in found))
