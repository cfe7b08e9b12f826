"""Editing: what people do with a draft answer before it goes out; every change is a version, and ledgered by digest."""

from collections.abc import Callable

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.disputes.answer_draft import DraftChange, DraftContent, dropped, edited, restored
from billingbot.core.disputes.evidence_fields import Field
from billingbot.core.disputes.life import Stage, stage_of
from billingbot.core.errors import ConflictError
from billingbot.flows.desk import Desk, step
from billingbot.flows.disputes.drafting import AnswerAct, check_version, find_draft, write
from billingbot.store import answer_drafts, answers, database, disputes
from billingbot.store.answer_drafts import DraftVersion


def edit(desk: Desk, act: AnswerAct, field: Field, text: str) -> DraftVersion:
    """Puts a person's own words into a field. InputError where they are too long, or none."""
    desk.require(Power.DECIDE)
    with step(desk) as this:
        now = database.now(this.db)
    return _change(desk, act, field, DraftChange.EDITED, lambda held: edited(held, field, text, by=act.by, at=now))


def drop(desk: Desk, act: AnswerAct, field: Field) -> DraftVersion:
    """Leaves a field out. ConflictError where the draft says nothing there."""
    desk.require(Power.DECIDE)
    return _change(desk, act, field, DraftChange.DROPPED, lambda held: dropped(held, field, by=act.by))


def restore(desk: Desk, act: AnswerAct, field: Field) -> DraftVersion:
    """Lets a field say again what the facts say. ConflictError where nobody changed it."""
    desk.require(Power.DECIDE)
    return _change(desk, act, field, DraftChange.RESTORED, lambda held: restored(held, field))


def _change(
    desk: Desk, act: AnswerAct, field: Field, change: DraftChange, how: Callable[[DraftContent], DraftContent]
) -> DraftVersion:
    by = person(act.by)
    with step(desk) as this:
        draft = find_draft(this, act)
        check_version(draft, act)
        known = disputes.find(this.db, act.account, act.dispute_id)
        stage = stage_of(known.dispute) if known else Stage.CHARGEBACK
        if answers.binding(this.db, act.account, act.dispute_id, stage) is not None:
            raise ConflictError(f"dispute {act.dispute_id}: is answered, or about to be")
        held = answer_drafts.current(this.db, draft).content
        if held is None:
            raise ConflictError(f"dispute {act.dispute_id}: the texts of its draft were erased; draft it again")
        after = write(this, draft, how(held), change=change, by=by, field=field)
        return answer_drafts.current(this.db, after)
