"""`billingbot privacy`: what is kept of a customer, and erasing what can go."""

import sys
from typing import Annotated

import typer

from billingbot.cli.output import AsJson, progress, say, show_json, show_pairs
from billingbot.cli.session import By, desk, me
from billingbot.core.errors import InputError
from billingbot.core.privacy import Held

app = typer.Typer(no_args_is_help=True, add_completion=False)

Email = Annotated[str, typer.Argument(help="The customer's e-mail address.")]


@app.callback()
def _privacy() -> None:
    """Personal data of customers."""


@app.command()
def show(email: Email, by: By = me()) -> None:
    """Prints everything that is kept of a customer, as JSON. That it was looked at stands in the ledger."""
    from billingbot.flows.privacy import show as show_kept

    with desk() as at, progress("Looking through the events") as steps:
        found = show_kept(at, email, by=by, moved=steps.forward)
    show_json(found)


@app.command()
def erase(
    email: Email,
    by: By = me(),
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erases what can go, after showing how much that is. Safe to run again, and after a crash."""
    from billingbot.flows.privacy import erase as erase_kept
    from billingbot.flows.privacy import preview

    with desk() as at:
        if not yes:
            with progress("Looking through the events") as steps:
                held = preview(at, email, moved=steps.forward).held
            _ask_first(held)
        with progress("Erasing") as steps:
            done = erase_kept(at, email, by=by, moved=steps.forward)
    if as_json:
        show_json(done)
        return
    say("Nothing was left to erase." if not _erased(done) else "Erased:")
    _say(done)


def _ask_first(held: Held) -> None:
    if held.is_nothing:
        say("Nothing is kept of this address.")
        raise typer.Exit(0)
    say("This will be gone for good:")
    _say(held)
    if not sys.stdin.isatty():
        raise InputError("--yes", "expected, where nobody can be asked, since it cannot be undone")
    typer.confirm("Erase it?", abort=True, err=True)


def _erased(held: Held) -> dict[str, int]:
    return {name: count for name, count in held.counted().items() if not name.startswith("open_")}


def _say(held: Held) -> None:
    show_pairs((name.replace("_", " "), count) for name, count in _erased(held).items())
    if held.open_cases or held.open_disputes:
        say(
            f"Kept until they end: {held.open_cases} cases and {held.open_disputes} disputes, and the digests that find"
            " them. Run this again then."
        )
