"""The inbox: verified events, each stored once together with its job, many requests in one commit."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.signals import Envelope
from billingbot.store.schema import inbox

# One statement for a whole batch: the rows that are new get a job each; known ones fall away. The job's run_at is
# this transaction's now(), so that the sweeper rings for it should the doorbell be lost.
_RECEIVE = sa.text("""
WITH incoming AS (
    SELECT * FROM unnest(
        CAST(:ids AS text[]), CAST(:job_ids AS text[]), CAST(:accounts AS text[]), CAST(:event_ids AS text[]),
        CAST(:types AS text[]), CAST(:thin AS boolean[]), CAST(:livemode AS boolean[]),
        CAST(:api_versions AS text[]), CAST(:created AS bigint[]), CAST(:object_ids AS text[]),
        CAST(:trial_ends AS bigint[]), CAST(:bodies AS bytea[])
    ) AS t (id, job_id, account, event_id, type, thin, livemode, api_version, created, object_id,
            trial_end_before, body)
), stored AS (
    INSERT INTO inbox (id, account, event_id, type, thin, livemode, api_version, created, object_id,
                       trial_end_before, body)
    SELECT id, account, event_id, type, thin, livemode, api_version, created, object_id, trial_end_before, body
    FROM incoming
    ON CONFLICT (account, event_id) DO NOTHING
    RETURNING id
)
INSERT INTO jobs (id, actor, subject, state)
SELECT job_id, 'interpret', incoming.id, 'ready' FROM incoming JOIN stored USING (id)
RETURNING id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A verified event on its way into the inbox, with the ids it and its job will have."""

    id: str
    job_id: str
    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What an event is about, without its body."""

    account: str
    type: str
    object_id: str
    trial_end_before: int | None


def some(connection: Connection, inbox_ids: Collection[str]) -> Mapping[str, Named]:
    """Those of these events that there are."""
    if not inbox_ids:
        return {}
    columns = [inbox.c[name] for name in Named.__slots__]
    rows = connection.execute(sa.select(inbox.c.id, *columns).where(inbox.c.id.in_(inbox_ids)))
    return {row.id: Named(**{name: row._mapping[name] for name in Named.__slots__}) for row in rows}


def receive(connection: Connection, deliveries: Sequence[Delivery]) -> Sequence[str]:
    """Stores the new ones with their jobs; returns the ids of those jobs, none for what was known already."""
    # One order for all batches: two that hold the same events, turned round, would wait for each other for ever.
    deliveries = sorted(deliveries, key=lambda one: (one.envelope.account, one.envelope.event_id))
    envelopes = [delivery.envelope for delivery in deliveries]
    written = connection.execute(
        _RECEIVE,
        {
            "ids": [delivery.id for delivery in deliveries],
            "job_ids": [delivery.job_id for delivery in deliveries],
            "accounts": [envelope.account for envelope in envelopes],
            "event_ids": [envelope.event_id for envelope in envelopes],
            "types": [envelope.type for envelope in envelopes],
            "thin": [envelope.thin for envelope in envelopes],
            "livemode": [envelope.livemode for envelope in envelopes],
            "api_versions": [envelope.api_version for envelope in envelopes],
            "created": [envelope.created for envelope in envelopes],
            "object_ids": [envelope.object_id for envelope in envelopes],
            "trial_ends": [envelope.trial_end_before for envelope in envelopes],
            "bodies": [envelope.body for envelope in envelopes],
        },
    )
    return written.scalars().all()


def get(connection: Connection, inbox_id: str) -> Envelope:
    """The stored event. sqlalchemy.exc.NoResultFound where there is none: a job without its row is a bug."""
    row = connection.execute(sa.select(inbox).where(inbox.c.id == inbox_id)).one()
    return Envelope(
        account=row.account,
        event_id=row.event_id,
        type=row.type,
        thin=row.thin,
        livemode=row.livemode,
        api_version=row.api_version,
        created=row.created,
        object_id=row.object_id,
        trial_end_before=row.trial_end_before,
        body=row.body,
    )


def thin_bodies(connection: Connection, account: str, object_ids: Sequence[str]) -> Sequence[bytes]:
    """The stored thin events about these objects: each may name the snapshot event that it is the twin of."""
    if not object_ids:
        return []
    found = connection.execute(
        sa.select(inbox.c.body).where(
            inbox.c.account == account, inbox.c.object_id.in_(sorted(set(object_ids))), inbox.c.thin
        )
    )
    return [bytes(body) for body in found.scalars()]


def last_received_at(connection: Connection, account: str) -> datetime | None:
    """When the newest event of this account was stored; ids sort by time."""
    found: datetime | None = connection.execute(
        sa.select(inbox.c.received_at).where(inbox.c.account == account).order_by(inbox.c.id.desc()).limit(1)
    ).scalar_one_or_none()
    return found
