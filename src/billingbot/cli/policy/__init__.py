"""`billingbot policy`: one file per question that somebody asks of a refund policy."""

import typer

from billingbot.cli.policy.backtest import backtest
from billingbot.cli.policy.comparing import diff
from billingbot.cli.policy.publishing import list_, publish
from billingbot.cli.policy.shadowing import shadow
from billingbot.cli.policy.shown import check, show
from billingbot.cli.policy.trying import try_

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _policy() -> None:
    """The refund policy: write it, check it, publish it, see what changed."""


app.command()(check)
app.command("test")(try_)
app.command()(diff)
app.command()(backtest)
app.command()(publish)
app.command("list")(list_)
app.command()(show)
app.add_typer(shadow, name="shadow")
