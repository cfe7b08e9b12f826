"""`billingbot disputes quote`: whether an answer to a bank may quote a note."""

from typing import Annotated

import typer

from billingbot.cli.output import AsJson, say, show_json
from billingbot.cli.session import By, desk, me


def quote(
    note: Annotated[str, typer.Argument(metavar="NOTE", help="The note, note_... (`billingbot cases show --json`)")],
    by: By = me(),
    *,
    no_more: Annotated[bool, typer.Option("--no-more", help="It stays among yourselves, again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Lets answers to banks quote a note. Drafts made from then on follow; all other notes stay among yourselves."""
    from billingbot.flows.disputes.note_for_bank import mark_note

    with desk() as at:
        marked = mark_note(at, note, by=by, for_bank=not no_more)
    if as_json:
        show_json(marked)
    else:
        say(f"{marked.id} of case {marked.case_id}: answers to banks {'do not' if no_more else 'may'} quote it.")
