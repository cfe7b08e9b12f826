"""Refunds: intents, their keyed attempts, and the sums that limits look at."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.canonical import canonical_bytes
from billingbot.core.errors import ConflictError, NotFoundError
from billingbot.core.job import Actor, JobState
from billingbot.core.ledger import EntryKind
from billingbot.core.notice import NoticeKind
from billingbot.core.refund import (
    LIVE_STATES,
    Attempt,
    AttemptOutcome,
    Origin,
    RefundIntent,
    RefundState,
    become,
)
from billingbot.core.refund_terms import CancelWhen, RefundWith
from billingbot.store import database
from billingbot.store.schema import cases, jobs, ledger_entries, notices, refund_attempts, refunds

_NOW = sa.func.clock_timestamp()
_FIELDS = tuple(RefundIntent.__slots__)
_UNRESOLVED = (AttemptOutcome.OPEN, AttemptOutcome.UNKNOWN)
MAY_STILL_BE_SENT = (RefundState.INTENDED, RefundState.SUBMITTING, RefundState.UNKNOWN)
"""States from which a call may still go out, unless Stripe has told of the refund already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payee:
    """Who gets the money, as far as limits care: digests of card and mailbox, never the things themselves."""

    customer_id: str | None
    card_digest: str | None
    email_digest: str | None


def intend(connection: Connection, refund: RefundIntent, payee: Payee) -> None:
    """Writes the intent. ConflictError where a live refund of this charge exists already (a unique index)."""
    # Asked first: the index would make us wait for whoever is just ending that refund, and perhaps waits for our case.
    if live_of_charge(connection, refund.account, refund.charge_id) is not None:
        raise ConflictError(f"charge {refund.charge_id}: a refund of it is already under way or done")
    written = connection.execute(
        insert(refunds)
        .values(
            **{name: getattr(refund, name) for name in _FIELDS if name not in {"intended_at", "settled_at"}},
            customer_id=payee.customer_id,
            card_digest=payee.card_digest,
            email_digest=payee.email_digest,
            asked_at=sa.select(cases.c.opened_at).where(cases.c.id == refund.case_id).scalar_subquery(),
        )
        .on_conflict_do_nothing()
        .returning(refunds.c.id)
    )
    if written.one_or_none() is None:
        raise ConflictError(f"charge {refund.charge_id}: a refund of it is already under way or done")


def adopt_external(connection: Connection, refund: RefundIntent) -> bool:
    """Takes a refund made elsewhere into our books, once. True where it is new to us."""
    written = connection.execute(
        insert(refunds)
        .values(**{name: getattr(refund, name) for name in _FIELDS if name != "intended_at"})
        .on_conflict_do_nothing()
        .returning(refunds.c.id)
    )
    return written.one_or_none() is not None


def get(connection: Connection, refund_id: str) -> RefundIntent:
    """The refund. Raises NotFoundError."""
    return _found(connection.execute(_select().where(refunds.c.id == refund_id)).one_or_none(), refund_id)


def some(connection: Connection, refund_ids: Collection[str]) -> Mapping[str, RefundIntent]:
    """Those of these refunds that there are."""
    return {one.id: one for one in matching(connection, refunds.c.id.in_(refund_ids))} if refund_ids else {}


def lock(connection: Connection, refund_id: str) -> RefundIntent:
    """The refund, locked until the transaction ends. Raises NotFoundError."""
    row = connection.execute(_select().where(refunds.c.id == refund_id).with_for_update()).one_or_none()
    return _found(row, refund_id)


def find_by_stripe_id(connection: Connection, account: str, stripe_refund_id: str) -> RefundIntent | None:
    """The refund that Stripe knows by this id, ours or adopted."""
    row = connection.execute(
        _select().where(refunds.c.account == account, refunds.c.stripe_refund_id == stripe_refund_id)
    ).one_or_none()
    return _intent(row) if row else None


def exists(connection: Connection, account: str, refund_id: str, charge_id: str) -> bool:
    """Whether we have an intent of this id for this charge."""
    found = sa.exists().where(refunds.c.id == refund_id, refunds.c.account == account, refunds.c.charge_id == charge_id)
    return bool(connection.execute(sa.select(found)).scalar_one())


def of_case(connection: Connection, case_id: str) -> Sequence[RefundIntent]:
    """All refunds of a case, oldest first."""
    rows = connection.execute(_select().where(refunds.c.case_id == case_id).order_by(refunds.c.intended_at))
    return [_intent(row) for row in rows]


def matching(
    connection: Connection, *conditions: sa.ColumnElement[bool], limit: int | None = None
) -> list[RefundIntent]:
    """Refunds for which all conditions hold, in the order of their ids."""
    rows = connection.execute(_select().where(*conditions).order_by(refunds.c.id).limit(limit))
    return [_intent(row) for row in rows]


def set_state(connection: Connection, refund: RefundIntent, state: RefundState, **values: Any) -> RefundIntent:
    """Moves a locked refund through its table and sets `values`. ConflictError where it cannot."""
    settled = {"settled_at": _NOW} if state is RefundState.SUCCEEDED else {}
    row = connection.execute(
        refunds.update()
        .where(refunds.c.id == refund.id)
        .values(state=become(refund.state, state), **settled, **values)
        .returning(*_columns())
    ).one()
    return _intent(row)


def live_of_charge(connection: Connection, account: str, charge_id: str) -> RefundIntent | None:
    """Our refund of this charge that is under way or done, if there is one; never more than one (a unique index)."""
    row = connection.execute(
        _select().where(refunds.c.account == account, refunds.c.charge_id == charge_id)
        .where(refunds.c.origin != Origin.EXTERNAL, refunds.c.state.in_(LIVE_STATES))
    ).one_or_none()  # fmt: skip
    return _intent(row) if row else None


def awaited_by_note(connection: Connection, account: str, charge_id: str) -> RefundIntent | None:
    """The refund of this charge that a credit note of ours was asked to make and that Stripe has not told of.

    Among them those that were refused or withdrawn, since Stripe may roll a call forward long after; newest first.
    """
    row = connection.execute(
        _select().where(refunds.c.account == account, refunds.c.charge_id == charge_id)
        .where(refunds.c.refund_with == RefundWith.CREDIT_NOTE, refunds.c.stripe_refund_id.is_(None))
        .order_by(refunds.c.id.desc())
        .limit(1)
    ).one_or_none()  # fmt: skip
    return _intent(row) if row else None


def tie(connection: Connection, refund: RefundIntent, stripe_refund_id: str) -> None:
    """Notes which refund at Stripe this is, without a change of state."""
    connection.execute(refunds.update().where(refunds.c.id == refund.id).values(stripe_refund_id=stripe_refund_id))


def live_at_stripe(connection: Connection, *, older_than: timedelta, limit: int) -> Sequence[str]:
    """Refunds that Stripe has accepted and not settled, to be asked about again, oldest first.

    Among them those whose status Stripe has told and we did not recognise.
    """
    found = connection.execute(
        sa.select(refunds.c.id)
        .where(
            sa.or_(
                refunds.c.state.in_((RefundState.PENDING, RefundState.REQUIRES_ACTION)),
                sa.and_(refunds.c.state.in_(MAY_STILL_BE_SENT), refunds.c.stripe_refund_id.is_not(None)),
            )
        )
        .where(refunds.c.intended_at < _NOW - older_than)
        .order_by(refunds.c.intended_at)
        .limit(limit)
    )
    return found.scalars().all()


def pending_since(connection: Connection, *, older_than: timedelta, limit: int) -> Sequence[RefundIntent]:
    """Refunds that Stripe has kept pending for so long and that no notice tells of, whoever wanted them."""
    told = sa.exists().where(notices.c.subject == refunds.c.id, notices.c.kind == NoticeKind.REFUND_OVERDUE)
    rows = connection.execute(
        _select()
        .where(refunds.c.state.in_((RefundState.PENDING, RefundState.REQUIRES_ACTION)))
        .where(refunds.c.intended_at < _NOW - older_than, ~told)
        .order_by(refunds.c.intended_at)
        .limit(limit)
    )
    return [_intent(row) for row in rows]


def is_crossed(connection: Connection, refund_id: str) -> bool:
    """Whether the ledger says already that a dispute met this refund."""
    found = sa.exists().where(ledger_entries.c.subject == refund_id, ledger_entries.c.kind == EntryKind.REFUND_CROSSED)
    return bool(connection.execute(sa.select(found)).scalar_one())


def unresolved(connection: Connection, *, older_than: timedelta, limit: int) -> Sequence[str]:
    """Refunds on their way out with no job left to bring them there: the sweeper gives them a new one."""
    busy = sa.exists().where(
        jobs.c.subject == refunds.c.id, jobs.c.actor == Actor.SUBMIT, jobs.c.state == JobState.READY
    )
    found = connection.execute(
        sa.select(refunds.c.id)
        .where(refunds.c.state.in_(MAY_STILL_BE_SENT), refunds.c.stripe_refund_id.is_(None))
        .where(refunds.c.origin != Origin.EXTERNAL, refunds.c.intended_at < _NOW - older_than, ~busy)
        .order_by(refunds.c.intended_at)
        .limit(limit)
    )
    return found.scalars().all()


# ---------------------------------------------------------------- attempts


def start_attempt(
    connection: Connection, attempt_id: str, refund_id: str, number: int, key: str, params: dict[str, Any]
) -> Attempt:
    """Writes an attempt with its key and its frozen parameters. To be committed before the call (law 1).

    sqlalchemy.exc.IntegrityError where an earlier attempt may still pay: a unique index forbids it.
    """
    row = connection.execute(
        refund_attempts.insert()
        .values(
            id=attempt_id,
            refund_id=refund_id,
            number=number,
            key=key,
            params=canonical_bytes(params).decode(),
            outcome=AttemptOutcome.OPEN,
        )
        .returning(refund_attempts)
    ).one()
    return _attempt(row)


def unresolved_attempt(connection: Connection, refund_id: str) -> Attempt | None:
    """The attempt that may still pay, if there is one."""
    row = connection.execute(
        sa.select(refund_attempts).where(
            refund_attempts.c.refund_id == refund_id, refund_attempts.c.outcome.in_(_UNRESOLVED)
        )
    ).one_or_none()
    return _attempt(row) if row else None


def attempts_of(connection: Connection, refund_id: str) -> Sequence[Attempt]:
    """All attempts of a refund, in order."""
    rows = connection.execute(
        sa.select(refund_attempts).where(refund_attempts.c.refund_id == refund_id).order_by(refund_attempts.c.number)
    )
    return [_attempt(row) for row in rows]


def resend(connection: Connection, attempt: Attempt) -> Attempt:
    """Counts one more send of the same key and parameters, before it happens."""
    row = connection.execute(
        refund_attempts.update()
        .where(refund_attempts.c.id == attempt.id)
        .values(sends=refund_attempts.c.sends + 1, last_sent_at=_NOW)
        .returning(refund_attempts)
    ).one()
    return _attempt(row)


def resolve_attempts(connection: Connection, refund_id: str, outcome: AttemptOutcome, answer: str | None) -> None:
    """Records what became of the attempt that was still open or unknown, if there is one."""
    connection.execute(
        refund_attempts.update()
        .where(refund_attempts.c.refund_id == refund_id, refund_attempts.c.outcome.in_(_UNRESOLVED))
        .values(outcome=outcome, answer=answer, answered_at=_NOW)
    )


# ---------------------------------------------------------------- sums for the limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Automatic refunds of one account since midnight UTC: how many in all, and the minor units of one currency."""

    count: int
    amount_minor: int


def spent_today(connection: Connection, account: str, currency: str) -> Spent:
    """Counts today's automatic refunds under a lock that is held until the transaction ends.

    The lock makes the sum and the intent that follows it one step: racing workers cannot pass a limit together.
    """
    database.advisory_lock(connection, f"budget:{account}")
    # The clock after the lock, as a value: no index is entered by a clock that may move while it is read.
    midnight = database.now(connection).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    in_currency = sa.func.sum(refunds.c.amount_minor).filter(refunds.c.currency == currency)
    row = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(in_currency, 0))
        .where(refunds.c.account == account, refunds.c.origin == Origin.POLICY)
        .where(refunds.c.state.in_(LIVE_STATES), refunds.c.intended_at >= midnight)
    ).one()
    return Spent(count=row[0], amount_minor=int(row[1]))


def automatic_refunds(
    connection: Connection, account: str, payee: Payee, *, within: timedelta, other_than: str
) -> tuple[int, int, int]:
    """Automatic refunds within the window to this customer, this card and this mailbox.

    What people marked as no link counts all the same: a mark says who somebody is, and a limit says how often a machine
    pays one card or mailbox. A mark that is wrong must not let it pay twice; a person may still approve.

    `other_than` names a charge that does not count: the one being decided.
    """

    def count(column: sa.Column[Any], value: str | None) -> int:
        if value is None:
            return 0
        query = (
            sa.select(sa.func.count())
            .select_from(refunds)
            .where(refunds.c.account == account, refunds.c.origin == Origin.POLICY, column == value)
            .where(refunds.c.state.in_(LIVE_STATES), refunds.c.intended_at > _NOW - within)
            .where(refunds.c.charge_id != other_than)
        )
        return int(connection.execute(query).scalar_one())

    return (
        count(refunds.c.customer_id, payee.customer_id),
        count(refunds.c.card_digest, payee.card_digest),
        count(refunds.c.email_digest, payee.email_digest),
    )


def _select() -> sa.Select[Any]:
    return sa.select(*_columns())


def _columns() -> list[sa.Column[Any]]:
    return [refunds.c[name] for name in _FIELDS]


def _found(row: sa.Row[Any] | None, refund_id: str) -> RefundIntent:
    if row is None:
        raise NotFoundError(f"refund {refund_id}: there is none")
    return _intent(row)


def _intent(row: sa.Row[Any]) -> RefundIntent:
    fields = dict(row._mapping)
    fields["state"] = RefundState(fields["state"])
    fields["origin"] = Origin(fields["origin"])
    fields["refund_with"] = RefundWith(fields["refund_with"])
    fields["cancel_subscription"] = CancelWhen(fields["cancel_subscription"])
    return RefundIntent(**fields)


def _attempt(row: sa.Row[Any]) -> Attempt:
    return Attempt(
        id=row.id,
        refund_id=row.refund_id,
        number=row.number,
        key=row.key,
        params=json.loads(row.params),
        outcome=AttemptOutcome(row.outcome),
        sends=row.sends,
        first_sent_at=row.first_sent_at,
        last_sent_at=row.last_sent_at,
    )
