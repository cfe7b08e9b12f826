"""Draft answers: one for a dispute, each change of it a version that stays."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.disputes.answer_draft import DraftChange, DraftContent, restore_content, stored
from billingbot.core.disputes.evidence_fields import Field
from billingbot.core.disputes.packet import ANSWERABLE
from billingbot.core.errors import ConflictError, NotFoundError
from billingbot.core.job import Actor, JobState
from billingbot.store import disputes as disputes_store
from billingbot.store.disputes import KnownDispute
from billingbot.store.schema import dispute_draft_versions as versions
from billingbot.store.schema import dispute_drafts as drafts
from billingbot.store.schema import disputes, jobs

_NOW: Final = sa.func.clock_timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A draft without its texts. `version` 0 is one that is wanted and not drafted yet."""

    id: str
    account: str
    livemode: bool
    dispute_id: str
    charge_id: str
    version: int
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftVersion:
    """One version of a draft. `content` is None once its texts were erased."""

    version: int
    change: DraftChange
    field: Field | None
    made_by: str
    made_at: datetime
    digest: str
    content: DraftContent | None


def want(connection: Connection, draft: Draft) -> tuple[Draft, bool]:
    """The dispute's draft, made where there was none; True where it was made now."""
    values = {name: getattr(draft, name) for name in Draft.__slots__ if name != "opened_at"}
    made = connection.execute(insert(drafts).values(values).on_conflict_do_nothing().returning(drafts.c.id))
    is_new = made.one_or_none() is not None
    return find(connection, draft.account, draft.dispute_id) or draft, is_new


def find(connection: Connection, account: str, dispute_id: str) -> Draft | None:
    """The dispute's draft, if one is wanted or there."""
    query = sa.select(drafts).where(drafts.c.account == account, drafts.c.dispute_id == dispute_id)
    row = connection.execute(query).one_or_none()
    return Draft(**row._mapping) if row else None


def get(connection: Connection, draft_id: str, *, lock: bool = False) -> Draft:
    """The draft, locked until the transaction ends where asked. NotFoundError."""
    query = sa.select(drafts).where(drafts.c.id == draft_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFoundError(f"draft {draft_id}: there is none")
    return Draft(**row._mapping)


def current(connection: Connection, draft: Draft) -> DraftVersion:
    """The draft's newest version. NotFoundError where it was not drafted yet."""
    row = connection.execute(_versions(draft.id).where(versions.c.version == draft.version)).one_or_none()
    if row is None:
        raise NotFoundError(f"dispute {draft.dispute_id}: its answer is not drafted yet")
    return _version(row)


def history(connection: Connection, draft_id: str) -> Sequence[DraftVersion]:
    """All versions, oldest first."""
    return [_version(row) for row in connection.execute(_versions(draft_id).order_by(versions.c.version))]


def add(
    connection: Connection,
    draft: Draft,
    content: DraftContent,
    *,
    change: DraftChange,
    by: str,
    field: Field | None = None,
) -> Draft:
    """Writes the next version of a locked draft. ConflictError where another was faster."""
    made = connection.execute(
        insert(versions)
        .values(
            draft_id=draft.id,
            version=draft.version + 1,
            change=change,
            field=field,
            made_by=by,
            digest=content.digest,
            content=stored(content),
        )
        .on_conflict_do_nothing()
        .returning(versions.c.version)
    )
    if made.one_or_none() is None:
        raise ConflictError(f"dispute {draft.dispute_id}: its draft has changed meanwhile; look again")
    row = connection.execute(
        drafts.update().where(drafts.c.id == draft.id).values(version=draft.version + 1).returning(*drafts.c)
    ).one()
    return Draft(**row._mapping)


def undrafted(connection: Connection, *, older_than: timedelta, limit: int) -> Sequence[str]:
    """Drafts that are wanted and that no job carries any more."""
    busy = sa.exists().where(
        jobs.c.subject == drafts.c.id,
        jobs.c.actor == Actor.DRAFT_ANSWER,
        jobs.c.state.in_((JobState.READY, JobState.FAILED, JobState.DISMISSED)),
    )
    query = sa.select(drafts.c.id).where(drafts.c.version == 0, drafts.c.opened_at < _NOW - older_than, ~busy)
    return connection.execute(query.order_by(drafts.c.opened_at).limit(limit)).scalars().all()


def missing(connection: Connection, *, limit: int) -> Sequence[KnownDispute]:
    """Disputes that await an answer and have no draft: opened before drafts were, or missed."""
    query = (
        disputes_store.select()
        .where(disputes.c.outcome.is_(None), disputes.c.status.in_(sorted(ANSWERABLE)), disputes.c.due_by > _NOW)
        .where(sa.or_(disputes.c.submission_count == 0, disputes.c.status == "needs_response"))
        .where(~sa.exists().where(drafts.c.account == disputes.c.account, drafts.c.dispute_id == disputes.c.dispute_id))
    )
    rows = connection.execute(query.order_by(disputes.c.due_by).limit(limit))
    return [disputes_store.known(row) for row in rows]


def _versions(draft_id: str) -> sa.Select[Any]:
    return sa.select(versions).where(versions.c.draft_id == draft_id)


def _version(row: sa.Row[Any]) -> DraftVersion:
    return DraftVersion(
        version=row.version,
        change=DraftChange(row.change),
        field=Field(row.field) if row.field else None,
        made_by=row.made_by,
        made_at=row.made_at,
        digest=row.digest,
        content=restore_content(json.loads(row.content)) if row.content is not None else None,
    )
