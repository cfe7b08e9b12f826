"""Links between customers: reading the graph around one, bounded however many share a card; and what people marked."""

import hashlib
import hmac
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.evidence.history import LinkKind
from billingbot.core.evidence.links import (
    STRONG_KINDS,
    Neighbourhood,
    Pair,
    Past,
    Sighting,
    linked,
    neighbourhood,
    pair,
)
from billingbot.core.refund import LIVE_STATES
from billingbot.store import history
from billingbot.store.schema import customer_identities, digest_keys, link_marks, refunds, trials

_NOW = sa.func.clock_timestamp()

# One look reads at most this, by index alone, however many trials a card has had.
MOST_PEOPLE: Final = 200
MOST_HOLDERS: Final = 50
"""Of one card (mailbox, device, ...), the first who had it."""
MOST_IDENTITIES: Final = 20
"""Of one customer: nobody honest has more cards and mailboxes."""
MOST_STEPS: Final = 4
# Beyond this many the exact number says nothing more.
MOST_COUNTED: Final = 1_000

_Identity = tuple[LinkKind, str]
_known = customer_identities.c


def around(
    connection: Connection,
    account: str,
    customer_id: str,
    *,
    also: Iterable[_Identity] = (),
    at: datetime | None = None,
) -> Neighbourhood:
    """The neighbourhood of one customer, as far as the bounds above reach.

    `also` is what the customer is known to have from elsewhere (a fresh read of the charge), since `at`.
    """
    now = at or connection.execute(sa.select(_NOW)).scalar_one()
    sightings = {Sighting(customer_id=customer_id, kind=kind, digest=digest, since=now) for kind, digest in also}
    people, frontier, allowed = {customer_id}, [customer_id], set[_Identity]()
    unseen = weakly_unseen = 0
    for step in range(MOST_STEPS):
        sightings |= _seen_with(connection, account, frontier, weak_too=step == 0)
        new = _unshared(connection, account, {_identity(one) for one in sightings} - allowed)
        allowed |= new
        found, more = _holders(connection, account, new, root=customer_id)
        sightings |= found
        unseen += sum(count for (kind, _), count in more.items() if kind in STRONG_KINDS)
        weakly_unseen += sum(count for (kind, _), count in more.items() if kind not in STRONG_KINDS)
        fresh = sorted({one.customer_id for one in found if one.kind in STRONG_KINDS} - people)
        frontier = fresh[: MOST_PEOPLE - len(people)]
        unseen += len(fresh) - len(frontier)
        people |= set(frontier)
        if not frontier:
            break
    # Who was not even looked at is counted as left out, and in no picture; weak signs need no look.
    kept = [
        one
        for one in sightings
        if _identity(one) in allowed and (one.customer_id in people or one.kind not in STRONG_KINDS)
    ]
    wrong = wrong_pairs(connection, account, {one.customer_id for one in kept})
    graph = linked(customer_id, kept, wrong)
    past = _past(connection, account, {*graph.distance, *graph.weakly})
    return neighbourhood(graph, past, unseen=unseen, weakly_unseen=weakly_unseen)


def _identity(one: Sighting) -> _Identity:
    return one.kind, one.digest


def _seen_with(connection: Connection, account: str, customers: Sequence[str], *, weak_too: bool) -> set[Sighting]:
    wanted = sa.select(sa.func.unnest(sa.literal(list(customers), sa.ARRAY(sa.Text))).label("customer_id")).subquery()
    kinds = list(LinkKind) if weak_too else list(STRONG_KINDS)
    theirs = (
        sa.select(_known.customer_id, _known.kind, _known.digest, _known.since)
        .where(_known.account == account, _known.customer_id == wanted.c.customer_id)
        .where(_known.kind.in_([kind.value for kind in kinds]))
        .order_by(_known.kind, _known.digest)
        .limit(MOST_IDENTITIES)
        .lateral()
    )
    return {_sighting(row) for row in connection.execute(sa.select(theirs).select_from(wanted).join(theirs, sa.true()))}


def _sighting(row: sa.Row[Any]) -> Sighting:
    return Sighting(customer_id=row.customer_id, kind=LinkKind(row.kind), digest=row.digest, since=row.since)


def _unshared(connection: Connection, account: str, identities: Collection[_Identity]) -> set[_Identity]:
    """Those that nobody marked as had by many."""
    if not identities:
        return set()
    rows = connection.execute(
        sa.select(link_marks.c.kind, link_marks.c.digest).where(
            link_marks.c.account == account,
            link_marks.c.digest.in_([digest for _, digest in identities]),
            link_marks.c.taken_back_at.is_(None),
        )
    )
    return set(identities) - {(LinkKind(row.kind), row.digest) for row in rows}


def _holders(
    connection: Connection, account: str, identities: Collection[_Identity], *, root: str
) -> tuple[set[Sighting], dict[_Identity, int]]:
    """Who else has these, the first MOST_HOLDERS of each; and of how many more each has."""
    if not identities:
        return set(), {}
    ordered = sorted(identities)
    asked = (
        sa.func.unnest(
            sa.literal([kind.value for kind, _ in ordered], sa.ARRAY(sa.Text)),
            sa.literal([digest for _, digest in ordered], sa.ARRAY(sa.Text)),
        )
        .table_valued(sa.column("kind", sa.Text), sa.column("digest", sa.Text))
        .render_derived(name="asked")
    )
    theirs = (
        _others(account, asked.c.kind, asked.c.digest, root)
        .order_by(_known.since, _known.customer_id)
        .limit(MOST_HOLDERS + 1)
        .lateral()
    )
    by_identity: dict[_Identity, list[Sighting]] = {}
    for row in connection.execute(sa.select(theirs).select_from(asked).join(theirs, sa.true())):
        one = _sighting(row)
        by_identity.setdefault(_identity(one), []).append(one)
    more = {
        identity: _count(connection, account, identity, root) - MOST_HOLDERS
        for identity, found in by_identity.items()
        if len(found) > MOST_HOLDERS
    }
    kept = (
        sorted(found, key=lambda one: (one.since, one.customer_id))[:MOST_HOLDERS] for found in by_identity.values()
    )
    return {one for found in kept for one in found}, more


def _others(
    account: str, kind: sa.ColumnElement[str], digest: sa.ColumnElement[str], root: str
) -> sa.Select[tuple[str, str, str, datetime]]:
    """Everybody else who has it, but for those who are marked as no link of the root's by it."""
    return (
        sa.select(_known.customer_id, _known.kind, _known.digest, _known.since)
        .where(_known.account == account, _known.kind == kind, _known.digest == digest)
        .where(_known.customer_id != root, ~history.marked(account, _known.kind, root, _known.customer_id))
    )


def _count(connection: Connection, account: str, identity: _Identity, root: str) -> int:
    kind, digest = identity
    # In the index's order, so that it is the index that is read and no further than the bound.
    others = _others(account, sa.literal(kind.value), sa.literal(digest), root)
    some = others.order_by(_known.since, _known.customer_id).limit(MOST_COUNTED).subquery()
    return int(connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())


def _past(connection: Connection, account: str, customers: Collection[str]) -> dict[str, Past]:
    ids = sorted(customers)
    began = {
        row.customer_id: (row.number, row.first)
        for row in connection.execute(
            sa.select(
                trials.c.customer_id,
                sa.func.count().label("number"),
                sa.func.min(trials.c.trial_start_at).label("first"),
            )
            .where(trials.c.account == account, trials.c.customer_id.in_(ids))
            .group_by(trials.c.customer_id)
        )
    }
    refunded = {
        row.customer_id: row.number
        for row in connection.execute(
            sa.select(refunds.c.customer_id, sa.func.count().label("number"))
            .where(refunds.c.account == account, refunds.c.customer_id.in_(ids), refunds.c.state.in_(LIVE_STATES))
            .group_by(refunds.c.customer_id)
        )
    }
    found = {}
    for one in ids:
        number, first = began.get(one, (0, None))
        found[one] = Past(trials=number, first_trial_at=first, refunds=refunded.get(one, 0))
    return found


# ---------------------------------------------------------------- what people marked


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a person said is no link: two customers by one kind, or for everybody one thing of that kind."""

    id: str
    kind: LinkKind
    one: str | None
    other: str | None
    case_id: str
    marked_by: str
    why: str
    marked_at: datetime

    @property
    def for_everybody(self) -> bool:
        """Whether the card (mailbox, device) links nobody any more."""
        return self.one is None


def wrong_pairs(connection: Connection, account: str, customers: Collection[str]) -> frozenset[Pair]:
    """The marked pairs among these customers."""
    ids = sorted(customers)
    rows = connection.execute(
        sa.select(link_marks.c.kind, link_marks.c.one, link_marks.c.other).where(
            link_marks.c.account == account,
            link_marks.c.one.in_(ids),
            link_marks.c.other.in_(ids),
            link_marks.c.taken_back_at.is_(None),
        )
    )
    return frozenset(pair(LinkKind(row.kind), row.one, row.other) for row in rows)


def marks_of(connection: Connection, account: str, customer_id: str) -> tuple[Mark, ...]:
    """The marks that concern this customer, oldest first: pairs with it, and things it has that link nobody."""
    mark = link_marks.c
    owned = sa.select(_known.digest).where(_known.account == account, _known.customer_id == customer_id)
    rows = connection.execute(
        sa.select(*(mark[name] for name in Mark.__slots__))
        .where(mark.account == account, mark.taken_back_at.is_(None))
        .where(sa.or_(mark.one == customer_id, mark.other == customer_id, mark.digest.in_(owned)))
        .order_by(mark.marked_at, mark.id)
        .limit(MOST_PEOPLE)
    )
    return tuple(Mark(**{**row._mapping, "kind": LinkKind(row.kind)}) for row in rows)


def shared_by(connection: Connection, account: str, kind: LinkKind, one: str, other: str) -> tuple[str, ...]:
    """The digests of this kind that both customers have."""
    of_kind = sa.select(_known.digest).where(_known.account == account, _known.kind == kind.value)
    both = sa.intersect(of_kind.where(_known.customer_id == one), of_kind.where(_known.customer_id == other))
    return tuple(sorted(connection.execute(both).scalars()))


def mark_pair(
    connection: Connection, mark_id: str, account: str, wrong: Pair, *, case_id: str, by: str, why: str
) -> bool:
    """Marks a pair as no link. False where it was so already."""
    kind, one, other = wrong
    return _mark(
        connection,
        {"id": mark_id, "account": account, "kind": kind.value, "one": one, "other": other},
        case_id=case_id,
        by=by,
        why=why,
    )


def mark_shared(
    connection: Connection, mark_id: str, account: str, identity: _Identity, *, case_id: str, by: str, why: str
) -> bool:
    """Marks one card (mailbox, device) as had by many: it links nobody. False where it was so already."""
    kind, digest = identity
    row = {"id": mark_id, "account": account, "kind": kind.value, "digest": digest}
    return _mark(connection, row, case_id=case_id, by=by, why=why)


def _mark(connection: Connection, row: dict[str, str], *, case_id: str, by: str, why: str) -> bool:
    statement = insert(link_marks).values(**row, case_id=case_id, marked_by=by, why=why)
    written = connection.execute(statement.on_conflict_do_nothing().returning(link_marks.c.id)).one_or_none()
    return written is not None


def take_back(
    connection: Connection, account: str, kind: LinkKind, *, by: str, wrong: Pair, digests: Collection[str]
) -> tuple[str, ...]:
    """Takes back what was marked of this pair, and of these digests for everybody; returns the ids of the marks."""
    mark = link_marks.c
    _, one, other = wrong
    rows = connection.execute(
        link_marks.update()
        .where(mark.account == account, mark.kind == kind.value, mark.taken_back_at.is_(None))
        .where(sa.or_(sa.and_(mark.one == one, mark.other == other), mark.digest.in_(list(digests))))
        .values(taken_back_by=by, taken_back_at=_NOW)
        .returning(mark.id)
    )
    return tuple(sorted(rows.scalars()))


# ---------------------------------------------------------------- what the product tells


def key_of(connection: Connection, account: str) -> bytes:
    """The key for digests of devices and addresses, made by the database when it is first asked for."""
    connection.execute(insert(digest_keys).values(account=account).on_conflict_do_nothing())
    key: bytes = connection.execute(sa.select(digest_keys.c.key).where(digest_keys.c.account == account)).scalar_one()
    return bytes(key)


def keyed_digest(key: bytes, kind: LinkKind, value: str) -> str:
    """A digest that nobody can guess backwards without the key, unlike that of an address."""
    return hmac.new(key, f"{kind}:{value}".encode(), hashlib.sha256).hexdigest()


def see_keyed(connection: Connection, account: str, seen: Iterable[tuple[str, datetime, LinkKind, str]]) -> None:
    """Keeps what the product told of its customers: id, when, and device or normalised address."""
    key = key_of(connection, account)
    for customer_id, at, kind, value in sorted(seen):
        history.see(connection, account, customer_id, [(kind, keyed_digest(key, kind, value))], at=at)
