"""Answers to banks: each act at Stripe with its life, and the papers that were uploaded for it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.disputes.answering import BINDING, FINAL_KINDS, LIVE, AnswerIntent, AnswerKind, AnswerState, become
from billingbot.core.disputes.life import Stage
from billingbot.core.errors import NotFoundError
from billingbot.core.job import Actor, JobState
from billingbot.store.schema import dispute_answers as answers
from billingbot.store.schema import dispute_draft_versions, dispute_drafts, disputes, jobs
from billingbot.store.schema import dispute_papers as papers

_NOW: Final = sa.func.clock_timestamp()
_FIELDS: Final = tuple(AnswerIntent.__slots__)
_AS_JSON: Final = ("fields", "cleared", "files")
_FROM_DATABASE: Final = frozenset({"intended_at", "last_sent_at", "ended_at"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """A paper at Stripe."""

    digest: str
    field: str
    file_id: str
    size_bytes: int
    pages: int


def intend(connection: Connection, intent: AnswerIntent, **keys: str | None) -> bool:
    """Writes the intent. False where the dispute has one already that forbids it; `keys` are of the people."""
    values = {name: getattr(intent, name) for name in _FIELDS if name not in _FROM_DATABASE}
    for name in _AS_JSON:
        values[name] = json.dumps(values[name]) if values[name] is not None else None
    written = connection.execute(
        insert(answers).values(**values, **keys).on_conflict_do_nothing().returning(answers.c.id)
    )
    return written.one_or_none() is not None


def get(connection: Connection, answer_id: str, *, lock: bool = False) -> AnswerIntent:
    """The intent, locked until the transaction ends where asked. NotFoundError."""
    query = _select().where(answers.c.id == answer_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFoundError(f"answer {answer_id}: there is none")
    return _intent(row)


def first_word(connection: Connection, answer_id: str) -> tuple[str | None, str | None]:
    """Who asked for an acceptance, in the spelling that tells people apart, and through which key or session."""
    query = sa.select(answers.c.first_key, answers.c.first_through).where(answers.c.id == answer_id)
    row = connection.execute(query).one()
    return row.first_key, row.first_through


def of_dispute(connection: Connection, account: str, dispute_id: str) -> Sequence[AnswerIntent]:
    """All of a dispute, oldest first."""
    query = _select().where(answers.c.account == account, answers.c.dispute_id == dispute_id)
    return [_intent(row) for row in connection.execute(query.order_by(answers.c.intended_at, answers.c.id))]


def at_inquiry(connection: Connection, account: str, dispute_id: str) -> int:
    """How many answers went out while the dispute was an inquiry: as we read it then, and ours at least."""
    mine = (answers.c.account == account, answers.c.dispute_id == dispute_id)
    ours = sa.exists().where(
        *mine,
        answers.c.stage == Stage.INQUIRY,
        answers.c.kind == AnswerKind.SEND,
        answers.c.state == AnswerState.DONE,
    )
    seen = sa.select(disputes.c.inquiry_submissions).where(
        disputes.c.account == account, disputes.c.dispute_id == dispute_id
    )
    found: int = connection.execute(
        sa.select(sa.func.greatest(seen.scalar_subquery(), sa.cast(ours, sa.Integer)))
    ).scalar_one()
    return found


def binding(connection: Connection, account: str, dispute_id: str, stage: Stage) -> AnswerIntent | None:
    """The one answer or acceptance in this stage that is under way or done, if there is one."""
    row = connection.execute(
        _select().where(
            answers.c.account == account,
            answers.c.dispute_id == dispute_id,
            answers.c.stage == stage,
            answers.c.kind.in_(FINAL_KINDS),
            answers.c.state.in_(BINDING),
        )
    ).one_or_none()
    return _intent(row) if row else None


def done_since(
    connection: Connection, account: str, dispute_ids: Sequence[str], since: datetime
) -> AnswerIntent | None:
    """The newest answer or acceptance of these disputes that was done since then, if there is one."""
    row = connection.execute(
        _select()
        .where(answers.c.account == account, answers.c.dispute_id.in_(dispute_ids))
        .where(answers.c.kind.in_(FINAL_KINDS), answers.c.state == AnswerState.DONE, answers.c.ended_at >= since)
        .order_by(answers.c.ended_at.desc())
        .limit(1)
    ).one_or_none()
    return _intent(row) if row else None


def asked(connection: Connection, account: str, dispute_id: str) -> AnswerIntent | None:
    """The acceptance that waits for its confirmation, if there is one; locked."""
    row = connection.execute(
        _select()
        .where(answers.c.account == account, answers.c.dispute_id == dispute_id)
        .where(answers.c.state == AnswerState.ASKED)
        .with_for_update()
    ).one_or_none()
    return _intent(row) if row else None


def put_fields(connection: Connection, account: str, dispute_id: str) -> frozenset[str]:
    """Fields that an answer of ours put, or may have put, on the dispute: staged, or sent while it was an inquiry."""
    rows = connection.execute(
        sa.select(answers.c.fields).where(
            answers.c.account == account,
            answers.c.dispute_id == dispute_id,
            answers.c.sends > 0,
            answers.c.fields.is_not(None),
        )
    )
    return frozenset(name for row in rows for name in json.loads(row.fields))


def set_state(connection: Connection, intent: AnswerIntent, state: AnswerState, **values: Any) -> AnswerIntent:
    """Moves a locked intent through its table and sets `values`. ConflictError where it cannot."""
    over = state not in LIVE and state is not AnswerState.ASKED
    return _change(connection, intent, state=become(intent.state, state), ended_at=_NOW if over else None, **values)


def send(connection: Connection, intent: AnswerIntent, key: str, files: Mapping[str, str]) -> AnswerIntent:
    """Counts one more call, notes its key and the files that it names, before it happens (law 1)."""
    return _change(
        connection,
        intent,
        state=become(intent.state, AnswerState.SUBMITTING),
        key=key,
        files=json.dumps(dict(files)),
        sends=answers.c.sends + 1,
        last_sent_at=_NOW,
    )


def unresolved(connection: Connection, *, older_than: timedelta, limit: int) -> Sequence[str]:
    """Live intents with no job left to bring them on: the sweeper gives them a new one."""
    busy = sa.exists().where(
        jobs.c.subject == answers.c.id, jobs.c.actor == Actor.ANSWER, jobs.c.state == JobState.READY
    )
    query = sa.select(answers.c.id).where(answers.c.state.in_(LIVE), answers.c.intended_at < _NOW - older_than, ~busy)
    return connection.execute(query.order_by(answers.c.intended_at).limit(limit)).scalars().all()


def uploaded(connection: Connection, account: str, dispute_id: str) -> Mapping[str, Uploaded]:
    """Papers of the dispute at Stripe, by the digest of their bytes."""
    query = sa.select(*(papers.c[name] for name in Uploaded.__slots__)).where(
        papers.c.account == account, papers.c.dispute_id == dispute_id
    )
    return {row.digest: Uploaded(**row._mapping) for row in connection.execute(query)}


def keep_paper(connection: Connection, account: str, dispute_id: str, paper: Uploaded) -> None:
    """Notes that a paper is at Stripe; whoever comes second changes nothing."""
    values = {name: getattr(paper, name) for name in Uploaded.__slots__}
    connection.execute(insert(papers).values(account=account, dispute_id=dispute_id, **values).on_conflict_do_nothing())


def erase(connection: Connection, account: str, dispute_id: str) -> None:
    """Takes the texts of a dispute's drafts and answers away; digests stay, and what was done to whom stays."""
    mine = sa.select(dispute_drafts.c.id).where(
        dispute_drafts.c.account == account, dispute_drafts.c.dispute_id == dispute_id
    )
    connection.execute(
        dispute_draft_versions.update().where(dispute_draft_versions.c.draft_id.in_(mine)).values(content=None)
    )
    connection.execute(
        answers.update()
        .where(answers.c.account == account, answers.c.dispute_id == dispute_id, answers.c.state.not_in(LIVE))
        .values(fields=None)
    )


def _change(connection: Connection, intent: AnswerIntent, **values: Any) -> AnswerIntent:
    row = connection.execute(
        answers.update()
        .where(answers.c.id == intent.id)
        .values(**values)
        .returning(*(answers.c[name] for name in _FIELDS))
    ).one()
    return _intent(row)


def _select() -> sa.Select[Any]:
    return sa.select(*(answers.c[name] for name in _FIELDS))


def _intent(row: sa.Row[Any]) -> AnswerIntent:
    values = dict(row._mapping)
    values["kind"], values["state"] = AnswerKind(values["kind"]), AnswerState(values["state"])
    values["stage"] = Stage(values["stage"])
    values["fields"] = json.loads(values["fields"]) if values["fields"] is not None else None
    values["cleared"], values["files"] = tuple(json.loads(values["cleared"])), json.loads(values["files"])
    return AnswerIntent(**values)
