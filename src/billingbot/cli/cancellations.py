"""`billingbot cancellations`: subscriptions that a refund was to end and did not, and what people do about them."""

from typing import Annotated

import typer

from billingbot.cli.listing import show_list
from billingbot.cli.output import AsJson, Limit, say, show_page, show_pairs
from billingbot.cli.session import By, desk, me, read
from billingbot.core.aftercare import Cancellation

app = typer.Typer(no_args_is_help=True, add_completion=False)

CancellationId = Annotated[str, typer.Argument(metavar="CANCELLATION", help="The cancellation, cnl_...")]


@app.callback()
def _cancellations() -> None:
    """Subscriptions of refunded charges. Names in the ledger come from --as, or from the user of this machine."""


@app.command("list")
def list_(*, limit: Limit = 50, as_json: AsJson = False) -> None:
    """Those that wait for a person, oldest first."""
    from billingbot.store import cancellations

    found = read(lambda connection: cancellations.waiting(connection, limit=limit))
    show_list(("id", "waits for", "why", "subscription", "case", "intended"), _row, found, as_json=as_json)


@app.command()
def show(cancellation: CancellationId, *, as_json: AsJson = False) -> None:
    """One cancellation, as it stands."""
    from billingbot.store import cancellations

    _tell(read(lambda connection: cancellations.get(connection, cancellation)), None, as_json=as_json)


@app.command()
def retry(cancellation: CancellationId, by: By = me(), *, as_json: AsJson = False) -> None:
    """Has a cancellation tried again that was refused or handed over; it looks afresh first."""
    from billingbot.flows import cancel

    with desk() as at:
        done = cancel.try_again(at, cancellation, by=by)
    _tell(done, f"{done.id} is tried again.", as_json=as_json)


@app.command()
def settled(cancellation: CancellationId, by: By = me(), *, as_json: AsJson = False) -> None:
    """You have seen to the subscription yourself: nothing waits any more, and the case closes."""
    from billingbot.flows import cancel

    with desk() as at:
        done = cancel.settled_by_hand(at, cancellation, by=by)
    _tell(done, f"{done.id} waits for nobody any more.", as_json=as_json)


def _row(one: Cancellation) -> tuple[object, ...]:
    return one.id, one.waits_for, one.why, one.subscription_id, one.case_id, one.intended_at


def _tell(done: Cancellation, sentence: str | None, *, as_json: bool) -> None:
    if as_json:
        show_page([done])
    elif sentence is not None:
        say(sentence)
    else:
        show_pairs([(name.replace("_", " "), getattr(done, name)) for name in Cancellation.__slots__])
