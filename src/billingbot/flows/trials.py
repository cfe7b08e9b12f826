"""Trials: what we remember of each, and reading in the ones that were there before us."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from billingbot.core.evidence.dossier import Customer, Subscription
from billingbot.core.job import Job
from billingbot.flows.desk import Account, Desk
from billingbot.store import database, history, jobs
from billingbot.store.database import transaction

# The import does one page a run, and comes right back for the next: a crash costs one page.
NEXT_PAGE: Final = timedelta(0)
# Each subscription may cost one more read for its card, half a second on a slow day: a page must end well within
# the job's lease, or it is read for ever and never kept.
PAGE: Final = 50


def remember(
    connection: Connection,
    account: str,
    subscription: Subscription,
    customer: Customer | None,
    *,
    trial_end_before: datetime | None = None,
    also_card: str | None = None,
) -> None:
    """Stores a subscription's trial with its card and mailbox digests; one without a trial is nothing to store."""
    if subscription.trial_start_at is None or subscription.trial_end_at is None:
        return
    history.remember_trial(
        connection,
        history.TrialRow(
            account=account,
            subscription_id=subscription.id,
            customer_id=subscription.customer_id,
            trial_start_at=subscription.trial_start_at,
            trial_end_at=subscription.trial_end_at,
            trial_end_before=trial_end_before,
            identities=history.identities(
                fingerprints=(subscription.fingerprint, also_card), email=customer.email if customer else None
            ),
        ),
    )


def import_history(desk: Desk, job: Job) -> None:
    """Reads the account's trials in from Stripe, page by page: all of them once, and then what began since.

    Until the first pass is whole, and whenever the last one is too long ago, an earlier trial is an unknown.
    """
    account = desk.account(job.subject)
    with transaction(desk.db) as connection:
        progress = history.import_progress(connection, account.name)
        rests = progress is not None and progress.cursor is None and not progress.is_due(database.now(connection))
        # Whoever misses the history asks for its import: one reads it in, the others would read the same pages.
        if rests or jobs.has_elder(connection, job):
            jobs.finish(connection, job)
            return
    cursor, since = (progress.cursor, progress.since) if progress else (None, None)
    page = account.stripe.trial_subscriptions(after=cursor, limit=PAGE, since=since)
    people = [(found, customer or account.stripe.customer(found.customer_id)) for found, customer in page.subscriptions]
    with transaction(desk.db) as connection:
        for subscription, customer in people:
            remember(connection, account.name, subscription, customer)
        history.import_advanced(
            connection,
            account.name,
            first_page=cursor is None,
            cursor=page.next,
            seen=len(people),
            read_to=max((found.started_at for found, _ in people), default=None),
        )
        if page.next is None:
            jobs.finish(connection, job)
        else:
            jobs.postpone(connection, job, NEXT_PAGE)
    if page.next is not None:
        desk.bell.ring([job.id])


def remember_customer(desk: Desk, account: Account, customer_id: str) -> None:
    """Adds a customer's present card and mailbox to each trial of theirs: either may come after the trial began."""
    with transaction(desk.db) as connection:
        known = history.trials_of(connection, account.name, customer_id)
    for subscription_id in known:
        subscription, customer = account.stripe.subscription_identity(subscription_id)
        with transaction(desk.db) as connection:
            remember(connection, account.name, subscription, customer)
