"""Closing: a case for which nothing is left to decide, since the bank has its answer or the dispute was given up."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from billingbot.core.case import Case, CaseMove, CaseState
from billingbot.core.disputes.answering import AnswerIntent, AnswerKind
from billingbot.core.disputes.life import awaited_by, stage_of
from billingbot.core.evidence.dossier import Dossier
from billingbot.flows.desk import Step
from billingbot.store import answers, cases, database, dispute_cases, disputes
from billingbot.store.disputes import KnownDispute

_ENDS: Final[Mapping[AnswerKind, str]] = {AnswerKind.SEND: "answered", AnswerKind.ACCEPT: "dispute_accepted"}


def close_with_answer(this: Step, case: Case, intent: AnswerIntent) -> bool:
    """Closes a locked case that waits for a person, with an answer that is done; True where it did.

    It stays where another dispute of the charge awaits an answer, and where somebody other than a bank has asked since
    the answer was decided: whoever decided it has not heard of that.
    """
    if case.state is not CaseState.REVIEW or intent.kind not in _ENDS:
        return False
    now = database.now(this.db)
    if any(_is_ours_to_answer(this, one, now) for one in disputes.of_charge(this.db, case.account, intent.charge_id)):
        return False
    if dispute_cases.others_asked_since(this.db, case.id, intent.intended_at):
        return False
    cases.move(this.db, case, CaseMove.ANSWERED, outcome=_ENDS[intent.kind], closed_at=now, recheck_at=None)
    return True


def close_if_answered_since(this: Step, case: Case, dossier: Dossier | None, since: datetime) -> bool:
    """As above, where an answer was done since then: the case was just being assessed, and could not be closed."""
    if dossier is None or not dossier.disputes:
        return False
    done = answers.done_since(this.db, case.account, [one.id for one in dossier.disputes], since)
    return done is not None and close_with_answer(this, case, done)


def _is_ours_to_answer(this: Step, known: KnownDispute, now: datetime) -> bool:
    """Whether a bank waits, by our books: they may be older than an answer of ours."""
    if not awaited_by([known.dispute], now):
        return False
    ours = answers.binding(this.db, known.account, known.dispute.id, stage_of(known.dispute))
    return ours is None or ours.is_live
