"""Trials: what we remember of each, and reading in the ones that were there before us."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from billingbot.core.dossier import Customer, Subscription
from billingbot.core.job import Job
from billingbot.flows.desk import Desk
from billingbot.store import history, jobs
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
    """Reads the account's trials in from Stripe, page by page; until the last, an earlier trial is an unknown."""
    account = desk.account(job.subject)
    with transaction(desk.db) as connection:
        progress = history.import_progress(connection, account.name)
        # Whoever misses the history asks for its import: one reads it in, the others would read the same pages.
        if (progress is not None and progress.finished_at is not None) or jobs.has_elder(connection, job):
            jobs.finish(connection, job)
            return
    page = account.stripe.trial_subscriptions(after=progress.cursor if progress else None, limit=PAGE)
    with transaction(desk.db) as connection:
        for subscription, customer in page.subscriptions:
            remember(connection, account.name, subscription, customer)
        history.import_advanced(
            connection,
            account.name,
            cursor=page.next,
            seen=len(page.subscriptions),
            finished=page.next is None,
        )
        if page.next is None:
            jobs.finish(connection, job)
        else:
            jobs.postpone(connection, job, NEXT_PAGE)
    if page.next is not None:
        desk.bell.ring([job.id])
