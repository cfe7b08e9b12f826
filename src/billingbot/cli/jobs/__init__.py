"""`billingbot jobs`: one file for looking at steps of work, one for acting on those that failed."""

import typer

from billingbot.cli.jobs.replaying import dismiss, replay, replays
from billingbot.cli.jobs.shown import list_, show

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _jobs() -> None:
    """Steps of work, as Postgres remembers them."""


app.command("list")(list_)
for command in (show, replay, replays, dismiss):
    app.command()(command)
