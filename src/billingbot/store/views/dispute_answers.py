"""Reading answers to banks: the draft as it stands, its versions, what was done at Stripe, what was uploaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.disputes.answer_draft import DraftChange
from billingbot.core.disputes.answering import AnswerIntent
from billingbot.core.disputes.contest_value import WinRate
from billingbot.core.disputes.evidence_fields import Field
from billingbot.core.errors import InputError, NotFoundError
from billingbot.store import answer_drafts, answers, database
from billingbot.store.answer_drafts import Draft, DraftVersion
from billingbot.store.answers import Uploaded
from billingbot.store.disputes import KnownDispute, find
from billingbot.store.schema import dispute_drafts
from billingbot.store.views.win_rates import win_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLine:
    """One version of a draft, without its texts."""

    version: int
    change: DraftChange
    field: Field | None
    made_by: str
    made_at: datetime
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRecord:
    """All that our books hold about the answer to one dispute, as of `at`."""

    at: datetime
    draft: Draft
    version: DraftVersion | None
    """None where it is wanted, and not drafted yet."""
    changes: tuple[ChangeLine, ...]
    intents: tuple[AnswerIntent, ...]
    uploaded: Mapping[str, Uploaded]
    """By the digest of the paper."""
    dispute: KnownDispute | None
    """As it was last read."""
    rate: WinRate
    at_inquiry: int
    """How many answers went out while it was an inquiry."""


def answer_record(connection: Connection, dispute_id: str, *, account: str | None = None) -> AnswerRecord:
    """The answer to a dispute. NotFoundError where none is drafted or wanted; InputError where two accounts have it."""
    query = sa.select(dispute_drafts.c.id).where(dispute_drafts.c.dispute_id == dispute_id)
    if account is not None:
        query = query.where(dispute_drafts.c.account == account)
    ids = connection.execute(query).scalars().all()
    if not ids:
        raise NotFoundError(f"dispute {dispute_id}: no answer is drafted; `billingbot disputes draft` makes one")
    if len(ids) > 1:
        raise InputError("account", "expected one: two accounts know this dispute")
    draft = answer_drafts.get(connection, ids[0])
    dispute = find(connection, draft.account, dispute_id)
    version = answer_drafts.current(connection, draft) if draft.version else None
    reason = version.content.reason if version and version.content else dispute.dispute.reason if dispute else ""
    return AnswerRecord(
        at=database.now(connection),
        draft=draft,
        version=version,
        changes=tuple(
            ChangeLine(**{name: getattr(one, name) for name in ChangeLine.__slots__})
            for one in answer_drafts.history(connection, draft.id)
        ),
        intents=tuple(answers.of_dispute(connection, draft.account, dispute_id)),
        uploaded=answers.uploaded(connection, draft.account, dispute_id),
        dispute=dispute,
        rate=win_rate(connection, draft.account, reason),
        at_inquiry=answers.at_inquiry(connection, draft.account, dispute_id),
    )
