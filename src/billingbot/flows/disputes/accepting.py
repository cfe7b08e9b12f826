"""Accepting: people give a dispute up in two steps, with the consequence between them; two people a large one."""

from sqlalchemy import Connection

from billingbot.core.access.person import person, person_key
from billingbot.core.access.powers import Power
from billingbot.core.disputes.answering import (
    CONFIRM_WITHIN,
    AnswerIntent,
    AnswerKind,
    AnswerState,
    Standing,
    not_to_be_accepted,
)
from billingbot.core.disputes.life import Stage
from billingbot.core.errors import ConflictError, ForbiddenError, NotFoundError
from billingbot.core.evidence.dossier import Dispute
from billingbot.core.ids import Kind
from billingbot.core.job import Actor
from billingbot.core.ledger import EntryKind
from billingbot.core.money import Money
from billingbot.core.notice import Notice, NoticeKind
from billingbot.flows.casework.two_people import not_the_same_way
from billingbot.flows.desk import Account, Desk, Step, step
from billingbot.flows.disputes.drafting import AnswerAct, draft_row
from billingbot.flows.disputes.sending import entry, fresh_standing, refuse_beside
from billingbot.flows.notify import tell
from billingbot.store import answer_drafts, answers, database
from billingbot.store.database import transaction

_S = AnswerState


def ask_to_accept(desk: Desk, act: AnswerAct) -> tuple[AnswerIntent, Dispute]:
    """The first step: nothing happens at Stripe. The intent's id is what confirms it, within a day.

    The dispute that comes with it is as it is now, for the consequence to be told. Above the policy's
    `second_approval_above` somebody else has to confirm. Asked twice it is one asking. Raises ForbiddenError where
    there is nothing to accept, ConflictError where an answer is on its way.
    """
    desk.require(Power.CHECK)
    by = person(act.by)
    account = desk.account(act.account)
    dispute = account.stripe.dispute(act.dispute_id)
    stage = _must_be_open(desk, account, act.dispute_id).stage
    two = _wants_two(desk, dispute)
    with step(desk) as this:
        row, _ = draft_row(this, account, dispute)
        answer_drafts.get(this.db, row.id, lock=True)
        refuse_beside(this, act, AnswerKind.ACCEPT, stage)
        waiting = answers.asked(this.db, account.name, dispute.id)
        if waiting is not None and _holds(this, waiting, dispute, stage):
            return waiting, dispute
        if waiting is not None:
            answers.set_state(this.db, waiting, _S.LAPSED, why="asked anew")
        intent = _asked(this, account, dispute, by, stage, needs_second=two)
        answers.intend(this.db, intent, first_key=person_key(by), first_through=desk.through)
        body = {"amount_minor": intent.amount_minor, "currency": intent.currency, "needs_second": two}
        this.record(entry(intent, EntryKind.ANSWER_ASKED, body, actor=by))
        if two:
            _want_second(this, intent)
    return intent, dispute


def confirm_acceptance(desk: Desk, dispute_id: str, answer_id: str, *, by: str) -> AnswerIntent:
    """The second step: the dispute is closed at Stripe by a job; lost, and not to be undone.

    Whoever confirms names the dispute as well as the asking: NotFoundError where the asking is another dispute's.
    Raises ConflictError where it was not asked for, too long ago, over another amount, or where one person does both
    though two are wanted; ForbiddenError where there is nothing to accept any more, or both words come through one
    API key.
    """
    desk.require(Power.CHECK)
    by = person(by)
    with transaction(desk.db) as connection:
        seen = _asking(connection, dispute_id, answer_id)
    account = desk.account(seen.account)
    standing = _must_be_open(desk, account, seen.dispute_id)
    with step(desk) as this:
        row = answer_drafts.find(this.db, seen.account, seen.dispute_id)
        if row is not None:
            answer_drafts.get(this.db, row.id, lock=True)
        intent = answers.get(this.db, answer_id, lock=True)
        if intent.state is not _S.ASKED or not _holds(this, intent, standing.dispute, standing.stage):
            raise ConflictError(f"dispute {intent.dispute_id}: nothing waits to be confirmed; ask to accept it again")
        two = intent.needs_second or _wants_two(desk, standing.dispute)  # a policy published since has its say
        if two:
            key, through = answers.first_word(this.db, intent.id)
            if key == person_key(by):
                raise ConflictError(f"dispute {intent.dispute_id}: {intent.first_by} has asked; somebody else confirms")
            not_the_same_way(f"dispute {intent.dispute_id}", through, desk.through)
        act = AnswerAct(account=intent.account, dispute_id=intent.dispute_id, by=by)
        refuse_beside(this, act, AnswerKind.ACCEPT, standing.stage)
        word = {"decided_by": by, "decided_key": person_key(by), "decided_through": desk.through, "needs_second": two}
        confirmed = answers.set_state(this.db, intent, _S.INTENDED, **word)
        this.enqueue(Actor.ANSWER, confirmed.id)
        body = {
            "amount_minor": confirmed.amount_minor,
            "currency": confirmed.currency,
            "first_by": confirmed.first_by,
        }
        this.record(entry(confirmed, EntryKind.ANSWER_INTENDED, body, actor=by))
    return confirmed


def take_back(desk: Desk, dispute_id: str, answer_id: str, *, by: str) -> AnswerIntent:
    """Nobody means to accept any more. ConflictError where it is confirmed; NotFoundError as above."""
    desk.require(Power.CHECK)
    by = person(by)
    with step(desk) as this:
        intent = _asking(this.db, dispute_id, answer_id, lock=True)
        lapsed = answers.set_state(this.db, intent, _S.LAPSED, why=f"taken back by {by}")
        body = {"from": intent.state, "to": lapsed.state, "why": "taken back"}
        this.record(entry(lapsed, EntryKind.ANSWER_CHANGED, body, actor=by))
    return lapsed


def _asking(connection: Connection, dispute_id: str, answer_id: str, *, lock: bool = False) -> AnswerIntent:
    intent = answers.get(connection, answer_id, lock=lock)
    if intent.dispute_id != dispute_id:
        raise NotFoundError(f"dispute {dispute_id}: {answer_id} is none of its; it was asked of another dispute")
    return intent


def _wants_two(desk: Desk, dispute: Dispute) -> bool:
    return desk.policy_for(None).limits.wants_two(dispute.amount_minor, dispute.currency)


def _must_be_open(desk: Desk, account: Account, dispute_id: str) -> Standing:
    standing = fresh_standing(desk, account.name, dispute_id)
    stands = not_to_be_accepted(standing)
    if stands is not None:
        raise ForbiddenError(f"dispute {dispute_id}: {stands}")
    return standing


def _holds(this: Step, intent: AnswerIntent, dispute: Dispute, stage: Stage) -> bool:
    """Whether what was asked for still stands: the same sum and consequence, and not too long ago."""
    in_time = intent.confirm_by_at is not None and database.now(this.db) < intent.confirm_by_at
    asked, now = (intent.amount_minor, intent.currency), (dispute.amount_minor, dispute.currency)
    return in_time and asked == now and intent.stage is stage


def _asked(
    this: Step, account: Account, dispute: Dispute, by: str, stage: Stage, *, needs_second: bool
) -> AnswerIntent:
    now = database.now(this.db)
    return AnswerIntent(
        id=this.new_id(Kind.ANSWER),
        account=account.name,
        livemode=account.livemode,
        dispute_id=dispute.id,
        charge_id=dispute.charge_id,
        kind=AnswerKind.ACCEPT,
        stage=stage,
        state=_S.ASKED,
        draft_id=None,
        draft_version=None,
        fields=None,
        cleared=(),
        files={},
        digest=None,
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
        key=None,
        sends=0,
        why=None,
        decided_by=by,
        first_by=by,
        needs_second=needs_second,
        confirm_by_at=now + CONFIRM_WITHIN,
        intended_at=now,
        last_sent_at=None,
        ended_at=None,
    )


def _want_second(this: Step, intent: AnswerIntent) -> None:
    amount = Money(amount_minor=intent.amount_minor, currency=intent.currency)
    tell(
        this,
        Notice(
            kind=NoticeKind.SECOND_APPROVAL_WANTED,
            account=intent.account,
            subject=intent.dispute_id,
            headline=f"a second person is wanted: accepting a dispute over {amount}",
            body="One person means to accept it. It is large enough to need another's word as well:"
            f" billingbot disputes accept {intent.dispute_id} --confirm {intent.id}",
        ),
    )
