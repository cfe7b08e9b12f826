"""`billingbot disputes packet` and its kin: what our facts say to a bank, and sending it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.output import AsJson, clean, money, progress, say, show_json, show_pairs
from billingbot.cli.session import one_account, whole_desk

if TYPE_CHECKING:
    from billingbot.core.packet import Packet
    from billingbot.core.policy.undisputed import Opinion

DisputeId = Annotated[str, typer.Argument(metavar="DISPUTE", help="The dispute, du_... or dp_...")]
OfAccount = Annotated[str | None, typer.Option("--account", help="Which account, where there are several.")]


def packet(
    dispute: DisputeId,
    *,
    account: OfAccount = None,
    pdf: Annotated[Path | None, typer.Option(help="Also print the papers into this directory.")] = None,
    as_json: AsJson = False,
) -> None:
    """Drafts the evidence packet of a dispute, from Stripe and all sources as they are now.

    Nothing is sent or stored: it is what `draft` would keep, to be read or pasted into the Dashboard.
    """
    from billingbot.flows.contest import draft_packet

    with whole_desk() as at, progress("Reading Stripe and the sources"):
        found = draft_packet(at, one_account(at, account), dispute)
    papers = _print(found, pdf) if pdf is not None else {}
    if as_json:
        show_json(_plain(found))
        return
    _show(found)
    if papers:
        say("", "Papers:", *(f"  {path}: {pages} pages" for path, pages in papers.items()))


def _plain(found: "Packet") -> dict[str, object]:
    same = {name: getattr(found, name) for name in type(found).__slots__ if name != "statements"}
    return {**same, "statements": found.statements, "fields": found.fields, "digest": found.digest}


def _print(found: "Packet", into: Path) -> dict[str, int]:
    from billingbot.core.errors import InputError
    from billingbot.core.evidence_fields import PAPERS
    from billingbot.papers.evidence import printed_field

    papers = {}
    try:
        into.mkdir(parents=True, exist_ok=True)
        for field, text in found.fields.items():
            if field in PAPERS:
                paper = printed_field(field, text, dispute_id=found.dispute_id, charge_id=found.charge_id)
                path = into / f"{field}.pdf"
                path.write_bytes(paper.content)
                papers[str(path)] = paper.pages
    except OSError as fault:
        raise InputError("--pdf", f"expected a directory to write into ({type(fault).__name__})") from None
    return papers


def _show(found: "Packet") -> None:
    from billingbot.core.evidence_fields import PAPERS, TITLES

    show_pairs(
        (
            ("dispute", found.dispute_id),
            ("charge", found.charge_id),
            ("amount", money(found.amount_minor, found.currency)),
            ("reason", found.reason),
            ("status", found.status),
            ("answer due by", found.due_by),
            ("the policy says", advice(found.opinion)),
        )
    )
    for doubt in found.doubts:
        say(f"! {clean(doubt)}")
    for field, one in found.statements.items():
        printed = " (a paper)" if field in PAPERS else ""
        say("", f"{field}: {TITLES[field]}{printed}", f"  [{clean(one.source)}, as of {one.as_of:%Y-%m-%d %H:%M}Z]")
        say(*(f"  {clean(line)}" for line in one.text.splitlines()))
    if found.left_out:
        say("", "Left out, though it would help:")
    for name, why in found.left_out.items():
        say(f"  {name}: {clean(why)}")


def advice(opinion: "Opinion | None") -> str | None:
    """The policy's opinion in one line."""
    if opinion is None:
        return None
    what = {"accept_dispute": "accept it", "contest_dispute": "contest it"}.get(opinion.advice, "a person judges")
    clause = f", clause {opinion.clause}" if opinion.clause else ""
    open_ = f"; unknown: {', '.join(opinion.missing)}" if opinion.missing else ""
    return f"{what}: {opinion.summary} ({opinion.rule}{clause}{open_})"
