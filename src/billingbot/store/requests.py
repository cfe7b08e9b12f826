"""Requests for money back, as they were asked, and the key that makes asking twice the same as asking once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.request import Channel, Claims, NamedBy
from billingbot.store.schema import requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as stored. `asked_by` is the API key, person or program at the door."""

    id: str
    case_id: str
    account: str
    channel: Channel
    named_by: NamedBy
    named: str
    claims: Claims
    external_ref: str | None
    asked_by: str
    idempotency_key: str | None
    input_digest: str
    asked_at: datetime


def write(connection: Connection, request: Request) -> None:
    """Stores the request; `asked_at` is ignored for Postgres' own time."""
    connection.execute(
        requests.insert().values(
            id=request.id,
            case_id=request.case_id,
            account=request.account,
            channel=request.channel,
            named_by=request.named_by,
            named=request.named,
            claims_unused=request.claims.unused,
            claims_cancelled=request.claims.cancelled,
            claims_cancelled_at=request.claims.cancelled_at,
            text=request.claims.text,
            external_ref=request.external_ref,
            asked_by=request.asked_by,
            idempotency_key=request.idempotency_key,
            input_digest=request.input_digest,
        )
    )


def by_idempotency_key(connection: Connection, asked_by: str, key: str) -> Request | None:
    """The request that this asker made under this key before, if any."""
    row = connection.execute(
        sa.select(requests).where(requests.c.asked_by == asked_by, requests.c.idempotency_key == key)
    ).one_or_none()
    return _request(row) if row else None


def of_case(connection: Connection, case_id: str) -> Sequence[Request]:
    """All requests of a case, oldest first."""
    rows = connection.execute(
        sa.select(requests).where(requests.c.case_id == case_id).order_by(requests.c.asked_at, requests.c.id)
    )
    return [_request(row) for row in rows]


def rehome(connection: Connection, *, from_case: str, to_case: str) -> None:
    """Moves all requests of one case to another: they turned out to ask for the same charge."""
    connection.execute(requests.update().where(requests.c.case_id == from_case).values(case_id=to_case))


def _request(row: sa.Row[tuple[object, ...]]) -> Request:
    return Request(
        id=row.id,
        case_id=row.case_id,
        account=row.account,
        channel=Channel(row.channel),
        named_by=NamedBy(row.named_by),
        named=row.named,
        claims=Claims(
            unused=row.claims_unused,
            cancelled=row.claims_cancelled,
            cancelled_at=row.claims_cancelled_at,
            text=row.text,
        ),
        external_ref=row.external_ref,
        asked_by=row.asked_by,
        idempotency_key=row.idempotency_key,
        input_digest=row.input_digest,
        asked_at=row.asked_at,
    )
