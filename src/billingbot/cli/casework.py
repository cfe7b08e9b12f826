"""`billingbot cases` for whoever works the queue: each act by name, once, and on what one has seen."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billingbot.cli.listing import show_list
from billingbot.cli.output import AsJson, Limit, cell, money, say, show_json, warn
from billingbot.cli.reading import instant_or_ahead, text_file
from billingbot.cli.session import By, desk, me, read, whole_desk
from billingbot.core.case import Case, CaseState
from billingbot.core.errors import InputError

if TYPE_CHECKING:
    from billingbot.flows.casework.review import Act
    from billingbot.store.views.worklist import MentionLine

CaseId = Annotated[str, typer.Argument(metavar="CASE", help="The case, case_...")]
Seen = Annotated[
    int | None, typer.Option("--version", min=1, help="The version you saw: refused where it has changed since.")
]
Why = Annotated[str, typer.Option(help="Why; kept with the case, its digest in the ledger.")]
To = Annotated[str, typer.Argument(help="The name of somebody who may decide.")]


def next_(
    *,
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    by: By = me(),
    as_json: AsJson = False,
) -> None:
    """Takes the most urgent case that nobody has into your hands. Exit code 1 where there is none for you."""
    from billingbot.flows.casework import queue

    with desk() as at:
        found = queue.claim_next(at, by, account=account)
    if as_json:
        show_json({"case": shown(found) if found else None})
    elif found is None:
        say("Nothing waits that you could take.")
    else:
        say(f"{found.id} is with {found.assignee}; it is due {cell(found.due_at)}.")
    if found is None:
        raise typer.Exit(1)


def claim(case: CaseId, version: Seen = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Takes the case into your hands."""
    from billingbot.flows.casework import review

    with desk() as at:
        done = review.claim(at, act(case, by, version))
    tell(done, f"{done.id} is with {done.assignee}.", as_json=as_json)


def release(case: CaseId, version: Seen = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Puts the case back into the queue."""
    from billingbot.flows.casework import review

    with desk() as at:
        done = review.release(at, act(case, by, version))
    tell(done, f"{done.id} is in nobody's hands.", as_json=as_json)


def reassign(case: CaseId, to: To, version: Seen = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Puts the case into a colleague's hands, whoever has it now."""
    from billingbot.flows.casework import reassign as verb

    with desk() as at:
        done = verb.reassign(at, act(case, by, version), to)
    tell(done, f"{done.id} is with {done.assignee}.", as_json=as_json)


def snooze(
    case: CaseId,
    until: Annotated[str, typer.Option(metavar="WHEN", help="ISO 8601 with a zone, or 90m, 36h, 7d from now.")],
    version: Seen = None,
    by: By = me(),
    *,
    as_json: AsJson = False,
) -> None:
    """Puts the case off, never past its deadline or the bank's; it comes back then, or when anything happens to it."""
    from billingbot.flows.casework import snooze as verb

    then = instant_or_ahead("--until", until)
    with desk() as at:
        done = verb.snooze(at, act(case, by, version), then)
    tell(done, f"{done.id} is put off until {cell(done.snoozed_until)}.", as_json=as_json)


def wake(case: CaseId, version: Seen = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Brings a case back at once that was put off."""
    from billingbot.flows.casework import snooze as verb

    with desk() as at:
        done = verb.wake(at, act(case, by, version))
    tell(done, f"{done.id} is back in the queue.", as_json=as_json)


def name_charge(
    case: CaseId,
    charge: Annotated[str, typer.Argument(help="The charge that was meant, ch_...")],
    version: Seen = None,
    by: By = me(),
    *,
    as_json: AsJson = False,
) -> None:
    """Says which charge a request meant that could mean several. Where that has an open case, the two become one."""
    from billingbot.flows.casework import name_charge as verb

    with whole_desk() as at:  # Stripe is asked whether there is such a charge
        done = verb.name_charge(at, act(case, by, version), charge)
    joined = f"{case} has joined it." if done.id != case else "It is being assessed."
    tell(done, f"{done.id} is about {done.charge_id}. {joined}", as_json=as_json)


def reply(
    case: CaseId,
    text: Annotated[str | None, typer.Option(help="Word it anew: the whole text for the customer.")] = None,
    file: Annotated[Path | None, typer.Option(help="The same, from a UTF-8 file.")] = None,
    subject: Annotated[str | None, typer.Option(help="Its subject. Default: the one it has.")] = None,
    version: Seen = None,
    by: By = me(),
    *,
    as_json: AsJson = False,
) -> None:
    """Shows the reply exactly as it would be sent, after wording it anew where you give a text. Sends nothing."""
    from billingbot.flows.casework import letters
    from billingbot.flows.casework.answer_customer import write_reply

    wording = _wording(text, file)
    if wording is None and subject is not None:
        raise InputError("--text, --file", "expected one of them beside a subject")
    with whole_desk() as at:  # whether and how mail leaves stands in the workers' configuration
        if wording is not None:
            kept = subject or letters.preview(at, case).subject
            write_reply(at, act(case, by, version), subject=kept, text=wording)
        found = letters.preview(at, case)
    if as_json:
        from billingbot.web.api.casework import ReplyShown

        show_json(ReplyShown.of(found))
        return
    if found.text is not None:
        say(found.subject, "", found.text)
    if found.obstacle is not None:
        warn(f"It cannot be sent from here: {found.obstacle}.")


def mentions(*, by: By = me(), limit: Limit = 50, as_json: AsJson = False) -> None:
    """Notes that mention you: what you have not seen first."""
    from billingbot.store.views.worklist import mention_list

    found = read(lambda connection: mention_list(connection, by, limit=limit))
    show_list(("case", "by", "at", "seen", "note"), _mention_row, found, as_json=as_json)


def seen(case: CaseId, by: By = me()) -> None:
    """Says that you have seen the case, and what its notes ask of you."""
    from billingbot.flows.casework import mention

    with desk() as at:
        mention.saw(at, case, by=by)
    say(f"Nothing on {case} waits for your eyes.")


def approve(case: CaseId, why: Why, version: Seen = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Has the charge refunded in full, after reading it afresh. Needs a mode that lets money move."""
    from billingbot.flows.casework import review

    with whole_desk() as at:
        done = review.approve(at, act(case, by, version), reason=why)
    amount = money(done.amount_minor, done.currency)
    if done.state is CaseState.REVIEW:
        said = f"{done.id}: {amount} is above what one person may approve; one more is wanted, from somebody else."
    else:
        said = f"{done.id}: {amount} is on its way back."
    tell(done, said, as_json=as_json)


def deny(
    case: CaseId,
    why: Why,
    reply: Annotated[
        str | None, typer.Option(help="The text for the customer. Default: the policy's, where it advised to decline.")
    ] = None,
    version: Seen = None,
    by: By = me(),
    *,
    as_json: AsJson = False,
) -> None:
    """Closes the case without a refund, and prints the reply for the customer."""
    from billingbot.flows.casework import review

    with desk() as at:
        done = review.deny(at, act(case, by, version), reason=why, reply=reply)
    tell(done, f"{done.id} is closed without a refund.", as_json=as_json)
    if done.reply and not as_json:
        say("", "For the customer:", "", done.reply)


def send(case: CaseId, version: Seen = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Sends the case's reply to its customer by e-mail, once. Needs the section on mail in the configuration."""
    from billingbot.flows.casework import letters

    with whole_desk() as at:  # whether and how mail leaves stands in the workers' configuration
        letter = letters.send(at, act(case, by, version))
    if as_json:
        show_json({"letter": letter.id, "case": letter.case_id, "state": letter.state, "subject": letter.subject})
        return
    say(f"{letter.id} is on its way: {letter.subject}")


def note(
    case: CaseId,
    text: Annotated[str, typer.Argument(help="The note. @ and a name mentions somebody, who finds it.")],
    by: By = me(),
    *,
    as_json: AsJson = False,
) -> None:
    """Writes a note on the case; it changes nothing else."""
    from billingbot.flows.casework import review

    with desk() as at:
        named = review.note(at, act(case, by, None), text)
    if as_json:
        show_json({"case_id": case, "mentioned": named})
        return
    told = f" It mentions {', '.join(named)}." if named else ""
    say(f"Noted on {case}.{told}")


def reassess(case: CaseId, why: Why, version: Seen = None, by: By = me(), *, as_json: AsJson = False) -> None:
    """Has the facts gathered and the case decided anew."""
    from billingbot.flows.casework import review

    with desk() as at:
        done = review.ask_again(at, act(case, by, version), why)
    tell(done, f"{done.id} is being assessed anew.", as_json=as_json)


def act(case: str, by: str, version: int | None) -> "Act":
    from billingbot.flows.casework.review import Act

    return Act(case_id=case, by=by, version=version)


def tell(case: Case, sentence: str, *, as_json: bool) -> None:
    if as_json:
        show_json({"case": shown(case)})
    else:
        say(sentence)


def shown(case: Case) -> object:
    """The case as the API shows it."""
    from billingbot.web.api.shown import CaseShown

    return CaseShown.of(case)


def _mention_row(one: "MentionLine") -> tuple[object, ...]:
    return one.case_id, one.author, one.named_at, one.seen_at, one.text


def _wording(text: str | None, file: Path | None) -> str | None:
    if text is not None and file is not None:
        raise InputError("--text, --file", "expected one of them")
    return text_file("--file", file) if file is not None else text


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command("next")(next_)
    acts: tuple[Callable[..., None], ...] = (claim, release, reassign, snooze, wake, name_charge, mentions, seen, note)
    more: tuple[Callable[..., None], ...] = (reassess, approve, deny, reply, send)
    for command in (*acts, *more):
        app.command()(command)
