"""Who had a trial before, and who was seen with which card and mailbox: the index behind the repeat-trial rule."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.evidence.history import LinkKind, TrialLink, company_domain, normalise_email
from billingbot.store.schema import customer_identities, history_imports, link_marks, trials

_NOW = sa.func.clock_timestamp()

# A repeated trial began at least a trial's length before the charge in question, so minutes lose nothing; and
# Stripe's webhooks, where they work, bring each trial within seconds anyway.
CATCH_UP_AFTER: Final = timedelta(minutes=5)
# Three passes may fail before an absence stops meaning something.
STALE_AFTER: Final = timedelta(minutes=20)
# A later pass reads a day again: lists are by creation, trials by start, and the two may differ a little.
OVERLAP: Final = timedelta(days=1)
# A person looks at a few; a shared virtual card may have thousands, and whoever asks must not wait for those.
MOST_LINKS: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A trial to remember. Digests come from `card_digest` and `email_digest`."""

    account: str
    subscription_id: str
    customer_id: str
    trial_start_at: datetime
    trial_end_at: datetime
    trial_end_before: datetime | None
    """Where an event says that the end was moved: what it was before."""
    identities: tuple[tuple[LinkKind, str], ...]


def card_digest(fingerprint: str | None) -> str | None:
    """A digest of the card's fingerprint: links work, the fingerprint is not kept."""
    return hashlib.sha256(f"card:{fingerprint}".encode()).hexdigest() if fingerprint else None


def email_digest(email: str | None) -> str | None:
    """A digest of the normalised mailbox; None where there is no usable address."""
    normalised = normalise_email(email) if email else None
    return hashlib.sha256(f"email:{normalised}".encode()).hexdigest() if normalised else None


def domain_digest(email: str | None) -> str | None:
    """A digest of the company's domain; None for free mail, which says nothing."""
    domain = company_domain(email) if email else None
    return hashlib.sha256(f"domain:{domain}".encode()).hexdigest() if domain else None


def identities(*, fingerprints: Sequence[str | None], email: str | None) -> tuple[tuple[LinkKind, str], ...]:
    """All digests by which one customer can be linked to another."""
    found = {(LinkKind.CARD, card_digest(fingerprint)) for fingerprint in fingerprints}
    found |= {(LinkKind.EMAIL, email_digest(email)), (LinkKind.DOMAIN, domain_digest(email))}
    return tuple(sorted((kind, digest) for kind, digest in found if digest is not None))


def remember_trial(connection: Connection, trial: TrialRow) -> None:
    """Stores what is known of a trial. The first end we ever saw stays, so that an early end shows."""
    first_end = max(trial.trial_end_at, trial.trial_end_before or trial.trial_end_at)
    row = {
        "account": trial.account,
        "subscription_id": trial.subscription_id,
        "customer_id": trial.customer_id,
        "trial_start_at": trial.trial_start_at,
        "first_trial_end_at": first_end,
        "trial_end_at": trial.trial_end_at,
    }
    statement = insert(trials).values(row)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["account", "subscription_id"],
            set_={
                "trial_end_at": trial.trial_end_at,
                "first_trial_end_at": sa.func.greatest(trials.c.first_trial_end_at, first_end),
            },
        )
    )
    see(connection, trial.account, trial.customer_id, trial.identities, at=trial.trial_start_at, trial=True)


def see(
    connection: Connection,
    account: str,
    customer_id: str,
    seen: Sequence[tuple[LinkKind, str]],
    *,
    at: datetime,
    trial: bool = False,
) -> None:
    """Keeps that the customer was seen with these, `trial` where a trial that began then carries them.

    The earliest time counts, whatever the order in which they are told.
    """
    for kind, digest in sorted(seen):  # one lock order for racing workers
        row = {"account": account, "customer_id": customer_id, "kind": kind.value, "digest": digest, "since": at}
        statement = insert(customer_identities).values(**row, trial_since=at if trial else None)
        known, new = customer_identities.c, statement.excluded
        earlier = sa.or_(new.since < known.since, sa.func.coalesce(new.trial_since < known.trial_since, trial))
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["account", "customer_id", "kind", "digest"],
                set_={
                    "since": sa.func.least(known.since, new.since),
                    "trial_since": sa.func.least(known.trial_since, new.trial_since),
                },
                where=earlier,
            )
        )


def links(
    connection: Connection,
    account: str,
    *,
    customer_id: str,
    before: datetime,
    card: str | None,
    email: str | None,
) -> tuple[TrialLink, ...]:
    """Other customers' trials that began before `before` and share one of these digests, oldest first.

    The first MOST_LINKS of each kind: one is enough for the rule, and a card may have thousands. What people marked
    as no link is none.
    """
    found: list[TrialLink] = []
    for kind, digest in ((LinkKind.CARD, card), (LinkKind.EMAIL, email)):
        if digest is not None and not is_shared(connection, account, kind, digest):
            found += _trial_links(connection, account, kind, digest, customer_id=customer_id, before=before)
    return tuple(sorted(found, key=lambda link: (link.trial_start_at, link.subscription_id, link.kind)))


def _trial_links(
    connection: Connection, account: str, kind: LinkKind, digest: str, *, customer_id: str, before: datetime
) -> Sequence[TrialLink]:
    known = customer_identities.c
    shared = (
        sa.select(known.customer_id, known.trial_since)
        .where(known.account == account, known.kind == kind.value, known.digest == digest)
        # `since` is never after `trial_since`, and is what the index is in the order of.
        .where(known.since < before, known.trial_since < before, known.customer_id != customer_id)
        .where(~marked(account, sa.literal(kind.value), customer_id, known.customer_id))
        .order_by(known.since, known.customer_id)
        .limit(MOST_LINKS)
        .subquery()
    )
    trial = (
        sa.select(sa.func.min(trials.c.subscription_id).label("subscription_id"))
        .where(trials.c.account == account, trials.c.customer_id == shared.c.customer_id)
        .where(trials.c.trial_start_at == shared.c.trial_since)
        .lateral()
    )
    query = sa.select(shared.c.customer_id, shared.c.trial_since, trial.c.subscription_id).join(trial, sa.true())
    return [
        TrialLink(
            kind=kind,
            customer_id=row.customer_id,
            subscription_id=row.subscription_id or "",
            trial_start_at=row.trial_since,
        )
        for row in connection.execute(query)
    ]


def marked(account: str, kind: sa.ColumnElement[str], one: str, other: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether people marked these two as no link of this kind."""
    mark, here, there = link_marks.c, sa.collate(sa.literal(one), "C"), sa.collate(other, "C")
    return sa.exists().where(
        mark.account == account,
        mark.kind == kind,
        mark.one == sa.func.least(here, there),
        mark.other == sa.func.greatest(here, there),
        mark.digest.is_(None),
        mark.taken_back_at.is_(None),
    )


def is_shared(connection: Connection, account: str, kind: LinkKind, digest: str) -> bool:
    """Whether people marked this card (mailbox, device) as one that many have, so that it links nobody."""
    mark = link_marks.c
    found = sa.exists().where(
        mark.account == account, mark.kind == kind.value, mark.digest == digest, mark.taken_back_at.is_(None)
    )
    return bool(connection.execute(sa.select(found)).scalar_one())


def trials_of(connection: Connection, account: str, customer_id: str) -> Sequence[str]:
    """The subscriptions of all trials that we know of this customer."""
    found = connection.execute(
        sa.select(trials.c.subscription_id)
        .where(trials.c.account == account, trials.c.customer_id == customer_id)
        .order_by(trials.c.subscription_id)
    )
    return found.scalars().all()


def customers_of_mailbox(connection: Connection, account: str, email: str) -> Sequence[str]:
    """The customers whose trials we know under this mailbox, however Stripe spells it; MOST_LINKS of them."""
    known = customer_identities.c
    found = connection.execute(
        sa.select(known.customer_id)
        .where(known.account == account, known.kind == LinkKind.EMAIL, known.digest == email_digest(email))
        .where(known.trial_since.is_not(None))
        .order_by(known.since, known.customer_id)
        .limit(MOST_LINKS)
    )
    return sorted(found.scalars())


def first_trial_end(connection: Connection, account: str, subscription_id: str) -> datetime | None:
    """The latest end of this trial that we ever saw announced."""
    found: datetime | None = connection.execute(
        sa.select(trials.c.first_trial_end_at).where(
            trials.c.account == account, trials.c.subscription_id == subscription_id
        )
    ).scalar_one_or_none()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportProgress:
    """How far the account's trials have been read in from Stripe.

    The first pass reads all of them; later ones read what began since, so that nothing depends on every webhook
    having arrived. `read_to` is the newest trial's start by Stripe's own clock.
    """

    cursor: str | None
    seen: int
    finished_at: datetime | None
    caught_up_at: datetime | None
    """When the last whole pass began: up to then every trial is known."""
    read_to: datetime | None

    def covers(self, now: datetime) -> bool:
        """Whether an absence of links means that there are none."""
        return self.caught_up_at is not None and now - self.caught_up_at < STALE_AFTER

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to read on, well before what is known goes stale."""
        return self.caught_up_at is None or now - self.caught_up_at > CATCH_UP_AFTER

    @property
    def since(self) -> datetime | None:
        """From where a later pass reads; None for all there is."""
        return self.read_to - OVERLAP if self.finished_at is not None and self.read_to is not None else None


def import_progress(connection: Connection, account: str) -> ImportProgress | None:
    """How far the import is; None where it never began."""
    columns = [history_imports.c[name] for name in ImportProgress.__slots__]
    row = connection.execute(sa.select(*columns).where(history_imports.c.account == account)).one_or_none()
    return ImportProgress(**row._mapping) if row else None


def import_advanced(
    connection: Connection, account: str, *, first_page: bool, cursor: str | None, seen: int, read_to: datetime | None
) -> None:
    """Records one more page of a pass; without a cursor to go on from, the pass is whole."""
    known = history_imports.c
    row = {"account": account, "cursor": cursor, "seen": seen, "read_to": read_to}
    whole = cursor is None
    began = _NOW if first_page else known.began_at
    statement = insert(history_imports).values(
        **row, finished_at=_NOW if whole else None, caught_up_at=_NOW if whole else None
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["account"],
            set_={
                "cursor": cursor,
                "seen": known.seen + seen,
                "began_at": began,
                "read_to": sa.func.greatest(known.read_to, read_to),
                "finished_at": sa.func.coalesce(known.finished_at, _NOW) if whole else known.finished_at,
                "caught_up_at": began if whole else known.caught_up_at,
            },
        )
    )
