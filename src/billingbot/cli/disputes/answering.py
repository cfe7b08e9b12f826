"""`billingbot disputes packet`: what our facts say to a bank, for a person to read and send."""

from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.output import AsJson, clean, money, progress, say, show_json, show_pairs
from billingbot.cli.session import one_account, whole_desk

if TYPE_CHECKING:
    from billingbot.core.packet import Packet


def packet(
    dispute: Annotated[str, typer.Argument(help="The dispute, du_... or dp_...")],
    *,
    account: Annotated[str | None, typer.Option(help="Which account, where there are several.")] = None,
    as_json: AsJson = False,
) -> None:
    """Drafts the evidence packet of a dispute, from Stripe and all sources as they are now.

    Nothing is sent or stored: read it, and paste the fields into the dispute in the Dashboard.
    """
    from billingbot.flows.contest import draft_packet

    with whole_desk() as at, progress("Reading Stripe and the sources"):
        found = draft_packet(at, one_account(at, account), dispute)
    if as_json:
        show_json(found)
    else:
        _show(found)


def _show(found: "Packet") -> None:
    show_pairs(
        (
            ("dispute", found.dispute_id),
            ("charge", found.charge_id),
            ("amount", money(found.amount_minor, found.currency)),
            ("reason", found.reason),
            ("status", found.status),
            ("answer due by", found.due_by),
        )
    )
    for doubt in found.doubts:
        say(f"! {clean(doubt)}")
    for name, text in found.fields.items():
        say("", f"{name}:", *(f"  {clean(line)}" for line in text.splitlines()))
    if found.left_out:
        say("", "Left out, though it would help:")
    for name, why in found.left_out.items():
        say(f"  {name}: {clean(why)}")
