"""What was said between a customer and us about a charge: requests, letters that arrived, notes meant for the bank."""

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.disputes.purchase import Said
from billingbot.core.letter import LetterState
from billingbot.core.request import Channel
from billingbot.store.schema import cases, letters, notes, requests

# Through these the bank asks: what it says stands in the dispute.
_BANK = (Channel.INQUIRY, Channel.FRAUD_WARNING, Channel.DISPUTE)


def of_charge(connection: Connection, account: str, charge_id: str) -> tuple[Said, ...]:
    """All of it, oldest first. A letter that may not have arrived is not among it."""
    mine = sa.and_(cases.c.account == account, cases.c.charge_id == charge_id)
    asked = connection.execute(
        sa.select(requests).join(cases, cases.c.id == requests.c.case_id).where(mine, requests.c.channel.not_in(_BANK))
    )
    sent = connection.execute(
        sa.select(letters).join(cases, cases.c.id == letters.c.case_id).where(mine, letters.c.state == LetterState.SENT)
    )
    said = [Said(at=row.asked_at, who="customer", what=_asked(row), text=row.text or "") for row in asked]
    said += [Said(at=row.sent_at, who="us", what=f"we wrote: {row.subject}", text=row.text) for row in sent]
    written = connection.execute(
        sa.select(notes).join(cases, cases.c.id == notes.c.case_id).where(mine, notes.c.for_bank)
    )
    said += [Said(at=row.written_at, who="note", what="our note", text=row.text) for row in written]
    return tuple(sorted(said, key=lambda one: (one.at, one.what)))


def _asked(row: sa.Row[tuple[object, ...]]) -> str:
    claims = [
        words
        for claimed, words in (
            (row.claims_unused, "that it was never used"),
            (row.claims_cancelled, "that it had been cancelled"),
        )
        if claimed
    ]
    return "the customer asked for a refund" + (f", and said {' and '.join(claims)}" if claims else "")
