"""What may be done next with the answer to a dispute, by whom, and why not: shown before it is tried."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from billingbot.core.access.powers import Power
from billingbot.core.disputes.answer_draft import DraftContent, shortcomings
from billingbot.core.disputes.answering import (
    BINDING,
    FINAL_KINDS,
    AnswerIntent,
    AnswerKind,
    AnswerState,
    Standing,
    not_to_be_accepted,
    stands_in_the_way,
)
from billingbot.core.disputes.life import Stage
from billingbot.core.evidence.dossier import Dispute
from billingbot.core.policy.rules import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class NextAct:
    """One act, the power that it takes, and why it cannot be done now, if it cannot. Each looks afresh when done."""

    act: str
    """`draft`, `edit`, `stage`, `send`, `accept`, `confirm`."""
    power: Power
    why_not: str | None
    consequence: str


def next_acts(
    content: DraftContent | None,
    intents: Sequence[AnswerIntent],
    standing: Standing | None,
    now: datetime,
    *,
    to_send: Power,
) -> tuple[NextAct, ...]:
    """The acts in the order in which people take them. By the dispute as last read; None where it never was.

    `to_send` is the power that sending takes, by the amount.
    """
    return tuple(_acts(content, intents, standing, now, to_send))


def power_to_send(limits: Limits, dispute: Dispute) -> Power:
    """The power that sending an answer about this amount takes."""
    return Power.CHECK if limits.wants_two(dispute.amount_minor, dispute.currency) else Power.DECIDE


def standing_by_books(dispute: Dispute, at_inquiry: int) -> Standing:
    """What our books know of where an answer stands, without a question to Stripe."""
    return Standing(dispute=dispute, wants_fee=dispute.case_type == "compliance", at_inquiry=at_inquiry)


def _acts(
    content: DraftContent | None,
    intents: Sequence[AnswerIntent],
    standing: Standing | None,
    now: datetime,
    to_send: Power,
) -> Iterator[NextAct]:
    over = _over(intents, standing.stage if standing else Stage.CHARGEBACK)
    asked = next((one for one in intents if one.state is AnswerState.ASKED), None)
    awaited = over or (stands_in_the_way(standing, now) if standing else None)
    unfit = awaited or _unfit(content)
    open_ = over or (not_to_be_accepted(standing) if standing else None)
    yield _act("draft", Power.DECIDE, None, "Asks Stripe and all sources again; what people wrote stays.")
    yield _act("edit", Power.DECIDE, over or (None if content else "nothing is drafted yet"), "Makes a new version.")
    yield _act("stage", Power.DECIDE, unfit, "Puts it on the dispute at Stripe, without sending it to the bank.")
    yield _act("send", to_send, unfit, "Sends it to the bank. Banks take one answer: it cannot be changed after.")
    yield _act("accept", Power.CHECK, open_, "Asks to give the dispute up: nothing happens before it is confirmed.")
    if asked is not None:
        whom = "Somebody else confirms" if asked.needs_second else "Confirms"
        yield _act("confirm", Power.CHECK, open_, f"{whom}: the dispute is lost, and that cannot be undone.")


def _act(act: str, power: Power, why_not: str | None, consequence: str) -> NextAct:
    return NextAct(act=act, power=power, why_not=why_not, consequence=consequence)


def _over(intents: Sequence[AnswerIntent], stage: Stage) -> str | None:
    one = standing_in(intents, stage)
    if one is None:
        return None
    return (
        "it is just being staged" if one.kind is AnswerKind.STAGE else f"{one.kind} by {one.decided_by} is {one.state}"
    )


def standing_in(intents: Sequence[AnswerIntent], stage: Stage) -> AnswerIntent | None:
    """The act beside which there is no other: this stage's last word, or whatever is under way in either."""
    final = (one for one in intents if one.kind in FINAL_KINDS and one.state in BINDING and one.stage is stage)
    return next(final, None) or next((one for one in intents if one.is_live), None)


def _unfit(content: DraftContent | None) -> str | None:
    if content is None:
        return "nothing is drafted yet"
    return "; ".join(shortcomings(content.fields)) or None
