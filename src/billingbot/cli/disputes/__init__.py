"""`billingbot disputes`: one file per thing that people do with disputes."""

import typer

from billingbot.cli.disputes.answering import packet
from billingbot.cli.disputes.figures import figures
from billingbot.cli.disputes.listing import list_, missed, show

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _disputes() -> None:
    """Disputes: what the banks ask and take, their deadlines, and the evidence for an answer."""


app.command("list")(list_)
for command in (show, missed, figures, packet):
    app.command()(command)
