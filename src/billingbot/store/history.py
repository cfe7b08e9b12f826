"""Who had a trial before: the index behind the repeat-trial rule, by digests of card and mailbox."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.history import LinkKind, TrialLink, normalise_email
from billingbot.store.schema import history_imports, trial_identities, trials

_NOW = sa.func.clock_timestamp()

# A repeated trial began at least a trial's length before the charge in question, so minutes lose nothing; and
# Stripe's webhooks, where they work, bring each trial within seconds anyway.
CATCH_UP_AFTER: Final = timedelta(minutes=5)
# Three passes may fail before an absence stops meaning something.
STALE_AFTER: Final = timedelta(minutes=20)
# A later pass reads a day again: lists are by creation, trials by start, and the two may differ a little.
OVERLAP: Final = timedelta(days=1)


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


def identities(*, fingerprints: Sequence[str | None], email: str | None) -> tuple[tuple[LinkKind, str], ...]:
    """All digests by which one trial can be linked to another."""
    cards = {card_digest(fingerprint) for fingerprint in fingerprints} - {None}
    found = [(LinkKind.CARD, digest) for digest in sorted(str(card) for card in cards)]
    mailbox = email_digest(email)
    return (*found, (LinkKind.EMAIL, mailbox)) if mailbox else tuple(found)


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
    for kind, digest in trial.identities:
        identity = {
            "account": trial.account,
            "subscription_id": trial.subscription_id,
            "kind": kind.value,
            "digest": digest,
        }
        connection.execute(insert(trial_identities).values(identity).on_conflict_do_nothing())


def links(
    connection: Connection,
    account: str,
    *,
    customer_id: str,
    before: datetime,
    card: str | None,
    email: str | None,
) -> tuple[TrialLink, ...]:
    """Other customers' trials that began before `before` and share one of these digests, oldest first."""
    wanted = [(LinkKind.CARD, card), (LinkKind.EMAIL, email)]
    matches = [
        sa.and_(trial_identities.c.kind == kind.value, trial_identities.c.digest == digest)
        for kind, digest in wanted
        if digest is not None
    ]
    if not matches:
        return ()
    query = (
        sa.select(trial_identities.c.kind, trials.c.customer_id, trials.c.subscription_id, trials.c.trial_start_at)
        .join(
            trials,
            sa.and_(
                trials.c.account == trial_identities.c.account,
                trials.c.subscription_id == trial_identities.c.subscription_id,
            ),
        )
        .where(trial_identities.c.account == account, sa.or_(*matches))
        .where(trials.c.customer_id != customer_id, trials.c.trial_start_at < before)
        .order_by(trials.c.trial_start_at, trials.c.subscription_id, trial_identities.c.kind)
    )
    return tuple(
        TrialLink(
            kind=LinkKind(row.kind),
            customer_id=row.customer_id,
            subscription_id=row.subscription_id,
            trial_start_at=row.trial_start_at,
        )
        for row in connection.execute(query)
    )


def trials_of(connection: Connection, account: str, customer_id: str) -> Sequence[str]:
    """The subscriptions of all trials that we know of this customer."""
    found = connection.execute(
        sa.select(trials.c.subscription_id)
        .where(trials.c.account == account, trials.c.customer_id == customer_id)
        .order_by(trials.c.subscription_id)
    )
    return found.scalars().all()


def customers_of_mailbox(connection: Connection, account: str, email: str) -> Sequence[str]:
    """The customers whose trials we know under this mailbox, however Stripe spells it."""
    found = connection.execute(
        sa.select(trials.c.customer_id)
        .distinct()
        .join(
            trial_identities,
            sa.and_(
                trial_identities.c.account == trials.c.account,
                trial_identities.c.subscription_id == trials.c.subscription_id,
            ),
        )
        .where(trials.c.account == account, trial_identities.c.kind == LinkKind.EMAIL)
        .where(trial_identities.c.digest == email_digest(email))
        .order_by(trials.c.customer_id)
    )
    return found.scalars().all()


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
