"""`billingbot events`: one file per thing that people do with Stripe's events."""

import typer

from billingbot.cli.events.backfilling import backfill, backfills
from billingbot.cli.events.replaying import replay
from billingbot.cli.events.shown import list_, show

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _events() -> None:
    """Stripe's events, as stored."""


app.command("list")(list_)
for command in (show, replay, backfill, backfills):
    app.command()(command)
