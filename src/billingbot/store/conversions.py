"""Conversions: trials that turned into a charge, as noticed. A conversion is never a request."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.store.schema import conversions


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """One trial-end charge. Amount in minor units."""

    id: str
    account: str
    livemode: bool
    customer_id: str
    subscription_id: str
    invoice_id: str
    charge_id: str
    amount_minor: int
    currency: str
    trial_start_at: datetime
    trial_end_at: datetime
    charged_at: datetime


def is_noticed(connection: Connection, account: str, invoice_id: str) -> bool:
    """Whether the conversion that this invoice made is stored already."""
    found = sa.exists().where(conversions.c.account == account, conversions.c.invoice_id == invoice_id)
    return bool(connection.execute(sa.select(found)).scalar_one())


def charge_of(connection: Connection, account: str, subscription_id: str) -> str | None:
    """The charge at the end of this subscription's trial, where one is noticed; the newest of several."""
    query = (
        sa.select(conversions.c.charge_id)
        .where(conversions.c.account == account, conversions.c.subscription_id == subscription_id)
        .order_by(conversions.c.charged_at.desc())
        .limit(1)
    )
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def notice(connection: Connection, conversion: Conversion) -> bool:
    """Stores it, once per charge. True where it is new."""
    row = {name: getattr(conversion, name) for name in Conversion.__slots__}
    written = connection.execute(insert(conversions).values(row).on_conflict_do_nothing().returning(conversions.c.id))
    return written.one_or_none() is not None
