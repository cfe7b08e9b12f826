"""The story: everything that happened to a case as one list, newest first, in words, with the raw bytes behind it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from billingbot.core.ledger import Entry
from billingbot.store.views.case_story import CaseStory
from billingbot.web.console.casework import because
from billingbot.web.console.wording import Reader, words


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One thing that happened. `raw` is what is kept of it, as it is kept; `href` leads to its own page."""

    at: datetime
    told: str
    by: str
    text: str = ""
    """What a person wrote, or what the machine quotes."""
    raw: str = ""
    href: str | None = None
    is_money: bool = False
    note_id: str | None = None
    for_bank: bool = False
    """Of a note: whether an answer to a bank may quote it."""


def _money(body: Mapping[str, Any], reader: Reader) -> str:
    return reader.money_text(body.get("amount_minor"), body.get("currency"))


def _moment(until: object, reader: Reader) -> str:
    return reader.exact(datetime.fromisoformat(until)) if isinstance(until, str) else "later"


def _decided(body: Mapping[str, Any]) -> str:
    outcome = str(body.get("outcome"))
    return f"{_OUTCOMES.get(outcome, words(outcome))}: {because(body.get('reason'))}"


def _fault(body: Mapping[str, Any]) -> str:
    return f". {body['why']}" if body.get("why") else ""


def _why(body: Mapping[str, Any]) -> str:
    return f": {words(body['why'])}" if body.get("why") else ""


_TOLD: Final[Mapping[str, Callable[[Mapping[str, Any], Reader], str]]] = {
    "case.opened": lambda body, _: f"Case opened, asked through {words(body.get('channel'))}",
    "case.joined": lambda body, _: "Another request joined" if "request" in body else "Joined another case",
    "case.decided": lambda body, _: _decided(body),
    "case.claimed": lambda _b, _: "Claimed",
    "case.released": lambda _b, _: "Put back into the queue",
    "case.noted": lambda _b, _: "Note",
    "case.first_approved": lambda body, reader: f"First approval of {_money(body, reader)}",
    "case.approved": lambda body, reader: f"Approved: {_money(body, reader)}",
    "case.denied": lambda _b, _: "Denied",
    "case.reassessed": lambda body, _: f"Facts asked for again: {body.get('why')}",
    "case.given_up": lambda body, _: f"Handed to a person: {words(body.get('reason'))}{_fault(body)}",
    "case.snoozed": lambda body, reader: f"Put off until {_moment(body.get('until'), reader)}",
    "case.woken": lambda _b, _: "Brought back",
    "case.reassigned": lambda body, _: f"Given to {body.get('to')}",
    "case.charge_named": lambda body, _: f"Charge named: {body.get('charge')}",
    "case.reply_written": lambda _b, _: "Reply written",
    "refund.intended": lambda body, reader: f"Refund intended: {_money(body, reader)}",
    "refund.attempted": lambda body, _: "Refund sent to Stripe",
    "refund.unknown": lambda _b, _: "No answer from Stripe: the outcome is unknown",
    "refund.changed": lambda body, _: f"Refund is {words(body.get('state') or body.get('to'))}",
    "refund.crossed": lambda _b, _: "A dispute met the refund",
    "case.due_moved": lambda body, reader: f"Due {_moment(body.get('to'), reader)}, for the bank's deadline",
    "case.bank_answered": lambda _b, _: "Closed: the bank has answered, and nobody else had asked",
    "case.commented": lambda _b, _: "Left a comment when cancelling",
    "cancellation.intended": lambda _b, _: "Subscription is to be cancelled",
    "cancellation.attempted": lambda _b, _: "Cancellation sent to Stripe",
    "cancellation.unknown": lambda _b, _: "No answer from Stripe: whether it was cancelled is unknown",
    "cancellation.changed": lambda body, _: f"Cancellation is {words(body.get('to'))}{_why(body)}",
    "dispute.changed": lambda body, _: f"Dispute: {words(body.get('kind'))} {words(body.get('to'))}",
    "dispute.missed": lambda _b, _: "The bank's deadline passed without an answer",
    "answer.drafted": lambda _b, _: "Answer to the bank drafted",
    "answer.edited": lambda body, _: f"Answer to the bank edited: {words(body.get('field'))}",
    "answer.asked": lambda body, _: f"First approval to {words(body.get('act'))} what the bank asks",
    "answer.intended": lambda body, _: f"What the bank asks is to be answered: {words(body.get('act'))}",
    "answer.attempted": lambda _b, _: "Answer sent to Stripe",
    "answer.changed": lambda body, _: f"Answer is {words(body.get('to'))}{_why(body)}",
    "refund.adopted": lambda _b, _: "A refund made elsewhere was taken into the books",
    "link.marked_wrong": lambda body, _: f"Said not to be one person by {body.get('kind')}",
    "link.mark_taken_back": lambda body, _: f"Took back that they are not one person by {body.get('kind')}",
    "letter.written": lambda _b, _: "Reply handed in to be sent",
    "letter.ended": lambda body, _: f"Reply {words(body.get('state'))}",
}
_OUTCOMES: Final = {"refund": "Decided: refund", "review": "Left to a person", "close": "Decided: close"}
_MONEY: Final = frozenset({"refund", "cancellation"})


def moments(story: CaseStory, reader: Reader) -> list[Moment]:
    """All that happened, newest first."""
    page = story.page
    told = [_of_entry(entry, reader) for entry in page.timeline if entry.kind != "case.noted"]
    told += [
        Moment(
            at=note.written_at,
            told="Wrote",
            by=note.author,
            text=note.text,
            note_id=note.id,
            for_bank=note.for_bank,
        )
        for note in page.notes
    ]
    for line in page.refunds:
        for attempt in line.attempts:
            answered = f", answered {words(attempt.outcome)}" if attempt.answered_at else f", {words(attempt.outcome)}"
            sends = f", sent {attempt.sends} times" if attempt.sends > 1 else ""
            raw = "\n".join(filter(None, [f"Idempotency-Key: {attempt.key}", attempt.answer]))
            text = f"Call {attempt.number} to Stripe{answered}{sends}"
            told.append(Moment(at=attempt.first_sent_at, told=text, by="billingbot", raw=raw, is_money=True))
    told += [
        Moment(at=hook.received_at, told=f"Stripe told: {hook.type}", by="stripe", href=f"/events/{hook.event_id}")
        for hook in story.webhooks
    ]
    return sorted(told, key=lambda moment: moment.at, reverse=True)


def told_of(entry: Entry, reader: Reader) -> str:
    """A ledger entry as a sentence."""
    known = _TOLD.get(entry.kind)
    return known(entry.body, reader) if known else words(entry.kind.replace(".", " ")).capitalize()


def _of_entry(entry: Entry, reader: Reader) -> Moment:
    raw = json.dumps({"entry": entry.seq, "kind": entry.kind, "body": entry.body, "hash": entry.hash}, indent=2)
    return Moment(
        at=entry.at,
        told=told_of(entry, reader),
        by=entry.actor,
        raw=raw,
        is_money=entry.kind.partition(".")[0] in _MONEY,
    )
