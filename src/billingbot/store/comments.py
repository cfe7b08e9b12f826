"""Comments of customers who cancelled and asked for money back: each once, with the case that a person reads it on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.store import database
from billingbot.store.schema import cancellation_comments


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """What a customer wrote. `comment` is personal text, and goes to people alone; `case_id` is None where there was
    nothing to decide.
    """

    account: str
    subscription_id: str
    digest: str
    feedback: str | None
    """One of Stripe's words: `too_expensive`, `unused`, ..."""
    comment: str
    matched: tuple[str, ...]
    """The words of the lists that stand in it, each with its language."""
    case_id: str | None
    noticed_at: datetime


def is_known(connection: Connection, account: str, subscription_id: str, digest: str) -> bool:
    """Whether this comment on this subscription was read before."""
    c = cancellation_comments.c
    found = sa.exists().where(c.account == account, c.subscription_id == subscription_id, c.digest == digest)
    return bool(connection.execute(sa.select(found)).scalar_one())


def notice(
    connection: Connection,
    account: str,
    subscription_id: str,
    digest: str,
    *,
    feedback: str | None,
    comment: str,
    matched: Sequence[str],
) -> bool:
    """Keeps a comment. False where it was kept already, by whichever event came first."""
    row = {
        "account": account,
        "subscription_id": subscription_id,
        "digest": digest,
        "feedback": feedback,
        "comment": comment,
        "matched": list(matched),
    }
    written = connection.execute(
        insert(cancellation_comments)
        .values(row)
        .on_conflict_do_nothing()
        .returning(cancellation_comments.c.subscription_id)
    )
    return written.one_or_none() is not None


def lock(connection: Connection, account: str, subscription_id: str) -> None:
    """Holds what is said about a subscription until the transaction ends: a comment and the charge it was made before
    find each other, whichever is noticed first. To be taken before the charge's own lock.
    """
    database.advisory_lock(connection, f"comment:{account}:{subscription_id}")


def kept(connection: Connection, account: str, subscription_id: str) -> tuple[Comment, ...]:
    """Those on a subscription that nobody has read yet, since there was nothing to decide; oldest first."""
    c = cancellation_comments.c
    rows = connection.execute(
        _select()
        .where(c.account == account, c.subscription_id == subscription_id, c.case_id.is_(None))
        .order_by(c.noticed_at)
    )
    return tuple(map(_comment, rows))


def belongs(connection: Connection, account: str, subscription_id: str, digest: str, *, case_id: str) -> None:
    """Says on which case the comment is read."""
    c = cancellation_comments.c
    connection.execute(
        cancellation_comments.update()
        .where(c.account == account, c.subscription_id == subscription_id, c.digest == digest)
        .values(case_id=case_id)
    )


def of_case(connection: Connection, case_id: str) -> tuple[Comment, ...]:
    """The comments that are read on this case, oldest first."""
    c = cancellation_comments.c
    rows = connection.execute(_select().where(c.case_id == case_id).order_by(c.noticed_at, c.subscription_id))
    return tuple(map(_comment, rows))


def _select() -> sa.Select[Any]:
    return sa.select(*(cancellation_comments.c[name] for name in Comment.__slots__))


def _comment(row: sa.Row[Any]) -> Comment:
    return Comment(**{**row._mapping, "matched": tuple(row.matched)})
