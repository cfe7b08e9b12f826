"""Disputes as we last looked at them: an open one that we do not know, or know otherwise, is news that we missed."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.dossier import INQUIRY_CLOSED, MONEY_RETURNED, WON, Dispute
from billingbot.store.schema import disputes

_NOW = sa.func.clock_timestamp()
# What has ended moves no more, but for late wins, which Stripe tells by event alone.
_ENDED = sorted(INQUIRY_CLOSED | MONEY_RETURNED | WON)


def looked_at(connection: Connection, account: str, dispute: Dispute) -> None:
    """Writes down that the dispute was acted on in this status."""
    values = {"charge_id": dispute.charge_id, "status": dispute.status, "looked_at": _NOW}
    connection.execute(
        insert(disputes)
        .values(account=account, dispute_id=dispute.id, **values)
        .on_conflict_do_update(index_elements=["account", "dispute_id"], set_=values)
    )


def statuses(connection: Connection, account: str, dispute_ids: Sequence[str]) -> Mapping[str, str]:
    """The status in which each of these was last looked at; those that we do not know are not there."""
    rows = connection.execute(
        sa.select(disputes.c.dispute_id, disputes.c.status).where(
            disputes.c.account == account, disputes.c.dispute_id.in_(dispute_ids)
        )
    )
    return {row.dispute_id: row.status for row in rows}


def seen(connection: Connection, account: str, dispute_ids: Sequence[str]) -> None:
    """Notes that Stripe has listed these just now."""
    connection.execute(
        disputes.update()
        .where(disputes.c.account == account, disputes.c.dispute_id.in_(dispute_ids))
        .values(seen_at=_NOW)
    )


def open_and_unseen(
    connection: Connection, account: str, *, since: datetime, after: str | None, limit: int
) -> Sequence[str]:
    """Disputes that had not ended when we last looked, and that no list has shown since, in the order of their ids."""
    query = (
        sa.select(disputes.c.dispute_id)
        .where(disputes.c.account == account, disputes.c.status.not_in(_ENDED))
        .where(sa.or_(disputes.c.seen_at.is_(None), disputes.c.seen_at < since))
    )
    if after is not None:
        query = query.where(disputes.c.dispute_id > after)
    return connection.execute(query.order_by(disputes.c.dispute_id).limit(limit)).scalars().all()
