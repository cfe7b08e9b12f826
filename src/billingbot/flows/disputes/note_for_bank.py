"""Note for a bank: a person says that an answer to a bank may quote a note, or may not any more."""

from billingbot.core.access.person import person
from billingbot.core.access.powers import Power
from billingbot.core.ledger import Draft, EntryKind
from billingbot.flows.desk import Desk, step
from billingbot.store import cases, notes
from billingbot.store.notes import Note


def mark_note(desk: Desk, note_id: str, *, by: str, for_bank: bool) -> Note:
    """Marks a note, or takes the mark away; drafts made from then on follow. NotFoundError where there is none."""
    desk.require(Power.DECIDE)
    with step(desk) as this:
        marked = notes.mark(this.db, note_id, for_bank=for_bank)
        case = cases.get(this.db, marked.case_id)
        body = {"note": marked.id, "for_bank": for_bank}
        this.record(
            Draft(kind=EntryKind.NOTE_MARKED, account=case.account, subject=case.id, actor=person(by), body=body)
        )
    return marked
