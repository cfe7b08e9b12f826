"""Agreement: what our books say of refunds and charges, read in bulk beside a page of Stripe's lists."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from billingbot.core.books.breaks import Mismatch, compare_refund, told_by
from billingbot.core.evidence import dossier
from billingbot.core.ledger import EntryKind
from billingbot.core.refund import AT_STRIPE, KEY_LIFE, Origin, RefundIntent, RefundState
from billingbot.store import refunds
from billingbot.store.schema import conversions, ledger_entries, refund_attempts, trials
from billingbot.store.schema import refunds as rows

_NOW = sa.func.clock_timestamp()
_TELLING = (EntryKind.REFUND_INTENDED, EntryKind.REFUND_ADOPTED, EntryKind.REFUND_CHANGED)
_NOT_FINAL = (RefundState.PENDING, RefundState.REQUIRES_ACTION)
_WITHOUT_ANSWER = (RefundState.SUBMITTING, RefundState.UNKNOWN)


def mismatches(
    connection: Connection, account: str, found: Iterable[dossier.Refund]
) -> Mapping[str, tuple[Mismatch, ...]]:
    """Where our books differ from these refunds of Stripe's, by Stripe's id; those that agree are not there."""
    listed = [one for one in found if one.charge_id]  # from a customer's balance: no charge was refunded
    tied = {row.stripe_refund_id: row for row in _by_stripe_id(connection, account, [one.id for one in listed])}
    named = {row.id: row for row in _named(connection, account, listed)}
    told = _told(connection, [row.id for row in (*tied.values(), *named.values())])
    wrong = {}
    for one in listed:
        intent = named.get(one.our_refund_id or "")
        if intent is not None and intent.charge_id != one.charge_id:
            intent = None  # somebody's copy of our metadata, on another charge
        untied = intent if intent is not None and intent.stripe_refund_id is None else None
        ours = tied.get(one.id) or untied
        differences = compare_refund(one, ours, told_by(told, ours.id if ours else ""), intent=intent)
        if differences:
            wrong[one.id] = differences
    return wrong


def seen_at_stripe(connection: Connection, account: str, stripe_refund_ids: Sequence[str]) -> None:
    """Notes that Stripe has shown these just now.

    Rows that somebody works on at the moment are left out: they are asked about one by one.
    """
    free = (
        sa.select(rows.c.id)
        .where(rows.c.account == account, rows.c.stripe_refund_id.in_(stripe_refund_ids))
        .order_by(rows.c.id)
        .with_for_update(skip_locked=True)
    )
    connection.execute(rows.update().where(rows.c.id.in_(free)).values(seen_at=_NOW))


def unseen(
    connection: Connection,
    account: str,
    *,
    since: datetime,
    intended: tuple[datetime, datetime],
    after: str | None,
    limit: int,
) -> Sequence[RefundIntent]:
    """Refunds of our books to ask Stripe about one by one, in the order of their ids.

    Those that Stripe should have and has not shown `since`: of this span of intent, and all that are not final. And
    those whose call has had no answer for longer than its key lives.
    """
    claimed = sa.or_(rows.c.stripe_refund_id.is_not(None), rows.c.state.in_(AT_STRIPE))
    not_shown = sa.or_(rows.c.seen_at.is_(None), rows.c.seen_at < since)
    in_span = sa.and_(rows.c.state.in_(AT_STRIPE), rows.c.intended_at >= intended[0], rows.c.intended_at < intended[1])
    not_final = rows.c.state.in_((*_NOT_FINAL, *_WITHOUT_ANSWER))
    late = sa.and_(
        rows.c.state.in_(_WITHOUT_ANSWER), rows.c.stripe_refund_id.is_(None), rows.c.origin != Origin.EXTERNAL,
        _first_sent() < _NOW - KEY_LIFE,
    )  # fmt: skip
    asked = [rows.c.account == account, sa.or_(sa.and_(claimed, not_shown, sa.or_(in_span, not_final)), late)]
    if after is not None:
        asked.append(rows.c.id > after)
    return refunds.matching(connection, *asked, limit=limit)


def is_past_key(connection: Connection, refund: RefundIntent) -> bool:
    """Whether the refund's call has had no answer for longer than its key lives."""
    late = sa.select(_first_sent() < _NOW - KEY_LIFE).select_from(rows).where(rows.c.id == refund.id)
    unanswered = refund.state in _WITHOUT_ANSWER and refund.stripe_refund_id is None
    return unanswered and bool(connection.execute(late).scalar_one())


def refunded_by_charge(connection: Connection, account: str, charge_ids: Sequence[str]) -> Mapping[str, int]:
    """What has left or is about to leave by our books, in minor units; a charge without any is not there."""
    found = connection.execute(
        sa.select(rows.c.charge_id, sa.func.sum(rows.c.amount_minor))
        .where(rows.c.account == account, rows.c.charge_id.in_(charge_ids), rows.c.state.in_(AT_STRIPE))
        .group_by(rows.c.charge_id)
    )
    return {charge_id: int(total) for charge_id, total in found}


def may_be_conversions(
    connection: Connection, account: str, charges: Sequence[dossier.Charge], *, within: timedelta
) -> Sequence[dossier.Charge]:
    """Those of the charges whose customer had a trial that ended not long before, and for which none is noticed.

    `within` is how long after a trial's end its charge may still succeed.
    """
    customers = {charge.customer_id for charge in charges if charge.customer_id}
    if not customers:
        return ()
    noticed = sa.exists().where(
        conversions.c.account == trials.c.account, conversions.c.subscription_id == trials.c.subscription_id
    )
    ends: dict[str, list[datetime]] = defaultdict(list)
    for customer, end in connection.execute(
        sa.select(trials.c.customer_id, trials.c.trial_end_at)
        .where(trials.c.account == account, trials.c.customer_id.in_(customers), ~noticed)
    ):  # fmt: skip
        ends[customer].append(end)
    return [
        charge
        for charge in charges
        if any(end <= charge.created_at <= end + within for end in ends[charge.customer_id or ""])
    ]


def _first_sent() -> sa.ScalarSelect[Any]:
    """When the oldest call that may still pay was first sent; where none is known, when the refund was intended."""
    sent = (
        sa.select(sa.func.min(refund_attempts.c.first_sent_at))
        .where(refund_attempts.c.refund_id == rows.c.id, refund_attempts.c.outcome.in_(("open", "unknown")))
        .correlate(rows)
        .scalar_subquery()
    )
    return sa.select(sa.func.coalesce(sent, rows.c.intended_at)).correlate(rows).scalar_subquery()


def _by_stripe_id(connection: Connection, account: str, ids: Sequence[str]) -> list[RefundIntent]:
    return refunds.matching(connection, rows.c.account == account, rows.c.stripe_refund_id.in_(ids))


def _named(connection: Connection, account: str, listed: Sequence[dossier.Refund]) -> list[RefundIntent]:
    ids = [one.our_refund_id for one in listed if one.our_refund_id]
    return refunds.matching(connection, rows.c.account == account, rows.c.id.in_(ids)) if ids else []


def _told(connection: Connection, subjects: Sequence[str]) -> dict[str, list[tuple[str, Mapping[str, object]]]]:
    """What the ledger says of these refunds: kind and body of each entry, by subject."""
    told: dict[str, list[tuple[str, Mapping[str, object]]]] = defaultdict(list)
    found = connection.execute(
        sa.select(ledger_entries.c.subject, ledger_entries.c.kind, ledger_entries.c.body)
        .where(ledger_entries.c.subject.in_(subjects), ledger_entries.c.kind.in_(_TELLING))
    )  # fmt: skip
    for subject, kind, body in found:
        told[subject].append((kind, json.loads(body)))
    return told
