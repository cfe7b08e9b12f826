"""`billingbot policy`: one file per question that somebody asks of a refund policy."""

import typer

from billingbot.cli.policy.backtest import backtest
from billingbot.cli.policy.shown import check, show

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _policy() -> None:
    """The refund policy."""


for command in (check, show, backtest):
    app.command()(command)
