"""`billingbot disputes draft|show-draft|edit|stage|send|packet`: the answer to a bank, from draft to sent."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from billingbot.cli.disputes.answer_shown import advice, show_page, show_statements
from billingbot.cli.output import AsJson, clean, money, progress, say, show_json, show_pairs, warn
from billingbot.cli.reading import text_file
from billingbot.cli.session import By, desk, me, whole_desk
from billingbot.core.disputes.evidence_fields import Field

if TYPE_CHECKING:
    from billingbot.core.disputes.answering import AnswerIntent
    from billingbot.core.disputes.packet import Packet
    from billingbot.flows.desk import Desk
    from billingbot.flows.disputes.answer_page import AnswerPage
    from billingbot.flows.disputes.drafting import AnswerAct

DisputeId = Annotated[str, typer.Argument(metavar="DISPUTE", help="The dispute, du_... or dp_...")]
OfAccount = Annotated[str | None, typer.Option("--account", help="Which account, where several could have it.")]
Version = Annotated[int | None, typer.Option(min=1, help="The draft's version that you saw: refused if it changed.")]
Pdf = Annotated[Path | None, typer.Option(help="Also print the papers into this directory.")]
Wait = Annotated[float, typer.Option(min=0, help="How many seconds to wait for the outcome.")]
# What Stripe needs for papers and one call, with a worker that is just busy.
WAIT_SECONDS: Final = 20.0
_LOOKS_A_SECOND: Final = 4


def packet(dispute: DisputeId, *, account: OfAccount = None, pdf: Pdf = None, as_json: AsJson = False) -> None:
    """What `draft` would say, from Stripe and all sources as they are now. Nothing is sent or stored."""
    from billingbot.flows.disputes.contest import draft_packet
    from billingbot.flows.disputes.drafting import account_of

    with whole_desk() as at, progress("Reading Stripe and the sources"):
        found = draft_packet(at, account_of(at, dispute, account), dispute)
    papers = _print(pdf, found.dispute_id, found.charge_id, found.fields.items()) if pdf is not None else {}
    if as_json:
        same = {name: getattr(found, name) for name in type(found).__slots__}
        show_json({**same, "fields": found.fields, "digest": found.digest})
        return
    _show_packet(found)
    _say_papers(papers)


def draft(
    dispute: DisputeId,
    by: By = me(),
    *,
    afresh: Annotated[bool, typer.Option("--afresh", help="Forget what people wrote or dropped.")] = False,
    version: Version = None,
    account: OfAccount = None,
    as_json: AsJson = False,
) -> None:
    """Drafts the answer from fresh facts and keeps it; what people wrote or dropped stays. Sends nothing."""
    from billingbot.flows.disputes.answer_page import answer_page
    from billingbot.flows.disputes.drafting import draft_again

    with whole_desk() as at, progress("Reading Stripe and the sources"):
        act = act_of(at, dispute, account, by, version)
        draft_again(at, act, keep_edits=not afresh)
        page = answer_page(at, dispute, account=act.account)
    _tell(page, as_json=as_json)


def show_draft(dispute: DisputeId, *, account: OfAccount = None, pdf: Pdf = None, as_json: AsJson = False) -> None:
    """The answer as it is drafted: what speaks against it first, then each field with its source, and what is left out.

    By our own books; no question to Stripe.
    """
    from billingbot.flows.disputes.answer_page import answer_page

    with desk() as at:
        page = answer_page(at, dispute, account=account)
    said = [(line.field, line.text) for line in page.fields if line.text is not None]
    papers = _print(pdf, page.dispute_id, page.charge_id, said) if pdf is not None else {}
    _tell(page, as_json=as_json)
    if not as_json:
        _say_papers(papers)


def edit(
    dispute: DisputeId,
    field: Annotated[Field, typer.Argument(help="Stripe's name for the field.")],
    by: By = me(),
    *,
    text: Annotated[str | None, typer.Option(help="What it shall say.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file with what it shall say.")] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Leave it out.")] = False,
    restore: Annotated[bool, typer.Option("--restore", help="What the facts say, again.")] = False,
    version: Version = None,
    account: OfAccount = None,
    as_json: AsJson = False,
) -> None:
    """Changes one field of the draft; every change is a version, and the ledger keeps its digest."""
    from billingbot.core.errors import InputError
    from billingbot.flows.disputes import editing
    from billingbot.flows.disputes.answer_page import answer_page

    if [text is not None, file is not None, drop, restore].count(True) != 1:
        raise InputError("--text, --file, --drop, --restore", "expected exactly one of them")
    words = text_file("--file", file) if file is not None else text
    with desk() as at:
        act = act_of(at, dispute, account, by, version)
        if words is not None:
            editing.edit(at, act, field, words)
        elif drop:
            editing.drop(at, act, field)
        else:
            editing.restore(at, act, field)
        page = answer_page(at, dispute, account=act.account)
    if as_json:
        show_json(page)
    else:
        say(f"Version {page.version} of the draft: {field}.")


def stage(
    dispute: DisputeId,
    by: By = me(),
    *,
    version: Version = None,
    wait: Wait = WAIT_SECONDS,
    account: OfAccount = None,
    as_json: AsJson = False,
) -> None:
    """Puts the draft on the dispute at Stripe, to be seen in the Dashboard. It is not sent to the bank."""
    from billingbot.flows.disputes import sending

    with whole_desk() as at:
        intent = sending.stage(at, act_of(at, dispute, account, by, version))
        intent = outcome(at, intent, wait)
    tell_intent(intent, as_json=as_json)


def send(
    dispute: DisputeId,
    by: By = me(),
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="You have read the draft, and mean it.")] = False,
    with_theirs: Annotated[
        bool, typer.Option("--with-theirs", help="Evidence from the Dashboard goes along, or is replaced.")
    ] = False,
    version: Version = None,
    wait: Wait = WAIT_SECONDS,
    account: OfAccount = None,
    as_json: AsJson = False,
) -> None:
    """Sends the draft to the bank, once and for ever. Without --yes it only says what would go."""
    from billingbot.core.errors import InputError
    from billingbot.flows.disputes import sending
    from billingbot.flows.disputes.answer_page import answer_page

    with whole_desk() as at:
        act = act_of(at, dispute, account, by, version)
        if not yes:
            page = answer_page(at, dispute, account=act.account)
            for doubt in page.doubts:
                warn(f"! {doubt}")
            said = ", ".join(line.field for line in page.fields if line.text is not None)
            expected = f"expected, once you have read version {page.version} ({said}): banks take one answer"
            raise InputError("--yes", expected)
        intent = outcome(at, sending.send(at, act, with_theirs=with_theirs), wait)
    tell_intent(intent, as_json=as_json)


# ---------------------------------------------------------------- shared


def act_of(at: "Desk", dispute: str, account: str | None, by: str, version: int | None = None) -> "AnswerAct":
    """Who acts on which dispute."""
    from billingbot.flows.disputes.drafting import AnswerAct, account_of

    return AnswerAct(account=account_of(at, dispute, account), dispute_id=dispute, by=by, version=version)


def outcome(at: "Desk", intent: "AnswerIntent", wait_seconds: float) -> "AnswerIntent":
    """The intent once a worker has carried it out, or as it is when the wait is over."""
    from billingbot.store import answers
    from billingbot.store.database import transaction

    until = time.monotonic() + wait_seconds
    with progress("A worker carries it out"):
        while intent.is_live and time.monotonic() < until:
            time.sleep(1 / _LOOKS_A_SECOND)
            with transaction(at.db) as connection:
                intent = answers.get(connection, intent.id)
    return intent


def tell_intent(intent: "AnswerIntent", *, as_json: bool) -> None:
    if as_json:
        show_json(intent)
        return
    say(f"{intent.kind} of dispute {intent.dispute_id} is {intent.state}{f': {intent.why}' if intent.why else ''}.")
    if intent.is_live:
        say(f"How it ends: billingbot disputes show-draft {intent.dispute_id}")


def _tell(page: "AnswerPage", *, as_json: bool) -> None:
    if as_json:
        show_json(page)
    else:
        show_page(page)


def _print(into: Path, dispute_id: str, charge_id: str, said: Iterable[tuple[Field, str]]) -> dict[str, int]:
    from billingbot.core.disputes.evidence_fields import PAPERS
    from billingbot.core.errors import InputError
    from billingbot.papers.evidence import printed_field

    papers = {}
    try:
        into.mkdir(parents=True, exist_ok=True)
        for field, text in said:
            if field in PAPERS:
                paper = printed_field(field, text, dispute_id=dispute_id, charge_id=charge_id)
                path = into / f"{field}.pdf"
                path.write_bytes(paper.content)
                papers[str(path)] = paper.pages
    except OSError as fault:
        raise InputError("--pdf", f"expected a directory to write into ({type(fault).__name__})") from None
    return papers


def _say_papers(papers: dict[str, int]) -> None:
    if papers:
        say(
            "", "Papers:", *(f"  {path}: {pages} {'page' if pages == 1 else 'pages'}" for path, pages in papers.items())
        )


def _show_packet(found: "Packet") -> None:
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
    show_statements((field, one.text, one.source, one.as_of, None) for field, one in found.statements.items())
    if found.left_out:
        say("", "Left out, though it would help:", *(f"  {name}: {why}" for name, why in found.left_out.items()))
