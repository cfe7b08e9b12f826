"""Settlements: what each refund and dispute did to the account's own money, read from Stripe and kept."""

from datetime import timedelta
from typing import Final

from billingbot.core.errors import StripeNotFoundError
from billingbot.core.job import Actor, Job
from billingbot.flows.desk import Desk, step
from billingbot.store import balance, database, jobs
from billingbot.store.database import transaction

# So many are asked for between two renewals of the lease: at Stripe's slowest, half a second each.
BATCH: Final = 20
# A third of the lease; then the job makes room and comes right back.
WORK: Final = timedelta(seconds=20)


def start_due(desk: Desk) -> int:
    """Wakes the reading of accounts where a refund or dispute has moved since; how many jobs that made."""
    made = 0
    for name in desk.accounts:
        with step(desk) as this:
            if balance.wanted(this.db, name, limit=1):
                this.enqueue(Actor.READ_SETTLEMENTS, name)
                made += len(this.bells)
    return made


def read_settlements(desk: Desk, job: Job) -> None:
    """Reads the balance transactions of whatever wants it, new or years old; whoever dies goes on where it stood."""
    account = desk.account(job.subject)
    with transaction(desk.db) as connection:
        if jobs.has_elder(connection, job):
            jobs.finish(connection, job)
            return
        until = database.now(connection) + WORK
    while True:
        with transaction(desk.db) as connection:
            jobs.renew(connection, job)
            now = database.now(connection)
            waiting = balance.wanted(connection, account.name, limit=BATCH) if now < until else None
            if waiting is None:
                jobs.postpone(connection, job, timedelta(0))
            elif not waiting:
                jobs.finish(connection, job)
        if waiting is None:
            desk.bell.ring([job.id])
        if not waiting:
            return
        for one in waiting:
            try:
                found = account.stripe.transactions_of(one.source)
            except StripeNotFoundError:
                found = ()  # of another key or mode: Stripe knows nothing of it, and never will
            with transaction(desk.db) as connection:
                balance.keep(connection, account.name, found)
                balance.read_for(connection, account.name, one)
