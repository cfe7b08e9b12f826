"""Answering a dispute at Stripe: staging, sending, and giving in, each as an intent with its life, and when not to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from billingbot.core.disputes.life import BY_STRIPE, Stage, returned_money, sent_in_stage, stage_of
from billingbot.core.disputes.packet import ANSWERABLE
from billingbot.core.disputes.statements import instant
from billingbot.core.errors import ConflictError
from billingbot.core.evidence.dossier import INQUIRY_OPEN, Dispute
from billingbot.core.money import Money

# A call may still be on its way for its deadline of 25 s and be worked on for as long again at Stripe: what a fresh
# look does not show after this was not done.
SETTLED_AFTER: Final = timedelta(minutes=2)
# An acceptance that was asked for waits for its confirmation, by a second person where two are wanted, for as long.
CONFIRM_WITHIN: Final = timedelta(hours=24)
BY_SETTING: Final = "config:submit_by_itself_for"
"""Who decided, where the configuration did."""


class AnswerKind(StrEnum):
    """What is done at Stripe."""

    STAGE = "stage"
    """Kept on the dispute, to be seen in the Dashboard; not sent to the bank."""
    SEND = "send"
    """To the bank, once and for ever: once for an inquiry, and once for the chargeback that it becomes."""
    ACCEPT = "accept"
    """The dispute is closed: lost, and not to be undone."""


class AnswerState(StrEnum):
    """Where an intent stands."""

    ASKED = "asked"
    """An acceptance that waits for its confirmation."""
    INTENDED = "intended"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    DONE = "done"
    OVERTAKEN = "overtaken"
    """Answered by somebody else: in the Dashboard, or by Stripe itself."""
    ABSENT = "absent"
    """A call was made or was about to be, and Stripe shows nothing of it: a person looks, and does it again."""
    REFUSED = "refused"
    STOOD_BACK = "stood_back"
    """The look just before the call said no."""
    LAPSED = "lapsed"
    """Asked for, and not confirmed in time, or taken back."""


_S = AnswerState
LIVE: Final = (_S.INTENDED, _S.SUBMITTING, _S.UNKNOWN)
FINAL_KINDS: Final = (AnswerKind.SEND, AnswerKind.ACCEPT)
"""Kinds of which a dispute has one that is live or done, for ever, in each of its stages."""
BINDING: Final = (*LIVE, _S.DONE)
_AFTER_A_CALL: Final = frozenset({_S.DONE, _S.OVERTAKEN, _S.ABSENT, _S.REFUSED})
_NEXT: Final[Mapping[AnswerState, frozenset[AnswerState]]] = {
    _S.ASKED: frozenset({_S.INTENDED, _S.LAPSED}),
    _S.INTENDED: frozenset({_S.SUBMITTING, _S.STOOD_BACK, _S.REFUSED, _S.OVERTAKEN}),
    # Intended again where a call certainly did nothing; submitting again only where twice is once (staging).
    _S.SUBMITTING: frozenset({_S.INTENDED, _S.SUBMITTING, _S.UNKNOWN}) | _AFTER_A_CALL,
    _S.UNKNOWN: frozenset({_S.SUBMITTING}) | _AFTER_A_CALL,
}


def become(state: AnswerState, following: AnswerState) -> AnswerState:
    """`following`, where the table allows it; ConflictError where it does not."""
    if following not in _NEXT.get(state, frozenset()):
        raise ConflictError(f"an answer that is {state} cannot become {following}")
    return following


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerIntent:
    """One act towards a bank, as stored. `fields` are the frozen texts (None once erased, and for an acceptance)."""

    id: str
    account: str
    livemode: bool
    dispute_id: str
    charge_id: str
    kind: AnswerKind
    stage: Stage
    """What it answers."""
    state: AnswerState
    draft_id: str | None
    draft_version: int | None
    fields: Mapping[str, str] | None
    cleared: tuple[str, ...]
    """Fields that we staged before and that this answer no longer has: emptied by the same call."""
    files: Mapping[str, str]
    """The uploaded file of each field that wants one."""
    digest: str | None
    """Of the texts."""
    amount_minor: int
    """What the dispute is over, as the person saw it."""
    currency: str
    key: str | None
    sends: int
    why: str | None
    decided_by: str
    first_by: str | None
    """Who asked for an acceptance that somebody else confirmed, or has to."""
    needs_second: bool
    confirm_by_at: datetime | None
    intended_at: datetime
    last_sent_at: datetime | None
    ended_at: datetime | None

    @property
    def is_live(self) -> bool:
        """Whether it is on its way."""
        return self.state in LIVE

    @property
    def is_by_itself(self) -> bool:
        """Whether no person decided it: then it leaves in mode `auto` alone."""
        return self.decided_by == BY_SETTING


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A dispute read fresh, with all that decides whether an answer may go out."""

    dispute: Dispute
    brand: str | None = None
    wants_fee: bool = False
    """A compliance dispute: answering it takes a fee to be acknowledged, 500 USD for Visa's. Never by us.
    https://docs.stripe.com/disputes/compliance-disputes"""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """What stands on the dispute already, by field: texts and ids of files."""
    sent_by: str | None = None
    """The intent of ours that sent the last answer, by the mark that it left."""
    staged_by: str | None = None
    at_inquiry: int = 0
    """How many answers went out while it was an inquiry, by our books."""

    @property
    def stage(self) -> Stage:
        """What an answer would be to."""
        return stage_of(self.dispute)

    @property
    def is_answered(self) -> bool:
        """Whether Stripe counts an answer in this stage. Stricter than the status: an answer that we cannot tell to
        be the inquiry's counts here."""
        return sent_in_stage(self.dispute, self.at_inquiry) > 0

    @property
    def is_answered_by_stripe(self) -> bool:
        """Whether that was Smart Disputes."""
        return self.is_answered and self.dispute.submission_method == BY_STRIPE


def stands_in_the_way(standing: Standing, now: datetime) -> str | None:
    """Why no answer may be staged or sent now, if it may not. Fresh, and asked again before each call."""
    dispute = standing.dispute
    if returned_money(dispute) or dispute.status not in ANSWERABLE:
        return f"the dispute is {dispute.status}: no answer is awaited"
    if dispute.due_by is None:
        return "Stripe names no due time: the bank takes no answer"
    if dispute.due_by <= now:
        return f"the answer was due by {instant(dispute.due_by)}"
    if standing.is_answered_by_stripe:
        return "Smart Disputes has answered"
    if standing.is_answered:
        return "an answer was sent already; where the bank asks once more, answer it in the Dashboard"
    if dispute.intended_method == BY_STRIPE:
        return "Smart Disputes is set to answer this dispute by itself"
    if standing.wants_fee:
        return "a compliance dispute is answered in the Dashboard: it takes the acknowledgement of a fee"
    return None


def not_to_be_accepted(standing: Standing) -> str | None:
    """Why the dispute cannot be accepted now, if it cannot."""
    dispute = standing.dispute
    if returned_money(dispute) or dispute.status not in ANSWERABLE:
        return f"the dispute is {dispute.status}: there is nothing to accept"
    if standing.is_answered:
        return "an answer was sent already: the bank decides"
    return None


class Move(StrEnum):
    """What a fresh look says about an intent that is under way."""

    GO = "go"
    WAIT = "wait"
    """A call may still be on its way."""
    DONE = "done"
    OVERTAKEN = "overtaken"
    ABSENT = "absent"
    STOOD_BACK = "stood_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The next step of an intent, and why."""

    move: Move
    why: str = ""


def next_step(intent: AnswerIntent, standing: Standing, now: datetime) -> Step:
    """What to do with a live intent. Never a second call for what may be with the bank; that is read back."""
    called = intent.state in {AnswerState.SUBMITTING, AnswerState.UNKNOWN}
    if called and _shows(intent, standing):
        return Step(move=Move.DONE, why="read back at Stripe")
    overtaken = _overtaken(intent, standing)
    if overtaken is not None:
        return Step(move=Move.OVERTAKEN, why=overtaken)
    if called:
        if intent.last_sent_at is not None and now - intent.last_sent_at < SETTLED_AFTER:
            return Step(move=Move.WAIT, why="a call may still be on its way")
        if intent.kind is not AnswerKind.STAGE:
            return Step(move=Move.ABSENT, why="Stripe shows nothing of it")
    stands = not_to_be_accepted(standing) if intent.kind is AnswerKind.ACCEPT else stands_in_the_way(standing, now)
    if stands is None and intent.stage is not standing.stage:
        stands = f"the {intent.stage} is a {standing.stage} by now, which takes an answer of its own"
    if stands is None and _other_sum(intent, standing.dispute):
        stands = "the dispute is over another amount than when it was decided"
    if stands is not None:
        return Step(move=Move.ABSENT if called else Move.STOOD_BACK, why=stands)
    return Step(move=Move.GO)


def _shows(intent: AnswerIntent, standing: Standing) -> bool:
    """Whether Stripe shows that this very intent was carried out."""
    match intent.kind:
        case AnswerKind.STAGE:
            return standing.staged_by == intent.id
        case AnswerKind.SEND:
            return standing.sent_by == intent.id and standing.dispute.submission_count > 0
        case AnswerKind.ACCEPT:  # closing leaves no mark; that it is over, without an answer of anybody's, is ours
            return standing.dispute.status in {"lost", "warning_closed"} and not standing.is_answered


def is_carried_out(intent: AnswerIntent, standing: Standing) -> bool:
    """Whether Stripe's answer to our call says that it did what was asked."""
    if intent.kind is AnswerKind.ACCEPT:
        return standing.dispute.status in {"lost", "warning_closed"}
    return _shows(intent, standing)


def _overtaken(intent: AnswerIntent, standing: Standing) -> str | None:
    if intent.kind is AnswerKind.ACCEPT or not standing.is_answered:
        return None
    if standing.is_answered_by_stripe:
        return "Smart Disputes has answered"
    return "somebody else has answered" if standing.sent_by != intent.id else None


def _other_sum(intent: AnswerIntent, dispute: Dispute) -> bool:
    return (intent.amount_minor, intent.currency) != (dispute.amount_minor, dispute.currency)


def consequence(dispute: Dispute) -> str:
    """What accepting this dispute means, for whoever is about to."""
    amount = Money(amount_minor=dispute.amount_minor, currency=dispute.currency)
    if dispute.status in INQUIRY_OPEN:
        return (
            f"The inquiry over {amount} is closed without an answer. No answer can be sent afterwards, and the bank may"
            " take the money with a fee. A full refund would end it without one."
        )
    fee = dispute.moved.fees_minor if dispute.moved else 0
    kept = (
        f", and Stripe keeps its fee of {Money(amount_minor=fee, currency=dispute.moved.currency)}"
        if (dispute.moved and fee > 0)
        else ""
    )
    return (
        f"The customer keeps {amount}{kept}. The dispute is lost. No answer can be sent afterwards: this cannot be"
        " undone."
    )
