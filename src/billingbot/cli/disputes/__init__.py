"""`billingbot disputes`: one file per thing that people do with disputes."""

import typer

from billingbot.cli.disputes.accepting import accept
from billingbot.cli.disputes.answering import draft, edit, packet, send, show_draft, stage
from billingbot.cli.disputes.figures import figures
from billingbot.cli.disputes.listing import list_, missed, show
from billingbot.cli.disputes.quoting import quote

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _disputes() -> None:
    """Disputes: what the banks ask and take, their deadlines, and the evidence for an answer."""


app.command("list")(list_)
app.command("show-draft")(show_draft)
for command in (show, draft, edit, stage, send, accept, quote, packet, missed, figures):
    app.command()(command)
