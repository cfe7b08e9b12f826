"""Approvals by two people: who approved a large refund first, and who second; the database refuses one for both."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.store.schema import approvals

_NOW = sa.func.clock_timestamp()
_OPEN = (approvals.c.refund_id.is_(None), approvals.c.ended_at.is_(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstApproval:
    """A first approval that waits for the second. Amount in minor units."""

    id: str
    case_id: str
    amount_minor: int
    currency: str
    maker: str
    maker_key: str
    maker_through: str | None
    """The API key or session by which the maker came."""
    made_at: datetime


def waiting(connection: Connection, case_id: str) -> FirstApproval | None:
    """The first approval of this case that waits for a second one."""
    columns = [approvals.c[name] for name in FirstApproval.__slots__]
    row = connection.execute(sa.select(*columns).where(approvals.c.case_id == case_id, *_OPEN)).one_or_none()
    return FirstApproval(**row._mapping) if row else None


def make(
    connection: Connection,
    approval_id: str,
    case_id: str,
    *,
    amount_minor: int,
    currency: str,
    maker: str,
    key: str,
    through: str | None,
) -> None:
    """Stores a first approval; one per case waits at a time. Call it with the case locked."""
    connection.execute(
        approvals.insert().values(
            id=approval_id,
            case_id=case_id,
            amount_minor=amount_minor,
            currency=currency,
            maker=maker,
            maker_key=key,
            maker_through=through,
        )
    )


def check(
    connection: Connection, first: FirstApproval, *, checker: str, key: str, through: str | None, refund_id: str
) -> None:
    """Ties the second approval, and the refund that goes out by it, to the first."""
    connection.execute(
        approvals.update()
        .where(approvals.c.id == first.id)
        .values(checker=checker, checker_key=key, checker_through=through, checked_at=_NOW, refund_id=refund_id)
    )


def end(connection: Connection, case_id: str, *, by: str) -> None:
    """A first approval of this case that still waits counts no longer; `by` says what ended it."""
    connection.execute(
        approvals.update().where(approvals.c.case_id == case_id, *_OPEN).values(ended_at=_NOW, ended_by=by)
    )
