"""Who had a trial before: the index behind the repeat-trial rule, by digests of card and mailbox."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from billingbot.core.history import LinkKind, TrialLink, normalise_email
from billingbot.store.schema import history_imports, trial_identities, trials

_NOW = sa.func.clock_timestamp()


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
    """How far the account's earlier trials have been read in from Stripe."""

    cursor: str | None
    seen: int
    finished_at: datetime | None


def import_progress(connection: Connection, account: str) -> ImportProgress | None:
    """How far the import is; None where it never began."""
    row = connection.execute(sa.select(history_imports).where(history_imports.c.account == account)).one_or_none()
    return ImportProgress(cursor=row.cursor, seen=row.seen, finished_at=row.finished_at) if row else None


def import_advanced(connection: Connection, account: str, *, cursor: str | None, seen: int, finished: bool) -> None:
    """Records one more page of the import."""
    row = {"account": account, "cursor": cursor, "seen": seen, "finished_at": _NOW if finished else None}
    connection.execute(
        insert(history_imports)
        .values(row)
        .on_conflict_do_update(
            index_elements=["account"],
            set_={
                "cursor": cursor,
                "seen": history_imports.c.seen + seen,
                "finished_at": _NOW if finished else None,
            },
        )
    )
