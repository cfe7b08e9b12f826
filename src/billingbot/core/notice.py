"""A notice: what people should hear of, in words that name accounts, cases and amounts, and never a customer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from billingbot.core.ids import Kind, is_id

# The first notice of a kind goes out at once; what follows within five minutes comes in one message. Shorter, and a
# bad hour rings a phone sixty times; longer, and the second alarm of an incident is stale news.
GROUPED_WITHIN: Final = timedelta(minutes=5)
# A notice that could not be sent for a day is history: it stays in the list, and no message carries it any more.
WORTH_SENDING: Final = timedelta(days=1)
# What one message spells out; the rest is counted, since chat programs cut long messages off.
MOST_SPELT_OUT: Final = 20


class NoticeKind(StrEnum):
    """What a notice is about; routes choose by these names."""

    BREAKER_OPEN = "breaker_open"
    """Automatic refunds stopped: too many within an hour, or too large a share of the requests."""
    BREAKER_CLOSED = "breaker_closed"
    REFUND_FAILED = "refund_failed"
    """A refund was refused, failed or was cancelled before it had succeeded."""
    LATE_FAILURE = "late_failure"
    """A refund that had succeeded failed afterwards: the customer does not have the money."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """Whether a refund was paid could not be found out within its key's life."""
    REFUND_OVERDUE = "refund_overdue"
    """Stripe has kept a refund pending for longer than refunds take."""
    SUBSCRIPTION_NOT_CANCELLED = "subscription_not_cancelled"
    """The subscription of a refunded charge still runs, or something of it would still be collected."""
    DISPUTE_CROSSED = "dispute_crossed"
    """A dispute met a refund that was on its way."""
    SECOND_APPROVAL_WANTED = "second_approval_wanted"
    RECONCILE_BREAK = "reconcile_break"
    """Stripe and our books disagree."""
    RECONCILE_FAILING = "reconcile_failing"
    EVENTS_MISSED = "events_missed"
    """Events of Stripe never reached us and were fetched afterwards."""
    ANSWER_NOT_SENT = "answer_not_sent"
    """An answer to a bank did not go out, or is not known to have: its deadline runs."""
    LETTER_FAILED = "letter_failed"
    """A reply to a customer did not arrive, or may not have."""
    JOB_FAILED = "job_failed"
    """A job was tried to the end and waits for a person."""
    DEADLINE_NEAR = "deadline_near"
    DEADLINE_UNTAKEN = "deadline_untaken"
    """A deadline is near, and nobody has taken the case: for a wider audience."""
    DEADLINE_MISSED = "deadline_missed"
    DISPUTE_LOST = "dispute_lost"
    """A dispute ended, and the customer has the money."""
    DISPUTE_WON = "dispute_won"
    CASE_OPENED = "case_opened"
    """A case waits for a person."""
    MENTIONED = "mentioned"
    """A note on a case asks for a colleague."""
    TEST = "test"
    """Somebody asked whether notices arrive."""


GOOD_NEWS: Final = frozenset(
    {NoticeKind.BREAKER_CLOSED, NoticeKind.CASE_OPENED, NoticeKind.DISPUTE_WON, NoticeKind.TEST}
)
"""Kinds that ask nobody to act."""
UNRUNG: Final = frozenset({NoticeKind.CASE_OPENED})
"""Kinds that ring no bell in the console: the queue counts its cases itself, and shows them better."""


# A subject that is an id has one address for ever; what is told of an account or a kind leads to where people act.
_PLACES: Final = {
    Kind.CASE: "/cases/",
    Kind.REFUND: "/refunds/",
    Kind.JOB: "/jobs/",
    Kind.BACKFILL: "/events/backfills/",
    Kind.BACKTEST: "/policy/backtests/",
}
_DISPUTES: Final = ("du_", "dp_")
_PAGES: Final = {
    NoticeKind.BREAKER_OPEN: "/settings/modes",
    NoticeKind.BREAKER_CLOSED: "/settings/modes",
    NoticeKind.RECONCILE_BREAK: "/reconcile",
    NoticeKind.RECONCILE_FAILING: "/reconcile",
    NoticeKind.EVENTS_MISSED: "/events/backfills",
}


class NoticeState(StrEnum):
    """Where a notice stands. `kept` could be read here and was sent nowhere, since nothing asks for its kind."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notice. `subject` is the id it is about (a case, a refund, a job), or the account's name.

    It leaves the house by chat and mail, so it holds ids, amounts and words of ours: no name, no address, nothing
    that a customer or a person at the desk wrote.
    """

    kind: NoticeKind
    account: str
    subject: str
    headline: str
    """One line: what happened."""
    body: str
    """What it means, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent: one notice, or several of a kind."""

    title: str
    body: str
    is_good_news: bool


def message_of(notices: Sequence[Notice], *, public_url: str | None) -> Message:
    """One message for these notices of one kind, oldest first; with links to cases where our address is known.

    ValueError where there is none.
    """
    if not notices:
        raise ValueError("notices: expected at least one")
    good = notices[0].kind in GOOD_NEWS
    if len(notices) == 1:
        [only] = notices
        lines = [only.body, f"Account {only.account}, {only.subject}.", *_link(only, public_url)]
        return Message(title=f"billingbot: {only.headline}", body="\n".join(lines), is_good_news=good)
    lines = [_line(notice, public_url) for notice in notices[:MOST_SPELT_OUT]]
    if len(notices) > MOST_SPELT_OUT:
        lines.append(f"and {len(notices) - MOST_SPELT_OUT} more: billingbot notices list --kind {notices[0].kind}")
    title = f"billingbot: {len(notices)} x {notices[0].kind.replace('_', ' ')}"
    return Message(title=title, body="\n".join([notices[-1].body, *lines]), is_good_news=good)


def _line(notice: Notice, public_url: str | None) -> str:
    return " ".join([f"- {notice.headline} (account {notice.account}, {notice.subject})", *_link(notice, public_url)])


def page_of(notice: Notice) -> str:
    """The path of the page that shows what the notice is about."""
    for kind, place in _PLACES.items():
        if is_id(kind, notice.subject):
            return f"{place}{notice.subject}"
    if notice.subject.startswith(_DISPUTES):
        return f"/disputes/{notice.subject}"
    return _PAGES.get(notice.kind, "/notices")


def _link(notice: Notice, public_url: str | None) -> list[str]:
    return [] if public_url is None else [f"{public_url.rstrip('/')}{page_of(notice)}"]
