"""Draft an answer: the job behind a draft, and the one way in which an answer leaves without a person."""

from contextlib import suppress
from typing import Final

from billingbot.core.disputes.answer_draft import DraftChange, DraftContent, drafted
from billingbot.core.disputes.answering import BY_SETTING, AnswerKind
from billingbot.core.disputes.house_texts import HouseTexts
from billingbot.core.errors import ConflictError, ForbiddenError, InputError
from billingbot.core.job import Job
from billingbot.core.mode import Mode
from billingbot.core.paying import LOOK_HOLDS
from billingbot.flows.desk import Desk, step
from billingbot.flows.disputes.contest import packet_of
from billingbot.flows.disputes.drafting import AnswerAct, is_outdated, write
from billingbot.flows.disputes.sending import send_by_itself
from billingbot.flows.look import mode_of
from billingbot.store import answer_drafts, answers, database, jobs
from billingbot.store.database import transaction

_OURS: Final = "billingbot"


def draft_answer(desk: Desk, job: Job) -> None:
    """Drafts the answer that the job names, where nobody has yet or the bank asks for something else since; people's
    words stay. Safe to run twice, late, or by two workers.

    Raises the faults of a read of Stripe; sources that are silent leave their fields out.
    """
    with transaction(desk.db) as connection:
        draft = answer_drafts.get(connection, job.subject)
    account = desk.account(draft.account)
    dispute = account.stripe.dispute(draft.dispute_id)
    with step(desk) as this:
        wanted = draft.version == 0 or is_outdated(this, draft, dispute)
    if wanted:
        packet = packet_of(desk, account, dispute)
        with step(desk) as this:
            draft = answer_drafts.get(this.db, draft.id, lock=True)
            if draft.version == 0 or is_outdated(this, draft, dispute):
                before = answer_drafts.current(this.db, draft).content if draft.version else None
                draft = write(this, draft, drafted(packet, before), change=DraftChange.DRAFTED, by=_OURS)
    _send_where_configured(desk, draft)
    with transaction(desk.db) as connection:
        jobs.finish(connection, job)


def _send_where_configured(desk: Desk, draft: answer_drafts.Draft) -> None:
    """Whatever speaks against it leaves it to a person, who has the draft before them."""
    with transaction(desk.db) as connection:
        version = answer_drafts.current(connection, draft)
        tried = answers.of_dispute(connection, draft.account, draft.dispute_id)
        is_old = database.now(connection) - version.made_at > LOOK_HOLDS
    if any(one.kind is AnswerKind.SEND for one in tried):
        return  # whatever came of it, what follows is a person's
    content = version.content
    if content is None or version.made_by != _OURS or not may_go_by_itself(content, desk.texts):
        return
    if is_old or mode_of(desk, draft.account) is not Mode.AUTO:
        return  # a job that was held up, or is replayed days later, speaks from facts of then
    act = AnswerAct(account=draft.account, dispute_id=draft.dispute_id, by=_OURS, version=draft.version)
    with suppress(ConflictError, ForbiddenError, InputError):
        send_by_itself(desk, act, setting=BY_SETTING)


def may_go_by_itself(content: DraftContent, texts: HouseTexts) -> bool:
    """A chargeback of a reason that is named, which the policy contests on facts that are known, without any doubt,
    in words that nobody has touched.
    """
    return (
        content.reason in texts.submit_by_itself_for
        and content.status == "needs_response"
        and content.opinion is not None
        and content.opinion.contests
        and not content.opinion.missing
        and not content.doubts
        and not any(piece.is_touched for piece in content.pieces.values())
    )
